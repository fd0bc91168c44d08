"""A machine's clock: real time while it is idle, faster while a client works on it or a program waits on it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

_PAUSE = 0.0005
"""Seconds between two looks at whether another sleeper is awake."""


class MachineClock:
    """Lab time in seconds since the epoch.

    Between two visits it passes in real time, so a model that is kept for ten minutes is still loaded when a client looks
    again; while a session is attached or something sleeps, a second of the lab passes in 1/scale of ours.

    Time never passes the end of a sleep before the sleeper is awake, so a busy computer does not make the lab's programs late.
    `grain` is the most that passes between two readings while nothing sleeps (seconds; None: any time).
    """

    def __init__(self, start: float, scale: float, *, grain: float | None = None) -> None:
        self._scale = scale
        self.grain = grain
        self._ends: list[float] = []
        self._lock = threading.Lock()
        self._hurried = 0
        self._jumping = False
        self._anchor = start
        self._until = start
        self._real = time.monotonic()

    @property
    def scale(self) -> float:
        """Seconds of the lab in one of ours, while a client works."""
        return self._scale

    def now(self) -> float:
        """Return the lab's seconds since the epoch."""
        with self._lock:
            return self._now()

    def sleep(self, seconds: float) -> None:
        """Let `seconds` of the lab's time pass."""
        if seconds <= 0:
            return
        if self._jumping:
            with self._lock:
                self._anchor += seconds
            return
        with self.hurried():
            with self._lock:
                end = self._now() + seconds
                self._ends.append(end)
            try:
                time.sleep(seconds / self._scale)
                while self.now() < end:
                    time.sleep(_PAUSE)
            finally:
                with self._lock:
                    self._ends.remove(end)

    @contextmanager
    def hurried(self) -> Iterator[None]:
        """Let time pass at the lab's scale for a while; may be nested and shared by threads."""
        self.hurry(1)
        try:
            yield
        finally:
            self.hurry(-1)

    def hurry(self, by: int) -> None:
        """Count one more, or one less, that needs the lab's scale."""
        with self._lock:
            self._now()
            self._hurried += by

    def hurry_until(self, when: float) -> None:
        """Let time pass at the lab's scale up to `when`: clients wait for a machine that boots, though none can attach to it."""
        with self._lock:
            self._now()
            self._until = when

    @contextmanager
    def jumping(self) -> Iterator[None]:
        """Let sleeping take no real time: for events before the first client."""
        self._jumping = True
        try:
            yield
        finally:
            self._jumping = False

    def _now(self) -> float:
        """Return the time and go on from it; the lock is held."""
        real = time.monotonic()
        passed, self._real = real - self._real, real
        fast = passed if self._hurried else min(passed, max(0.0, self._until - self._anchor) / self._scale)
        now = self._anchor + fast * self._scale + (passed - fast)
        if self._ends:
            now = min(now, max(self._anchor, min(self._ends)))
        elif self.grain is not None and fast:
            now = min(now, self._anchor + self.grain)
        self._anchor = now
        return now
