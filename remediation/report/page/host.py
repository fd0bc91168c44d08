"""One host's part of a page, in addition to what `HostView` collects for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.model.event import Event
from remediation.model.translation import gettext, translated
from remediation.report.formatting import GIB, UNKNOWN, Row, before_after, duration, layers
from remediation.report.host_view import (
    BAD,
    IN_FLIGHT,
    MARKS,
    TARGET_PARTS,
    UNKNOWN_MARK,
    UNKNOWN_WORD,
    HostView,
    change_outcome,
    facts_text,
    target_value,
    undo_part,
)
from remediation.report.page.charts import bar
from remediation.report.page.memory import memory_picture
from remediation.report.page.timeline import HostTime

LIKELY = 0.1
"""Confidence from which a finding besides the first is shown at once."""
_FIFTY = 50


class HostPart:
    """One host's part of the page."""

    def __init__(self, name: str, *, check: bool, began: float) -> None:
        self.view = HostView(name, check=check)
        self.time = HostTime(began)
        self.facts = ""
        self.target: list[dict[str, Any]] = []
        self.diagnosis: Mapping[str, Any] = {}
        self.first_layers: Sequence[int] | None = None
        self.changes: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.notes: dict[str, bool] = {}

    def see(self, event: Event) -> None:
        """Process an event of the host."""
        self.view.see(event)
        self.time.see(event)
        self.first_layers = self.first_layers or self.view.layers
        reaction = getattr(self, f"_{event.kind}", None)
        if reaction is not None:
            reaction(event.data)
        if event.kind == "task_result":
            self._task(event)

    def _host_facts(self, data: Mapping[str, Any]) -> None:
        self.facts = facts_text(data)
        found = data.get("target") or {}
        self.target = [
            {
                "name": gettext(part),
                "value": target_value(part, found[part].get("value")),
                "source": translated(str(found[part].get("source", ""))),
            }
            for part in TARGET_PARTS
            if found.get(part)
        ]

    def _findings(self, data: Mapping[str, Any]) -> None:
        self.diagnosis = _translate_diagnosis(data.get("diagnosis") or {})

    def _change_planned(self, data: Mapping[str, Any]) -> None:
        if self.view.check:
            self.changes.append(_change(data, "would-change", ""))

    def _change_end(self, data: Mapping[str, Any]) -> None:
        _, word = change_outcome({"applied": False, **data})
        effect = translated(str(data.get("error") or data.get("effect") or ""))
        took = data.get("seconds")
        note = " · ".join(part for part in (effect, duration(took) if took is not None else "") if part)
        self.changes.append(_change(data, word, note))

    def _note(self, data: Mapping[str, Any]) -> None:
        self.notes[translated(str(data.get("text", "")))] = data.get("level") == "warning"

    def _task(self, event: Event) -> None:
        outcome = str(event.data.get("outcome", ""))
        reason = str(event.data.get("reason") or event.data.get("msg") or "")
        self.tasks.append(
            {
                "name": translated(event.task),
                "outcome": gettext(outcome),
                "mark": MARKS.get(outcome, "·"),
                "tone": _tone(outcome),
                "reason": translated(reason),
            }
        )

    @property
    def word(self) -> str:
        """The outcome in one word."""
        view = self.view
        if view.outcome == "changed" and view.goal == "met":
            return "loaded" if view.only_loaded else "repaired"
        return view.outcome or "not ended"

    @property
    def cause(self) -> str:
        """The first cause that was found."""
        return self.view.causes[0][0] if self.view.causes else ""

    def context(self) -> dict[str, Any]:
        """Return the values for the template."""
        view = self.view
        outcome = view.outcome or "not ended"
        findings = list(self.diagnosis.get("findings") or [])
        pair = view.layers
        return {
            "name": view.host,
            "word": self.word,
            "mark": MARKS.get(outcome, "·"),
            "tone": _tone(outcome),
            "reason": view.reason_to_show if outcome in BAD else "",
            "next": translated(view.next_step) if outcome in BAD else "",
            "facts": self.facts,
            "target": self.target,
            "notes": [{"text": text, "warning": warning} for text, warning in self.notes.items()],
            "goal": f"{gettext(view.goal)}: {translated(view.goal_text)}" if view.goal else "",
            "goal_met": view.goal == "met",
            "layers": layers(pair) if pair else "",
            "share": pair[0] / pair[1] if pair and pair[1] else -1.0,
            "first_layers": layers(self.first_layers) if self.first_layers else "",
            "layer_bars": _layer_bars(self.first_layers, pair),
            "cause": self.cause,
            "findings": [one for number, one in enumerate(findings) if not number or float(one["confidence"]) >= LIKELY],
            "unlikely": [one for number, one in enumerate(findings) if number and float(one["confidence"]) < LIKELY],
            "ruled_out": self.diagnosis.get("ruled_out") or [],
            "settings": self.diagnosis.get("settings") or [],
            "changes": [*self.changes, *(_change(data, UNKNOWN_WORD, gettext(IN_FLIGHT)) for data in view.in_flight.values())],
            "undoable": view.undoable > 0 and not view.check,
            "undo_part": undo_part(view.undoable, view.changes),
            "memory": memory_picture(view.figures),
            **_figures(view.figures),
            "simulated": any(item.get("simulated") for item in view.figures.values()),
            "timeline": self.time.context(),
            "seconds": self.time.seconds,
            "took": duration(self.time.seconds) if self.time.spans else "",
            "tasks": self.tasks,
        }


def _translate_diagnosis(diagnosis: Mapping[str, Any]) -> dict[str, Any]:
    """Return a diagnosis with its sentences in the language; quotes stay as they are."""
    shown = dict(diagnosis)
    for key in ("findings", "ruled_out", "settings"):
        shown[key] = [
            {
                name: translated(value) if name in {"because", "cure", "confirm"} and isinstance(value, str) else value
                for name, value in one.items()
            }
            for one in diagnosis.get(key) or []
        ]
    return shown


def _tone(outcome: str) -> str:
    if outcome in {"blocked", "unverified"}:  # as in the summary's bars
        return "warn"
    return "bad" if outcome in BAD else ("good" if outcome in {"ok", "changed"} else "dim")


def _layer_bars(before: Sequence[int] | None, after: Sequence[int] | None) -> list[dict[str, Any]]:
    """Return the layers on the GPU at the first observation and now; one bar if nothing changed."""
    shown = (
        [("before", before), ("after", after)] if before and after and list(before) != list(after) else [("now", after or before)]
    )
    return [
        {"label": gettext(label), "text": layers(pair), "chart": bar(pair[0] / pair[1], "model")}
        for label, pair in shown
        if pair and pair[1]
    ]


def _figures(figures: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows of the table of figures, each with a bar per column, and the table's columns."""
    if not figures:
        return {"figures": [], "columns": []}
    before, after = figures.get("before"), figures.get("after")
    columns = [label for label, found in (("before", before), ("after", after)) if found is not None]
    rows = before_after(before, after)
    fifty = next(index for index, row in enumerate(rows) if row.label.startswith("50 tokens"))
    rows.insert(fifty, Row("tokens per second", *(_rate_text(found) for found in (before or {}, after or {}))))
    amounts = [_amounts(row.label, before or {}, after or {}) for row in rows]
    measured = [
        {"label": gettext(row.label), "cells": [_cell(row, amount, label) for label in columns]}
        for row, amount in zip(rows, amounts, strict=True)
        if {row.before, row.after} != {UNKNOWN}
    ]
    shown = columns if len(columns) > 1 else ["now"]
    return {"figures": measured, "columns": [gettext(label) for label in shown]}


def _cell(row: Row, amounts: tuple[float, float, float] | None, label: str) -> dict[str, Any]:
    text = row.before if label == "before" else row.after
    if amounts is None or text == UNKNOWN:
        return {"text": gettext(text) if text == UNKNOWN else text, "chart": ""}
    value = amounts[0] if label == "before" else amounts[1]
    return {"text": text, "chart": bar(value / amounts[2], "was" if label == "before" else "model")}


def _rate(figures: Mapping[str, Any]) -> float | None:
    total = figures.get("total_50_tokens_s")
    return _FIFTY / total if total else None


def _rate_text(figures: Mapping[str, Any]) -> str:
    rate = _rate(figures)
    return UNKNOWN if rate is None else f"{'≈ ' if figures.get('extrapolated') else ''}{rate:.3g}"


def _amounts(label: str, before: Mapping[str, Any], after: Mapping[str, Any]) -> tuple[float, float, float] | None:
    """Return a row's values before and after, and the value of a full bar; None if the row has no bar."""

    def pair(read: Any, full: float = 0.0) -> tuple[float, float, float]:
        values = [float(read(found) or 0.0) for found in (before, after)]
        return values[0], values[1], full or max(*values, 1e-9)

    if label.startswith("layers"):
        whole = max((found["layers"][1] for found in (before, after) if found.get("layers")), default=0)
        return pair(lambda found: (found.get("layers") or [0])[0], float(whole))
    if label.startswith("first token"):
        return pair(lambda found: found.get("first_token_s"))
    if label.startswith("tokens per second"):
        return pair(_rate)
    if label.startswith("50 tokens"):
        return pair(lambda found: found.get("total_50_tokens_s"))
    if label.startswith("VRAM"):
        totals = [float((found.get("memory") or {}).get("total") or 0.0) for found in (before, after)]
        return pair(
            lambda found: found.get("vram_bytes"),
            max(*totals, 0.0) or max(found.get("vram_bytes") or GIB for found in (before, after)),
        )
    return None


def _change(data: Mapping[str, Any], outcome: str, effect: str) -> dict[str, Any]:
    change = data.get("change") or {}
    return {
        "step": str(data.get("step", "")),
        "summary": translated(str(change.get("summary", ""))),
        "risk": gettext(str(change.get("risk") or "")),
        "diff": str(change.get("diff") or ""),
        "said": effect,
        "mark": UNKNOWN_MARK if outcome == UNKNOWN_WORD else MARKS.get(outcome, MARKS["failed"]),
        "word": "" if outcome in {"changed", "would-change"} else gettext(outcome),
        "tone": "bad" if outcome in {UNKNOWN_WORD, "not done"} else _tone(outcome),
    }
