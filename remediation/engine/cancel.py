"""Ctrl-C: the change in flight is finished, then the run stops; a second one ends the program at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


class Cancellation:
    """A flag that every host of a run looks at between two changes; calling it answers the port ``cancelled``."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def __call__(self) -> bool:
        """Return whether the run is to stop."""
        return self._flag.is_set()

    def set(self) -> None:
        """Ask the run to stop."""
        self._flag.set()

    @contextmanager
    def on_interrupt(self, told: Callable[[], None]) -> Iterator[None]:
        """Turn the first SIGINT into the flag and call `told`; the second raises KeyboardInterrupt. Main thread only."""

        def first(signum: int, frame: FrameType | None) -> None:
            if self._flag.is_set():
                signal.default_int_handler(signum, frame)
            self._flag.set()
            told()

        previous = signal.signal(signal.SIGINT, first)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, previous)
