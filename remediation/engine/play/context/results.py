"""Results in the form that ``register`` stores, and in the form of events."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.model.outcome import Outcome, Result
from remediation.modules.result import ActionResult

CENSORED = "the output is hidden: no_log was set for this task"


def of_result(result: Result) -> ActionResult:
    """Return the action result of a step or a ladder."""
    return ActionResult(result.outcome, {**result.values, "msg": result.reason}, result.reason, result.next_step, told=result)


def refused_result(error: RemediationError, outcome: Outcome = Outcome.FAILED) -> ActionResult:
    """Return the action result of an error: its message with its place."""
    where = f"{error.place}: " if error.place else ""
    return ActionResult(outcome, {"msg": f"{where}{error.message}"}, f"{where}{error.message}", error.next_step)


def registered(acted: ActionResult) -> dict[str, Any]:
    """Return the result as Ansible registers it: the returned values, and whether it changed, failed or was skipped."""
    outcome = acted.outcome
    changed = outcome in {Outcome.CHANGED, Outcome.WOULD_CHANGE} or bool(acted.told and acted.told.changes)
    result = {"changed": changed, **acted.values, "failed": outcome.bad, "outcome": str(outcome)}
    if acted.facts or acted.included or acted.gathered:
        result["ansible_facts"] = {**acted.facts, **acted.included, **acted.gathered}
    if outcome is Outcome.SKIPPED:
        result["skipped"] = True
    if outcome is Outcome.UNREACHABLE:
        result |= {"unreachable": True, "failed": False}
    return result


def censored(event: Event) -> Event:
    """Return an event of a task with ``no_log``: of a change it keeps the summary, and what resume and undo need."""
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
    """Return `value` in a JSON-compatible form; secrets are masked."""
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
        found = str(value)  # str() of a secret is masked
    return found
