"""The signals that ask a program to end, and who handles them."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from types import FrameType
from typing import Any

_NAMES = ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")
"""What asks a program to end, where the system has it. A closed terminal sends SIGHUP, a service manager SIGTERM."""


class Terminated(KeyboardInterrupt):
    """A signal other than Ctrl-C asked the program to end."""


@contextmanager
def terminating() -> Iterator[None]:
    """Let SIGTERM and SIGHUP raise `Terminated`, so that what is open is closed; in another than the main thread do nothing."""

    def end(signum: int, frame: FrameType | None) -> None:  # noqa: ARG001 - a handler's signature
        raise Terminated

    with handled(end, _NAMES[1:]):
        yield


@contextmanager
def handled(handler: Callable[[int, FrameType | None], None], names: Sequence[str] = _NAMES) -> Iterator[None]:
    """Handle the signals of these names, where the system has them and they are not ignored."""
    before: dict[int, Any] = {}
    try:
        for name in names:
            number = getattr(signal, name, None)
            if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
                with suppress(ValueError):  # not the main thread
                    before[number] = signal.signal(number, handler)
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, signal.SIG_DFL if previous is None else previous)
