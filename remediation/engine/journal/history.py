"""Earlier and current runs, read from their journals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediation.engine.journal.journal import EVENTS, FILES, HEADER, JournalError, read_events, read_lines, runs_folder
from remediation.engine.journal.run_lock import Fate, holder_of, is_running
from remediation.model.change import measures
from remediation.model.errors import RemediationError, UsageError
from remediation.model.event import Event
from remediation.model.files import read_text

KEEP = 200
"""How many runs are kept by default; the oldest are removed first."""


_LATEST = 253402214400.0
"""The last day of the year 9999: later times cannot be formatted."""


def showable_time(value: object) -> float:
    """Return `value` if it is a time in seconds since the epoch that can be formatted, otherwise 0."""
    number = _number(value)
    return number if number is not None and 0 <= number < _LATEST else 0.0


def _number(value: object) -> float | None:
    known = isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < _LATEST  # also false for NaN
    return value if known else None  # type: ignore[return-value]  # a number, as `known` says


def damaged_run(run: str, what: str) -> UsageError:
    """Return the error for a run folder whose content is invalid."""
    return UsageError(f"run {run} is damaged: {what}", next_step="see remediate history for other runs")


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as its folder records it: the header, the events so far, and the number of unreadable journal lines."""

    folder: Path
    header: Mapping[str, Any]
    events: tuple[Event, ...]
    broken: int = 0

    @property
    def run(self) -> str:
        """The run's id."""
        return self.folder.name

    @property
    def started(self) -> float:
        """Seconds since the epoch, by the controller's clock."""
        return showable_time(self.header.get("started")) or (self.events[0].time if self.events else 0.0)

    @property
    def end(self) -> Event | None:
        """The ``run_end`` event; None if the run is in progress or was interrupted, even after an earlier resume."""
        last = next((event for event in reversed(self.events) if event.kind in {"run_start", "run_end"}), None)
        return last if last is not None and last.kind == "run_end" else None

    @property
    def state(self) -> str:
        """``running``, ``ended`` or ``cut off``; ``running or cut off`` if it is unknown whether a process works on the run."""
        running = is_running(self.folder)
        if running:
            return "running"
        if self.end is not None:
            return "ended"
        return "cut off" if running is False else "running or cut off"

    def file(self, name: str) -> str | None:
        """Return a text saved with the run (its playbook), None if there is none of that name."""
        path = self.folder / FILES / name
        try:
            return path.read_text(encoding="utf-8") if path.is_file() else None
        except (OSError, UnicodeDecodeError):
            raise damaged_run(self.run, f"{FILES}/{name} cannot be read") from None

    def summary(self) -> dict[str, Any]:
        """Return the run as JSON for ``history``."""
        state = self.state
        end = self.end if state == "ended" else None
        hosts = self.header.get("hosts")
        ended = [event for event in self.events if event.kind == "change_end"]
        return {
            "run": self.run,
            "started": self.started,
            "command": str(self.header.get("command") or ""),
            "check": bool(self.header.get("check")),
            "hosts": [str(host) for host in hosts] if isinstance(hosts, list) else [],
            "changes": sum(bool(event.data.get("applied")) and not measures(event.data) for event in ended),
            "state": state,
            "exit_code": _number(end.data.get("exit_code")) if end else None,
            "seconds": _number(end.data.get("seconds")) if end else None,
            "broken_lines": self.broken,
        }


def runs(root: Path | None = None) -> list[RunRecord]:
    """Return all runs, newest first. Folders that are not runs or whose journal cannot be read are skipped."""
    return runs_and_errors(root)[0]


def runs_and_errors(root: Path | None = None) -> tuple[list[RunRecord], list[RemediationError]]:
    """Return all runs, newest first, and why others cannot be read. Folders that are not runs are skipped."""
    root = root or runs_folder()
    found: list[RunRecord] = []
    errors: list[RemediationError] = []
    for folder in sorted(root.iterdir()) if root.is_dir() else ():
        try:
            record = _read(folder)
        except JournalError as error:
            errors.append(error)
            continue
        if record is not None:
            found.append(record)
        elif _is_run(folder):
            errors.append(damaged_run(folder.name, f"{folder / HEADER} is missing or cannot be read"))
    return sorted(found, key=lambda record: record.started, reverse=True), errors


def _is_run(folder: Path) -> bool:
    """Return whether a folder without a readable header is that of a run; true if its content cannot be seen."""
    try:
        return folder.is_dir() and any(entry.name in {HEADER, EVENTS} for entry in folder.iterdir())
    except OSError:
        return True


def find_run(run: str, root: Path | None = None) -> RunRecord:
    """Return the run whose id is or starts with `run`. Raises `UsageError` if none or several match."""
    root = root or runs_folder()
    exact = _read(root / run) if run.isalnum() else None
    if exact is not None:
        return exact
    names = [folder.name for folder in root.iterdir()] if root.is_dir() else []
    like = sorted(name for name in names if run.isalnum() and name.startswith(run))
    if len(like) == 1 and (record := _read(root / like[0])) is not None:
        return record
    if len(like) > 1:
        raise UsageError(f"run {run!r} is ambiguous: {', '.join(like)}", next_step="give more of its id")
    if like:
        raise damaged_run(like[0], f"{root / like[0] / HEADER} is missing or cannot be read")
    raise UsageError(f"no such run: {run!r}", next_step="see remediate history")


def prune(root: Path | None = None, *, keep: int = KEEP) -> list[str]:
    """Remove the oldest ended runs beyond `keep` and return their ids. Interrupted runs can be resumed and are kept.

    Every run starts with this, so only the journals of removal candidates are read.
    """
    root = root or runs_folder()
    folders = list(root.iterdir()) if root.is_dir() else []
    if len(folders) <= keep:
        return []
    headers = [(folder, header) for folder in folders if (header := _header(folder)) is not None]
    headers.sort(key=lambda found: showable_time(found[1].get("started")), reverse=True)
    old = (_read(folder) for folder, _ in headers[max(0, keep) :])
    ended = [record for record in old if record is not None and record.state == "ended"]
    for record in ended:
        shutil.rmtree(record.folder, ignore_errors=True)
    return [record.run for record in ended]


def _read(folder: Path) -> RunRecord | None:
    header = _header(folder)
    if header is None:
        return None
    lines = list(read_lines(folder))
    events = tuple(event for event in lines if event is not None)
    return RunRecord(folder, header, events, len(lines) - len(events))


def _header(folder: Path) -> dict[str, Any] | None:
    try:
        header = json.loads(read_text(folder / HEADER))
    except (OSError, ValueError, RecursionError):
        return None
    return header if isinstance(header, dict) else None


def holder_state(host: str, run: str, token: str) -> Fate:
    """Return what happened to the process that holds `host` for `run`, according to this machine's run folders."""
    folder = runs_folder() / run
    if not token or not run.isalnum() or holder_of(folder).get("token") != token or is_running(folder) is not False:
        return Fate.UNKNOWN
    flying = 0
    for event in read_events(folder):
        if event.host == host:
            flying += {"change_start": 1, "change_end": -1}.get(event.kind, 0)
    return Fate.MID_CHANGE if flying > 0 else Fate.GONE
