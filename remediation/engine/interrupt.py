"""Ctrl-C, SIGTERM and SIGHUP: the current change is finished, then the run stops; a second Ctrl-C ends the program at once.

SIGTERM and SIGHUP are rarely sent twice: a service manager follows with SIGKILL, a closed terminal with nothing. After
either, the current change has `GRACE` seconds before the program ends as after a second Ctrl-C.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from remediation.model.signals import EndingSignals, handle_signals, interrupt_main

GRACE = 4.0
"""Seconds for the current change after SIGTERM or SIGHUP.

Together with closing the hosts this stays under the 10 s after which Docker and many CI systems send SIGKILL.
"""


class Cancellation:
    """A flag that every host checks between two changes; calling it implements the port ``cancelled``."""

    def __init__(self, grace: float = GRACE) -> None:
        self._flag = threading.Event()
        self._grace = grace
        self._over = False
        self._end = EndingSignals()

    def __call__(self) -> bool:
        """Return whether the run should stop."""
        return self._flag.is_set()

    def wait(self, seconds: float) -> bool:
        """Wait for some seconds or until the run should stop; return whether it should.

        Not for the thread that handles signals.
        """
        return self._flag.wait(seconds)

    def set(self) -> None:
        """Ask the run to stop."""
        self._flag.set()

    @contextmanager
    def on_interrupt(self, notify: Callable[[], None]) -> Iterator[None]:
        """Set the flag and call `notify` on the first signal, raise KeyboardInterrupt on the second. Main thread only.

        After SIGTERM or SIGHUP, the end of the grace period counts as the second signal. Signals that arrive while the
        program is ending are ignored. A signal that was ignored when the program started stays ignored (``nohup``). A closed
        terminal may send SIGHUP more than once, so SIGHUP never counts as the second signal.
        """
        timers: list[threading.Timer] = []

        def handler(signum: int, frame: FrameType | None) -> None:
            if not self._flag.is_set():
                self._flag.set()
                notify()
            elif signum != getattr(signal, "SIGHUP", None) or self._over:
                self._end(KeyboardInterrupt)
            if signum != signal.SIGINT and not timers:
                timers.append(threading.Timer(self._grace, self._grace_over, [signum]))
                timers[0].daemon = True
                timers[0].start()

        try:
            with handle_signals(handler):
                yield
        finally:
            for timer in timers:
                timer.cancel()

    def _grace_over(self, signum: int) -> None:
        self._over = True
        interrupt_main(signum)
