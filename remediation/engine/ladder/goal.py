"""The goal of a ladder: steps that must all be met, looked at together, with three values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.context import StepContext
from remediation.engine.journal.serialization import build
from remediation.engine.step.executor import execute
from remediation.engine.step.observation import confirm, look, rounds
from remediation.model.change import Change, StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, Undecided

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.steps.contract import Step


@dataclass(frozen=True, slots=True)
class GoalSight:
    """What the goal looked like: met, unmet, or None where it is not known and ``clarifying`` may make it so.

    ``moment`` is the look that it was seen by, None where nothing answered: what else is to be judged can rest on it too. ``advice`` is what a person has to do where no remedy can help, ``silent`` that nothing answered.
    """

    state: bool | None
    text: str
    values: Mapping[str, Any]
    clarifying: tuple[StepCall, ...] = ()
    next_step: str = ""
    moment: Reader | None = None
    advice: str = ""
    silent: bool = False

    @property
    def word(self) -> str:
        """The state as events tell it."""
        return {True: "met", False: "unmet", None: "unknown"}[self.state]


def look_at(goal: Sequence[StepCall], context: StepContext, *, patient: bool) -> GoalSight:
    """Look at every step of the goal. One that seems met is confirmed, except in check mode, which reads only.

    Where a part of the host does not answer, the goal is unmet and the text says so; ``patient`` waits for it as long as
    the step allows its state to settle, because a rung may just have restarted it.
    """
    steps = context.ports.steps()
    sights = [_look(build(call, steps), context, patient=patient) for call in goal]
    states = [sight.state for sight in sights]
    state = False if False in states else (None if None in states else True)
    values = {name: value for sight in sights for name, value in sight.values.items()}
    telling = [sight for sight in sights if sight.state is not True] or sights
    return GoalSight(
        state,
        "; ".join(sight.text for sight in telling if sight.text),
        values,
        tuple(call for sight in sights for call in sight.clarifying),
        next((sight.next_step for sight in telling if sight.next_step), ""),
        sights[-1].moment if sights else None,
        next((sight.advice for sight in telling if sight.advice), ""),
    )


def _look(step: Step[Any], context: StepContext, *, patient: bool) -> GoalSight:
    sight = GoalSight(None, "", {})
    for _last in rounds(step.settle if patient else 0.0, context.access.clock, context.ports):
        sight = _glance(step, context)
        if not sight.silent:
            break
    return sight


def _glance(step: Step[Any], context: StepContext) -> GoalSight:
    """Return what was seen; silent where the host did not answer at all. Raises `Undecided`."""
    try:
        sight = look(step, context, lately=True)
        doubt = confirm(step, context, sight) if sight.state else ""
        again = look(step, context) if doubt else sight  # the request left its traces in the log
    except Undecided:
        raise  # no remedy can be right
    except (CallFailed, DeadlineExceeded) as error:
        return GoalSight(state=False, text=error.message, values={}, next_step=error.next_step, silent=True)
    if doubt:
        advice = step.advice(again.seen) if again.state is False else ""
        return GoalSight(state=False, text=f"{sight.text}; {doubt}", values=sight.values, moment=again.moment, advice=advice)
    call = step.clarify(sight.seen) if sight.state is None else None
    advice = step.advice(sight.seen) if sight.state is False else ""
    return GoalSight(sight.state, sight.text, sight.values, (call,) if call else (), moment=sight.moment, advice=advice)


def clarify(goal: GoalSight, context: StepContext) -> tuple[Change, ...]:
    """Make an unknown goal known by its steps' own safe means, each once; return what was (or would be) changed."""
    results = [execute(call, context.below(f"clarify.{index}")) for index, call in enumerate(goal.clarifying)]
    for result in results:
        if result.outcome.bad and not result.repeated:
            context.note(f"the goal could not be made known: {result.reason}", level="warning")
    return tuple(change for result in results for change in result.changes)
