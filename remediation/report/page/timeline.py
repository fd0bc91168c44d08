"""How a host spent the time of a run: looking, changing, measuring, waiting."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from remediation.model.event import Event
from remediation.model.translation import gettext, translated
from remediation.report.formatting import duration
from remediation.report.page.charts import Span, timeline

LOOKED, CHANGED, MEASURED, WAITED = "looked", "changed", "measured", "waited"
_WAITS = {"wait_for", "pause"}
_WORTH = 0.05
"""Seconds from which a kind of time is listed."""
_SHORTEST = 0.005
"""Seconds below which a span is joined with its neighbour."""


@dataclass(slots=True)
class HostTime:
    """Collects the spans of one host; each ends with an event whose kind names the activity."""

    began: float
    spans: list[Span] = field(default_factory=list)
    last: float | None = None
    _started: str = ""

    def see(self, event: Event) -> None:
        """Process an event of the host."""
        since = self.began if self.last is None else self.last
        kind, name = (WAITED, "waited for its turn") if self.last is None else self._what(event)
        if self.last is None and event.kind == "host_facts":
            since = self._add(since, event.time - float(event.data.get("seconds") or 0.0), WAITED, "waited for its turn")
            kind, name = LOOKED, "looked at the host"
        self._add(since, event.time, kind, name)
        self.last = max(event.time, since)
        self._started = (
            str((event.data.get("change") or {}).get("summary", "")) if event.kind == "change_start" else self._started
        )

    def _what(self, event: Event) -> tuple[str, str]:
        if event.kind in {"change_end", "change_progress"} and self._started:
            return CHANGED, self._started
        if event.kind == "measurement":
            return MEASURED, gettext("measured {label}", label=gettext(str(event.data.get("label") or "")))
        if event.kind == "task_start":
            return WAITED, "waited for other hosts"
        if event.kind == "task_result" and event.data.get("action") in _WAITS:
            return WAITED, event.task
        return LOOKED, "looked"

    def _add(self, start: float, end: float, kind: str, name: str) -> float:
        start, end = start - self.began, max(start, end) - self.began
        last = self.spans[-1] if self.spans else None
        if last is not None and ((last.tone, last.name) == (kind, name) or end - start < _SHORTEST):
            self.spans[-1] = Span(last.start, end, last.name, last.tone)
        elif end > start:
            self.spans.append(Span(start, end, name, kind))
        return end + self.began

    @property
    def seconds(self) -> float:
        """Seconds from the start of the run to the last event of the host."""
        return self.spans[-1].end if self.spans else 0.0

    def context(self) -> dict[str, Any] | None:
        """Return the chart with the sum of each kind of time; None if nothing took time."""
        if not self.spans:
            return None
        sums: dict[str, float] = {}
        for span in self.spans:
            sums[span.tone] = sums.get(span.tone, 0.0) + span.end - span.start
        shown = [
            {"name": gettext(kind), "tone": kind, "text": duration(sums[kind])}
            for kind in (LOOKED, CHANGED, MEASURED, WAITED)
            if sums.get(kind, 0.0) >= _WORTH
        ]
        named = [Span(span.start, span.end, _span_title(span), span.tone) for span in self.spans]
        title = f"{gettext('timeline')}: " + ", ".join(f"{one['name']} {one['text']}" for one in shown)
        return {
            "chart": timeline(named, self.seconds, title),
            "sums": shown,
            "ticks": [duration(self.seconds * part) for part in (0, 0.5, 1)],
        }


def _span_title(span: Span) -> str:
    took, start = duration(span.end - span.start), duration(span.start)
    return gettext("{activity}: {time} from {start}", activity=translated(span.name), time=took, start=start)
