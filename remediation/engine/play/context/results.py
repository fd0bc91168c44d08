"""Results as ``register`` keeps them and as events tell them."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any

from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.model.outcome import Outcome, Result

CENSORED = "the output is hidden: no_log was set for this task"


@dataclass(frozen=True, slots=True)
class ActionResult:
    """What one try of a task came to, before its own conditions are asked.

    ``values`` go into the registered result, ``facts`` and ``included`` into the host's variables, ``told`` holds the
    changes of a step.
    """

    outcome: Outcome = Outcome.OK
    values: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    next_step: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    included: Mapping[str, Any] = field(default_factory=dict)
    told: Result | None = None


def of_result(result: Result) -> ActionResult:
    """Return what a step or a ladder came to."""
    return ActionResult(result.outcome, {**result.values, "msg": result.reason}, result.reason, result.next_step, told=result)


def refused_result(error: RemediationError, outcome: Outcome = Outcome.FAILED) -> ActionResult:
    """Return what an error stands for: its sentence, with its place."""
    where = f"{error.place}: " if error.place else ""
    return ActionResult(outcome, {"msg": f"{where}{error.message}"}, f"{where}{error.message}", error.next_step)


def registered(acted: ActionResult) -> dict[str, Any]:
    """Return the result as Ansible keeps it: what was returned, and whether it changed, failed or was skipped."""
    outcome = acted.outcome
    changed = outcome in {Outcome.CHANGED, Outcome.WOULD_CHANGE} or bool(acted.told and acted.told.changes)
    result = {"changed": changed, **acted.values, "failed": outcome.bad, "outcome": str(outcome)}
    if acted.facts or acted.included:
        result["ansible_facts"] = {**acted.facts, **acted.included}
    if outcome is Outcome.SKIPPED:
        result["skipped"] = True
    if outcome is Outcome.UNREACHABLE:
        result |= {"unreachable": True, "failed": False}
    return result


def censored(event: Event) -> Event:
    """Return an event of a task with ``no_log``: of a change only what it is, and what resuming and undoing it need."""
    change = event.data.get("change")
    if not isinstance(change, Mapping):
        return event
    hidden: dict[str, Any] = {"change": {**change, "before": None, "after": None, "diff": ""}}
    if event.data.get("error"):
        hidden["error"] = CENSORED
    if event.data.get("effect"):
        hidden["effect"] = ""
    return dataclasses.replace(event, data={**event.data, **hidden})


def jsonable(value: Any) -> Any:
    """Return `value` as JSON can write it; a secret is masked."""
    found = value
    if isinstance(value, Mapping):
        found = {item if isinstance(item, str) else str(item): jsonable(value[item]) for item in value}
    elif isinstance(value, (list, tuple)):
        found = [jsonable(item) for item in value]
    elif isinstance(value, (set, frozenset)):
        found = sorted(map(jsonable, value), key=str)
    elif isinstance(value, (date, datetime)):
        found = value.isoformat()
    elif not (value is None or isinstance(value, (bool, int))) and not (isinstance(value, float) and math.isfinite(value)):
        found = str(value)  # a secret says *** of itself
    return found
