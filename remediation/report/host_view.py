"""One host's page, built from its events: each event adds lines.

The page is the same on a terminal and in a file: host, target, findings with their proof, each change with its measured
effect, and whether the goal was met.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.model.change import can_be_undone, measures
from remediation.model.event import Event
from remediation.model.translation import gettext, ngettext, translated
from remediation.report.findings import NAME, findings
from remediation.report.formatting import UNKNOWN, before_after, duration, format_progress, layers, sentences, table
from remediation.report.text import Line, below, diff_lines, labelled_line

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
NEXT = "next"
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
    doing: str = ""
    since: float = 0.0
    until: float | None = None
    progress: str = ""
    outcome: str = ""
    reason: str = ""
    changes: int = 0
    measurements: int = 0
    ended_undoable: int = 0
    risks: list[str] = field(default_factory=list)
    foreseen: list[Mapping[str, Any]] = field(default_factory=list)
    steps: dict[str, None] = field(default_factory=dict)
    goal: str = ""
    goal_text: str = ""
    causes: list[tuple[str, float]] = field(default_factory=list)
    layers: Sequence[int] | None = None
    figures: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    predicted: str = ""
    has_goal: bool = False
    """Whether rungs of a ladder were seen."""
    printed: set[str] = field(default_factory=set)
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
    def undoable(self) -> int:
        """How many changes ``undo`` could take back: made ones, and those of which it is unknown."""
        return self.ended_undoable + sum(
            can_be_undone((data.get("change") or {}).get("undo")) for data in self.in_flight.values()
        )

    @property
    def done(self) -> bool:
        """Whether the host has finished."""
        return bool(self.outcome)

    @property
    def reason_to_show(self) -> str:
        """The reason in the language, without the host's name, which stands next to it."""
        return translated(self.reason).removeprefix(f"{self.host}: ")

    def summary(self) -> str:
        """Return the host in one line, for a fleet."""
        if self.outcome in BAD:
            word = gettext(self.outcome)
            return f"{word}: {self.reason_to_show}" if self.reason else word
        cause = self.causes[0][0] if self.causes and self.causes[0][0] != "healthy" else ""
        count = ngettext("{count} change", "{count} changes", self.changes)
        what = count if self.changes else gettext("nothing to do")
        if self.check and self.changes:
            what = gettext("would be changed ({changes})", changes=count)
        on_gpu = gettext("{layers} layers", layers=layers(self.layers)) if self.layers else ""
        parts = [what, on_gpu, gettext("cause {cause}", cause=cause) if cause else ""]
        return " · ".join(part for part in parts if part)


def _host_facts(page: HostView, event: Event) -> list[Line]:
    page.works(event, gettext("gathered host facts"))
    lines = [Line(facts_text(event.data), lead=f"{page.host}  ", style="head")]
    target = event.data.get("target") or {}
    shown = [(part, target[part]) for part in TARGET_PARTS if target.get(part)]
    for index, (part, found) in enumerate(shown):
        text = f"{target_value(part, found.get('value'))} ({translated(str(found.get('source')))})"
        lines.append(labelled_line(gettext("target"), text) if index == 0 else below(text))
    trips, seconds = event.data.get("round_trips"), event.data.get("seconds")
    if seconds is not None:
        exchanges = ngettext("{count} round trip", "{count} round trips", trips or 0)
        lines.append(labelled_line(gettext("looked"), f"{duration(seconds)}, {exchanges}"))
    return lines


def facts_text(data: Mapping[str, Any]) -> str:
    """Return the facts of a ``host_facts`` event in one line."""
    facts = data.get("facts") or {}
    if not isinstance(facts, Mapping):
        return str(facts)
    return " · ".join(translated(str(facts[part])) for part in ("system", "gpus", "engine", "ollama") if facts.get(part))


def target_value(part: str, value: Any) -> str:
    """Return a part of the target as text."""
    if isinstance(value, Mapping):
        files = " + ".join(_last(str(name)) for name in value.get("files", ()))
        return gettext("{files} in {folder}", files=files or value.get("name"), folder=value.get("working_dir"))
    return str(value) if part in ("model", "endpoint") else f"{gettext(part)} {value}"


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
    shown = translated(text)
    page.works(event, gettext("goal {state}: {text}", state=gettext(state), text=shown))
    if state == page.goal and text == page.goal_text:
        return []
    page.goal, page.goal_text = state, text
    if state == "met":
        return [labelled_line(gettext("goal met"), shown, style="good")]
    return [labelled_line(gettext("goal"), shown if state == "unmet" else gettext("unknown so far: {text}", text=shown))]


def _rung_start(page: HostView, event: Event) -> list[Line]:
    page.has_goal = True
    rung = translated(str(event.data.get("rung", "")))
    page.works(event, rung)
    page.climbing = not page.check
    if not page.check:
        return [labelled_line(gettext("rung"), rung, style="dim")] if page.verbose else []
    notes = [_treats(event), gettext(str(event.data.get("risk") or ""))]
    predicted = event.data.get("predicted")
    if "stops" in event.data:
        page.predicted = ""  # the rung's own prediction replaces what would fit on the GPU now
    if predicted:
        shown = predicted if isinstance(predicted, str) else layers(predicted)
        notes.append(gettext("predicted {layers}", layers=shown))
        stops = event.data.get("stops", True)
        text = gettext("{layers} layers", layers=shown)
        page.predicted = text if stops else gettext("{layers} layers, short of the goal", layers=shown)
    would = str(event.data.get("would") or "change")
    end = "" if would == "change" else f": {translated(f'would {would}')}"
    return [labelled_line(gettext("would try"), f"{rung} ({', '.join(note for note in notes if note)}){end}")]


def _treats(event: Event) -> str:
    causes = ", ".join(map(str, event.data.get("treats") or ()))
    return gettext("treats {causes}", causes=causes) if causes else ""


def _rung_end(page: HostView, event: Event) -> list[Line]:
    page.climbing = False
    return []


def _skipped_rung_lines(page: HostView, event: Event) -> list[Line]:
    if not page.verbose and not page.check:
        return []
    rung, reason = (translated(str(event.data.get(key))) for key in ("rung", "reason"))
    return [labelled_line(gettext("left out"), f"{rung}: {reason}", style="dim")]


def _change_planned(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    step = str(event.data.get("step", ""))
    if not page.check:
        return []
    page.changes += 1
    page.foreseen.append(change)
    line = Line(translated(str(change.get("summary", ""))), lead=f"  ○ {page.changes:<3}{step:{NAME}}  ")
    return [line, *(diff_lines(change) if page.diff else ())]


def _change_start(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    page.works(event, f"{event.data.get('step')}: {translated(str(change.get('summary')))}")
    page.in_flight[event.data.get("index")] = event.data
    return []


def _change_progress(page: HostView, event: Event) -> list[Line]:
    """Prefix the live line with the progress; its activity and start stay. With ``verbose``, each tenth is a line."""
    page.progress = format_progress(event.data)
    completed, total = event.data.get("completed") or 0, event.data.get("total") or 1
    mark = f"{event.data.get('index')} {event.data.get('status')} {10 * completed // total}"
    if not page.verbose or mark in page.printed:
        return []
    page.printed.add(mark)
    return [labelled_line(gettext("progress"), page.progress, style="dim")]


def _change_end(page: HostView, event: Event) -> list[Line]:
    change = event.data.get("change") or {}
    applied, word = change_outcome(event.data)
    page.in_flight.pop(event.data.get("index"), None)
    page.works(event, gettext("checking the result"))
    measured = applied and measures(event.data)
    page.changes += 1 if applied and not measured else 0
    page.measurements += measured
    if applied and not measured:
        page.steps[str(event.data.get("step", ""))] = None
        page.risks.append(str(change.get("risk") or "safe"))
    if applied or word == UNKNOWN_WORD:
        page.ended_undoable += can_be_undone(change.get("undo"))
    seconds = event.data.get("seconds")
    took = f" ({duration(seconds)})" if seconds is not None else ""
    note = translated(str(event.data.get("error") or event.data.get("effect") or ""))
    text = f"{translated(str(change.get('summary', '')))}{took}" + (f": {note}" if note else "")
    mark = MARKS["changed"] if applied else (UNKNOWN_MARK if word == UNKNOWN_WORD else MARKS["failed"])
    number = gettext("change {number}", number=page.changes) if applied and not measured else gettext(word)
    step = str(event.data.get("step", ""))
    line = Line(text, lead=f"  {mark} {number:<10}{f'{step}  ':{NAME - 4}}", style="good" if applied else "bad")
    return [line, *(diff_lines(change) if page.diff else ())]


def change_outcome(data: Mapping[str, Any]) -> tuple[bool, str]:
    """Return whether a change was made, according to its ``change_end``, and the word for it."""
    if data.get("applied", True) and not data.get("error"):
        return True, "measured" if measures(data) else "changed"
    return False, UNKNOWN_WORD if "applied" in data and data["applied"] is None else "not done"


def unknown_changes(page: HostView) -> list[Line]:
    """Return the changes that were in flight when the run ended: their results were not observed."""
    lines = []
    for data in page.in_flight.values():
        change = data.get("change") or {}
        step = f"{data.get('step', '')}  "
        lead = f"  {UNKNOWN_MARK} {gettext(UNKNOWN_WORD):<10}{step:{NAME - 4}}"
        lines.append(Line(f"{translated(str(change.get('summary', '')))}: {translated(IN_FLIGHT)}", lead=lead, style="bad"))
    return lines


def _note(page: HostView, event: Event) -> list[Line]:
    text = str(event.data.get("text", ""))
    warning = event.data.get("level") == "warning"
    if text in page.printed:
        return []
    page.printed.add(text)
    return [labelled_line(gettext("warning") if warning else gettext("note"), translated(text), style="warn" if warning else "")]


def _measurement(page: HostView, event: Event) -> list[Line]:
    label = str(event.data.get("label", ""))
    page.figures[label] = event.data.get("figures") or {}
    page.works(event, gettext("measured {label}", label=gettext(label)))
    reason = page.figures[label].get("reason")
    return (
        [labelled_line(gettext("measured"), f"{gettext(label)}: {translated(str(reason))}", style="dim")]
        if reason and not page.check
        else []
    )


def _task_start(page: HostView, event: Event) -> list[Line]:
    page.works(event, translated(event.task or str(event.data.get("path", ""))))
    return []


def _debug_lines(event: Event) -> list[Line]:
    """Return the output of a ``debug`` task, which is shown even without ``verbose``."""
    value = event.data.get("msg")
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    first, *rest = translated(text).splitlines() or [""]
    return [Line(first, lead=f"  · {translated(event.task)}: "), *(Line(row, lead="    ") for row in rest)]


def _task_result(page: HostView, event: Event) -> list[Line]:
    outcome = str(event.data.get("outcome", ""))
    reason = str(event.data.get("reason") or event.data.get("msg") or "")
    if outcome not in BAD:
        if page.verbose:
            text = f"{translated(event.task)}: {gettext(outcome)}" + (f", {translated(reason)}" if reason else "")
            return [Line(text, lead=f"  {MARKS.get(outcome, '·')} ")]
        return _debug_lines(event) if event.data.get("action") == "debug" and outcome != "skipped" else []
    known, next_step = reason in page.printed, str(event.data.get("next_step") or "")
    page.next_step = "" if event.data.get("ignored") else next_step
    ignored = f" ({gettext('ignored')})" if event.data.get("ignored") else ""
    text = f"{translated(event.task)}: {translated(reason)}"
    lines = [] if known else [Line(text, lead=f"  {MARKS[outcome]} {gettext(outcome)}{ignored}  ", style="bad")]
    page.printed.add(reason)
    if page.climbing or not next_step or (known and NEXT + next_step in page.printed):
        return lines  # a running ladder reports its next step at the end
    page.printed.add(NEXT + next_step)
    first, *rest = translated(next_step).split("\n")
    lead = f"    {gettext('next')}: "
    lines.append(Line(first, lead=lead))
    lines += [Line(row, lead=f"{'':{len(lead) + 2}}", verbatim=True, whole=True) for row in rest]  # for copying
    return lines


def _host_end(page: HostView, event: Event) -> list[Line]:
    page.outcome = str(event.data.get("outcome", "")) or "ok"
    reason = str(event.data.get("reason", ""))
    page.reason = reason
    page.works(event, gettext("done"))
    lines: list[Line] = []
    if page.outcome in BAD and reason and reason not in page.printed:
        lines.append(Line(page.reason_to_show, lead=f"  {MARKS[page.outcome]} {gettext(page.outcome)}  ", style="bad"))
    if page.check:
        lines += prediction_lines(page.foreseen, page.predicted, has_goal=page.has_goal)
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
    "rung_skipped": _skipped_rung_lines,
    "change_planned": _change_planned,
    "change_start": _change_start,
    "change_progress": _change_progress,
    "change_end": _change_end,
    "note": _note,
    "measurement": _measurement,
    "task_result": _task_result,
    "host_end": _host_end,
}


def prediction_lines(changes: Sequence[Mapping[str, Any]], predicted: str, *, has_goal: bool) -> list[Line]:
    """Return the summary of predicted changes; `changes` as in ``change_planned`` events, in order."""
    if not changes:
        return [labelled_line(gettext("would"), gettext("change nothing"))]
    risks = [str(change.get("risk") or "safe") for change in changes]
    counts = ", ".join(f"{risks.count(risk)} {gettext(risk)}" for risk in dict.fromkeys(risks))
    aim = f", {gettext('predicted {layers}', layers=predicted)}" if predicted else ""
    text = ngettext(
        "change {count} thing ({risks}){aim}", "change {count} things ({risks}){aim}", len(changes), risks=counts, aim=aim
    )
    if has_goal:
        text = f"{text}; {gettext('stops as soon as the goal is met')}"
    lines = [labelled_line(gettext("would"), text)]
    for_good = [str(number) for number, change in enumerate(changes, 1) if not can_be_undone(change.get("undo"))]
    if for_good:
        text = gettext("remediate undo could undo all but {changes}", changes=", ".join(for_good))
        if len(for_good) == len(changes):
            text = gettext("remediate undo could undo none of it")
        lines.append(labelled_line(gettext("undo"), text))
    return lines


def undo_part(undoable: int, changes: int) -> str:
    """Return how many of the changes can be undone, in parentheses; nothing if all of them can."""
    return f" ({gettext('{part} of {count} changes', part=undoable, count=changes)})" if undoable < changes else ""
