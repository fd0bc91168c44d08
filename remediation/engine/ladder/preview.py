"""Predicts what a rung would do on a host now, from its steps in check mode."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.approval import Refusal, predict_refusal
from remediation.engine.journal.serialization import build
from remediation.engine.step.executor import execute_step
from remediation.model.change import Change, Risk, StepCall, highest
from remediation.model.outcome import Outcome, Result

if TYPE_CHECKING:
    from remediation.engine.context import StepContext
    from remediation.engine.ladder.rung_order import Rung
    from remediation.facets.protocols import Reader
    from remediation.model.finding import RuledOut


@dataclass(frozen=True, slots=True)
class Foresight:
    """The results of a rung's steps in check mode, and the highest risk of their changes."""

    results: tuple[Result, ...]
    risk: Risk

    @property
    def inapplicable(self) -> str:
        """Why a step of the rung does not apply to this kind of host; "" if all of them do."""
        return next((result.reason for result in self.results if not result.applies), "")

    @property
    def bad(self) -> Result | None:
        """The first step that would fail or be blocked, None if there is none."""
        return next((result for result in self.results if result.outcome.bad), None)

    @property
    def changes(self) -> tuple[Change, ...]:
        """The changes that the rung would make."""
        return tuple(change for result in self.results for change in result.changes)

    @property
    def safe(self) -> bool:
        """Whether the rung can run, would change something, and none of its changes is disruptive."""
        return self.bad is None and bool(self.changes) and self.risk <= Risk.SAFE

    @property
    def ruled_out(self) -> tuple[RuledOut, ...]:
        """The causes that a step of the rung ruled out."""
        return tuple(item for result in self.results for item in result.ruled_out)

    @property
    def predicted(self) -> Any:
        """The last prediction among the rung's steps; None if there is none or nothing would change."""
        if self.bad is not None or not self.changes:
            return None
        return next((result.values["predicted"] for result in reversed(self.results) if result.values.get("predicted")), None)

    def refusal(self, context: StepContext) -> Refusal | None:
        """Return why a run would refuse the rung: an unmet need, or the user's limits."""
        blocked = next((result for result in self.results if result.outcome is Outcome.BLOCKED), None)
        if blocked is not None:
            return Refusal(blocked.reason, blocked.next_step)
        return predict_refusal(self.changes, context)

    def meets(self, goal: Sequence[StepCall], context: StepContext) -> bool:
        """Return whether the rung is predicted to meet every part of the goal."""
        if self.predicted is None:
            return False
        steps = context.ports.steps()
        return all(build(call, steps).reached_by({"predicted": self.predicted}) for call in goal)


def foresee(rung: Rung, context: StepContext, snapshot: Reader | None) -> Foresight:
    """Return what `rung` would do according to `snapshot`. A step that fails without changes counts with its own risk."""
    rehearsal = context.rehearsal(snapshot)
    results = tuple(execute_step(call, rehearsal) for call in rung.calls)
    own = [
        build(call, context.ports.steps()).risk
        for call, result in zip(rung.calls, results, strict=True)
        if result.outcome.bad and not result.changes
    ]
    planned = [change.risk for result in results for change in result.changes if change.risk is not None]
    return Foresight(results, highest([*own, *planned]))
