"""A run as one self-contained HTML page: findings with their proof, changes, and the figures before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import jinja2

from remediation import __version__
from remediation.model.event import Event
from remediation.model.text.visible import visible
from remediation.report.formatting import before_after, duration, layers
from remediation.report.host_view import (
    BAD,
    IN_FLIGHT,
    MARKS,
    TARGET_PARTS,
    UNKNOWN_MARK,
    UNKNOWN_WORD,
    HostView,
    target_value,
    whether_made,
)

TEMPLATE = Path(__file__).with_name("page.html.j2")


def html(events: Iterable[Event]) -> str:
    """Return the page of a run; an unfinished run is marked."""
    run = _HtmlRun()
    for event in events:
        run.see(event)
    environment = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined, finalize=_shown)
    return environment.from_string(TEMPLATE.read_text(encoding="utf-8")).render(run.context())


def _shown(value: Any) -> Any:
    """Return a text without control characters and bidirectional marks."""
    return visible(value) if type(value) is str else value


def _tone(outcome: str) -> str:
    return "bad" if outcome in BAD else ("good" if outcome in {"ok", "changed"} else "dim")


class _Host:
    """One host's part of the page, in addition to what `HostView` collects for the terminal."""

    def __init__(self, name: str, *, check: bool) -> None:
        self.page = HostView(name, check=check)
        self.facts = ""
        self.target: list[dict[str, Any]] = []
        self.diagnosis: Mapping[str, Any] = {}
        self.changes: list[dict[str, Any]] = []
        self.tasks: list[dict[str, Any]] = []
        self.notes: dict[str, bool] = {}

    def see(self, event: Event) -> None:
        self.page.see(event)
        reaction = getattr(self, f"_{event.kind}", None)
        if reaction is not None:
            reaction(event.data)

    def _host_facts(self, data: Mapping[str, Any]) -> None:
        facts = data.get("facts") or {}
        self.facts = " · ".join(str(facts[part]) for part in ("system", "gpus", "engine", "ollama") if facts.get(part))
        found = data.get("target") or {}
        self.target = [
            {"name": part, "value": target_value(part, found[part].get("value")), "source": found[part].get("source", "")}
            for part in TARGET_PARTS
            if found.get(part)
        ]

    def _findings(self, data: Mapping[str, Any]) -> None:
        self.diagnosis = data.get("diagnosis") or {}

    def _change_planned(self, data: Mapping[str, Any]) -> None:
        if self.page.check:
            self.changes.append(_change(data, "would-change", ""))

    def _change_end(self, data: Mapping[str, Any]) -> None:
        _, word = whether_made({"applied": False, **data})
        said = str(data.get("error") or data.get("effect") or "")
        took = data.get("seconds")
        note = " · ".join(part for part in (said, duration(took) if took is not None else "") if part)
        self.changes.append(_change(data, word, note))

    def _note(self, data: Mapping[str, Any]) -> None:
        self.notes[str(data.get("text", ""))] = data.get("level") == "warning"

    def task(self, event: Event) -> None:
        """Process the result of a task."""
        outcome = str(event.data.get("outcome", ""))
        reason = str(event.data.get("reason") or event.data.get("msg") or "")
        self.tasks.append(
            {"name": event.task, "outcome": outcome, "mark": MARKS.get(outcome, "·"), "tone": _tone(outcome), "reason": reason}
        )

    def context(self) -> dict[str, Any]:
        page = self.page
        outcome = page.outcome or "not ended"
        figures = page.figures
        shown = before_after(figures.get("before"), figures.get("after")) if figures else []
        pair = page.layers
        return {
            "name": page.host,
            "word": ("loaded" if page.only_loaded else "repaired") if outcome == "changed" and page.goal == "met" else outcome,
            "mark": MARKS.get(outcome, "·"),
            "tone": _tone(outcome),
            "reason": page.reason if outcome in BAD else "",
            "facts": self.facts,
            "target": self.target,
            "notes": [{"text": text, "warning": warning} for text, warning in self.notes.items()],
            "goal": f"{page.goal}: {page.goal_text}" if page.goal else "",
            "goal_met": page.goal == "met",
            "share": round(100 * pair[0] / pair[1]) if pair and pair[1] else None,
            "layers": layers(pair) if pair else "",
            "cause": page.causes[0][0] if page.causes else "",
            "findings": self.diagnosis.get("findings") or [],
            "ruled_out": self.diagnosis.get("ruled_out") or [],
            "settings": self.diagnosis.get("settings") or [],
            "changes": [*self.changes, *(_change(data, UNKNOWN_WORD, IN_FLIGHT) for data in page.in_flight.values())],
            "figures": shown,
            "simulated": any(item.get("simulated") for item in figures.values()),
            "tasks": self.tasks,
        }


def _change(data: Mapping[str, Any], outcome: str, said: str) -> dict[str, Any]:
    change = data.get("change") or {}
    return {
        "step": str(data.get("step", "")),
        "summary": str(change.get("summary", "")),
        "risk": str(change.get("risk") or ""),
        "diff": str(change.get("diff") or ""),
        "said": said,
        "mark": UNKNOWN_MARK if outcome == UNKNOWN_WORD else MARKS.get(outcome, MARKS["failed"]),
        "word": "" if outcome in {"changed", "would-change"} else outcome,
        "tone": "bad" if outcome in {UNKNOWN_WORD, "not done"} else _tone(outcome),
    }


class _HtmlRun:
    def __init__(self) -> None:
        self.start: Mapping[str, Any] = {}
        self.end: Mapping[str, Any] = {}
        self.began = 0.0
        self.hosts: dict[str, _Host] = {}

    def see(self, event: Event) -> None:
        if event.kind == "run_start":
            self.start, self.began = event.data, event.time
            for host in event.data.get("hosts") or ():
                self._host(str(host))
        elif event.kind == "run_end":
            self.end = event.data
        elif event.host:
            host = self._host(event.host)
            host.see(event)
            if event.kind == "task_result":
                host.task(event)

    def _host(self, name: str) -> _Host:
        return self.hosts.setdefault(name, _Host(name, check=bool(self.start.get("check"))))

    def context(self) -> dict[str, Any]:
        seconds = self.end.get("seconds")
        when = datetime.fromtimestamp(self.began, tz=timezone.utc)
        return {
            "command": str(self.start.get("command") or "run"),
            "run": str(self.start.get("run") or ""),
            "check": bool(self.start.get("check")),
            "playbook": str(self.start.get("playbook") or ""),
            "started": when.strftime("%Y-%m-%d %H:%M:%S UTC"),
            "took": duration(seconds) if seconds is not None else "",
            "exit_code": self.end.get("exit_code"),
            "version": __version__,
            "hosts": [host.context() for host in self.hosts.values()],
            "undo": any(host.changes for host in self.hosts.values()) and not self.start.get("check"),
        }
