"""Carries one step out on one host: look, plan, weigh, apply one change, look again, until the state is met.

What counts is the state, not an exit code: a change that reported an error and reached the state is a change, one that
reported success and did not is ``unverified``. A write whose answer was lost is looked at, never sent again.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from remediation.engine.approval import Refusal, foretell, forewarn, missing, weigh
from remediation.engine.context import Selected, StepContext
from remediation.engine.internal_errors import InternalError
from remediation.engine.journal.serialization import build, change_to_json
from remediation.engine.step.attempts import Pulling, Tried, outcome_of
from remediation.engine.step.observation import Sight, confirm, look, rounds
from remediation.model.errors import (
    Blocked,
    CallFailed,
    DeadlineExceeded,
    HostError,
    NotApplicable,
    RemediationError,
    Uncertain,
    Unreachable,
)
from remediation.model.outcome import Outcome, Result
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Writer
    from remediation.model.change import Change, StepCall
    from remediation.steps.contract import Step

UNFORESEEN = 3
"""How many changes beyond the first plan a step may come up with before it is taken for a fight with something that
undoes them (a browser restarts the process that was closed)."""

_UNJUDGED = "cannot be judged before the changes above are made"


def execute(call: StepCall, context: StepContext) -> Result:
    """Reach the state that `call` names, or in check mode say what would be done; never raises `RemediationError`."""
    try:
        step = build(call, context.ports.steps())
    except RemediationError as error:
        return Result(Outcome.FAILED, error.message, next_step=error.next_step)
    return Attempt(step, context).run()


@dataclass(slots=True)
class Attempt:
    """One pass of one step. ``done`` are the changes that were carried out, ``sent`` the keys of those that were tried."""

    step: Step[Any]
    context: StepContext
    done: list[Change] = field(default_factory=list)
    sent: set[tuple[str, str]] = field(default_factory=set)
    consented: set[tuple[str, str]] = field(default_factory=set)
    begun: float = 0.0
    late: HostError | None = None
    clarified: bool = False

    def run(self) -> Result:
        """Carry the step out; an error becomes the outcome it stands for."""
        self.begun = self.context.access.clock.monotonic()
        try:
            with self.context.contained():
                return self._walk()
        except NotApplicable as error:
            return replace(self._end(Outcome.SKIPPED, error.message), applies=False)
        except HostError as error:
            if self.context.policy.check and self.context.memory.pending and type(error) in {CallFailed, DeadlineExceeded}:
                return self._end(Outcome.SKIPPED, f"{_UNJUDGED}: {error.message}")
            return self._end(outcome_of(error), error.message, next_step=error.next_step)
        except RemediationError as error:
            return self._end(Outcome.FAILED, error.message, next_step=error.next_step)

    def _walk(self) -> Result:
        memory, path = self.context.memory, self.context.path
        self.done += memory.done.pop(path, ())
        self.sent.update(map(self._key, self.done))  # by a process that was cut off
        sight = look(self.step, self.context, lately=True)
        for change in memory.in_flight.pop(path, ()):
            sight = self._left_over(change, sight)
        if sight.state is None:
            return self._unknown(sight)
        return self._known(sight)

    def _key(self, change: Change) -> tuple[str, str]:
        """Return what makes two changes the same one, in the form in which the journal has it: secrets masked."""
        mask = self.context.ports.mask.text
        return mask(change.summary), mask(change.subject)

    def _known(self, sight: Sight) -> Result:
        if sight.state:
            return self._met(sight)
        if not sight.plan:
            return self._no_way(sight)
        return self._predict(sight) if self.context.policy.check else self._carry_out(sight)

    def _left_over(self, change: Change, sight: Sight) -> Sight:
        """Look at a change that was in flight when an earlier process of this run ended; only its absence repeats it."""
        change = next((item for item in sight.plan if self._key(item) == self._key(change)), change)
        if sight.plans(change) and not self.context.policy.check:
            sight = self._settled(change, sight)
        if sight.plans(change):
            self.context.note(f"{change.summary}: was in flight when the run was cut off, and has not happened")
        else:
            self.done.append(change)
            self.sent.add(self._key(change))
            self.context.note(f"{change.summary}: was in flight when the run was cut off, and has happened")
        return sight

    def _unknown(self, sight: Sight) -> Result:
        """Make an unknown state known by the step's own safe means, once."""
        call = None if self.clarified else self.step.clarify(sight.seen)
        self.clarified = True
        if call is None:
            if sight.plan:
                return self._known(replace(sight, state=False))
            return self._end(Outcome.UNVERIFIED, f"it cannot be told whether the state is met: {sight.text}", sight)
        first = execute(call, self.context.below("clarify"))
        self.done += first.changes
        if self.context.policy.check or first.outcome is Outcome.UNREACHABLE:
            return self._end(first.outcome, first.reason or sight.text, sight, next_step=first.next_step)
        again = look(self.step, self.context)
        if again.state is None and not again.plan:
            why = f": {first.reason}" if first.outcome.bad else ""
            reason = f"it cannot be told whether the state is met: {again.text}{why}"
            return self._end(Outcome.UNVERIFIED, reason, again, next_step=first.next_step)
        return self._known(again if again.state is not None else replace(again, state=False))

    def _predict(self, sight: Sight) -> Result:
        memory = self.context.memory
        for offset, change in enumerate(sight.plan):
            self.context.emit(
                "change_planned",
                index=memory.changes + offset,
                path=self.context.path,
                step=self.step.name,
                change=change_to_json(change),
            )
        lack = missing(sight.plan, self.context)
        if lack is not None:
            return self._refused(lack, sight)
        memory.changes += len(sight.plan)
        memory.pending += sight.plan
        self.done += sight.plan
        refusal = foretell(sight.plan, self.context)
        reason = f"{sight.text}; would be blocked: {refusal.reason}" if refusal else sight.text
        return self._end(Outcome.WOULD_CHANGE, reason, sight, next_step=refusal.next_step if refusal else "")

    def _carry_out(self, sight: Sight) -> Result:
        most = len(self.sent) + len(sight.plan) + UNFORESEEN  # what a process that was cut off has sent was foreseen by it
        while True:
            change = next((item for item in self._selected(sight) if self._key(item) not in self.sent), None)
            if change is None and len(self._selected(sight)) < len(sight.plan):
                return self._left_out(sight)
            if change is None or len(self.sent) >= most:
                return self._unknown(sight) if sight.state is None and not self.clarified else self._unverified(sight)
            halted = self._halted(change, sight)
            if halted is not None:
                return halted
            sight = self._make(change, sight)
            if sight.state:
                return self._met(sight)
            failed = self._failed(change, sight)
            if failed is not None:
                if self.context.memory.failed is not None and change not in self.done:
                    self.context.memory.failed[change.key] = failed
                return failed

    def _halted(self, change: Change, sight: Sight) -> Result | None:
        """Return why the next change is not made: it failed before, Ctrl-C, the task's own time limit, or the gate."""
        earlier = (self.context.memory.failed or {}).get(change.key)
        if earlier is not None:
            return replace(earlier, changes=tuple(self.done), values=dict(sight.values), repeated=True)
        limit = self.context.timeout
        if limit is not None and self.context.access.clock.monotonic() - self.begun > limit:
            return self._end(Outcome.TIMED_OUT, f"not finished within {limit:g} s; {sight.text}", sight)
        refusal = None if self.context.ports.cancelled() else self._weigh(sight)
        if refusal is not None:
            return self._refused(refusal, sight)
        if self.context.ports.cancelled():  # perhaps while somebody was asked or warned
            outcome = Outcome.UNVERIFIED if self.done else Outcome.SKIPPED
            return replace(self._end(outcome, f"interrupted before: {change.summary}", sight), interrupted=True)
        return None

    def _failed(self, change: Change, sight: Sight) -> Result | None:
        if self.late is not None and (sight.plans(change) or not self._has_more(sight)):
            return self._end(outcome_of(self.late), self.late.message, sight, next_step=self.late.next_step)
        if sight.plans(change):
            reason = f"{change.summary}: no effect within {self.step.settle:g} s; {sight.text}"
            return self._end(Outcome.UNVERIFIED, reason, sight)
        return None

    def _selection(self, change: Change) -> Selected:
        return self.context.ports.select(self.context.host, self.context.path, change)

    def _selected(self, sight: Sight) -> list[Change]:
        return [item for item in sight.plan if self._selection(item) is not Selected.LEFT_OUT]

    def _left_out(self, sight: Sight) -> Result:
        names = ", ".join(item.summary for item in sight.plan)
        return self._end(Outcome.CHANGED if self.done else Outcome.SKIPPED, f"left out by the user: {names}", sight)

    def _weigh(self, sight: Sight) -> Refusal | None:
        new = [item for item in self._selected(sight) if item.key not in self.consented]
        if not new:
            return None
        unplanned = [item.summary for item in new if self._selection(item) is Selected.UNPLANNED]
        if unplanned:
            return Refusal(f"stale plan: {', '.join(unplanned)} is not in it", "look again and save a new plan: --check --out")
        refusal = weigh(new, self.context)
        if refusal is None:
            forewarn(new, self.context.access.writer(), self.context)
            self.consented.update(item.key for item in new)
        return refusal

    def _make(self, change: Change, before: Sight) -> Sight:
        """Apply one change and look until it shows; on disk before it is sent and again when it is known what it did."""
        context, clock = self.context, self.context.access.clock
        context.memory.seen = None
        context.hold(self.step.deadline)
        index, context.memory.changes = context.memory.changes, context.memory.changes + 1
        which = {"index": index, "step": self.step.name, "path": context.path}
        told = {**which, "change": change_to_json(change)}
        writer = context.access.writer(Pulling(context.emit, which))
        context.emit("change_start", **told, deadline=self.step.deadline)
        begun = clock.monotonic()
        self.sent.add(self._key(change))
        tried, self.late, written = Tried(), None, _written(context.access)
        try:
            with context.contained():
                uncertain = self._apply(change, writer, tried, begun)
                after = self._settled(change, before)
        except (HostError, InternalError) as error:
            if tried.applied:  # what was done stays done, though nothing could be seen of it
                tried.effect = f"done, and the host could not be looked at afterwards: {error.message}"
            else:
                # a change may take several calls, of which the first ones came through
                unsent = isinstance(error, Blocked | Unreachable) and not tried.error and _written(context.access) == written
                tried.applied = False if unsent else None
                tried.error = _both(tried.error, error.message)
            self._tell_end(change, tried, told, clock.monotonic() - begun)
            raise
        finally:
            context.hold(0.0)
        tried.effect = self.step.effect(change, before.seen, after.seen)
        if not tried.applied and (after.state or not after.plans(change)):
            # the state decides what the error was worth
            tried = Tried(applied=True, effect="; ".join(filter(None, (tried.effect, tried.error))))
        elif uncertain:
            tried.error = f"{tried.error}; looked at again, not repeated"
        self._tell_end(change, tried, told, clock.monotonic() - begun)
        return after

    def _tell_end(self, change: Change, tried: Tried, told: dict[str, Any], seconds: float) -> None:
        if tried.applied:
            self.done.append(change)
            if self.context.memory.failed:
                self.context.memory.failed.clear()
        ending = {"applied": tried.applied, "error": tried.error, "effect": tried.effect, "seconds": seconds}
        self.context.emit("change_end", **told, **ending)

    def _apply(self, change: Change, writer: Writer, tried: Tried, begun: float) -> bool:
        """Send the change and return whether its answer was lost. An error of the call is kept for after the look."""
        try:
            self.step.apply(writer, change)
        except (Unreachable, Blocked):
            raise
        except Uncertain as error:
            tried.error = error.message
            return True
        except HostError as error:
            tried.error = error.message
            self.late = error
        else:
            tried.applied = True
            took = self.context.access.clock.monotonic() - begun
            if took > self.step.deadline:
                sentence = f"{change.summary}: took {took:.1f} s, and {self.step.deadline:g} s are allowed"
                self.late = DeadlineExceeded(sentence, host=self.context.host)
        return False

    def _settled(self, change: Change, before: Sight) -> Sight:
        """Look until the state is met, or the change shows and others are to be done, or `settle` is over."""
        sight, error = before, None
        refused = isinstance(self.late, CallFailed)  # a clear no is looked at once; nothing is on its way
        for _last in rounds(0.0 if refused else self.step.settle, self.context.access.clock, self.context.ports):
            sight, error = self._glance(sight)
            if error is None and (sight.state or (not sight.plans(change) and self._has_more(sight))):
                break
        if error is not None:
            raise error
        return sight

    def _glance(self, before: Sight) -> tuple[Sight, HostError | None]:
        """Look once; what was just restarted does not answer at once, so its silence is kept for the last look."""
        try:
            return look(self.step, self.context), None
        except (CallFailed, DeadlineExceeded) as silent:
            return before, silent

    def _has_more(self, sight: Sight) -> bool:
        return any(self._key(item) not in self.sent for item in sight.plan)

    def _met(self, sight: Sight) -> Result:
        doubt = confirm(self.step, self.context, sight) if self.context.memory.changes else ""
        if doubt:
            return self._end(Outcome.UNVERIFIED, f"{sight.text}; {doubt}", sight)
        result = self._end(Outcome.CHANGED if self.done else Outcome.OK, sight.text, sight)
        return replace(result, ruled_out=tuple(self.step.rules_out(sight.seen)))

    def _no_way(self, sight: Sight) -> Result:
        if self.done:
            return self._unverified(sight)
        if self.context.policy.check and self.context.memory.pending:
            return self._end(Outcome.SKIPPED, f"{_UNJUDGED}: {sight.text}", sight)
        reason = f"the state is not met, and nothing that this step may do would reach it: {sight.text}"
        return self._end(Outcome.FAILED, reason, sight, next_step=self.step.advice(sight.seen))

    def _unverified(self, sight: Sight) -> Result:
        left = f"; left over: {', '.join(item.summary for item in sight.plan)}" if sight.plan else ""
        number = len(self.sent) or len(self.done)
        reason = f"not met after {plural(number, 'change')}: {sight.text}{left}"
        return self._end(Outcome.UNVERIFIED, reason, sight, next_step="" if sight.plan else self.step.advice(sight.seen))

    def _refused(self, refusal: Refusal, sight: Sight) -> Result:
        return self._end(Outcome.BLOCKED, refusal.reason, sight, next_step=refusal.next_step)

    def _end(self, outcome: Outcome, reason: str, sight: Sight | None = None, *, next_step: str = "") -> Result:
        return Result(outcome, reason, tuple(self.done), dict(sight.values) if sight else {}, next_step)


def _written(access: HostAccess) -> int:
    """Return how often the host may have been changed so far."""
    return int(getattr(access, "written", 0))


def _both(first: str, second: str) -> str:
    """Return why a change failed, and why it is not known what became of it."""
    return f"{first}; the host could not be looked at afterwards: {second}" if first else second
