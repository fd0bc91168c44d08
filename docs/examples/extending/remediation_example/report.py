"""``--report FILE.md``: the changes of a run as a Markdown table."""

from __future__ import annotations

from collections.abc import Iterable

from remediation.model.event import Event


def markdown(events: Iterable[Event], /) -> str:
    """Return the report. It knows events and nothing else (``docs/events.md``)."""
    rows = ["# Changes", "", "| host | change | result | seconds |", "|---|---|---|---|"]
    for event in events:
        if event.kind == "change_end":
            result = "done" if event.data["applied"] else event.data.get("error") or "unknown"
            cells = (event.host, event.data["change"]["summary"], result, f"{event.data['seconds']:.1f}")
            rows.append(f"| {' | '.join(str(cell).replace('|', chr(92) + '|') for cell in cells)} |")
        elif event.kind == "run_end":
            rows += ["", f"Exit code {event.data['exit_code']}."]
    return "\n".join(rows) + "\n"
