"""The terminal report: pages of hosts as they progress, one live line per working host, and a summary line.

Without a terminal, the same lines are written plainly as they occur; rich is then not imported.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, TextIO

from remediation.model.event import Event
from remediation.model.text.shape import ODD
from remediation.model.translation import gettext, ngettext, translated
from remediation.report.fleet_summary import by_cause, to_do
from remediation.report.formatting import duration
from remediation.report.host_view import BAD, MARKS, HostView, undo_part, unknown_changes
from remediation.report.text import WIDTH, Line

_RESUMED = {"fix-offload", "play", "resume"}
_LOST_HOSTS = {3, 130}
"""Exit codes of a run that `resume` continues: hosts were unreachable, or it was interrupted."""
_CHANGES = {"change_planned", "change_end"}
_RECALLED = {"measurement", "findings", "goal", "change_end"}


class Screen(Protocol):
    """The output of a terminal report."""

    def write(self, lines: Iterable[Line]) -> None:
        """Write permanent lines."""

    def close(self) -> None:
        """Remove the live part."""


class PlainScreen:
    """Lines of text, flushed immediately."""

    def __init__(self, stream: TextIO, width: int = 0) -> None:
        self._stream = stream
        self._width = width

    def write(self, lines: Iterable[Line]) -> None:
        """Write the rows of each line."""
        for line in lines:
            self._stream.writelines(f"{row}\n" for row in line.rows(self._width))
        self._stream.flush()

    def close(self) -> None:
        """Leave the stream open."""


@dataclass(frozen=True, slots=True)
class Hints:
    """The commands that the last line may suggest (``undo``, ``show``, ``resume``)."""

    tasks: frozenset[str] = frozenset()


NO_HINTS = Hints()


class Terminal:
    """Collects events into pages; a fleet has one line per host, with messages and differences below it, unless `verbose`."""

    def __init__(
        self,
        screen: Screen,
        *,
        diff: bool = False,
        verbose: bool = False,
        hints: Hints = NO_HINTS,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._screen = screen
        self._diff = diff
        self._verbose = verbose
        self._hints = hints
        self.now = now
        self.pages: dict[str, HostView] = {}
        self.started = 0.0
        self.check = False
        self.fleet = False
        self._run = self._command = ""
        self._named: set[str] = set()
        self._held: dict[str, list[Line]] = {}
        self._shown: dict[str, list[Line]] = {}
        self._lock = threading.Lock()

    def __call__(self, event: Event) -> None:
        """Process one event; thread-safe."""
        with self._lock:
            if event.kind == "run_start":
                self._run_start(event)
            elif event.kind == "run_end":
                self._screen.write(self._last(event))
            elif event.host:
                self._host(event)
            elif event.kind == "note":
                self._screen.write([Line(translated(str(event.data.get("text", ""))))])

    def recall(self, events: Iterable[Event]) -> None:
        """Restore the figures, findings and changes of an earlier process of this run without writing them again."""
        for event in events:
            if event.host and event.kind in _RECALLED:
                page = self._page(event.host)
                with suppress(*ODD):  # a damaged journal: the run reports it
                    page.see(event)
                page.goal = page.goal_text = ""  # observed and reported again

    def cut_off(self) -> None:
        """Report what was in flight when the run was interrupted."""
        with self._lock:
            for page in self.pages.values():
                lines = unknown_changes(page)
                head = [Line("", lead=f"{page.host}")] if lines and self.fleet else []
                self._screen.write([*head, *lines])

    def close(self) -> None:
        """End the live part."""
        self._screen.close()

    def _run_start(self, event: Event) -> None:
        self.started = event.time
        self.check = bool(event.data.get("check"))
        self._run = str(event.data.get("run", ""))
        self._command = str(event.data.get("command", ""))
        hosts = list(event.data.get("hosts") or ())
        self.fleet = len(hosts) > 1
        for host in hosts:
            self._page(host)

    def _page(self, host: str) -> HostView:
        return self.pages.setdefault(host, HostView(host, check=self.check, diff=self._diff, verbose=self._verbose))

    def _host(self, event: Event) -> None:
        page = self._page(event.host)
        lines = page.see(event)
        if not self.fleet:
            if event.host not in self._named and (lines or event.kind == "host_end"):
                self._named.add(event.host)
                if event.kind != "host_facts":  # whose line begins with the name
                    lines = [Line("", lead=event.host, style="head"), *lines]
            self._screen.write(lines)
            return
        if self._below_host(event) and not self._verbose:
            self._shown.setdefault(event.host, []).extend(lines)
        self._held.setdefault(event.host, []).extend(lines)
        if event.kind == "host_end":
            mark = MARKS.get(page.outcome, "✓")
            style = "bad" if page.outcome in BAD else "good"
            head = Line(page.summary(), lead=f"{mark} {event.host}  ", style=style)
            held = self._held.pop(event.host)
            self._screen.write([*held, head] if self._verbose else [head, *self._shown.pop(event.host, ())])

    def _below_host(self, event: Event) -> bool:
        """Return whether an event's lines are shown below the line of a fleet's host: warnings, messages of `debug`, differences."""
        if event.kind == "task_result":
            return event.data.get("action") == "debug" and event.data.get("outcome") not in BAD
        if event.kind == "note":
            return event.data.get("level") == "warning"
        return self._diff and event.kind in _CHANGES

    def _last(self, event: Event) -> list[Line]:
        code = int(event.data.get("exit_code", 0))
        lines: list[Line] = []
        if self.fleet:
            lines += [*by_cause(self.pages.values()), *to_do(self.pages.values())]
        seconds = event.data.get("seconds")
        took = duration(seconds if seconds is not None else max(0.0, event.time - self.started))
        if self.check:
            return [*lines, Line(gettext("nothing was changed · {took} · exit {code}", took=took, code=code))]
        parts = [*self._counts(event.data.get("hosts") or {}), took]
        if code:
            parts.append(gettext("exit {code}", code=code))
        run = str(event.data.get("run") or self._run)
        hints = []
        if run and "resume" in self._hints.tasks and code in _LOST_HOSTS and self._command in _RESUMED:
            hints.append(f"{gettext('resume')}: remediate resume {run}")
        if run and "undo" in self._hints.tasks:
            hints += self._undo_hint(run)
        if run and "show" in self._hints.tasks:
            hints.append(f"{gettext('more')}: remediate show {run}")
        summary = Line(" · ".join(parts), style="bad" if code else "good")
        together = "    ".join([summary.text, *hints])
        if len(together) <= WIDTH:
            return [*lines, Line(together, style=summary.style, verbatim=True, narrow="\n".join([summary.text, *hints]))]
        return [*lines, summary, *(Line(hint, lead="  ") for hint in hints)]

    def _undo_hint(self, run: str) -> list[str]:
        """Return the command that undoes the run, with how much of it if that is not all."""
        undoable = sum(page.undoable for page in self.pages.values())
        changes = sum(page.changes for page in self.pages.values())
        if not undoable:
            return []
        return [f"{gettext('undo')}: remediate undo {run}{undo_part(undoable, changes)}"]

    def _counts(self, hosts: Mapping[str, Mapping[str, int]]) -> list[str]:
        pages = [self._page(host) for host in hosts] or list(self.pages.values())
        bad = [page for page in pages if page.outcome in BAD]
        changed = [page for page in pages if page.changes and page not in bad]
        quiet = len(pages) - len(bad) - len(changed)
        parts = []
        if changed:
            parts.append(_done(changed))
        if quiet:
            parts.append(ngettext("{count} host with nothing to do", "{count} hosts with nothing to do", quiet))
        parts += [_failed_text(outcome, count) for outcome, count in Counter(page.outcome for page in bad).items()]
        changes = sum(page.changes for page in pages)
        if changes:
            destructive = sum(page.risks.count("destructive") for page in pages)
            made = ngettext("{count} change", "{count} changes", changes)
            parts.append(
                gettext("{changes}, {destructive} destructive", changes=made, destructive=destructive or gettext("none"))
            )
        measurements = sum(page.measurements for page in pages)
        if measurements:
            parts.append(ngettext("{count} measurement", "{count} measurements", measurements))
        return parts


def _done(changed: list[HostView]) -> str:
    """Return what was done to hosts that were changed."""
    count = len(changed)
    if any(page.goal != "met" for page in changed):
        return ngettext("{count} host changed", "{count} hosts changed", count)
    if all(page.only_loaded for page in changed):  # nothing was broken
        return ngettext("{count} host loaded", "{count} hosts loaded", count)
    return ngettext("{count} host repaired", "{count} hosts repaired", count)


def _failed_text(outcome: str, count: int) -> str:
    """Return how many hosts ended with this outcome."""
    hosts = ngettext("{count} host", "{count} hosts", count)
    return gettext("{hosts} {outcome}", hosts=hosts, outcome=gettext(outcome))
