"""What a run says while it goes on. Reports and the journal see nothing but events."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened, JSON throughout.

    ``kind`` is one of the names listed in ``docs/events.md``; ``time`` is the controller's clock, ``host`` empty for
    what concerns the whole run; ``data`` holds the fields of that kind. Secrets are masked before an event is made.
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
