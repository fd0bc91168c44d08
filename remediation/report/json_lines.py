"""``--json``: one JSON object per event and line on stdout, and nothing else there."""

from __future__ import annotations

from typing import Any, TextIO

from remediation.model.event import Event
from remediation.model.text.visible import visible_json

RESULT_FIELDS = ("play", "task", "host", "outcome", "ignored", "msg", "result", "changes")
"""What every ``task_result`` line holds, even where it is empty: people select by these."""

EMPTY: dict[str, Any] = {"ignored": False, "result": {}, "changes": []}


class JsonLines:
    """Writes events as they come; each line is flushed, so that a pipe sees it at once."""

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
        """Do nothing: a ``change_start`` without its ``change_end`` says so."""

    def close(self) -> None:
        """Do nothing: a line is complete when it is written."""


def document(value: Any) -> str:
    """Return the one JSON document that a query prints."""
    return visible_json(value, indent=2) + "\n"
