"""Ctrl-C, SIGTERM and SIGHUP: the change in flight is finished, then the run stops; a second Ctrl-C ends the program at once.

Whoever sends SIGTERM or SIGHUP rarely sends it twice: a service manager follows with SIGKILL, a closed terminal with nothing. So
the change in flight gets `GRACE` seconds after one of these, and then the program ends as it does by the second Ctrl-C.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from remediation.model.signals import EndingSignals, handled, interrupt_main

GRACE = 4.0
"""Seconds for the change in flight after SIGTERM or SIGHUP. With the closing of the hosts that is less than the 10 s after which
Docker and many CI systems kill."""


class Cancellation:
    """A flag that every host of a run looks at between two changes; calling it answers the port ``cancelled``."""

    def __init__(self, grace: float = GRACE) -> None:
        self._flag = threading.Event()
        self._grace = grace
        self._over = False
        self._end = EndingSignals()

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

        After SIGTERM or SIGHUP the end of the grace counts as the second signal. Signals that come while the program already
        ends are ignored. A signal that was ignored when the program started stays so (``nohup``). A closed terminal may send
        SIGHUP more than once, so that one never counts as the second.
        """
        timers: list[threading.Timer] = []

        def handler(signum: int, frame: FrameType | None) -> None:
            if not self._flag.is_set():
                self._flag.set()
                told()
            elif signum != getattr(signal, "SIGHUP", None) or self._over:
                self._end(KeyboardInterrupt)
            if signum != signal.SIGINT and not timers:
                timers.append(threading.Timer(self._grace, self._grace_over, [signum]))
                timers[0].daemon = True
                timers[0].start()

        try:
            with handled(handler):
                yield
        finally:
            for timer in timers:
                timer.cancel()

    def _grace_over(self, signum: int) -> None:
        self._over = True
        interrupt_main(signum)
