"""Events of a run, the only input of reports and the journal."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One event; all data is JSON.

    ``kind`` is one of the names in ``docs/events.md``; ``time`` is controller time; ``host`` is empty for the whole run;
    ``data`` holds the fields of the kind. Secrets are masked before reports and the journal receive an event.
    """

    kind: str
    time: float
    host: str = ""
    play: str = ""
    task: str = ""
    data: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return the event as one JSON object (``{"event": kind, ...data}``)."""
        head: dict[str, Any] = {"event": self.kind, "time": self.time}
        for name in ("host", "play", "task"):
            if getattr(self, name):
                head[name] = getattr(self, name)
        return {**head, **self.data}
