"""Taking a run back: the steps that its changes recorded beforehand, walked backwards, by any process at any later time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.engine.context import StepContext
from remediation.engine.journal.serialization import change_from_json
from remediation.engine.step.executor import execute_step
from remediation.model.change import Change
from remediation.model.event import Event
from remediation.model.outcome import Result
from remediation.model.secrets.names import MASK


@dataclass(frozen=True, slots=True)
class Undoing:
    """One change of a run that is to be taken back, where it was made, and by which rights (``become``)."""

    host: str
    task: str
    index: int
    change: Change
    rights: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class UndoPlan:
    """What would be taken back, the last change first, and what cannot be (changes without an undo)."""

    steps: tuple[Undoing, ...]
    lasting: tuple[Undoing, ...]

    def of(self, host: str) -> UndoPlan:
        """Return the part that concerns one host."""
        return UndoPlan(
            tuple(item for item in self.steps if item.host == host), tuple(item for item in self.lasting if item.host == host)
        )

    @property
    def hosts(self) -> tuple[str, ...]:
        """The hosts on which something would be taken back."""
        return tuple(dict.fromkeys(item.host for item in self.steps))


def undo_plan(events: Iterable[Event], *, wanted: Callable[[str], bool] = bool, task: str = "") -> UndoPlan:
    """Return what undoing a run takes: of the hosts that `wanted` accepts, and of the task named `task` where given.

    A change that was sent and never ended belongs to it as well: its undo is a state, and does nothing where that holds.
    """
    begun: dict[tuple[str, int], Undoing] = {}
    for event in events:
        if event.kind != "change_start" or not wanted(event.host) or (task and event.task != task):
            continue
        index = int(event.data.get("index", len(begun)))
        change, rights = change_from_json(event.data["change"]), event.data.get("rights") or {}
        begun[event.host, index] = Undoing(event.host, event.task, index, change, rights)
    backwards = tuple(reversed(begun.values()))
    return UndoPlan(
        tuple(item for item in backwards if _can_be_undone(item.change)),
        tuple(item for item in backwards if not _can_be_undone(item.change)),
    )


def _can_be_undone(change: Change) -> bool:
    """Return whether the journal says how; a masked secret is not what stood there, and must not be written in its place."""
    return change.undo is not None and MASK not in json.dumps(change.undo.params, ensure_ascii=False, default=str)


def lasting(changes: Iterable[Change]) -> tuple[Change, ...]:
    """Return the changes that no undo takes back: to be said before a run, in its plan."""
    return tuple(change for change in changes if change.undo is None)


def undo_calls(plan: UndoPlan, context: StepContext) -> Sequence[tuple[Undoing, Result]]:
    """Take one host's changes back, the last first; ends at the first that does not come to a good end."""
    results: list[tuple[Undoing, Result]] = []
    for item in plan.of(context.host).steps:
        if item.change.undo is None or context.ports.cancelled():
            break
        own = dataclasses.replace(context, task=item.task, path=f"undo/{item.index}")
        result = execute_step(item.change.undo, own)
        results.append((item, result))
        if result.outcome.bad:
            break
    return results
