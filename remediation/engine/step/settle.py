"""Waiting for a state to show: looks with growing pauses, by the host's clock."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from remediation.engine.context import Ports
    from remediation.model.clock import Clock

FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
"""Seconds of the host's time between two looks; doubled from the first to the longest."""


def rounds(seconds: float, clock: Clock, ports: Ports) -> Iterator[bool]:
    """Yield once per look, whether it is the last one: `seconds` are over then, or Ctrl-C was pressed."""
    until = clock.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        left = until - clock.monotonic()
        last = left <= 0 or ports.cancelled()
        yield last
        if last:
            return
        clock.sleep(min(pause, left), ports.wait)
        pause = min(2 * pause, LONGEST_PAUSE)
