"""The clock as a parameter: all code sleeps and reads the time only through one of these."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol


class Clock(Protocol):
    """Wall time in seconds since the epoch, a monotonic counter, and sleeping."""

    def now(self) -> float:
        """Return seconds since the epoch."""

    def monotonic(self) -> float:
        """Return a monotonic time in seconds."""

    def sleep(self, seconds: float, wait: Callable[[float], object] = time.sleep) -> None:
        """Sleep. `wait` sleeps for seconds of controller time and may return early (`Ports.wait`: on Ctrl-C)."""


class SystemClock:
    """The controller's own clock. With ``scale`` > 1, host time runs that much faster (lab hosts)."""

    def __init__(self, scale: float = 1.0) -> None:
        self._scale = scale
        self._start = time.monotonic()

    def now(self) -> float:
        """Return seconds since the epoch."""
        return time.time()

    def monotonic(self) -> float:
        """Return seconds of host time since this clock was created."""
        return (time.monotonic() - self._start) * self._scale

    def sleep(self, seconds: float, wait: Callable[[float], object] = time.sleep) -> None:
        """Sleep `seconds` of host time."""
        if seconds > 0:  # even a sleep of nothing gives the processor away
            wait(seconds / self._scale)
