"""A ladder in check mode: the rungs that a run would try, what each would change, and where the ladder is predicted to stop.

Nothing is promised that a run would not do: a rung that would fail or be refused is shown so, and a rung is the last one only
where its own prediction meets the goal.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from remediation.engine.arrange import left_out, proven
from remediation.engine.records import change_to_json
from remediation.model.outcome import Outcome, Result

if TYPE_CHECKING:
    from remediation.engine.arrange import Choice
    from remediation.engine.foresight import Foresight
    from remediation.engine.goal import GoalSight
    from remediation.engine.ladder import Climb


def rehearse(climb: Climb, goal: GoalSight) -> Result:
    """Return what a run would come to on this ladder."""
    climb.diagnose()
    if goal.state is None and not proven(climb.diagnosis):
        first = ", ".join(change.summary for change in climb.done) or "the model is loaded"
        return climb.end(Outcome.WOULD_CHANGE, f"not known before {first}: {goal.text}", goal)
    # where a rung is tried the goal is known, and what made it known has failed or was not enough
    pending = climb.context.memory.pending
    pending[:] = [change for change in pending if change not in climb.done]
    order = climb.order(climb.ladder.rungs)
    choices = order.choices if not goal.advice else [choice for choice in order.choices if choice.confirmed]
    listed: list[dict[str, Any]] = []
    stop = ""
    carried_out: dict[str, frozenset[str]] = {}
    for choice in choices:
        foresight = climb.foresee(choice.rung)
        climb.learned(choice.rung)
        left = left_out(choice.rung, climb.diagnosis, last_resort=True)
        if foresight.inapplicable or left is not None:
            climb.skip(choice.rung, foresight.inapplicable or (left.reason if left else ""))
            continue
        enough = next((name for name, treats in carried_out.items() if treats.issuperset(choice.rung.treats)), "")
        if stop or enough:
            why = f"not reached: {stop} is predicted to meet the goal" if stop else f"only where {enough} is not enough"
            climb.skip(choice.rung, why, choice.risk)
            listed.append(_entry(choice, foresight, stops=False, reached=False))
            continue
        stops = _show(climb, choice, foresight)
        stop = choice.rung.name if stops else ""
        if choice.rung.name not in climb.tried:
            carried_out[choice.rung.name] = frozenset(choice.rung.treats)
        listed.append(_entry(choice, foresight, stops=stops, reached=True))
    if not carried_out:
        return climb.not_met(goal)
    end = f"would stop after {stop}" if stop else "no rung is predicted to meet the goal"
    return climb.end(Outcome.WOULD_CHANGE, f"{goal.text}; {end}", goal, foreseen=listed)


def _show(climb: Climb, choice: Choice, foresight: Foresight) -> bool:
    """Tell one rung and its changes, and keep what would stop it; return whether it is predicted to meet the goal."""
    refusal = foresight.refusal(climb.context)
    failing = foresight.bad
    carried_out = refusal is None and failing is None and bool(foresight.changes)
    stops = carried_out and foresight.meets(climb.ladder.wanted(), climb.context)
    known = {"predicted": foresight.predicted} if carried_out and foresight.predicted else {}
    climb.start(choice, stops=stops, would=_would(foresight, blocked=refusal is not None), **known)
    if foresight.changes or failing is not None:
        results = tuple(climb.run_rung(choice.rung))
        if carried_out:
            climb.done += [change for result in results for change in result.changes]
            failing = next((result for result in results if result.outcome.bad), None)
    if refusal is not None:
        climb.tried[choice.rung.name] = Result(Outcome.BLOCKED, refusal.reason, next_step=refusal.next_step)
    elif failing is not None or not carried_out:
        climb.tried[choice.rung.name] = failing or Result(Outcome.OK)
    return stops and failing is None


def _would(foresight: Foresight, *, blocked: bool) -> str:
    if blocked:
        return "be blocked"
    if foresight.bad is not None:
        return "fail"
    return "change" if foresight.changes else "change nothing"


def _entry(choice: Choice, foresight: Foresight, *, stops: bool, reached: bool) -> dict[str, Any]:
    return {
        "rung": choice.rung.name,
        "treats": [str(cause) for cause in choice.rung.treats],
        "reason": choice.reason,
        "risk": None if choice.risk is None else str(choice.risk),
        "stops": stops,
        "reached": reached,
        "changes": [change_to_json(change) for change in foresight.changes],
    }
