"""Saved plans: the changes predicted by check mode, applied later, and refused if a fresh observation differs."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.engine.context import PlanMembership, under
from remediation.engine.journal.serialization import change_from_json, change_to_json
from remediation.model.change import Change
from remediation.model.errors import Blocked, UsageError
from remediation.model.event import Event
from remediation.model.files import read_text
from remediation.model.private_file import write_private
from remediation.model.secrets.masking import Masker
from remediation.model.text.shape import ODD, intact
from remediation.model.text.visible import visible_json

FORMAT = 1


class StalePlan(Blocked):
    """A fresh observation differs from the saved plan."""


@dataclass(frozen=True, slots=True)
class PlannedChange:
    """One change of a plan; ``--only`` takes its ``id``. ``reached`` is False for rungs beyond the predicted goal."""

    id: int
    host: str
    path: str
    step: str
    change: Change
    reached: bool = True

    @property
    def identity(self) -> tuple[str, str, str, str, str]:
        """The fields that a fresh observation must reproduce. Amounts may change (VRAM does), the text of an edit may not."""
        return (self.host, self.step, self.change.summary, self.change.subject, self.change.diff)

    def __str__(self) -> str:
        return f"{self.host}: {self.step}: {self.change.summary}"


@dataclass(frozen=True, slots=True)
class Plan:
    """What check mode predicted. ``header`` holds what `apply` needs to run the same playbook on the same hosts."""

    header: Mapping[str, Any]
    hosts: tuple[str, ...]
    entries: tuple[PlannedChange, ...]

    def select(self, only: Sequence[str] = (), mask: Masker | None = None) -> PlanSelection:
        """Return the part to apply; `only` are ids. Raises `UsageError` on an id that is not in the plan.

        The texts of the plan are masked; `mask` masks the changes of the run for comparison.
        """
        known = {str(entry.id): entry for entry in self.entries}
        strange = [name for name in only if name not in known]
        if strange:
            ids = ", ".join(known) or "none: the plan is empty"
            raise UsageError(f"the plan has no change {strange[0]!r}", next_step=f"valid ids: {ids}")
        return PlanSelection(self, frozenset(int(name) for name in only) if only else None, mask or Masker())


@dataclass(frozen=True, slots=True)
class PlanSelection:
    """The port ``select`` of a run that applies a plan."""

    plan: Plan
    only: frozenset[int] | None = None
    mask: Masker = field(default_factory=Masker)

    def __call__(self, host: str, path: str, change: Change) -> PlanMembership:
        """Return whether the plan contains a change at a task of a host."""
        key = (self.mask.text(change.summary), self.mask.text(change.subject))
        for entry in self.plan.entries:
            here = entry.host == host and entry.change.key == key
            if here and (path == entry.path or under(path, entry.path)):
                return PlanMembership.PLANNED if self.only is None or entry.id in self.only else PlanMembership.LEFT_OUT
        return PlanMembership.UNPLANNED


def plan_of(events: Iterable[Event], header: Mapping[str, Any]) -> Plan:
    """Return the plan predicted by the events of a check-mode run; ids count from 1."""
    hosts: list[str] = []
    found: list[tuple[str, str, str, Change, bool]] = []
    paths: dict[str, list[str]] = {}
    for event in events:
        if event.kind == "run_start":
            hosts = [str(host) for host in event.data.get("hosts") or ()]
        elif event.kind == "task_start":
            paths.setdefault(event.host, []).append(str(event.data.get("path", "")))
        elif event.kind == "change_planned":
            change = change_from_json(event.data["change"])
            found.append((event.host, str(event.data.get("path", "")), str(event.data["step"]), change, True))
        elif event.kind == "task_result":
            open_paths = paths.get(event.host, [])
            path = str(event.data.get("path") or (open_paths.pop() if open_paths else ""))
            found += [(event.host, path, step, change, False) for step, change in _beyond(event.data)]
    entries = tuple(PlannedChange(number, *item) for number, item in enumerate(found, start=1))
    return Plan(header, tuple(hosts) or tuple(dict.fromkeys(entry.host for entry in entries)), entries)


def _beyond(data: Mapping[str, Any]) -> Iterable[tuple[str, Change]]:
    """Yield the changes of the rungs that a ladder lists beyond its predicted end: `apply` may need them."""
    rungs = (data.get("result") or {}).get("foreseen") or ()
    for rung in rungs:
        if isinstance(rung, Mapping) and not rung.get("reached", True):
            for change in rung.get("changes") or ():
                yield str(rung["rung"]), change_from_json(change)


def plan_difference(saved: Plan, fresh: Plan) -> list[str]:
    """Return how a fresh plan differs, one line per change; empty if the saved plan still holds."""
    before = {entry.identity: entry for entry in saved.entries if entry.reached}
    now = {entry.identity: entry for entry in fresh.entries if entry.reached}
    dropped = [f"- {entry} (in the plan, not predicted now)" for identity, entry in before.items() if identity not in now]
    new = [f"+ {entry} (predicted now, not in the plan)" for identity, entry in now.items() if identity not in before]
    return [*dropped, *new]


def verify_plan(saved: Plan, fresh: Plan) -> None:
    """Raise `StalePlan` with the differences if a fresh plan differs."""
    lines = plan_difference(saved, fresh)
    if lines:
        text = "\n  ".join(["stale plan: the hosts have changed since the plan was saved", *lines])
        raise StalePlan(text, next_step="save a new plan with --check --out")


def verify_hosts(saved: Plan, hosts: Iterable[str]) -> None:
    """Raise `StalePlan` if the plan was made for hosts other than `hosts`."""
    here, there = set(hosts), set(saved.hosts)
    if here != there:
        odd = ", ".join(sorted(here ^ there))
        raise StalePlan(f"the plan was made for other hosts: {odd}", next_step="save a plan with this inventory and --limit")


def save_plan(plan: Plan, path: Path) -> None:
    """Write a plan, readable only by its owner, with a digest that detects edits. Raises `UsageError` if it cannot be written."""
    body = _to_json(plan)
    try:
        write_private(path, visible_json({**body, "digest": _digest(body)}, indent=1) + "\n")
    except OSError as error:
        raise UsageError(
            f"cannot write the plan to {path}: {error.strerror or error}",
            next_step="name a file in a writable folder",
        ) from None


LARGEST_PLAN = 1024**3
"""Maximum size of a plan in bytes: it has the changes of a whole fleet."""


def load_plan(path: Path) -> Plan:
    """Read a plan. Raises `UsageError` if the file is not a plan, `StalePlan` if it was edited."""
    try:
        value = json.loads(read_text(path, most=LARGEST_PLAN))
        digest = value.pop("digest")
        version = value["format"]
    except OSError as error:
        raise UsageError(f"cannot read the plan {path}: {error.strerror}", next_step="save one with --check --out FILE") from None
    except (*ODD, MemoryError):
        raise UsageError(f"{path} is not a saved plan", next_step="save one with --check --out") from None
    if version != FORMAT or digest != _digest(value):
        raise StalePlan(f"the plan {path} was edited or saved by another version", next_step="save a new plan with --check --out")
    with intact(f"the plan {path}", "save a new plan with --check --out"):
        return _from_json(value)


def _to_json(plan: Plan) -> dict[str, Any]:
    entries = [
        {
            "id": entry.id,
            "host": entry.host,
            "path": entry.path,
            "step": entry.step,
            "reached": entry.reached,
            "change": change_to_json(entry.change),
        }
        for entry in plan.entries
    ]
    return {"format": FORMAT, "header": dict(plan.header), "hosts": list(plan.hosts), "entries": entries}


def _from_json(value: Mapping[str, Any]) -> Plan:
    entries = tuple(
        PlannedChange(
            int(item["id"]),
            str(item["host"]),
            str(item["path"]),
            str(item["step"]),
            change_from_json(item["change"]),
            bool(item["reached"]),
        )
        for item in value["entries"]
    )
    header, hosts = value["header"], value["hosts"]
    if not isinstance(header, Mapping) or not isinstance(hosts, list):
        raise TypeError("its header or hosts have the wrong type")
    return Plan(header, tuple(map(str, hosts)), entries)


def _digest(body: Mapping[str, Any]) -> str:
    text = json.dumps(body, sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
