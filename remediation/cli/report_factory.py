"""Which report a command line gets: JSON Lines, the live terminal, or plain lines; and a pipe that closes early."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager as Pause
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol, TextIO

from remediation.cli.stdio import unwrapped
from remediation.engine.internal_errors import Crashed, InternalError, contained, unrecorded
from remediation.model.event import Event


class Report(Protocol):
    """Takes events as they come."""

    def __call__(self, event: Event) -> None:
        """Take in one event."""

    def cut_off(self) -> None:
        """Say what was in flight as the run ended without coming to its end."""

    def close(self) -> None:
        """End what is live."""


class Reporting:
    """Hands events to a report, one at a time; a reader who went away ends the report, never the run."""

    def __init__(self, report: Report, pause: Callable[[], Pause[None]] = nullcontext, crashed: Crashed = unrecorded) -> None:
        self._report = report
        self._crashed = crashed
        self._lock = threading.Lock()
        self._gone = False
        self.pause = pause
        """Take the live lines away while somebody is asked something."""

    def __call__(self, event: Event) -> None:
        """Report one event; called from any thread."""
        with self._lock:
            if self._gone:
                return
            try:
                self._report(event)
            except OSError:  # the reader of a pipe went away, or the terminal was closed
                self._gone = True
                with suppress(OSError):
                    sys.stderr.write("nobody reads the report any more; the run goes on\n")

    def cut_off(self) -> None:
        """Say what was in flight as the run ended without coming to its end."""
        with self._lock, suppress(OSError, InternalError), contained("report", self._crashed):
            if not self._gone:
                self._report.cut_off()

    def close(self) -> None:
        """End what is live."""
        with self._lock, suppress(OSError, InternalError), contained("report", self._crashed):
            self._report.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """What is wanted of a report; ``tasks`` are the names that its last line may offer."""

    json: bool = False
    diff: bool = False
    verbose: bool = False
    tasks: frozenset[str] = frozenset()


@contextmanager
def reporting(
    stream: TextIO, style: Style, environment: Mapping[str, str] = os.environ, *, earlier: Iterable[Event] = (),
    crashed: Crashed = unrecorded,
) -> Iterator[Reporting]:  # fmt: skip
    """Open the report that fits `stream` and close it at the end, whatever happens; `earlier` is what the run has told before."""
    report = _choose(stream, style, environment, earlier, crashed)
    try:
        yield report
    finally:
        report.close()


def _choose(
    stream: TextIO, style: Style, environment: Mapping[str, str], earlier: Iterable[Event], crashed: Crashed
) -> Reporting:
    if style.json:
        from remediation.report.json_lines import JsonLines

        return Reporting(JsonLines(stream), crashed=crashed)
    from remediation.report.terminal import Hints, PlainScreen, Terminal

    hints = Hints(style.tasks)
    if not stream.isatty() or environment.get("TERM") == "dumb":
        plain = Terminal(PlainScreen(stream), diff=style.diff, verbose=style.verbose, hints=hints)
        plain.recall(earlier)
        return Reporting(plain, crashed=crashed)
    from rich.console import Console

    from remediation.report.live import LiveScreen

    screen = LiveScreen(Console(file=unwrapped(stream), highlight=False))
    terminal = Terminal(screen, diff=style.diff, verbose=style.verbose, hints=hints)
    screen.follow(terminal)
    terminal.recall(earlier)
    return Reporting(terminal, screen.paused, crashed)
