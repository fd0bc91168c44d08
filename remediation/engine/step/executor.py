"""Runs one step on one host: observe, plan, check the risk, apply one change, observe again, until the state is met.

The state decides, not an exit code: a change that reported an error but reached the state counts as a change; one that
reported success but did not reach it is ``unverified``. A write whose answer was lost is followed by an observation and never
sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remediation.engine.approval import Refusal, check_risk, missing, notify_user, predict_refusal
from remediation.engine.context import Selected, StepContext
from remediation.engine.internal_errors import InternalError
from remediation.engine.journal.serialization import build, change_to_json
from remediation.engine.step.attempts import ChangeAttempt, PullReporter, outcome_of
from remediation.engine.step.observation import Observation, confirm, observe, rounds
from remediation.model.errors import (
    Blocked,
    CallFailed,
    DeadlineExceeded,
    HostError,
    NotApplicable,
    OutcomeUnknown,
    RemediationError,
    Unreachable,
)
from remediation.model.outcome import Outcome, Result
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Writer
    from remediation.model.change import Change, StepCall
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
    return Attempt(step, context).run()


@dataclass(slots=True)
class Attempt:
    """One run of one step. ``done`` are the completed changes, ``sent`` the keys of the attempted ones."""

    step: Step[Any]
    context: StepContext
    done: list[Change] = field(default_factory=list)
    sent: set[tuple[str, str]] = field(default_factory=set)
    consented: set[tuple[str, str]] = field(default_factory=set)
    begun: float = 0.0
    deferred_error: HostError | None = None
    clarified: bool = False

    def run(self) -> Result:
        """Run the step; an error becomes the matching outcome."""
        self.begun = self.context.access.clock.monotonic()
        try:
            with self.context.contained():
                return self._walk()
        except NotApplicable as error:
            return replace(self._end(Outcome.SKIPPED, error.message), applies=False)
        except HostError as error:
            if self.context.policy.check and self.context.memory.pending and type(error) in {CallFailed, DeadlineExceeded}:
                return self._end(Outcome.SKIPPED, f"{_PENDING_CHANGES}: {error.message}")
            return self._end(outcome_of(error), error.message, next_step=error.next_step)
        except RemediationError as error:
            return self._end(Outcome.FAILED, error.message, next_step=error.next_step)

    def _walk(self) -> Result:
        memory, path = self.context.memory, self.context.path
        self.done += memory.done.pop(path, ())
        self.sent.update(map(self._key, self.done))  # by an interrupted process
        observation = observe(self.step, self.context, reuse=True)
        for change in memory.in_flight.pop(path, ()):
            observation = self._reconcile_in_flight(change, observation)
        if observation.state is None:
            return self._unknown(observation)
        return self._known(observation)

    def _key(self, change: Change) -> tuple[str, str]:
        """Return the identity of a change as the journal has it, with secrets masked."""
        mask = self.context.ports.mask.text
        return mask(change.summary), mask(change.subject)

    def _known(self, observation: Observation) -> Result:
        if observation.state:
            return self._met(observation)
        if not observation.plan:
            return self._no_plan(observation)
        return self._predict(observation) if self.context.policy.check else self._carry_out(observation)

    def _reconcile_in_flight(self, change: Change, observation: Observation) -> Observation:
        """Check a change that was in flight when an earlier process of this run ended; it is repeated only if it did not happen."""
        change = next((item for item in observation.plan if self._key(item) == self._key(change)), change)
        if observation.plans(change) and not self.context.policy.check:
            observation = self._settled(change, observation)
        if observation.plans(change):
            self.context.note(f"{change.summary}: was in flight when the run was interrupted, and did not happen")
        else:
            self.done.append(change)
            self.sent.add(self._key(change))
            self.context.note(f"{change.summary}: was in flight when the run was interrupted, and did happen")
        return observation

    def _unknown(self, observation: Observation) -> Result:
        """Determine an unknown state with the step's own safe probe, once."""
        call = None if self.clarified else self.step.probe_step(observation.seen)
        self.clarified = True
        if call is None:
            if observation.plan:
                return self._known(replace(observation, state=False))
            return self._end(Outcome.UNVERIFIED, f"state unknown: {observation.text}", observation)
        first = execute_step(call, self.context.below("clarify"))
        self.done += first.changes
        if self.context.policy.check or first.outcome is Outcome.UNREACHABLE:
            return self._end(first.outcome, first.reason or observation.text, observation, next_step=first.next_step)
        again = observe(self.step, self.context)
        if again.state is None and not again.plan:
            why = f": {first.reason}" if first.outcome.bad else ""
            reason = f"state unknown: {again.text}{why}"
            return self._end(Outcome.UNVERIFIED, reason, again, next_step=first.next_step)
        return self._known(again if again.state is not None else replace(again, state=False))

    def _predict(self, observation: Observation) -> Result:
        memory = self.context.memory
        for offset, change in enumerate(observation.plan):
            self.context.emit(
                "change_planned",
                index=memory.changes + offset,
                path=self.context.path,
                step=self.step.name,
                change=change_to_json(change),
            )
        lack = missing(observation.plan, self.context)
        if lack is not None:
            return self._refused(lack, observation)
        memory.changes += len(observation.plan)
        memory.pending += observation.plan
        self.done += observation.plan
        refusal = predict_refusal(observation.plan, self.context)
        reason = f"{observation.text}; would be blocked: {refusal.reason}" if refusal else observation.text
        return self._end(Outcome.WOULD_CHANGE, reason, observation, next_step=refusal.next_step if refusal else "")

    def _carry_out(self, observation: Observation) -> Result:
        most = len(self.sent) + len(observation.plan) + EXTRA_CHANGES  # changes sent by an interrupted process were in its plan
        while True:
            change = next((item for item in self._selected(observation) if self._key(item) not in self.sent), None)
            if change is None and len(self._selected(observation)) < len(observation.plan):
                return self._left_out(observation)
            if change is None or len(self.sent) >= most:
                return (
                    self._unknown(observation)
                    if observation.state is None and not self.clarified
                    else self._unverified(observation)
                )
            halted = self._stop_reason(change, observation)
            if halted is not None:
                return halted
            observation = self._apply_change(change, observation)
            if observation.state:
                return self._met(observation)
            failed = self._failed(change, observation)
            if failed is not None:
                if self.context.memory.failed is not None and change not in self.done:
                    self.context.memory.failed[change.key] = failed
                return failed

    def _stop_reason(self, change: Change, observation: Observation) -> Result | None:
        """Return why the next change is not made: it failed before, Ctrl-C, the task's time limit, or the risk gate."""
        earlier = (self.context.memory.failed or {}).get(change.key)
        if earlier is not None:
            return replace(earlier, changes=tuple(self.done), values=dict(observation.values), repeated=True)
        limit = self.context.timeout
        if limit is not None and self.context.access.clock.monotonic() - self.begun > limit:
            return self._end(Outcome.TIMED_OUT, f"not finished within {limit:g} s; {observation.text}", observation)
        refusal = None if self.context.ports.cancelled() else self._check_risk(observation)
        if refusal is not None:
            return self._refused(refusal, observation)
        if self.context.ports.cancelled():  # possibly during the question or the warning
            outcome = Outcome.UNVERIFIED if self.done else Outcome.SKIPPED
            return replace(self._end(outcome, f"interrupted before: {change.summary}", observation), interrupted=True)
        return None

    def _failed(self, change: Change, observation: Observation) -> Result | None:
        if self.deferred_error is not None and (observation.plans(change) or not self._has_more(observation)):
            return self._end(
                outcome_of(self.deferred_error), self.deferred_error.message, observation, next_step=self.deferred_error.next_step
            )
        if observation.plans(change):
            reason = f"{change.summary}: no effect within {self.step.settle:g} s; {observation.text}"
            return self._end(Outcome.UNVERIFIED, reason, observation)
        return None

    def _selection(self, change: Change) -> Selected:
        return self.context.ports.select(self.context.host, self.context.path, change)

    def _selected(self, observation: Observation) -> list[Change]:
        return [item for item in observation.plan if self._selection(item) is not Selected.LEFT_OUT]

    def _left_out(self, observation: Observation) -> Result:
        names = ", ".join(item.summary for item in observation.plan)
        return self._end(Outcome.CHANGED if self.done else Outcome.SKIPPED, f"excluded by the user: {names}", observation)

    def _check_risk(self, observation: Observation) -> Refusal | None:
        new = [item for item in self._selected(observation) if item.key not in self.consented]
        if not new:
            return None
        unplanned = [item.summary for item in new if self._selection(item) is Selected.UNPLANNED]
        if unplanned:
            return Refusal(f"stale plan: {', '.join(unplanned)} is not in it", "save a new plan with --check --out")
        refusal = check_risk(new, self.context)
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
        which = {"index": index, "step": self.step.name, "path": context.path}
        told = {**which, "change": change_to_json(change)}
        writer = context.access.writer(PullReporter(context.emit, which))
        context.emit("change_start", **told, deadline=self.step.deadline)
        begun = clock.monotonic()
        self.sent.add(self._key(change))
        tried, self.deferred_error, written = ChangeAttempt(), None, _write_count(context.access)
        try:
            with context.contained():
                uncertain = self._apply(change, writer, tried, begun)
                after = self._settled(change, before)
        except (HostError, InternalError) as error:
            if tried.applied:  # the change was made, although it could not be observed
                tried.effect = f"done, but the host could not be observed afterwards: {error.message}"
            else:
                # a change may take several calls, and the first ones may have succeeded
                unsent = isinstance(error, Blocked | Unreachable) and not tried.error and _write_count(context.access) == written
                tried.applied = False if unsent else None
                tried.error = _joined_errors(tried.error, error.message)
            self._emit_change_end(change, tried, told, clock.monotonic() - begun)
            raise
        finally:
            context.hold(0.0)
        tried.effect = self.step.measured_effect(change, before.seen, after.seen)
        if not tried.applied and (after.state or not after.plans(change)):
            # the state overrides the error
            tried = ChangeAttempt(applied=True, effect="; ".join(filter(None, (tried.effect, tried.error))))
        elif uncertain:
            tried.error = f"{tried.error}; checked again, not repeated"
        self._emit_change_end(change, tried, told, clock.monotonic() - begun)
        return after

    def _emit_change_end(self, change: Change, tried: ChangeAttempt, told: dict[str, Any], seconds: float) -> None:
        if tried.applied:
            self.done.append(change)
            if self.context.memory.failed:
                self.context.memory.failed.clear()
        ending = {"applied": tried.applied, "error": tried.error, "effect": tried.effect, "seconds": seconds}
        self.context.emit("change_end", **told, **ending)

    def _apply(self, change: Change, writer: Writer, tried: ChangeAttempt, begun: float) -> bool:
        """Send the change and return whether its answer was lost. An error of the call is kept until after the observation."""
        try:
            self.step.apply(writer, change)
        except (Unreachable, Blocked):
            raise
        except OutcomeUnknown as error:
            tried.error = error.message
            return True
        except HostError as error:
            tried.error = error.message
            self.deferred_error = error
        else:
            tried.applied = True
            took = self.context.access.clock.monotonic() - begun
            if took > self.step.deadline:
                sentence = f"{change.summary}: took {took:.1f} s, more than the allowed {self.step.deadline:g} s"
                self.deferred_error = DeadlineExceeded(sentence, host=self.context.host)
        return False

    def _settled(self, change: Change, before: Observation) -> Observation:
        """Observe until the state is met, the change shows and others remain, or the settle time is over."""
        observation, error = before, None
        refused = isinstance(self.deferred_error, CallFailed)  # a clear refusal is observed once: nothing is pending
        for _last in rounds(0.0 if refused else self.step.settle, self.context.access.clock, self.context.ports):
            observation, error = self._observe_once(observation)
            if error is None and (observation.state or (not observation.plans(change) and self._has_more(observation))):
                break
        if error is not None:
            raise error
        return observation

    def _observe_once(self, before: Observation) -> tuple[Observation, HostError | None]:
        """Observe once. A service that was just restarted may not answer yet, so its error is kept for the last round."""
        try:
            return observe(self.step, self.context), None
        except (CallFailed, DeadlineExceeded) as silent:
            return before, silent

    def _has_more(self, observation: Observation) -> bool:
        return any(self._key(item) not in self.sent for item in observation.plan)

    def _met(self, observation: Observation) -> Result:
        doubt = confirm(self.step, self.context, observation) if self.context.memory.changes else ""
        if doubt:
            return self._end(Outcome.UNVERIFIED, f"{observation.text}; {doubt}", observation)
        result = self._end(Outcome.CHANGED if self.done else Outcome.OK, observation.text, observation)
        return replace(result, ruled_out=tuple(self.step.rules_out(observation.seen)))

    def _no_plan(self, observation: Observation) -> Result:
        if self.done:
            return self._unverified(observation)
        if self.context.policy.check and self.context.memory.pending:
            return self._end(Outcome.SKIPPED, f"{_PENDING_CHANGES}: {observation.text}", observation)
        reason = f"not converged, and no permitted change would help: {observation.text}"
        return self._end(Outcome.FAILED, reason, observation, next_step=self.step.advice(observation.seen))

    def _unverified(self, observation: Observation) -> Result:
        left = f"; remaining: {', '.join(item.summary for item in observation.plan)}" if observation.plan else ""
        number = len(self.sent) or len(self.done)
        reason = f"not met after {plural(number, 'change')}: {observation.text}{left}"
        return self._end(
            Outcome.UNVERIFIED, reason, observation, next_step="" if observation.plan else self.step.advice(observation.seen)
        )

    def _refused(self, refusal: Refusal, observation: Observation) -> Result:
        return self._end(Outcome.BLOCKED, refusal.reason, observation, next_step=refusal.next_step)

    def _end(self, outcome: Outcome, reason: str, observation: Observation | None = None, *, next_step: str = "") -> Result:
        return Result(outcome, reason, tuple(self.done), dict(observation.values) if observation else {}, next_step)


def _write_count(access: HostAccess) -> int:
    """Return how often the host may have been changed so far."""
    return int(getattr(access, "written", 0))


def _joined_errors(first: str, second: str) -> str:
    """Return why a change failed, and why its effect is unknown."""
    return f"{first}; the host could not be observed afterwards: {second}" if first else second
