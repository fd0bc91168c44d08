"""Undo a run: executes the undo steps that its changes recorded, last first. Any later process can do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.engine.context import StepContext
from remediation.engine.journal.serialization import call_to_json, change_from_json
from remediation.engine.step.executor import execute_step
from remediation.model.change import Change, can_be_undone
from remediation.model.event import Event
from remediation.model.outcome import Result


@dataclass(frozen=True, slots=True)
class ChangeToUndo:
    """One change to undo, where it was made, and with which ``become`` settings."""

    host: str
    task: str
    index: int
    change: Change
    rights: Mapping[str, Any] = field(default_factory=dict)

    @property
    def possible(self) -> bool:
        """Whether the journal has the whole undo."""
        undo = self.change.undo
        return undo is not None and can_be_undone(call_to_json(undo))


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """The changes to undo, last first, and the changes that have no undo."""

    steps: tuple[ChangeToUndo, ...]
    lasting: tuple[ChangeToUndo, ...]

    def of(self, host: str) -> UndoPlan:
        """Return the part for one host."""
        return UndoPlan(
            tuple(item for item in self.steps if item.host == host), tuple(item for item in self.lasting if item.host == host)
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts with changes to undo."""
        return tuple(dict.fromkeys(item.host for item in self.steps))


def undo_plan(events: Iterable[Event], *, wanted: Callable[[str], bool] = bool, task: str = "") -> UndoPlan:
    """Return the undo plan of a run, for the hosts that `wanted` accepts and the task named `task` if given.

    A change that was sent but never ended is included: its undo is a desired state, and does nothing if that state already
    holds.
    """
    begun: dict[tuple[str, int], ChangeToUndo] = {}
    for event in events:
        if event.kind != "change_start" or not wanted(event.host) or (task and event.task != task):
            continue
        index = int(event.data.get("index", len(begun)))
        change, rights = change_from_json(event.data["change"]), event.data.get("rights") or {}
        begun[event.host, index] = ChangeToUndo(event.host, event.task, index, change, rights)
    backwards = tuple(reversed(begun.values()))
    return UndoPlan(
        tuple(item for item in backwards if item.possible),
        tuple(item for item in backwards if not item.possible),
    )


def undo_calls(plan: UndoPlan, context: StepContext) -> Sequence[tuple[ChangeToUndo, Result]]:
    """Undo one host's changes, last first; stop at the first failure."""
    results: list[tuple[ChangeToUndo, Result]] = []
    for item in plan.of(context.host).steps:
        if item.change.undo is None or context.ports.cancelled():
            break
        own = dataclasses.replace(context, task=item.task, path=f"undo/{item.index}")
        result = execute_step(item.change.undo, own)
        results.append((item, result))
        if result.outcome.bad:
            break
    return results
