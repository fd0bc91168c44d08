"""A ladder on one host: tries the least destructive remedy that the diagnosis calls for until the goal is met.

The goal has three values. Met: nothing is changed. Unknown: its own safe probes are run once and it is observed again. Unmet:
a diagnosis orders the rungs (`remediation.engine.ladder.rung_order`), and the goal is observed again after each one. In check
mode the rungs are listed (`dry_run`): a rung that would fail or be refused is shown so, and the list ends at a rung only if
that rung's own prediction meets the goal.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remediation.engine.approval import check_risk
from remediation.engine.context import StepContext, empty_diagnosis, under
from remediation.engine.journal.serialization import build, change_to_json
from remediation.engine.ladder.advice import LadderEnding, advise, summarize, untreated_causes
from remediation.engine.ladder.goal import HANG, GoalObservation, observe_goal, probe_goal
from remediation.engine.ladder.preview import Foresight, foresee
from remediation.engine.ladder.rung_order import Rung, RungChoice, RungOrder, SkippedRung, arrange, left_out, proven_findings
from remediation.engine.step.attempts import outcome_of
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import HostError, RemediationError
from remediation.model.event_data import FindingsData, GoalData, RungData, RungEndData, RungForesight
from remediation.model.outcome import Outcome, Result

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader
    from remediation.model.finding import Cause, Diagnosis, RuledOut


RunRung = Callable[[Rung], Sequence[Result]]
"""Runs a rung's tasks as the play would, stopping at the first failure, and returns their results."""


@dataclass(frozen=True, slots=True)
class Ladder:
    """A goal (steps that must all be met) and the remedies that may meet it.

    ``reevaluate`` evaluates the goal's parameters again, because a rung may have chosen another model.
    """

    goal: tuple[StepCall, ...]
    rungs: tuple[Rung, ...]
    reevaluate: Callable[[], tuple[StepCall, ...]] | None = None

    def current_goal(self) -> tuple[StepCall, ...]:
        """Return the goal with its current parameters."""
        return self.reevaluate() if self.reevaluate is not None else self.goal


def run_ladder(ladder: Ladder, context: StepContext, run_rung: RunRung) -> Result:
    """Meet the ladder's goal, or in check mode list what would be tried; never raises `RemediationError`."""
    attempt = LadderRun(ladder, context, run_rung)
    context.memory.failed = {}
    try:
        return attempt.run()
    except HostError as error:
        return Result(outcome_of(error), error.message, tuple(attempt.done), next_step=error.next_step)
    except RemediationError as error:
        return Result(Outcome.FAILED, error.message, tuple(attempt.done), next_step=error.next_step)
    finally:
        context.memory.failed = None


@dataclass(slots=True)
class LadderRun:
    """One run of a ladder.

    ``tried`` are the rungs with their results, ``absent`` the rungs with a step that does not apply to this kind of host,
    ``excluded`` the causes that a step ruled out. ``snapshot`` is the latest snapshot: goal, causes and rung order are all
    based on it.
    """

    ladder: Ladder
    context: StepContext
    run_rung: RunRung
    done: list[Change] = field(default_factory=list)
    tried: dict[str, Result] = field(default_factory=dict)
    emitted: set[tuple[str, str]] = field(default_factory=set)
    diagnosis: Diagnosis = field(default_factory=empty_diagnosis)
    excluded: dict[Cause, RuledOut] = field(default_factory=dict)
    absent: dict[str, str] = field(default_factory=dict)
    left: tuple[SkippedRung, ...] = ()
    foreseen: dict[str, Foresight] = field(default_factory=dict)
    snapshot: Reader | None = None

    def run(self) -> Result:
        """Observe the goal, and try one rung after the other until it is met or none is left."""
        self._restore_progress()
        path, memory = self.context.path, self.context.memory
        # finish the rung of an interrupted process first: its tasks may have unloaded the model
        under_way = path in memory.climbing and not self.context.policy.check
        goal = self._goal(patient=False, clarifying=not under_way, hang=0.0 if self.context.policy.check else HANG)
        if goal.state and not under_way:
            return self._met(goal)
        if self.context.policy.check:
            return dry_run(self, goal)
        self.diagnose()
        remaining = self._remaining_rungs()
        while not self.context.ports.cancelled():
            choice = self._next(remaining, goal, memory.climbing.pop(path, ""))
            if choice is None:
                return self.not_met(goal)
            result = self._try(choice)
            if result.outcome is Outcome.UNREACHABLE:
                return self.end(result.outcome, result.reason, goal, next_step=result.next_step)
            remaining.remove(choice.rung)
            goal = self._goal(patient=bool(result.changes))  # without a change there is nothing to wait for
            if goal.state:
                return self._met(goal)
            if result.changes:
                self.diagnose()
            self._exclude(self._lasting_exclusions(result.ruled_out, changed=bool(result.changes)))
        outcome = Outcome.UNVERIFIED if self.done else Outcome.SKIPPED
        return replace(self.end(outcome, f"interrupted; {goal.text}", goal), interrupted=True)

    def _met(self, goal: GoalObservation) -> Result:
        return self.end(Outcome.CHANGED if self.done else Outcome.OK, goal.text, goal)

    def _remaining_rungs(self) -> list[Rung]:
        """Return the rungs that no earlier process of the run has finished. What those ruled out only that process knew."""
        climbed = set(self.context.memory.climbed.get(self.context.path, ()))
        for rung in self.ladder.rungs:
            if rung.name in climbed:
                self.changes_order(rung)
        return [rung for rung in self.ladder.rungs if rung.name not in climbed]

    def _restore_progress(self) -> None:
        """Add the changes that an earlier process of this run made on this ladder, so that the result is "changed"."""
        memory = self.context.memory
        for changes in (memory.done, memory.in_flight):
            for path, of_path in changes.items():
                if under(path, self.context.path):
                    self.done += of_path

    def _goal(self, *, patient: bool, clarifying: bool = True, hang: float = 0.0) -> GoalObservation:
        goal = self._observe_goal(patient=patient, hang=hang)
        if goal.state is not None or not clarifying:
            return goal
        self.done += probe_goal(goal, self.context)
        return goal if self.context.policy.check else self._observe_goal(patient=True)

    def _observe_goal(self, *, patient: bool, hang: float = 0.0) -> GoalObservation:
        goal = observe_goal(self.ladder.current_goal(), self.context, patient=patient, hang=hang)
        self.snapshot = goal.snapshot
        self.context.emit("goal", **GoalData(state=goal.word, text=goal.text, values=dict(goal.values)))
        return goal

    def diagnose(self) -> None:
        """Diagnose the causes; causes that a step ruled out permanently stay ruled out."""
        from remediation.diagnosis.diagnose import to_json

        self.snapshot = self.context.access.reader_for("diagnosis", snapshot=self.snapshot)
        self.diagnosis = self.context.ports.diagnose(self.snapshot)
        self.excluded = {cause: item for cause, item in self.excluded.items() if cause.excluded_for_good}
        self.foreseen.clear()
        self._exclude(())
        self.context.emit("findings", **FindingsData(diagnosis=to_json(self.diagnosis)))

    def _exclude(self, found: Sequence[RuledOut]) -> bool:
        """Rule out the causes in `found`; return whether the diagnosis had not ruled out one of them before."""
        self.excluded.update({item.cause: item for item in found})
        known = self.diagnosis
        new = any(not known.rules_out(cause) for cause in self.excluded)
        self.diagnosis = replace(
            known,
            findings=tuple(one for one in known.findings if one.cause not in self.excluded),
            ruled_out=(*(one for one in known.ruled_out if one.cause not in self.excluded), *self.excluded.values()),
        )
        return new

    def order(self, rungs: Sequence[Rung]) -> RungOrder:
        """Return the ordered rungs. Those of a confirmed cause are dry-run first, because the findings affect the order."""
        policy = self.context.policy
        while True:
            here = [rung for rung in rungs if rung.name not in self.absent]
            order = arrange(
                here, self.diagnosis, last_resort=policy.last_resort, risk_of=self._risk_of, every_risk=policy.check,
                tried=self._past(), safe=lambda rung: self.foresee(rung).safe,
            )  # fmt: skip
            sure = [choice.rung for choice in order.choices if choice.confirmed]
            if not any(self.changes_order(rung) for rung in sure or [choice.rung for choice in order.choices[:1]]):
                break
        for left in order.left:
            if self._without_container(left.rung):
                from remediation.steps.resolve import NO_CONTAINER

                self.absent[left.rung.name] = NO_CONTAINER
            self.skip(left.rung, self.absent.get(left.rung.name, left.reason))
        self.left = tuple(left for left in order.left if left.rung.name not in self.absent)
        return order

    def _without_container(self, rung: Rung) -> bool:
        """Return whether a step of the rung changes a container and the target has none; no dry run is needed for that."""
        from remediation.steps.resolve import served_natively

        steps = self.context.ports.steps()
        inside = any(steps[call.step].in_container and "container" not in call.params for call in rung.calls)
        try:
            return inside and self.snapshot is not None and served_natively(self.snapshot)
        except HostError:
            return False  # the target is not known

    def _past(self) -> list[tuple[Rung, bool]]:
        """Return the rungs tried here or by an interrupted process, with whether they changed something."""
        climbed = self.context.memory.climbed.get(self.context.path, ())
        known = [
            (rung, self.tried.get(rung.name)) for rung in self.ladder.rungs if rung.name in self.tried or rung.name in climbed
        ]
        return [(rung, bool(self.done) if result is None else bool(result.changes)) for rung, result in known]

    def changes_order(self, rung: Rung) -> bool:
        """Return whether a dry run of the rung changes the order: it does not apply here, or rules out a cause."""
        reason = self.foresee(rung).inapplicable
        if reason and rung.name not in self.absent:
            self.absent[rung.name] = reason
            self.skip(rung, reason)
            return True
        return self._exclude(self._lasting_exclusions(self.foresee(rung).ruled_out, changed=bool(self.foresee(rung).changes)))

    def _lasting_exclusions(self, found: Sequence[RuledOut], *, changed: bool) -> Sequence[RuledOut]:
        """Return the part of `found` that still holds: all of it if nothing changed, otherwise the permanent exclusions."""
        return [item for item in found if item.cause.excluded_for_good or not changed]

    def skip(self, rung: Rung, reason: str, risk: Risk | None = None) -> None:
        """Emit once that a rung is skipped, and why."""
        if (rung.name, reason) not in self.emitted:
            self.emitted.add((rung.name, reason))
            data = RungData(rung=rung.name, treats=[str(cause) for cause in rung.treats], reason=reason)
            if risk is not None:
                data["risk"] = str(risk)
            self.context.emit("rung_skipped", **data)

    def foresee(self, rung: Rung) -> Foresight:
        """Return what the rung would do now."""
        if rung.name not in self.foreseen:
            self.foreseen[rung.name] = foresee(rung, self.context, self.snapshot)
        return self.foreseen[rung.name]

    def _risk_of(self, rung: Rung) -> Risk:
        return self.foresee(rung).risk

    def _next(self, remaining: Sequence[Rung], goal: GoalObservation, under_way: str) -> RungChoice | None:
        """Return the rung to try next: the interrupted process's current rung, otherwise the first in order."""
        for rung in remaining:
            if rung.name == under_way:
                return RungChoice(rung, confirmed=True, risk=None, reason="was in progress when the run was interrupted")
        choice = next(iter(self.order(remaining).choices), None)
        if choice is not None and not choice.confirmed and goal.advice:
            self.skip(choice.rung, f"not confirmed, and the goal already says what to do: {goal.text}")
            return None
        return choice

    def _try(self, choice: RungChoice) -> Result:
        rung = choice.rung
        self.start(choice)
        self.foresee(rung)  # from the current snapshot; its steps can then fetch all they need at once
        refused = self._refusal(rung)
        results = (refused,) if refused else tuple(self.run_rung(rung))
        changes = () if refused else tuple(change for result in results for change in result.changes)
        self.done += [change for change in changes if change not in self.done]
        bad = next((result for result in results if result.outcome.bad), None)
        outcome = bad.outcome if bad else (Outcome.CHANGED if changes else Outcome.OK)
        excluded = tuple(item for result in results for item in result.ruled_out)
        next_step = bad.next_step if bad else ""
        result = Result(outcome, bad.reason if bad else "", changes, {}, next_step, ruled_out=excluded)
        self.tried[rung.name] = result
        ended = RungEndData(rung=rung.name, path=self.context.path, outcome=str(outcome), reason=result.reason)
        if self.context.ports.cancelled():  # some tasks may not have started
            ended["interrupted"] = True
        self.context.emit("rung_end", **ended)
        return result

    def _refusal(self, rung: Rung) -> Result | None:
        """Return a refusal of the whole rung before its first change: half a remedy is useless."""
        policy, classes = self.context.policy, [build(call, self.context.ports.steps()) for call in rung.calls]
        if all(step.risk <= policy.max_risk and step.risk is not Risk.DESTRUCTIVE and not step.needs for step in classes):
            return None
        foreseen = self.foresee(rung)
        blocked = next((result for result in foreseen.results if result.outcome is Outcome.BLOCKED), None)
        if blocked is not None:
            return blocked
        refusal = check_risk(foreseen.changes, self.context)
        return Result(Outcome.BLOCKED, refusal.reason, next_step=refusal.next_step) if refusal else None

    def start(self, choice: RungChoice, foresight: RungForesight | None = None) -> None:
        """Emit that a rung starts; in check mode `foresight` says what it would do."""
        data = RungData(rung=choice.rung.name, treats=[str(cause) for cause in choice.rung.treats], reason=choice.reason)
        data["path"] = self.context.path
        if choice.risk is not None:
            data["risk"] = str(choice.risk)
        known: dict[str, Any] = {**data, **(foresight or RungForesight())}
        self.context.emit("rung_start", **known)

    def not_met(self, goal: GoalObservation) -> Result:
        """Return the result of a ladder that ran out of rungs, with the remaining manual work."""
        left = [item for item in self.left if item.allowed or not self.changes_order(item.rung)]
        known = (goal.advice, goal.next_step)
        advice = advise(LadderEnding(self.ladder.rungs, self.tried, self.diagnosis, left, self._destroys, *known))
        if advice.blocked is not None:
            name, result = advice.blocked
            reason = f"{result.reason} (rung {name!r}); {goal.text}"
            return self.end(Outcome.BLOCKED, reason, goal, next_step=advice.next_step)
        if self.tried:
            return self.end(Outcome.UNVERIFIED, f"{goal.text} after {summarize(self.tried)}", goal, next_step=advice.next_step)
        why = untreated_causes(self.ladder.rungs, self.absent, self.diagnosis)
        return self.end(Outcome.FAILED, "; ".join(filter(None, (goal.text, why))), goal, next_step=advice.next_step)

    def _destroys(self, rung: Rung) -> bool:
        steps = self.context.ports.steps()
        return any(build(call, steps).risk is Risk.DESTRUCTIVE for call in rung.calls)

    def end(
        self, outcome: Outcome, reason: str, goal: GoalObservation, *, next_step: str = "", foreseen: Sequence[Any] = ()
    ) -> Result:
        """Return the ladder's result."""
        values = {
            **goal.values,
            "goal": goal.word,
            "rungs": [item["rung"] for item in foreseen] or list(self.tried),
            "causes": [str(finding.cause) for finding in self.diagnosis.findings],
        }
        if foreseen:
            values["foreseen"] = list(foreseen)
        return Result(outcome, reason, tuple(self.done), values, next_step)


def dry_run(climb: LadderRun, goal: GoalObservation) -> Result:
    """Return what a run of this ladder would do."""
    climb.diagnose()
    if goal.state is None and not proven_findings(climb.diagnosis):
        first = ", ".join(change.summary for change in climb.done) or "the model is loaded"
        return climb.end(Outcome.WOULD_CHANGE, f"unknown until {first}: {goal.text}", goal)
    # once a rung is tried the goal is known: its probe failed or was not enough
    pending = climb.context.memory.pending
    pending[:] = [change for change in pending if change not in climb.done]
    order = climb.order(climb.ladder.rungs)
    choices = order.choices if not goal.advice else [choice for choice in order.choices if choice.confirmed]
    listed: list[dict[str, Any]] = []
    stop = ""
    carried_out: dict[str, frozenset[str]] = {}
    for choice in choices:
        foresight = climb.foresee(choice.rung)
        climb.changes_order(choice.rung)
        left = left_out(choice.rung, climb.diagnosis, last_resort=True)
        if foresight.inapplicable or left is not None:
            climb.skip(choice.rung, foresight.inapplicable or (left.reason if left else ""))
            continue
        enough = next((name for name, treats in carried_out.items() if treats.issuperset(choice.rung.treats)), "")
        if stop or enough:
            why = f"not reached: {stop} is predicted to meet the goal" if stop else f"only if {enough} is not enough"
            climb.skip(choice.rung, why, choice.risk)
            listed.append(_entry(choice, foresight, stops=False, reached=False))
            continue
        stops = _preview(climb, choice, foresight)
        stop = choice.rung.name if stops else ""
        if choice.rung.name not in climb.tried:
            carried_out[choice.rung.name] = frozenset(choice.rung.treats)
        listed.append(_entry(choice, foresight, stops=stops, reached=True))
    if not carried_out:
        return climb.not_met(goal)
    end = f"would stop after {stop}" if stop else "no rung is predicted to meet the goal"
    return climb.end(Outcome.WOULD_CHANGE, f"{goal.text}; {end}", goal, foreseen=listed)


def _preview(climb: LadderRun, choice: RungChoice, foresight: Foresight) -> bool:
    """Emit one rung and its changes, and record what would stop it; return whether it is predicted to meet the goal."""
    refusal = foresight.refusal(climb.context)
    failing = foresight.bad
    carried_out = refusal is None and failing is None and bool(foresight.changes)
    stops = carried_out and foresight.meets(climb.ladder.current_goal(), climb.context)
    shown = RungForesight(stops=stops, would=_predicted_verb(foresight, blocked=refusal is not None))
    if carried_out and foresight.predicted:
        shown["predicted"] = foresight.predicted
    climb.start(choice, shown)
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


def _predicted_verb(foresight: Foresight, *, blocked: bool) -> str:
    if blocked:
        return "be blocked"
    if foresight.bad is not None:
        return "fail"
    return "change" if foresight.changes else "change nothing"


def _entry(choice: RungChoice, foresight: Foresight, *, stops: bool, reached: bool) -> dict[str, Any]:
    return {
        "rung": choice.rung.name,
        "treats": [str(cause) for cause in choice.rung.treats],
        "reason": choice.reason,
        "risk": None if choice.risk is None else str(choice.risk),
        "stops": stops,
        "reached": reached,
        "changes": [change_to_json(change) for change in foresight.changes],
    }
