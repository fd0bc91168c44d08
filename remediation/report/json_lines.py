"""``--json``: one JSON object per line and event on stdout, and nothing else."""

from __future__ import annotations

from typing import Any, TextIO

from remediation.model.event import Event
from remediation.model.text.visible import visible_json

RESULT_FIELDS = ("play", "task", "host", "outcome", "ignored", "msg", "result", "changes")
"""The fields of every ``task_result`` line, present even if empty, so that consumers can select by them."""

EMPTY: dict[str, Any] = {"ignored": False, "result": {}, "changes": []}


class JsonLines:
    """Writes events as they occur; each line is flushed."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def __call__(self, event: Event) -> None:
        """Write one event."""
        line = event.to_json()
        if event.kind == "task_result":
            line = {"event": event.kind, **{name: line.get(name, EMPTY.get(name, "")) for name in RESULT_FIELDS}, **line}
        self._stream.write(visible_json(line) + "\n")
        self._stream.flush()

    def cut_off(self) -> None:
        """Do nothing: a ``change_start`` without a ``change_end`` shows what was in flight."""

    def close(self) -> None:
        """Do nothing: every line is complete when it is written."""


def document(value: Any) -> str:
    """Return the JSON document that a query prints."""
    return visible_json(value, indent=2) + "\n"
