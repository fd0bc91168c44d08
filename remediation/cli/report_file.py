"""``--report FILE``: a run written down as a page, as JSON Lines or as JUnit XML, by the file's suffix."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path

from remediation.model.errors import UsageError
from remediation.model.event import Event


def _html(events: Iterable[Event]) -> str:
    from remediation.report.html import html  # noqa: PLC0415 - jinja2 and the page are loaded when a page is wanted

    return html(events)


def _junit(events: Iterable[Event]) -> str:
    from remediation.report.junit import junit  # noqa: PLC0415 - loaded when it is wanted

    return junit(events)


def _json(events: Iterable[Event]) -> str:
    return "".join(f"{json.dumps(event.to_json(), ensure_ascii=False, default=str)}\n" for event in events)


FORMS: dict[str, Callable[[Iterable[Event]], str]] = {".html": _html, ".json": _json, ".jsonl": _json, ".xml": _junit}


@dataclass(slots=True)
class ReportFile:
    """Gathers the events of a run and writes them when it ends, however it ends."""

    path: Path
    events: list[Event] = field(default_factory=list)

    @classmethod
    def at(cls, name: str) -> ReportFile:
        """Return the report that `name` asks for; raises `UsageError` before any host is touched where it cannot be written."""
        path = Path(name)
        if path.suffix.lower() not in FORMS:
            raise UsageError(f"--report {name}: its form is told by the suffix", next_step=f"end it with {', '.join(FORMS)}")
        if path.is_dir() or not path.absolute().parent.is_dir():
            raise UsageError(f"--report {name}: there is no folder {path.absolute().parent} to write it to")
        if not os.access(path if path.exists() else path.absolute().parent, os.W_OK):
            raise UsageError(f"--report {name}: it may not be written there")
        return cls(path)

    def __call__(self, event: Event) -> None:
        """Take in one event."""
        self.events.append(event)

    def write(self) -> None:
        """Write the file; a reader never sees half of it."""
        text = FORMS[self.path.suffix.lower()](self.events)
        temporary = self.path.with_name(f".{self.path.name}.part")
        temporary.write_text(text, encoding="utf-8", errors="replace")
        temporary.replace(self.path)
