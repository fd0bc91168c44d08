"""Handles the signals that ask a program to end."""

from __future__ import annotations

import _thread
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""The signals that ask a program to end, where the platform has them.

A closed terminal sends SIGHUP, a service manager SIGTERM.
"""


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the program to end."""


def interrupt_main(signum: int) -> None:
    """Make the main thread handle a signal as if it had been sent, and wake it. Called from another thread."""
    main = threading.main_thread().ident
    if hasattr(signal, "pthread_kill") and main is not None:
        signal.pthread_kill(main, signal.Signals(signum))
    else:
        _thread.interrupt_main(signal.Signals(signum))  # does not interrupt a wait: on Windows the main thread wakes up regularly


class EndingSignals:
    """Raises an exception that ends the program, and ignores further signals for `SECONDS` meanwhile.

    During that time the program closes its connections; an impatient third Ctrl-C would leave them open.
    """

    SECONDS = 5.0

    def __init__(self) -> None:
        self._begun: float | None = None

    def __call__(self, error: type[KeyboardInterrupt]) -> None:
        """Raise `error`, unless the program is already ending."""
        now = time.monotonic()
        if self._begun is None or now - self._begun >= self.SECONDS:
            self._begun = now
            raise error


@contextmanager
def raise_on_signals() -> Iterator[None]:
    """Make SIGTERM and SIGHUP raise `Terminated` and Ctrl-C `KeyboardInterrupt`, so that connections are closed.

    Outside the main thread this does nothing. Within another `raise_on_signals` this neither: a second Ctrl-C, on the way out of the inner
    one, would change how the outer one ends.
    """
    ending = EndingSignals()

    def end(signum: int, frame: FrameType | None) -> None:
        ending(KeyboardInterrupt if signum == signal.SIGINT else Terminated)

    if getattr(signal.getsignal(signal.SIGINT), "__qualname__", "") == end.__qualname__:
        yield
        return
    with handle_signals(end):
        yield


@contextmanager
def handle_signals(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Handle the signals that end a program, if the platform has them and they are not ignored."""
    before: dict[int, Any] = {}
    try:
        for name in _NAMES:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):  # not the main thread
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
