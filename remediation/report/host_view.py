"""One host's page, built from its events: each event adds lines.

The page is the same on a terminal and in a file: host, target, findings with their proof, each change with its measured
effect, and whether the goal was met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.model.event import Event
from remediation.model.text.words import plural
from remediation.report.findings import NAME, findings
from remediation.report.formatting import UNKNOWN, before_after, duration, format_progress, layers, sentences, table
from remediation.report.text import Line, below, diff_lines, labelled

MARKS = {
    "ok": "✓",
    "changed": "✓",
    "would-change": "○",
    "unverified": "✗",
    "blocked": "⊘",
    "skipped": "·",
    "failed": "✗",
    "timed-out": "✗",
    "unreachable": "✗",
}
"""A symbol for every outcome; colour only repeats the meaning."""

UNKNOWN_MARK, UNKNOWN_WORD = "?", "unknown"
"""For a change whose result is unknown."""
IN_FLIGHT = "in flight when the run ended; unknown whether it was done"

BAD = {"unverified", "blocked", "failed", "timed-out", "unreachable"}
NEXT = "    next: "
TARGET_PARTS = ("model", "project", "service", "container", "endpoint", "application")

LOADED = "model.loaded"
"""The step that loads a model as a client's request would."""


@dataclass(slots=True)
class HostView:
    """The state of one host so far.

    ``doing`` is its current activity, ``since`` its start in controller seconds and ``progress`` how far it is; ``steps`` are
    the steps that changed something, in order.
    """

    host: str
    check: bool = False
    diff: bool = False
    verbose: bool = False
    doing: str = "waiting"
    since: float = 0.0
    until: float | None = None
    progress: str = ""
    outcome: str = ""
    reason: str = ""
    changes: int = 0
    risks: list[str] = field(default_factory=list)
    foreseen: list[Mapping[str, Any]] = field(default_factory=list)
    steps: dict[str, None] = field(default_factory=dict)
    goal: str = ""
    goal_text: str = ""
    causes: list[tuple[str, float]] = field(default_factory=list)
    layers: Sequence[int] | None = None
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    predicted: str = ""
    told: set[str] = field(default_factory=set)
    climbing: bool = False
    next_step: str = ""
    in_flight: dict[Any, Mapping[str, Any]] = field(default_factory=dict)

    def see(self, event: Event) -> list[Line]:
        """Process an event of this host and return the lines that it adds."""
        reaction = _REACTIONS.get(event.kind)
        return reaction(self, event) if reaction else []

    def works(self, event: Event, what: str) -> None:
        """Set the text of the live line."""
        self.doing, self.since, self.until, self.progress = what, event.time, event.data.get("deadline"), ""

    @property
    def only_loaded(self) -> bool:
        """Whether the only change was to load a model that was not loaded: nothing was broken."""
        return bool(self.steps) and set(self.steps) == {LOADED}

    @property
    def done(self) -> bool:
        """Whether the host has finished."""
        return bool(self.outcome)

    def summary(self) -> str:
        """Return the host in one line, for a fleet."""
        if self.outcome in BAD:
            return f"{self.outcome}: {self.reason}" if self.reason else self.outcome
        cause = self.causes[0][0] if self.causes and self.causes[0][0] != "healthy" else ""
        count = plural(self.changes, "change")
        what = f"would be changed ({count})" if self.check and self.changes else (count if self.changes else "nothing to do")
        parts = [what, f"{layers(self.layers)} layers" if self.layers else "", f"cause {cause}" if cause else ""]
        return " · ".join(part for part in parts if part)


def _host_facts(page: HostView, event: Event) -> list[Line]:
    page.works(event, "gathered host facts")
    facts = event.data.get("facts") or {}
    if isinstance(facts, Mapping):
        facts = " · ".join(str(facts[part]) for part in ("system", "gpus", "engine", "ollama") if facts.get(part))
    lines = [Line(facts, lead=f"{page.host}  ", style="head")]
    target = event.data.get("target") or {}
    shown = [(part, target[part]) for part in TARGET_PARTS if target.get(part)]
    for index, (part, found) in enumerate(shown):
        text = f"{target_value(part, found.get('value'))} ({found.get('source')})"
        lines.append(labelled("target", text) if index == 0 else below(text))
    trips, seconds = event.data.get("round_trips"), event.data.get("seconds")
    if seconds is not None:
        lines.append(labelled("gathered", f"{duration(seconds)}, {plural(trips or 0, 'round trip')}"))
    return lines


def target_value(part: str, value: Any) -> str:
    """Return a part of the target as text."""
    if isinstance(value, Mapping):
        files = " + ".join(_last(str(name)) for name in value.get("files", ()))
        return f"{files or value.get('name')} in {value.get('working_dir')}"
    return str(value) if part in ("model", "endpoint") else f"{part} {value}"


def _last(path: str) -> str:
    return path.replace("\\", "/").rpartition("/")[2]


def _goal(page: HostView, event: Event) -> list[Line]:
    state, text = str(event.data.get("state", "")), str(event.data.get("text", ""))
    values = event.data.get("values") or {}
    found = values.get("layers")
    if isinstance(found, (list, tuple)) and len(found) == 2:
        page.layers = found
    elif not values:
        page.layers = None  # nothing answered: earlier values may be outdated
    page.works(event, f"goal {state}: {text}")
    if state == page.goal and text == page.goal_text:
        return []
    page.goal, page.goal_text = state, text
    if state == "met":
        return [labelled("goal met", text, style="good")]
    return [labelled("goal", text if state == "unmet" else f"unknown so far: {text}")]


def _rung_start(page: HostView, event: Event) -> list[Line]:
    rung = str(event.data.get("rung", ""))
    page.works(event, rung)
    page.climbing = not page.check
    if not page.check:
        return [labelled("rung", rung, style="dim")] if page.verbose else []
    notes = [_treats(event), str(event.data.get("risk") or "")]
    predicted = event.data.get("predicted")
    if "stops" in event.data:
        page.predicted = ""  # the rung's own prediction replaces what would fit on the GPU now
    if predicted:
        shown = predicted if isinstance(predicted, str) else layers(predicted)
        notes.append(f"predicted {shown}")
        page.predicted = f"{shown} layers" if event.data.get("stops", True) else f"{shown} layers, short of the goal"
    would = str(event.data.get("would") or "change")
    end = "" if would == "change" else f": would {would}"
    return [labelled("would try", f"{rung} ({', '.join(note for note in notes if note)}){end}")]


def _treats(event: Event) -> str:
    return "treats " + ", ".join(map(str, event.data["treats"])) if event.data.get("treats") else ""


def _rung_end(page: HostView, event: Event) -> list[Line]:
    page.climbing = False
    return []


def _rung_skipped(page: HostView, event: Event) -> list[Line]:
    if not page.verbose and not page.check:
        return []
    return [labelled("skipped", f"{event.data.get('rung')}: {event.data.get('reason')}", style="dim")]


def _change_planned(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    step = str(event.data.get("step", ""))
    if not page.check:
        return []
    page.changes += 1
    page.foreseen.append(change)
    line = Line(str(change.get("summary", "")), lead=f"  ○ {page.changes:<3}{step:{NAME}}  ")
    return [line, *(diff_lines(change) if page.diff else ())]


def _change_start(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    page.works(event, f"{event.data.get('step')}: {change.get('summary')}")
    page.in_flight[event.data.get("index")] = event.data
    return []


def _change_progress(page: HostView, event: Event) -> list[Line]:
    """Prefix the live line with the progress; its activity and start stay. With ``verbose``, each tenth is a line."""
    page.progress = format_progress(event.data)
    completed, total = event.data.get("completed") or 0, event.data.get("total") or 1
    mark = f"{event.data.get('index')} {event.data.get('status')} {10 * completed // total}"
    if not page.verbose or mark in page.told:
        return []
    page.told.add(mark)
    return [labelled("progress", page.progress, style="dim")]


def _change_end(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    applied, word = whether_made(event.data)
    page.in_flight.pop(event.data.get("index"), None)
    page.works(event, "checking the result")
    page.changes += 1 if applied else 0
    if applied:
        page.steps[str(event.data.get("step", ""))] = None
        page.risks.append(str(change.get("risk") or "safe"))
    seconds = event.data.get("seconds")
    took = f" ({duration(seconds)})" if seconds is not None else ""
    said = event.data.get("error") or event.data.get("effect") or ""
    text = f"{change.get('summary', '')}{took}" + (f": {said}" if said else "")
    mark = MARKS["changed"] if applied else (UNKNOWN_MARK if word == UNKNOWN_WORD else MARKS["failed"])
    number = f"change {page.changes}" if applied else word
    step = str(event.data.get("step", ""))
    line = Line(text, lead=f"  {mark} {number:<10}{f'{step}  ':{NAME - 4}}", style="good" if applied else "bad")
    return [line, *(diff_lines(change) if page.diff else ())]


def whether_made(data: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a change was made, according to its ``change_end``, and the word for it."""
    if data.get("applied", True) and not data.get("error"):
        return True, "changed"
    return False, UNKNOWN_WORD if "applied" in data and data["applied"] is None else "not done"


def left_unknown(page: HostView) -> list[Line]:
    """Return the changes that were in flight when the run ended: their results were not observed."""
    lines = []
    for data in page.in_flight.values():
        change = data.get("change") or {}
        step = f"{data.get('step', '')}  "
        lead = f"  {UNKNOWN_MARK} {UNKNOWN_WORD:<10}{step:{NAME - 4}}"
        lines.append(Line(f"{change.get('summary', '')}: {IN_FLIGHT}", lead=lead, style="bad"))
    return lines


def _note(page: HostView, event: Event) -> list[Line]:
    text = str(event.data.get("text", ""))
    warning = event.data.get("level") == "warning"
    if text in page.told:
        return []
    page.told.add(text)
    return [labelled("warning" if warning else "note", text, style="warn" if warning else "")]


def _measurement(page: HostView, event: Event) -> list[Line]:
    label = str(event.data.get("label", ""))
    page.figures[label] = event.data.get("figures") or {}
    page.works(event, f"measured {label}")
    reason = page.figures[label].get("reason")
    return [labelled("measured", f"{label}: {reason}", style="dim")] if reason and not page.check else []


def _task_start(page: HostView, event: Event) -> list[Line]:
    page.works(event, event.task or str(event.data.get("path", "")))
    return []


def _printed(event: Event) -> list[Line]:
    """Return the output of a ``debug`` task, which is shown even without ``verbose``."""
    value = event.data.get("msg")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    first, *rest = text.splitlines() or [""]
    return [Line(first, lead=f"  · {event.task}: "), *(Line(row, lead="    ") for row in rest)]


def _task_result(page: HostView, event: Event) -> list[Line]:
    outcome = str(event.data.get("outcome", ""))
    reason = str(event.data.get("reason") or event.data.get("msg") or "")
    if outcome not in BAD:
        if page.verbose:
            return [Line(f"{event.task}: {outcome}" + (f", {reason}" if reason else ""), lead=f"  {MARKS.get(outcome, '·')} ")]
        return _printed(event) if event.data.get("action") == "debug" and outcome != "skipped" else []
    known, next_step = reason in page.told, str(event.data.get("next_step") or "")
    page.next_step = "" if event.data.get("ignored") else next_step
    ignored = " (ignored)" if event.data.get("ignored") else ""
    lines = [] if known else [Line(f"{event.task}: {reason}", lead=f"  {MARKS[outcome]} {outcome}{ignored}  ", style="bad")]
    page.told.add(reason)
    if page.climbing or not next_step or (known and NEXT + next_step in page.told):
        return lines  # a running ladder reports its next step at the end
    page.told.add(NEXT + next_step)
    first, *rest = next_step.split("\n")
    lines.append(Line(first, lead=NEXT))
    lines += [Line(row, lead=f"{'':{len(NEXT) + 2}}", verbatim=True, whole=True) for row in rest]  # for copying
    return lines


def _host_end(page: HostView, event: Event) -> list[Line]:
    page.outcome = str(event.data.get("outcome", "")) or "ok"
    page.reason = str(event.data.get("reason", ""))
    page.works(event, "done")
    lines: list[Line] = []
    if page.outcome in BAD and page.reason and page.reason not in page.told:
        lines.append(Line(page.reason, lead=f"  {MARKS[page.outcome]} {page.outcome}  ", style="bad"))
    if page.check:
        lines += foretold(page.foreseen, page.predicted)
    if page.figures and not page.check:
        lines += figures_table(page)
    return lines


def figures_table(page: HostView) -> list[Line]:
    """Return the guide's before/after table."""
    before, after = page.figures.get("before"), page.figures.get("after")
    if after is None and page.changes:
        return []
    simulated = any(figures.get("simulated") for figures in page.figures.values())
    single = before is None or after is None  # without a change there is only one column
    measured = before_after(before, after if after is not None else before)
    if all({row.before, row.after} == {UNKNOWN} for row in measured):
        return []
    # a failed host's figures describe its state before the run
    only = ("before" if page.outcome in BAD else "now") if single else ""
    wide, narrow = ("\n".join(form(measured, simulated=simulated, single=only)) for form in (table, sentences))
    return [Line(""), Line(wide, lead="  ", verbatim=True, narrow=narrow), Line("")]


_REACTIONS: dict[str, Callable[[HostView, Event], list[Line]]] = {
    "host_facts": _host_facts,
    "task_start": _task_start,
    "goal": _goal,
    "findings": findings,
    "rung_start": _rung_start,
    "rung_end": _rung_end,
    "rung_skipped": _rung_skipped,
    "change_planned": _change_planned,
    "change_start": _change_start,
    "change_progress": _change_progress,
    "change_end": _change_end,
    "note": _note,
    "measurement": _measurement,
    "task_result": _task_result,
    "host_end": _host_end,
}


def foretold(changes: Sequence[Mapping[str, Any]], predicted: str) -> list[Line]:
    """Return the summary of predicted changes; `changes` as in ``change_planned`` events, in order."""
    if not changes:
        return [labelled("plan", "no changes")]
    risks = [str(change.get("risk") or "safe") for change in changes]
    counts = ", ".join(f"{risks.count(risk)} {risk}" for risk in dict.fromkeys(risks))
    aim = f", predicted {predicted}" if predicted else ""
    lines = [labelled("plan", f"{plural(len(changes), 'change')} ({counts}){aim}; stops as soon as the goal is met")]
    for_good = [str(number) for number, change in enumerate(changes, 1) if not change.get("undo")]
    if for_good:
        which = "none of it" if len(for_good) == len(changes) else f"all but {', '.join(for_good)}"
        lines.append(labelled("undo", f"remediate undo could undo {which}"))
    return lines
