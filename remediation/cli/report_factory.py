"""Selects the report of a command line: JSON Lines, live terminal, or plain lines. Handles a pipe that closes early."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import AbstractContextManager as Pause
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from typing import Protocol, TextIO

from remediation.cli.stdio import unwrap_stream
from remediation.engine.internal_errors import Crashed, InternalError, contain_errors, crash_sentence
from remediation.model.event import Event
from remediation.model.translation import gettext


class Report(Protocol):
    """Receives events."""

    def __call__(self, event: Event) -> None:
        """Receive one event."""

    def cut_off(self) -> None:
        """Report what was in flight when the run was interrupted."""

    def close(self) -> None:
        """End the live display."""


class ReportFeed:
    """Passes events to a report, one at a time. If the reader goes away, the report ends but the run continues."""

    def __init__(self, report: Report, pause: Callable[[], Pause[None]] = nullcontext, crashed: Crashed = crash_sentence) -> None:
        self._report = report
        self._crashed = crashed
        self._lock = threading.Lock()
        self._gone = False
        self.pause = pause
        """Hides the live lines during a question."""

    def __call__(self, event: Event) -> None:
        """Report one event; thread-safe."""
        with self._lock:
            if self._gone:
                return
            try:
                self._report(event)
            except OSError:  # the pipe's reader exited, or the terminal was closed
                self._gone = True
                with suppress(OSError):
                    sys.stderr.write(f"{gettext('the output of the report was closed; the run continues')}\n")

    def cut_off(self) -> None:
        """Report what was in flight when the run was interrupted."""
        with self._lock, suppress(InternalError), contain_errors("report", self._crashed), suppress(OSError):
            if not self._gone:
                self._report.cut_off()

    def close(self) -> None:
        """End the live display."""
        with self._lock, suppress(InternalError), contain_errors("report", self._crashed), suppress(OSError):
            self._report.close()


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The format of a report; ``tasks`` are the commands that its last line may suggest."""

    json: bool = False
    diff: bool = False
    verbose: bool = False
    tasks: frozenset[str] = frozenset()


@contextmanager
def reporting(
    stream: TextIO, style: Style, environment: Mapping[str, str] = os.environ, *, earlier: Iterable[Event] = (),
    crashed: Crashed = crash_sentence,
) -> Iterator[ReportFeed]:  # fmt: skip
    """Open the report that fits `stream` and close it at the end; `earlier` are the run's earlier events."""
    report = _choose(stream, style, environment, earlier, crashed)
    try:
        yield report
    finally:
        report.close()


def _choose(
    stream: TextIO, style: Style, environment: Mapping[str, str], earlier: Iterable[Event], crashed: Crashed
) -> ReportFeed:
    if style.json:
        from remediation.report.json_lines import JsonLines

        return ReportFeed(JsonLines(stream), crashed=crashed)
    from remediation.report.terminal import Hints, PlainScreen, Terminal

    hints = Hints(style.tasks)
    if not stream.isatty() or environment.get("TERM") == "dumb":
        plain = Terminal(PlainScreen(stream), diff=style.diff, verbose=style.verbose, hints=hints)
        plain.recall(earlier)
        return ReportFeed(plain, crashed=crashed)
    from rich.console import Console

    from remediation.report.live import LiveScreen

    screen = LiveScreen(Console(file=unwrap_stream(stream), highlight=False))
    terminal = Terminal(screen, diff=style.diff, verbose=style.verbose, hints=hints)
    screen.follow(terminal)
    terminal.recall(earlier)
    return ReportFeed(terminal, screen.paused, crashed)
