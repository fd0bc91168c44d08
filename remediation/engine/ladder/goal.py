"""The goal of a ladder: steps that must all be met, observed together, with three values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.context import SNAPSHOT_TTL, StepContext
from remediation.engine.journal.serialization import build
from remediation.engine.step.executor import execute_step
from remediation.engine.step.observation import confirm, observe, rounds
from remediation.model.change import Change, StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, Undecided

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.steps.contract import Step


@dataclass(frozen=True, slots=True)
class GoalObservation:
    """The observed goal: met, unmet, or None if unknown; the steps in ``clarifying`` may then determine it.

    ``snapshot`` is the snapshot it was observed with, None if nothing answered; further checks can reuse it. ``advice`` is
    what a person must do if no remedy can help; ``silent`` means that nothing answered, ``hanging`` that it was waited for.
    """

    state: bool | None
    text: str
    values: Mapping[str, Any]
    clarifying: tuple[StepCall, ...] = ()
    next_step: str = ""
    snapshot: Reader | None = None
    advice: str = ""
    silent: bool = False
    hanging: bool = False

    @property
    def word(self) -> str:
        """The state as a word, as used in events."""
        return {True: "met", False: "unmet", None: "unknown"}[self.state]


HANG = 15.0
"""Seconds for which a ladder waits for a server that hangs before it tries a rung: it may only be short of memory or disk."""


def observe_goal(goal: Sequence[StepCall], context: StepContext, *, patient: bool, hang: float = 0.0) -> GoalObservation:
    """Observe every step of the goal. A step that seems met is confirmed, except in check mode, which only reads.

    If a part of the host does not answer, the goal is unmet and the text says so. With ``patient``, the step's settle time is
    waited for first, because a rung may just have restarted that part. A server that hangs is waited for `hang` seconds longer.
    """
    steps = context.ports.steps()
    observations = [_observe_patiently(build(call, steps), context, patient=patient, hang=hang) for call in goal]
    states = [observation.state for observation in observations]
    state = False if False in states else (None if None in states else True)
    values = {name: value for observation in observations for name, value in observation.values.items()}
    telling = [observation for observation in observations if observation.state is not True] or observations
    return GoalObservation(
        state,
        "; ".join(observation.text for observation in telling if observation.text),
        values,
        tuple(call for observation in observations for call in observation.clarifying),
        next((observation.next_step for observation in telling if observation.next_step), ""),
        observations[-1].snapshot if observations else None,
        next((observation.advice for observation in telling if observation.advice), ""),
    )


def _observe_patiently(step: Step[Any], context: StepContext, *, patient: bool, hang: float) -> GoalObservation:
    observation = GoalObservation(None, "", {})
    for _last in rounds(step.settle if patient else 0.0, context.access.clock, context.ports):
        observation = _observe_once(step, context)
        if not observation.silent:
            break
    if observation.hanging and hang:
        for _last in rounds(hang, context.access.clock, context.ports):
            observation = _observe_once(step, context)
            if not observation.hanging:
                break
    return observation


def _observe_once(step: Step[Any], context: StepContext) -> GoalObservation:
    """Return the observation; ``silent`` if the host did not answer. Raises `Undecided`."""
    try:
        observation = observe(step, context, max_age=SNAPSHOT_TTL)
        doubt = confirm(step, context, observation) if observation.state else ""
        again = observe(step, context) if doubt else observation  # the confirming request changed the log
    except Undecided:
        raise  # no remedy can be chosen
    except (CallFailed, DeadlineExceeded) as error:
        hanging = isinstance(error, DeadlineExceeded)
        return GoalObservation(
            state=False, text=error.message, values={}, next_step=error.next_step, silent=True, hanging=hanging
        )
    if doubt:
        advice = step.advice(again.seen) if again.state is False else ""
        return GoalObservation(
            state=False, text=f"{observation.text}; {doubt}", values=observation.values, snapshot=again.snapshot, advice=advice
        )
    call = step.probe_step(observation.seen) if observation.state is None else None
    advice = step.advice(observation.seen) if observation.state is False else ""
    return GoalObservation(
        observation.state,
        observation.text,
        observation.values,
        (call,) if call else (),
        snapshot=observation.snapshot,
        advice=advice,
    )


def probe_goal(goal: GoalObservation, context: StepContext) -> tuple[Change, ...]:
    """Run the steps' own safe probes of an unknown goal, once each; return the changes made (or predicted)."""
    results = [execute_step(call, context.below(f"clarify.{index}")) for index, call in enumerate(goal.clarifying)]
    for result in results:
        if result.outcome.bad and not result.repeated:
            context.note(f"the goal's state could not be determined: {result.reason}", level="warning")
    return tuple(change for result in results for change in result.changes)
