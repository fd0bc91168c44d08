"""The result of an action, before the task's own conditions are evaluated."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.model.outcome import Outcome, Result


@dataclass(frozen=True, slots=True)
class ActionResult:
    """The result of one attempt at a task, before the task's own conditions are evaluated.

    ``values`` go into the registered result, ``facts``, ``included`` and ``gathered`` into the host's variables; ``step_result``
    holds the changes of a step.
    """

    outcome: Outcome = Outcome.OK
    values: Mapping[str, Any] = field(default_factory=dict)
    reason: str = ""
    next_step: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)
    included: Mapping[str, Any] = field(default_factory=dict)
    gathered: Mapping[str, Any] = field(default_factory=dict)
    step_result: Result | None = None


def failed_result(reason: str, next_step: str = "", **values: Any) -> ActionResult:
    """Return the result of a task that failed; `reason` becomes ``msg`` unless `values` has one."""
    return ActionResult(Outcome.FAILED, {"msg": reason, **values}, reason, next_step)


def skipped_result(reason: str, **values: Any) -> ActionResult:
    """Return the result of a task that did nothing, and need not."""
    return ActionResult(Outcome.SKIPPED, {"msg": reason, **values}, reason)


def done_result(*, changed: bool, check: bool = False, **values: Any) -> ActionResult:
    """Return the result of a task that succeeded."""
    word = (Outcome.WOULD_CHANGE if check else Outcome.CHANGED) if changed else Outcome.OK
    return ActionResult(word, values)
