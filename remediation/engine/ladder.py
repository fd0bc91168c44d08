"""A ladder on one host: the goal first, then the least destructive remedy that what was found calls for, until it is met.

The goal has three values. Met: nothing is changed. Unknown: it is made known once by its own safe means and looked at
again. Unmet: a diagnosis orders the rungs (`remediation.engine.arrange`), and after each one the goal is looked at again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from remediation.engine.arrange import Choice, Left, Order, Rung, arrange
from remediation.engine.executor import execute
from remediation.engine.gate import weigh
from remediation.engine.goal import GoalSight, clarify, look_at
from remediation.engine.outcomes import outcome_of
from remediation.engine.ports import StepContext, nothing_proven, under
from remediation.engine.records import build, change_to_json
from remediation.engine.unmet import by_hand, came_to
from remediation.model.change import Change, Risk, StepCall, highest
from remediation.model.errors import HostError, RemediationError
from remediation.model.outcome import Outcome, Result

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.model.finding import Diagnosis

RunRung = Callable[[Rung], Sequence[Result]]
"""Runs a rung's tasks as the play would, stopping at the first bad one, and returns what became of each."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """A goal (steps that must all be met) and the remedies that may lead to it.

    ``again`` evaluates the goal's parameters anew: a rung may have chosen another model.
    """

    goal: tuple[StepCall, ...]
    rungs: tuple[Rung, ...]
    again: Callable[[], tuple[StepCall, ...]] | None = None

    def wanted(self) -> tuple[StepCall, ...]:
        """Return the goal as it is now."""
        return self.again() if self.again is not None else self.goal


def climb(ladder: Ladder, context: StepContext, run_rung: RunRung) -> Result:
    """Reach the ladder's goal, or in check mode list what would be tried; never raises `RemediationError`."""
    attempt = Climb(ladder, context, run_rung)
    try:
        return attempt.run()
    except HostError as error:
        return Result(outcome_of(error), error.message, tuple(attempt.done), next_step=error.next_step)
    except RemediationError as error:
        return Result(Outcome.FAILED, error.message, tuple(attempt.done), next_step=error.next_step)


@dataclass(slots=True)
class Climb:
    """One pass over a ladder.

    ``tried`` are the rungs with what they came to, ``refused`` the first that was blocked, ``moment`` the look by which the host
    was judged last: goal, causes and order of the rungs rest on the same one.
    """

    ladder: Ladder
    context: StepContext
    run_rung: RunRung
    done: list[Change] = field(default_factory=list)
    tried: dict[str, Result] = field(default_factory=dict)
    refused: Result | None = None
    told: set[tuple[str, str]] = field(default_factory=set)
    diagnosis: Diagnosis = field(default_factory=nothing_proven)
    left: tuple[Left, ...] = ()
    foreseen: dict[str, tuple[Result, ...]] = field(default_factory=dict)
    moment: Reader | None = None

    def run(self) -> Result:
        """Walk the ladder to its end."""
        self._take_up()
        # a rung that a lost process had begun is climbed to its end before anything else: its own tasks may have unloaded the model
        under_way = self.context.path in self.context.memory.climbing and not self.context.policy.check
        goal = self._goal(patient=False, clarifying=not under_way)
        if goal.state and not under_way:
            return self._end(Outcome.CHANGED if self.done else Outcome.OK, goal.text, goal)
        return self._rehearse(goal) if self.context.policy.check else self._climb(goal)

    def _take_up(self) -> None:
        """Count what an earlier process of this run did on this ladder, so that the result says changed."""
        memory = self.context.memory
        for changes in (memory.done, memory.in_flight):
            for path, of_path in changes.items():
                if under(path, self.context.path):
                    self.done += of_path

    def _goal(self, *, patient: bool, clarifying: bool = True) -> GoalSight:
        goal = self._looked(patient=patient)
        if goal.state is not None or not clarifying:
            return goal
        self.done += clarify(goal, self.context)
        return goal if self.context.policy.check else self._looked(patient=True)

    def _looked(self, *, patient: bool) -> GoalSight:
        goal = look_at(self.ladder.wanted(), self.context, patient=patient)
        self.moment = goal.moment
        self.context.emit("goal", state=goal.word, text=goal.text, values=dict(goal.values))
        return goal

    def _diagnose(self) -> None:
        from remediation.diagnosis.diagnose import to_json  # noqa: PLC0415 - a run without a ladder needs no causes

        self.moment = self.context.access.reader_for("diagnosis", moment=self.moment)
        self.diagnosis = self.context.ports.diagnose(self.moment)
        self.context.emit("findings", diagnosis=to_json(self.diagnosis))

    def _order(self, rungs: Sequence[Rung]) -> Order:
        policy = self.context.policy
        order = arrange(rungs, self.diagnosis, last_resort=policy.last_resort, risk_of=self._risk_of, every_risk=policy.check)
        self.left = order.left
        for left in order.left:
            self._skip(left.rung, left.reason)
        return order

    def _skip(self, rung: Rung, reason: str, risk: Risk | None = None) -> None:
        if (rung.name, reason) not in self.told:
            self.told.add((rung.name, reason))
            known = {} if risk is None else {"risk": str(risk)}
            self.context.emit(
                "rung_skipped", rung=rung.name, treats=[str(cause) for cause in rung.treats], reason=reason, **known
            )

    def _risk_of(self, rung: Rung) -> Risk:
        """Return the highest risk of what the rung's steps would do now; a step that cannot say counts with its own."""
        rehearsal = self.context.rehearsal(self.moment)
        results = self.foreseen[rung.name] = tuple(execute(call, rehearsal) for call in rung.calls)
        own = [
            build(call, self.context.ports.steps()).risk
            for call, result in zip(rung.calls, results, strict=True)
            if result.outcome.bad and not result.changes
        ]
        return highest([*own, *(change.risk for result in results for change in result.changes if change.risk is not None)])

    def _climb(self, goal: GoalSight) -> Result:
        path, memory = self.context.path, self.context.memory
        climbed = set(memory.climbed.get(path, ()))
        remaining = [rung for rung in self.ladder.rungs if rung.name not in climbed]
        self._diagnose()
        while not self.context.ports.cancelled():
            choice = self._next(remaining, memory.climbing.pop(path, ""))
            if choice is None:
                return self._not_met(goal)
            result = self._try(choice)
            if result.outcome is Outcome.UNREACHABLE:
                return self._end(result.outcome, result.reason, goal, next_step=result.next_step)
            remaining.remove(choice.rung)
            goal = self._goal(patient=bool(result.changes))  # where nothing was changed there is nothing to wait for
            if goal.state:
                return self._end(Outcome.CHANGED if self.done else Outcome.OK, goal.text, goal)
            if result.changes:
                self._diagnose()
        return self._end(Outcome.UNVERIFIED if self.done else Outcome.SKIPPED, f"interrupted; {goal.text}", goal)

    def _next(self, remaining: Sequence[Rung], under_way: str) -> Choice | None:
        """Return the rung to try next: the one a lost process had begun, else the first in order."""
        for rung in remaining:
            if rung.name == under_way:
                return Choice(rung, confirmed=True, risk=None, reason="was under way when the run was cut off")
        order = self._order(remaining)
        choice = next((one for one in order.choices if self._suits(one)), None)
        if choice is not None and self.refused is not None and not choice.confirmed:
            # a proven cure was refused: guessing is no substitute for it
            for other in order.choices:
                self._skip(other.rung, "not confirmed, and a rung that treats a confirmed cause was blocked")
            return None
        return choice

    def _suits(self, choice: Choice) -> bool:
        """Return whether a rung can be climbed on this kind of host; where one of its steps does not apply, it is skipped."""
        reason = self._inapplicable(choice.rung)
        if reason:
            self._skip(choice.rung, reason, choice.risk)
        return not reason

    def _inapplicable(self, rung: Rung) -> str:
        """Return why a step of the rung does not apply to this kind of host, "" where all of them do."""
        if rung.name not in self.foreseen:
            self._risk_of(rung)
        return next((result.reason for result in self.foreseen[rung.name] if not result.applies), "")

    def _try(self, choice: Choice) -> Result:
        rung = choice.rung
        self._start(choice)
        if rung.name not in self.foreseen:
            # read off what is known already, so that each of its steps then asks for all it needs at once (`facets.look`)
            self._risk_of(rung)
        refused = self._refusal(rung)
        results = (refused,) if refused else tuple(self.run_rung(rung))
        changes = () if refused else tuple(change for result in results for change in result.changes)
        self.done += [change for change in changes if change not in self.done]
        bad = next((result for result in results if result.outcome.bad), None)
        outcome = bad.outcome if bad else (Outcome.CHANGED if changes else Outcome.OK)
        result = Result(outcome, bad.reason if bad else "", changes, {}, bad.next_step if bad else "")
        self.tried[rung.name] = result
        if outcome is Outcome.BLOCKED and choice.confirmed and self.refused is None:
            self.refused = result
        self.context.emit("rung_end", rung=rung.name, path=self.context.path, outcome=str(outcome), reason=result.reason)
        return result

    def _refusal(self, rung: Rung) -> Result | None:
        """Return why the rung as a whole may not be climbed, before its first change: half a remedy helps nobody."""
        policy, classes = self.context.policy, [build(call, self.context.ports.steps()) for call in rung.calls]
        if all(step.risk <= policy.max_risk and step.risk is not Risk.DESTRUCTIVE and not step.needs for step in classes):
            return None
        self._risk_of(rung)
        foreseen = self.foreseen[rung.name]
        blocked = next((result for result in foreseen if result.outcome is Outcome.BLOCKED), None)
        if blocked is not None:
            return blocked
        refusal = weigh([change for result in foreseen for change in result.changes], self.context)
        return Result(Outcome.BLOCKED, refusal.reason, next_step=refusal.next_step) if refusal else None

    def _start(self, choice: Choice, **more: Any) -> None:  # noqa: ANN401 - JSON fields of the event
        self.context.emit(
            "rung_start",
            rung=choice.rung.name,
            path=self.context.path,
            treats=[str(cause) for cause in choice.rung.treats],
            reason=choice.reason,
            **({} if choice.risk is None else {"risk": str(choice.risk)}),
            **more,
        )

    def _rehearse(self, goal: GoalSight) -> Result:
        """List the rungs in their order, with what they would change and where the ladder is predicted to stop."""
        self._diagnose()
        order = self._order(self.ladder.rungs)
        if goal.state is None and not any(choice.confirmed for choice in order.choices):
            return self._end(Outcome.WOULD_CHANGE, f"not known before {self._summaries()}: {goal.text}", goal)
        stop = ""
        listed: list[dict[str, Any]] = []
        for choice in filter(self._suits, order.choices):
            foreseen = self.foreseen.get(choice.rung.name, ())
            stops = not stop and choice.confirmed and not any(result.outcome.bad for result in foreseen)
            changes = [change for result in foreseen for change in result.changes]
            reached = not stop
            if stop:
                self._skip(choice.rung, f"not reached: {stop} is predicted to meet the goal", choice.risk)
            else:
                changes = self._rehearse_rung(choice, foreseen, stops=stops) or changes
            stop = stop or (choice.rung.name if stops else "")
            listed.append(
                {
                    "rung": choice.rung.name,
                    "treats": [str(cause) for cause in choice.rung.treats],
                    "reason": choice.reason,
                    "risk": None if choice.risk is None else str(choice.risk),
                    "stops": stops,
                    "reached": reached,
                    "changes": [change_to_json(change) for change in changes],
                }
            )
        if not self.done:
            return self._not_met(goal)
        end = f"; would stop after {stop}" if stop else ""
        return self._end(Outcome.WOULD_CHANGE, f"{goal.text}{end}", goal, foreseen=listed)

    def _rehearse_rung(self, choice: Choice, foreseen: Sequence[Result], *, stops: bool) -> list[Change]:
        predicted = next((result.values["predicted"] for result in reversed(foreseen) if result.values.get("predicted")), None)
        known = {"predicted": predicted} if predicted else {}
        self._start(choice, stops=stops, **known)
        results = tuple(self.run_rung(choice.rung))
        changes = [change for result in results for change in result.changes]
        self.done += changes
        bad = next((result for result in results if result.outcome.bad), None)
        if bad is not None:
            self.tried[choice.rung.name] = bad
        return changes

    def _summaries(self) -> str:
        return ", ".join(change.summary for change in self.done) or "the model is loaded"

    def _not_met(self, goal: GoalSight) -> Result:
        """Return the end of a ladder that ran out of rungs, with what is left to do by hand."""
        offered = [left for left in self.left if left.allowed or not self._inapplicable(left.rung)]
        next_step = by_hand(self.ladder.rungs, self.tried, self.diagnosis, offered, otherwise=goal.next_step)
        blocked = next(((name, result) for name, result in self.tried.items() if result.outcome is Outcome.BLOCKED), None)
        if blocked is not None:
            name, result = blocked
            reason = f"{result.reason} (rung {name!r}); {goal.text}"
            return self._end(Outcome.BLOCKED, reason, goal, next_step=result.next_step)
        if not self.tried:
            causes = ", ".join(str(finding.cause) for finding in self.diagnosis.findings) or "nothing that is proven"
            return self._end(Outcome.FAILED, f"{goal.text}; no rung of this ladder treats {causes}", goal, next_step=next_step)
        return self._end(Outcome.UNVERIFIED, f"{goal.text} after {came_to(self.tried)}", goal, next_step=next_step)

    def _end(
        self, outcome: Outcome, reason: str, goal: GoalSight, *, next_step: str = "", foreseen: Sequence[Any] = ()
    ) -> Result:
        values = {
            **goal.values,
            "goal": goal.word,
            "rungs": [item["rung"] for item in foreseen] or list(self.tried),
            "causes": [str(finding.cause) for finding in self.diagnosis.findings],
        }
        if foreseen:
            values["foreseen"] = list(foreseen)
        return Result(outcome, reason, tuple(self.done), values, next_step)
