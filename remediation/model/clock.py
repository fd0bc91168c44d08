"""The clock as a parameter: nothing in the project sleeps or reads the time but through one of these."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time in seconds since the epoch, a monotonic counter, and waiting."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return seconds that never go backwards."""

    def sleep(self, seconds: float, wait: Callable[[float], object] = time.sleep) -> None:
        """Wait. `wait` waits for seconds of the controller's time, and may return early (`Ports.wait`: on Ctrl-C)."""


class SystemClock:
    """The controller's own clock; with ``scale`` > 1 a second of the host's passes in 1/scale of ours (lab hosts)."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._start = time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds of the host's time since this clock was made."""
        return (time.monotonic() - self._start) * self._scale

    def sleep(self, seconds: float, wait: Callable[[float], object] = time.sleep) -> None:
        """Wait `seconds` of the host's time."""
        wait(max(0.0, seconds) / self._scale)
