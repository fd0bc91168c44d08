"""JSON forms of changes, results and steps: one form for the journal, saved plans and ``--json``."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from pydantic import ValidationError

from remediation.model.change import Change, Need, Risk, StepCall
from remediation.model.errors import UsageError
from remediation.model.event_data import ChangeData
from remediation.model.outcome import Result
from remediation.steps.registry import nearest

if TYPE_CHECKING:
    from remediation.steps.contract import Step


def build(call: StepCall, steps: Mapping[str, type[Step[Any]]]) -> Step[Any]:
    """Return the step named by `call` with validated parameters. Raises `UsageError`."""
    cls = steps.get(call.step)
    if cls is None:
        like = nearest(call.step)
        raise UsageError(f"unknown step {call.step!r}" + (f"; did you mean {like!r}?" if like else ""))
    try:
        return cls(**call.params)
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, item['loc'])) or 'parameters'}: {item['msg']}" for item in error.errors())
        raise UsageError(f"{call.step}: {wrong}", next_step=f"see remediate steps --name {call.step}") from None


def resolve_change(change: Change, step: Step[Any]) -> Change:
    """Return the change with the step's risk and needs where it has none itself."""
    return dataclasses.replace(
        change,
        risk=step.risk if change.risk is None else change.risk,
        needs=step.needs if change.needs is None else change.needs,
    )


def call_to_json(call: StepCall) -> dict[str, Any]:
    """Return a step call as JSON."""
    return {"step": call.step, "params": dict(call.params)}


def call_from_json(value: Mapping[str, Any]) -> StepCall:
    """Return the step call that `call_to_json` wrote."""
    return StepCall(str(value["step"]), dict(value.get("params") or {}))


def change_to_json(change: Change) -> ChangeData:
    """Return a change as JSON (``docs/events.md``)."""
    return ChangeData(
        summary=change.summary,
        subject=change.subject,
        before=change.before,
        after=change.after,
        risk=None if change.risk is None else str(change.risk),
        needs=None if change.needs is None else sorted(str(need) for need in change.needs),
        diff=change.diff,
        undo=call_to_json(change.undo) if change.undo else None,
        asks=change.asks,
        measures=change.measures,
        data=dict(change.data),
    )


def change_from_json(value: Mapping[str, Any]) -> Change:
    """Return the change that `change_to_json` wrote."""
    risk, needs, undo = value.get("risk"), value.get("needs"), value.get("undo")
    return Change(
        summary=str(value["summary"]),
        subject=str(value.get("subject") or ""),
        before=value.get("before"),
        after=value.get("after"),
        risk=None if risk is None else Risk.parse(risk),
        needs=None if needs is None else frozenset(Need(need) for need in needs),
        undo=call_from_json(undo) if undo else None,
        diff=str(value.get("diff") or ""),
        data=dict(value.get("data") or {}),
        asks=str(value.get("asks") or ""),
        measures=bool(value.get("measures")),
    )


def result_to_json(result: Result) -> dict[str, Any]:
    """Return the fields of a ``task_result`` event that come from the result."""
    return {
        "outcome": str(result.outcome),
        "reason": result.reason,
        "next_step": result.next_step,
        "result": dict(result.values),
        "changes": [change_to_json(change) for change in result.changes],
    }
