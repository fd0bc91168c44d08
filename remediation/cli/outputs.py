"""Additional listeners of a run: ``--report FILE`` writes a report, ``--out FILE`` saves the plan of ``--check``."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.private_file import write_atomically
from remediation.report.formats import ReportFormat, report_format, suffixes


class Listener(Protocol):
    """Receives events, and writes a file when the run ends in any way."""

    def __call__(self, event: Event) -> None:
        """Receive one event."""

    def write(self, header: Mapping[str, Any]) -> None:
        """Write the file; `header` is the journal's header of the run."""


def writable(option: str, name: str) -> Path:
    """Return the path of an output file. Raises `UsageError` if it cannot be written."""
    path = Path(name)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise UsageError(
            f"{option} {name}: {'is a folder' if path.is_dir() else f'the folder {folder} does not exist'}",
            next_step="name a file in a folder that exists",
        )
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{option} {name}: permission denied", next_step="name a file that you may write")
    return path


def _not_written(option: str, path: Path, error: OSError) -> UsageError:
    reason = error.strerror or str(error)
    return UsageError(f"{option} {path}: cannot be written: {reason}", next_step="remediate show RUN prints the run again")


@dataclass(slots=True)
class ReportFile:
    """A run written in the format of the file's suffix."""

    path: Path
    render: ReportFormat
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, name: str) -> ReportFile:
        """Return the report for `name`. Raises `UsageError` before any host is touched."""
        render = report_format(Path(name).suffix)
        if render is None:
            raise UsageError(f"--report {name}: unknown suffix", next_step=f"use one of {', '.join(suffixes())}")
        return cls(writable("--report", name), render)

    def __call__(self, event: Event) -> None:
        """Receive one event."""
        self.events.append(event)

    def write(self, header: Mapping[str, Any]) -> None:
        """Write the file atomically."""
        text = self.render(self.events)
        try:
            write_atomically(self.path, text)
        except OSError as error:
            raise _not_written("--report", self.path, error) from None


@dataclass(slots=True)
class PlanFile:
    """The plan of a check-mode run, for ``apply``."""

    path: Path
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, name: str) -> PlanFile:
        """Return the plan file for `name`. Raises `UsageError` before any host is touched."""
        return cls(writable("--out", name))

    def __call__(self, event: Event) -> None:
        """Receive one event."""
        self.events.append(event)

    def write(self, header: Mapping[str, Any]) -> None:
        """Save the plan. The plan of an interrupted run would lack changes and is not saved."""
        from remediation.engine.followup.plan import plan_of, save_plan

        if any(event.kind == "run_end" for event in self.events):
            try:
                save_plan(plan_of(self.events, header), self.path)
            except OSError as error:
                raise _not_written("--out", self.path, error) from None
