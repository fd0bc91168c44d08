"""Runs one step on one host: observe, plan, check the risk, apply one change, observe again, until the state is met.

The state decides, not an exit code: a change that reported an error but reached the state counts as a change; one that
reported success but did not reach it is ``unverified``. A write whose answer was lost is followed by an observation and never
sent again.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remediation.engine.approval import Refusal, check_needs, check_risk, notify_user, predict_refusal
from remediation.engine.context import SNAPSHOT_TTL, PlanMembership, StepContext
from remediation.engine.internal_errors import InternalError
from remediation.engine.journal.serialization import build, change_to_json
from remediation.engine.step.attempts import ChangeAttempt, PullReporter, outcome_of
from remediation.engine.step.observation import Observation, confirm, observe, rounds
from remediation.model.change import Change
from remediation.model.errors import (
    Blocked,
    CallFailed,
    DeadlineExceeded,
    HostError,
    NotApplicable,
    OutcomeUnknown,
    RemediationError,
    Undecided,
    Unreachable,
)
from remediation.model.event_data import ChangeEndData, ChangeStartData, PlannedData
from remediation.model.outcome import Outcome, Result
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.model.change import StepCall
    from remediation.steps.contract import Step

EXTRA_CHANGES = 3
"""How many changes beyond the first plan a step may make before it is assumed that something undoes them (a browser restarts
a process that was closed).
"""

_PENDING_CHANGES = "unknown until the changes above are made"


def execute_step(call: StepCall, context: StepContext) -> Result:
    """Reach the state that `call` names, or in check mode predict the changes; never raises `RemediationError`."""
    try:
        step = build(call, context.ports.steps())
    except RemediationError as error:
        return Result(Outcome.FAILED, error.message, next_step=error.next_step)
    attempt = Attempt(step, context, begun=context.access.clock.monotonic())
    try:
        with context.contain_errors():
            return attempt.run()
    except NotApplicable as error:
        return replace(attempt.end(Outcome.SKIPPED, error.message), applies=False)
    except HostError as error:
        if context.policy.check and _may_disappear(error, context.memory.pending):
            return attempt.end(Outcome.SKIPPED, f"{_PENDING_CHANGES}: {error.message}")
        return attempt.end(outcome_of(error), error.message, next_step=error.next_step)
    except RemediationError as error:
        return attempt.end(Outcome.FAILED, error.message, next_step=error.next_step)


def _may_disappear(error: HostError, pending: Sequence[Change]) -> bool:
    """Whether changes that check mode has only predicted may take the error away, such as the pull of a model that is not stored."""
    if isinstance(error, Undecided):
        return any(change.subject and change.subject in error.message for change in pending)
    return bool(pending) and type(error) in {CallFailed, DeadlineExceeded}


@dataclass(slots=True)
class Attempt:
    """One run of one step.

    ``done`` are the completed changes, ``sent`` the keys of the attempted ones. ``last`` is the change that was just applied, None
    when an observation follows none. ``most`` is how many changes may be sent before something is assumed to undo them.
    """

    step: Step[Any]
    context: StepContext
    begun: float = 0.0
    done: list[Change] = field(default_factory=list)
    sent: set[tuple[str, str]] = field(default_factory=set)
    consented: set[tuple[str, str]] = field(default_factory=set)
    last: Change | None = None
    most: int = 0
    deferred_error: HostError | None = None
    clarified: bool = False

    def run(self) -> Result:
        """Observe, apply a change and observe again, until the state is met or no change may follow."""
        found: Observation | Result = self._first_observation()
        while isinstance(found, Observation):
            decision = self._decide(found)
            found = self._apply_change(decision, found) if isinstance(decision, Change) else decision
        return found

    def _first_observation(self) -> Observation:
        memory, path = self.context.memory, self.context.path
        self.done += memory.done.pop(path, ())
        self.sent.update(map(self._key, self.done))  # by an interrupted process
        observation = observe(self.step, self.context, max_age=SNAPSHOT_TTL)
        for change in memory.in_flight.pop(path, ()):
            observation = self._reconcile_in_flight(change, observation)
        return observation

    def _decide(self, observation: Observation) -> Change | Observation | Result:
        """Return the change to make next, the result if there is none, or a new observation once an unknown state was clarified."""
        if observation.state:
            return self._met(observation)
        if self.last is not None:
            return self._failed_change(self.last, observation) or self._next_change(observation)
        if observation.state is None:
            return self._clarify(observation)
        if not observation.plan:
            return self._no_plan(observation)
        if self.context.policy.check:
            return self._predict(observation)
        # changes sent by an interrupted process were in its plan
        self.most = len(self.sent) + len(observation.plan) + EXTRA_CHANGES
        return self._next_change(observation)

    def _next_change(self, observation: Observation) -> Change | Observation | Result:
        selected = [item for item in observation.plan if self._selection(item) is not PlanMembership.LEFT_OUT]
        change = next((item for item in selected if self._key(item) not in self.sent), None)
        if change is None and len(selected) < len(observation.plan):
            return self._left_out(observation)
        if change is None or len(self.sent) >= self.most:
            unknown = observation.state is None and not self.clarified
            return self._clarify(observation) if unknown else self._end_unverified(observation)
        return self._stop_reason(change, observation) or change

    def _key(self, change: Change) -> tuple[str, str]:
        """Return the identity of a change as the journal has it, with secrets masked."""
        mask = self.context.ports.mask.text
        return mask(change.summary), mask(change.subject)

    def _reconcile_in_flight(self, change: Change, observation: Observation) -> Observation:
        """Check a change that was in flight when an earlier process of this run ended; it is repeated only if it did not happen."""
        change = next((item for item in observation.plan if self._key(item) == self._key(change)), change)
        if observation.plans(change) and not self.context.policy.check:
            observation = self._settle(change, observation)
        if observation.plans(change):
            self.context.note(f"{change.summary}: was in flight when the run was interrupted, and did not happen")
        else:
            self.done.append(change)
            self.sent.add(self._key(change))
            self.context.note(f"{change.summary}: was in flight when the run was interrupted, and did happen")
        return observation

    def _clarify(self, observation: Observation) -> Observation | Result:
        """Determine an unknown state with the step's own safe probe, once. A state that stays unknown counts as not met."""
        call = None if self.clarified else self.step.probe_step(observation.seen)
        self.clarified, self.last = True, None
        if call is None:
            if observation.plan:
                return replace(observation, state=False)
            return self.end(Outcome.UNVERIFIED, f"state unknown: {observation.text}", observation)
        first = execute_step(call, self.context.below("clarify"))
        self.done += first.changes
        if self.context.policy.check or first.outcome is Outcome.UNREACHABLE:
            return self.end(first.outcome, first.reason or observation.text, observation, next_step=first.next_step)
        again = observe(self.step, self.context)
        if again.state is None and not again.plan:
            why = f": {first.reason}" if first.outcome.bad else ""
            reason = f"state unknown: {again.text}{why}"
            return self.end(Outcome.UNVERIFIED, reason, again, next_step=first.next_step)
        return again if again.state is not None else replace(again, state=False)

    def _predict(self, observation: Observation) -> Result:
        memory = self.context.memory
        if all(change.measures for change in observation.plan):
            return self.end(Outcome.SKIPPED, f"{observation.text}; check mode measures nothing", observation)
        for offset, change in enumerate(observation.plan):
            self.context.emit("change_planned", **self._plan_data(memory.changes + offset, change))
        lack = check_needs(observation.plan, self.context, self.step.name)
        if lack is not None:
            return self._end_refused(lack, observation)
        memory.changes += len(observation.plan)
        memory.pending += observation.plan
        self.done += observation.plan
        refusal = predict_refusal(observation.plan, self.context)
        reason = f"{observation.text}; would be blocked: {refusal.reason}" if refusal else observation.text
        return self.end(Outcome.WOULD_CHANGE, reason, observation, next_step=refusal.next_step if refusal else "")

    def _stop_reason(self, change: Change, observation: Observation) -> Result | None:
        """Return why the next change is not made: it failed before, Ctrl-C, the task's time limit, or the risk gate."""
        earlier = (self.context.memory.failed or {}).get(change.key)
        if earlier is not None:
            return replace(earlier, changes=tuple(self.done), values=dict(observation.values), repeated=True)
        limit = self.context.timeout
        if limit is not None and self.context.access.clock.monotonic() - self.begun > limit:
            return self.end(Outcome.TIMED_OUT, f"not finished within {limit:g} s; {observation.text}", observation)
        refusal = None if self.context.ports.cancelled() else self._check_risk(observation)
        if refusal is not None:
            return self._end_refused(refusal, observation)
        if self.context.ports.cancelled():  # possibly during the question or the warning
            outcome = Outcome.UNVERIFIED if self.done else Outcome.SKIPPED
            return replace(self.end(outcome, f"interrupted before: {change.summary}", observation), interrupted=True)
        return None

    def _failed_change(self, change: Change, observation: Observation) -> Result | None:
        """Return the result if the change failed or had no effect."""
        error, remains = self.deferred_error, observation.plans(change)
        if error is not None and (remains or not self._has_more(observation)):
            failed = self.end(outcome_of(error), error.message, observation, next_step=error.next_step)
        elif remains:
            reason = f"{change.summary}: no effect within {self.step.settle:g} s; {observation.text}"
            failed = self.end(Outcome.UNVERIFIED, reason, observation)
        else:
            return None
        if self.context.memory.failed is not None:
            # an earlier change that has to be repeated for this one (an unload before a load) would have no effect either
            again = [item for item in self.done if observation.plans(item)]
            self.context.memory.failed.update({item.key: failed for item in (change, *again)})
        return failed

    def _selection(self, change: Change) -> PlanMembership:
        return self.context.ports.select(self.context.host, self.context.path, change)

    def _left_out(self, observation: Observation) -> Result:
        names = ", ".join(item.summary for item in observation.plan)
        return self.end(Outcome.CHANGED if self._has_changed else Outcome.SKIPPED, f"excluded by the user: {names}", observation)

    def _check_risk(self, observation: Observation) -> Refusal | None:
        new = [
            item
            for item in observation.plan
            if item.key not in self.consented and self._selection(item) is not PlanMembership.LEFT_OUT
        ]
        if not new:
            return None
        unplanned = [item.summary for item in new if self._selection(item) is PlanMembership.UNPLANNED]
        if unplanned:
            return Refusal(f"stale plan: {', '.join(unplanned)} is not in it", "save a new plan with --check --out")
        refusal = check_risk(new, self.context, self.step.name)
        if refusal is None:
            notify_user(new, self.context.access.writer(), self.context)
            self.consented.update(item.key for item in new)
        return refusal

    def _apply_change(self, change: Change, before: Observation) -> Observation:
        """Apply one change and observe until it shows. It is journaled before it is sent and again when its effect is known."""
        context, clock = self.context, self.context.access.clock
        context.memory.seen = None
        context.hold(self.step.deadline)
        index, context.memory.changes = context.memory.changes, context.memory.changes + 1
        planned = self._plan_data(index, change)
        writer = context.access.writer(PullReporter(context.emit, planned))
        started = ChangeStartData(
            index=index, path=context.path, step=self.step.name, change=planned["change"], deadline=self.step.deadline
        )
        context.emit("change_start", **started)
        begun = clock.monotonic()
        self.sent.add(self._key(change))
        self.last, self.deferred_error = change, None
        tried, written = ChangeAttempt(), _write_count(context.access)
        try:
            with context.contain_errors():
                with self._defer_error(change, tried):
                    self.step.apply(writer, change)
                after = self._settle(change, before)
        except (HostError, InternalError) as error:
            if tried.applied:  # the change was made, although it could not be observed
                tried.effect = f"done, but the host could not be observed afterwards: {error.message}"
            else:
                # a change may take several calls, and the first ones may have succeeded
                unsent = isinstance(error, Blocked | Unreachable) and not tried.error and _write_count(context.access) == written
                tried.applied = False if unsent else None
                tried.error = _join_errors(tried.error, error.message)
            self._emit_change_end(change, tried, planned, clock.monotonic() - begun)
            raise
        finally:
            context.hold(0.0)
        tried.effect = self.step.measured_effect(change, before.seen, after.seen)
        if not tried.applied and (after.state or not after.plans(change)):
            # the state overrides the error
            although = f"made, although the call ended with: {tried.error}" if tried.error else ""
            tried = ChangeAttempt(applied=True, effect="; ".join(filter(None, (tried.effect, although))))
        elif tried.uncertain:
            tried.error = f"{tried.error}; checked again, not repeated"
        self._emit_change_end(change, tried, planned, clock.monotonic() - begun)
        return after

    def _emit_change_end(self, change: Change, tried: ChangeAttempt, planned: PlannedData, seconds: float) -> None:
        if tried.applied:
            self.done.append(change)
            if self.context.memory.failed:
                self.context.memory.failed.clear()
        ended = ChangeEndData(**planned, applied=tried.applied, error=tried.error, effect=tried.effect, seconds=seconds)
        self.context.emit("change_end", **ended)

    def _plan_data(self, index: int, change: Change) -> PlannedData:
        return PlannedData(index=index, path=self.context.path, step=self.step.name, change=change_to_json(change))

    @contextmanager
    def _defer_error(self, change: Change, tried: ChangeAttempt) -> Iterator[None]:
        """Keep an error of the change's call until the host was observed; without a connection or a lease, raise it."""
        begun = self.context.access.clock.monotonic()
        try:
            yield
        except (Unreachable, Blocked):
            raise
        except OutcomeUnknown as error:
            tried.error, tried.uncertain = error.message, True
        except HostError as error:
            tried.error = error.message
            self.deferred_error = error
        else:
            tried.applied = True
            took = self.context.access.clock.monotonic() - begun
            if took > self.step.deadline:
                sentence = f"{change.summary}: took {took:.1f} s, more than the allowed {self.step.deadline:g} s"
                self.deferred_error = DeadlineExceeded(sentence, host=self.context.host)

    def _settle(self, change: Change, before: Observation) -> Observation:
        """Observe until the state is met, the change shows and others remain, or the settle time is over."""
        observation: Observation = before
        error: HostError | None = None
        refused = isinstance(self.deferred_error, CallFailed)  # a clear refusal is observed once: nothing is pending
        for _last in rounds(0.0 if refused else self.step.settle, self.context.access.clock, self.context.ports):
            try:
                observation, error = observe(self.step, self.context), None
            except (CallFailed, DeadlineExceeded) as silent:  # a service that was just restarted may not answer yet
                error = silent
                continue
            if observation.state or (not observation.plans(change) and self._has_more(observation)):
                break
        if error is not None:
            raise error
        return observation

    def _has_more(self, observation: Observation) -> bool:
        return any(self._key(item) not in self.sent for item in observation.plan)

    def _met(self, observation: Observation) -> Result:
        doubt = confirm(self.step, self.context, observation) if self.context.memory.changes else ""
        if doubt:
            return self.end(Outcome.UNVERIFIED, f"{observation.text}; {doubt}", observation)
        result = self.end(Outcome.CHANGED if self._has_changed else Outcome.OK, observation.text, observation)
        return replace(result, ruled_out=tuple(self.step.rules_out(observation.seen)))

    def _no_plan(self, observation: Observation) -> Result:
        if self.done:
            return self._end_unverified(observation)
        if self.context.policy.check and self.context.memory.pending:
            return self.end(Outcome.SKIPPED, f"{_PENDING_CHANGES}: {observation.text}", observation)
        reason = f"not converged, and no permitted change would help: {observation.text}"
        return self.end(Outcome.FAILED, reason, observation, next_step=self.step.advice(observation.seen))

    def _end_unverified(self, observation: Observation) -> Result:
        left = f"; remaining: {', '.join(item.summary for item in observation.plan)}" if observation.plan else ""
        number = (len(self.sent) or len(self.done)) - sum(change.measures for change in self.done)
        text = f"{observation.text}{left}"
        reason = f"not met after {plural(number, 'change')}: {text}" if number else f"not met: {text}"
        return self.end(
            Outcome.UNVERIFIED, reason, observation, next_step="" if observation.plan else self.step.advice(observation.seen)
        )

    @property
    def _has_changed(self) -> bool:
        """Whether something was changed, not only measured."""
        return any(not change.measures for change in self.done)

    def _end_refused(self, refusal: Refusal, observation: Observation) -> Result:
        return self.end(Outcome.BLOCKED, refusal.reason, observation, next_step=refusal.next_step)

    def end(self, outcome: Outcome, reason: str, observation: Observation | None = None, *, next_step: str = "") -> Result:
        """Return the step's result."""
        return Result(outcome, reason, tuple(self.done), dict(observation.values) if observation else {}, next_step)


def _write_count(access: HostAccess) -> int:
    """Return how often the host may have been changed so far."""
    return int(getattr(access, "written", 0))


def _join_errors(first: str, second: str) -> str:
    """Return why a change failed, and why its effect is unknown."""
    return f"{first}; the host could not be observed afterwards: {second}" if first else second
