"""What else hears a run: ``--report FILE`` writes it down, ``--out FILE`` saves what ``--check`` foretold."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.private_file import write_whole
from remediation.report.formats import ReportFormat, report_format, suffixes


class Listener(Protocol):
    """Takes events as they come, and writes a file when the run ends, however it ends."""

    def __call__(self, event: Event) -> None:
        """Take in one event."""

    def write(self, header: Mapping[str, Any]) -> None:
        """Write the file; `header` is what the journal keeps of the run."""


def writable(option: str, name: str) -> Path:
    """Return the path of a file that is to be written; raises `UsageError` where it cannot be."""
    path = Path(name)
    folder = path.absolute().parent
    if path.is_dir() or not folder.is_dir():
        raise UsageError(f"{option} {name}: {'that is a folder' if path.is_dir() else f'there is no folder {folder}'}")
    if not os.access(path if path.exists() else folder, os.W_OK):
        raise UsageError(f"{option} {name}: it may not be written there")
    return path


@dataclass(slots=True)
class ReportFile:
    """A run written in the format of the file's suffix."""

    path: Path
    render: ReportFormat
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, name: str) -> ReportFile:
        """Return the report that `name` asks for; raises `UsageError` before any host is touched."""
        render = report_format(Path(name).suffix)
        if render is None:
            raise UsageError(f"--report {name}: its form is told by the suffix", next_step=f"end it with {', '.join(suffixes())}")
        return cls(writable("--report", name), render)

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        self.events.append(event)

    def write(self, header: Mapping[str, Any]) -> None:
        """Write the file; a reader never sees half of it."""
        write_whole(self.path, self.render(self.events))


@dataclass(slots=True)
class PlanFile:
    """What a run in check mode foretold, for ``apply``."""

    path: Path
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, name: str) -> PlanFile:
        """Return the plan that is to be saved as `name`; raises `UsageError` before any host is touched."""
        return cls(writable("--out", name))

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        self.events.append(event)

    def write(self, header: Mapping[str, Any]) -> None:
        """Save the plan; of a run that did not come to its end none is saved, because it would lack changes."""
        from remediation.engine.followup.plan import plan_of, save_plan

        if any(event.kind == "run_end" for event in self.events):
            save_plan(plan_of(self.events, header), self.path)
