"""Results in the form that ``register`` stores, and in the form of events."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from remediation.model.errors import ParameterError, RemediationError
from remediation.model.event import Event
from remediation.model.outcome import Outcome, Result
from remediation.modules.result import ActionResult

CENSORED = "the output is hidden: no_log was set for this task"
NO_TRACEBACK = "(traceback unavailable)"
"""The ``exception`` of a failed result: what ansible-core has there without ``-vvv``."""

ANSIBLE_OUTCOMES = frozenset(
    {Outcome.OK, Outcome.CHANGED, Outcome.WOULD_CHANGE, Outcome.SKIPPED, Outcome.FAILED, Outcome.UNREACHABLE}
)
"""Outcomes that the other keys of a registered result tell."""


def of_result(result: Result) -> ActionResult:
    """Return the action result of a step or a ladder."""
    values = {**result.values, "msg": result.reason, "outcome": str(result.outcome)}
    return ActionResult(result.outcome, values, result.reason, result.next_step, step_result=result)


def refused_result(error: RemediationError, outcome: Outcome = Outcome.FAILED) -> ActionResult:
    """Return the action result of an error: its message with its place."""
    where = f"{error.place}: " if error.place else ""
    message = error.ansible_message if isinstance(error, ParameterError) and error.ansible_message else f"{where}{error.message}"
    return ActionResult(outcome, {"msg": message}, f"{where}{error.message}", error.next_step)


def to_registered(acted: ActionResult) -> dict[str, Any]:
    """Return the result as Ansible registers it: the returned values, and whether it changed, failed or was skipped."""
    outcome = acted.outcome
    changed = outcome in {Outcome.CHANGED, Outcome.WOULD_CHANGE} or bool(acted.step_result and acted.step_result.changes)
    result = {"changed": changed, **acted.values, "failed": outcome.bad}
    result |= outcome_key(result, outcome)
    if acted.facts or acted.included or acted.gathered:
        result["ansible_facts"] = {**acted.facts, **acted.included, **acted.gathered}
    if outcome is Outcome.SKIPPED:
        result["skipped"] = True
    if outcome.bad:
        result["exception"] = NO_TRACEBACK
    if outcome is Outcome.UNREACHABLE:
        result |= {"unreachable": True, "failed": False}
        del result["exception"]
    return result


def outcome_key(result: Mapping[str, Any], outcome: Outcome) -> dict[str, str]:
    """Return the key ``outcome`` of a result: that of a step or a ladder has it, others only if Ansible lacks the outcome."""
    return {"outcome": str(outcome)} if "outcome" in result or outcome not in ANSIBLE_OUTCOMES else {}


def censor(event: Event) -> Event:
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


def _key(key: Any) -> str:
    """Return a mapping's key as JSON writes it."""
    return {True: "true", False: "false", None: "null"}[key] if key is None or isinstance(key, bool) else str(key)


def jsonable(value: Any) -> Any:
    """Return `value` in a JSON-compatible form; secrets are masked."""
    found = value
    if isinstance(value, Mapping):
        found = {_key(item): jsonable(value[item]) for item in value}
    elif isinstance(value, (list, tuple)):
        found = [jsonable(item) for item in value]
    elif isinstance(value, (set, frozenset)):
        found = sorted(map(jsonable, value), key=str)
    elif isinstance(value, (date, datetime)):
        found = value.isoformat()
    elif not (value is None or isinstance(value, (bool, int))) and not (isinstance(value, float) and math.isfinite(value)):
        found = str(value)  # str() of a secret is masked
    return found
