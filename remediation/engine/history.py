"""Earlier runs, and the one that is going on, read from their journals."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from remediation.engine.journal import FILES, HEADER, read_events, runs_folder
from remediation.model.errors import UsageError
from remediation.model.event import Event

KEEP = 200
"""How many runs are kept unless the user says otherwise; the oldest go first."""


@dataclass(frozen=True, slots=True)
class RunRecord:
    """One run as its folder tells it: the header, and the events so far."""

    folder: Path
    header: Mapping[str, Any]
    events: tuple[Event, ...]

    @property
    def run(self) -> str:
        """The run's id."""
        return self.folder.name

    @property
    def started(self) -> float:
        """Seconds since the epoch, by the controller's clock."""
        return float(self.header.get("started") or (self.events[0].time if self.events else 0.0))

    @property
    def end(self) -> Event | None:
        """The ``run_end`` event; None while the run goes on, and of one that was cut off."""
        return next((event for event in reversed(self.events) if event.kind == "run_end"), None)

    def file(self, name: str) -> str | None:
        """Return a text that was kept with the run (its playbook), None when there is none of that name."""
        path = self.folder / FILES / name
        return path.read_text(encoding="utf-8") if path.is_file() else None

    def summary(self) -> dict[str, Any]:
        """Return the run in one line's worth of JSON, for ``history``."""
        end = self.end
        ended = [event for event in self.events if event.kind == "change_end"]
        return {
            "run": self.run,
            "started": self.started,
            "command": self.header.get("command", ""),
            "check": bool(self.header.get("check")),
            "hosts": list(self.header.get("hosts") or ()),
            "changes": sum(bool(event.data.get("applied")) for event in ended),
            "state": "ended" if end else "going on or cut off",
            "exit_code": end.data.get("exit_code") if end else None,
            "seconds": end.data.get("seconds") if end else None,
        }


def runs(root: Path | None = None) -> list[RunRecord]:
    """Return all runs, the newest first; a folder that is no run is passed over."""
    root = root or runs_folder()
    if not root.is_dir():
        return []
    found = [record for folder in root.iterdir() if (record := _read(folder)) is not None]
    return sorted(found, key=lambda record: record.started, reverse=True)


def find(run: str, root: Path | None = None) -> RunRecord:
    """Return the run whose id is or starts with `run`; raises `UsageError` when there is none or more than one."""
    root = root or runs_folder()
    exact = _read(root / run) if run.isalnum() else None
    if exact is not None:
        return exact
    like = (
        sorted(folder.name for folder in root.glob("*") if run.isalnum() and folder.name.startswith(run)) if root.is_dir() else []
    )
    if len(like) == 1 and (record := _read(root / like[0])) is not None:
        return record
    if like:
        raise UsageError(f"run {run!r} may be any of {', '.join(like)}", next_step="give more of its id")
    raise UsageError(f"there is no run {run!r}", next_step="see remediate history")


def prune(root: Path | None = None, *, keep: int = KEEP) -> list[str]:
    """Remove the oldest runs that have ended beyond `keep`, and return their ids; one that was cut off can be resumed and stays.

    Every run begins with this, so no journal is read but of those that may go.
    """
    root = root or runs_folder()
    folders = list(root.iterdir()) if root.is_dir() else []
    if len(folders) <= keep:
        return []
    headers = [(folder, header) for folder in folders if (header := _header(folder)) is not None]
    headers.sort(key=lambda found: float(found[1].get("started") or 0.0), reverse=True)
    old = (_read(folder) for folder, _ in headers[max(0, keep) :])
    gone = [record for record in old if record is not None and record.end is not None]
    for record in gone:
        shutil.rmtree(record.folder, ignore_errors=True)
    return [record.run for record in gone]


def _read(folder: Path) -> RunRecord | None:
    header = _header(folder)
    return None if header is None else RunRecord(folder, header, tuple(read_events(folder)))


def _header(folder: Path) -> dict[str, Any] | None:
    try:
        header = json.loads((folder / HEADER).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return header if isinstance(header, dict) else None
