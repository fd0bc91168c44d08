"""The parts of a page that summarize many hosts: outcomes, causes, and what people must do."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any

from remediation.model.translation import gettext, ngettext, translated
from remediation.report.fleet_summary import by_next_step
from remediation.report.formatting import duration
from remediation.report.host_view import BAD, MARKS
from remediation.report.page.charts import Part, bar, stacked_bar
from remediation.report.page.host import HostPart

ORDER = (
    "repaired",
    "loaded",
    "changed",
    "would-change",
    "ok",
    "skipped",
    "unverified",
    "failed",
    "timed-out",
    "blocked",
    "unreachable",
    "not ended",
)
"""The outcomes as columns, from good to bad; outcomes that no host has are left out."""

_TONES = {"repaired": "good-fill", "loaded": "good-fill", "changed": "good-fill", "ok": "fine-fill", "would-change": "model", "skipped": "fine-fill",
          "blocked": "warn-fill", "unverified": "warn-fill", "unreachable": "lost-fill", "not ended": "lost-fill"}  # fmt: skip
_CAUSES = 12
"""Causes with a bar of their own."""


def fleet_context(parts: Sequence[HostPart], seconds: float) -> dict[str, Any]:
    """Return the values of the summary."""
    words = Counter(part.word for part in parts)
    columns = [word for word in ORDER if words[word]] + sorted(set(words) - set(ORDER))
    longest = max((part.time.seconds for part in parts), default=0.0) or 1.0
    return {
        "columns": columns,
        "outcomes": [{"word": word, "count": words[word], "tone": _tone_of(word)} for word in columns],
        "outcome_chart": stacked_bar(
            [Part(gettext(word), words[word], _hosts(words[word]), _tone_of(word), str(words[word])) for word in columns],
            len(parts),
            gettext("outcomes"),
        ),
        "causes": _causes(parts),
        "all_causes": sorted({part.cause for part in parts if part.cause}),
        "to_do": _to_do(parts),
        "times": [bar(part.time.seconds / longest, "looked") for part in parts],
        "median": duration(sorted(part.time.seconds for part in parts)[len(parts) // 2]) if parts else "",
        "slowest": duration(longest),
    }


def _hosts(count: int) -> str:
    return ngettext("{count} host", "{count} hosts", count)


def _tone_of(word: str) -> str:
    return _TONES.get(word, "bad-fill")


def _causes(parts: Sequence[HostPart]) -> list[dict[str, Any]]:
    """Return a bar per cause, divided by outcome; the largest first."""
    counts = Counter(part.cause for part in parts if part.cause)
    most = max(counts.values(), default=1)
    bars = []
    for cause, count in counts.most_common(_CAUSES):
        words = Counter(part.word for part in parts if part.cause == cause)
        outcomes = sorted(words, key=lambda word: ORDER.index(word) if word in ORDER else len(ORDER))
        chart = stacked_bar(
            [Part(gettext(word), words[word], _hosts(words[word]), _tone_of(word)) for word in outcomes], most, cause
        )
        bars.append(
            {
                "cause": cause,
                "count": count,
                "chart": chart,
                "words": ", ".join(f"{words[word]} {gettext(word)}" for word in outcomes),
            }
        )
    return bars


def _to_do(parts: Sequence[HostPart]) -> list[dict[str, Any]]:
    """Return the next steps of hosts that need a person, each with its hosts; hosts without one by their reason."""
    groups = by_next_step(part.view for part in parts)
    shown = [
        {"action": translated(step), "hosts": [view.host for view in views], "why": _reasons(views)}
        for step, views in groups.items()
    ]
    named = {view.host for views in groups.values() for view in views}
    rest: dict[str, list[str]] = {}
    for part in parts:
        if part.view.outcome in BAD and part.view.host not in named:
            rest.setdefault(part.view.reason_to_show or gettext(part.view.outcome), []).append(part.view.host)
    shown += [{"action": f"{MARKS['failed']} {reason}", "hosts": hosts, "why": ""} for reason, hosts in rest.items()]
    return sorted(shown, key=lambda one: -len(one["hosts"]))


def _reasons(views: Sequence[Any]) -> str:
    counts = Counter(view.causes[0][0] if view.causes else gettext(view.outcome) for view in views)
    return ", ".join(f"{count} {what}" for what, count in counts.most_common(3))
