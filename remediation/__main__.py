"""Starts ``remediate``, also as ``python -m remediation``; a signal ends it without a traceback while it loads and while it unloads."""

from __future__ import annotations

import atexit
import os
import signal
from collections.abc import Callable
from types import FrameType
from typing import NoReturn

_INTERRUPTED = 130


def start_program() -> NoReturn:
    """Run the command line and exit with its code.

    Loading takes a third of a second and unloading a tenth: Python would print a traceback for Ctrl-C in the first, and end with
    another code than the command's in the second.
    """
    _end_at_signals(_INTERRUPTED)
    atexit.register(_handle, signal.SIG_IGN)  # the first that is registered runs last; then Python no longer calls handlers
    from remediation.cli.main import main

    code: int | str | None = 1
    try:
        main()
    except SystemExit as end:
        code = end.code
        raise
    finally:
        _end_at_signals(code if isinstance(code, int) else 0)


def _end_at_signals(code: int) -> None:
    """Let the signals that end a program end it at once with `code`."""

    def end(signum: int, frame: FrameType | None) -> NoReturn:
        os._exit(code)

    _handle(end)


def _handle(handler: Callable[[int, FrameType | None], NoReturn] | signal.Handlers) -> None:
    """Handle the signals that end a program, unless they are ignored (``nohup``)."""
    for name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK"):
        number = getattr(signal, name, None)
        if number is not None and signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)


if __name__ == "__main__":
    start_program()
