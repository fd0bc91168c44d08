"""The picture of the GPUs' memory before and after a run: who holds what, as stacked bars with one legend."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from markupsafe import Markup

from remediation.model.translation import gettext, ngettext
from remediation.report.formatting import format_size
from remediation.report.page.charts import Part, stacked_bar

NAMED = 4
"""Programs with a part of their own; the others share one."""
SMALL = 0.01
"""Share of the memory below which a rest is not drawn."""

MODEL, OTHERS, UNKNOWN, FREE = "model", "others", "unknown", "free"
TONES = ("k1", "k2", "k3", "k4", "k5", "k6")


def memory_picture(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any] | None:
    """Return the bars and their legend from the figures of ``measurement`` events; None if none of them has the memory."""
    known = {label: found for label in ("before", "after") if (found := (figures.get(label) or {}).get("memory"))}
    if not known:
        return None
    names = _color_programs(list(known.values()))
    rows = {label: _parts(found, names) for label, found in known.items()}
    legend: dict[tuple[str, str], dict[str, str]] = {}
    for label, parts in rows.items():
        for part in parts:
            legend.setdefault((part.tone, part.name), {"name": part.name, "tone": part.tone})[label] = part.text
    first = next(iter(known.values()))
    word = f"{ngettext('{count} GPU', '{count} GPUs', len(first['gpus']))}, " if len(first["gpus"]) > 1 else ""
    return {
        "bars": [_bar(label if len(rows) > 1 else "now", parts, known[label]["total"]) for label, parts in rows.items()],
        "legend": list(legend.values()),
        "labels": list(rows) if len(rows) > 1 else [],
        "total": f"{word}{format_size(first['total'])}",
        "reliable": all(found.get("reliable", True) for found in known.values()),
    }


def _bar(label: str, parts: Sequence[Part], total: float) -> dict[str, str | Markup]:
    title = gettext("graphics memory {label}, {size}", label=gettext(label), size=format_size(total))
    return {"label": gettext(label), "chart": stacked_bar(parts, total, title)}


def _color_programs(every: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Return the programs that have a part of their own, with their colours: the largest of all measurements."""
    largest: dict[str, float] = {}
    for found in every:
        for one in found["held"]:
            if not one["serves"]:
                largest[one["name"]] = max(largest.get(one["name"], 0), one["bytes"])
    chosen = sorted(largest, key=lambda name: -largest[name])[:NAMED]
    return dict(zip(chosen, TONES, strict=False))


def _parts(found: Mapping[str, Any], names: Mapping[str, str]) -> list[Part]:
    total, used = float(found["total"]), float(found["used"])
    models = found.get("models") or []
    of_models = sum(one["bytes"] for one in models)
    serving = sum(one["bytes"] for one in found["held"] if one["serves"])
    parts = []
    if models:
        parts.append(_part(" + ".join(one["model"] for one in models), of_models, MODEL))
    besides = serving - of_models
    if besides > SMALL * total:
        parts.append(
            _part(
                gettext("Ollama and its containers, besides the model") if models else gettext("Ollama and its containers"),
                besides,
                "k6",
            )
        )
    others = [one for one in found["held"] if not one["serves"]]
    parts += [
        _part(name, size, tone)
        for name, tone in names.items()
        if (size := sum(one["bytes"] for one in others if one["name"] == name))
    ]
    small = [one for one in others if one["name"] not in names]
    if small:
        parts.append(_part(gettext("other programs"), sum(one["bytes"] for one in small), OTHERS))
    rest = used - sum(part.amount for part in parts)
    if rest > SMALL * total:
        parts.append(_part(gettext("not attributed"), rest, UNKNOWN))
    if total > used:
        parts.append(_part(gettext("free"), total - used, FREE))
    return [part for part in parts if part.amount > 0]


def _part(name: str, size: float, tone: str) -> Part:
    text = format_size(size)
    return Part(name, size, text, tone, short=text)
