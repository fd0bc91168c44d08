"""Ctrl-C, SIGTERM and SIGHUP: the change in flight is finished, then the run stops; a second Ctrl-C ends the program at once."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from remediation.model.signals import handled


class Cancellation:
    """A flag that every host of a run looks at between two changes; calling it answers the port ``cancelled``."""

    def __init__(self) -> None:
        self._flag = threading.Event()

    def __call__(self) -> bool:
        """Return whether the run is to stop."""
        return self._flag.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds, or until the run is to stop; return whether it is. Not for the thread that takes signals."""
        return self._flag.wait(seconds)

    def set(self) -> None:
        """Ask the run to stop."""
        self._flag.set()

    @contextmanager
    def on_interrupt(self, told: Callable[[], None]) -> Iterator[None]:
        """Turn the first signal into the flag and call `told`; the second raises KeyboardInterrupt. Main thread only.

        A signal that was ignored when the program started stays so (``nohup``). A closed terminal may send SIGHUP more than
        once, so that one never counts as the second.
        """

        def first(signum: int, frame: FrameType | None) -> None:
            if self._flag.is_set():
                if signum != getattr(signal, "SIGHUP", None):
                    signal.default_int_handler(signum, frame)
                return
            self._flag.set()
            told()

        with handled(first):
            yield
