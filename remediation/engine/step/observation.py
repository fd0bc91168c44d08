"""One observation of a host through one step: what was read, whether the state is met, and its description."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.context import StepContext, TimedSnapshot
from remediation.engine.journal.serialization import resolve_change
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.event_data import HostClockData

if TYPE_CHECKING:
    from remediation.engine.context import Ports
    from remediation.facets.protocols import Reader
    from remediation.model.change import Change
    from remediation.model.clock import Clock
    from remediation.steps.contract import Step

_log = logging.getLogger(__name__)
_STATES = {True: "met", False: "not met", None: "unknown"}


@dataclass(frozen=True, slots=True)
class Observation:
    """What a step read. ``state`` is whether the state is met, None if unknown; ``plan`` is empty once it is met.

    ``snapshot`` is the reader it was observed with.
    """

    seen: Any
    state: bool | None
    text: str
    values: Mapping[str, Any]
    plan: tuple[Change, ...]
    snapshot: Reader

    def plans(self, change: Change) -> bool:
        """Return whether that change is still to be made."""
        return any(item.key == change.key for item in self.plan)


def observe(step: Step[Any], context: StepContext, *, max_age: float | None = None) -> Observation:
    """Observe the host through `step`; reads only. Raises the errors of the facets.

    The latest snapshot is used if it is at most ``max_age`` seconds old and nothing has changed since; readings that failed are
    repeated. Without ``max_age``, the host is read.
    """
    memory, clock = context.memory, context.ports.clock
    if memory.begun is None:
        memory.begun = context.access.clock.monotonic()
    snapshot = context.snapshot
    last = memory.snapshot(clock.monotonic(), max_age=max_age) if max_age is not None and snapshot is None else None
    if last is not None:
        with suppress(CallFailed, DeadlineExceeded):
            return _evaluate(step, context, last, step.observe(_reader(step, context, last)))
    if snapshot is not None:
        return _evaluate(step, context, snapshot, step.observe(_reader(step, context, snapshot)))
    if max_age is not None and memory.seen is not None:
        _log.debug("%s: reading the host again: its snapshot is %.1f s old", context.host, clock.monotonic() - memory.seen.taken)
    memory.seen = None
    snapshot = context.access.reader
    observation = _evaluate(step, context, snapshot, step.observe(_reader(step, context, snapshot)))
    memory.seen = TimedSnapshot(snapshot, clock.monotonic())
    return observation


def confirm(step: Step[Any], context: StepContext, observation: Observation) -> str:
    """Return what contradicts a state that looks met, using the step's own confirming request; "" in check mode."""
    from remediation.steps.contract import Step as Contract

    if context.policy.check or type(step).confirm is Contract.confirm:
        return ""
    doubt = step.confirm(context.access.writer(), observation.seen)
    if doubt:
        context.memory.seen = None  # the request changed the host's log: the next observation needs a new snapshot
    return doubt


def _evaluate(step: Step[Any], context: StepContext, snapshot: Reader, seen: Any) -> Observation:
    """Return what the step makes of what it read."""
    state = step.is_met(seen)
    # an earlier process of the run and a saved plan identify a change by its masked summary
    hide = context.ports.mask.text
    made = () if state else tuple(resolve_change(change, step) for change in step.plan(seen))
    plan = tuple(dataclasses.replace(change, summary=hide(change.summary)) for change in made)
    text = step.describe(seen)
    _log.debug("%s: %s is %s (%s), %d changes planned", context.host, step.name, _STATES[state], text, len(plan))
    return Observation(seen, state, text, step.values(seen), plan, snapshot)


def _reader(step: Step[Any], context: StepContext, snapshot: Reader) -> Reader:
    started = _run_start_on_host(context) if step.once_per_run else None
    pending = tuple(context.memory.pending) if context.policy.check else ()
    from remediation.facets.protocols import LookContext

    return context.access.reader_for(step.name, snapshot=snapshot, context=LookContext(started, pending))


def _run_start_on_host(context: StepContext) -> float:
    """Return the run's start by the host's own clock, read once per host: the controller's clock may be minutes off."""
    memory = context.memory
    if memory.started is None:
        by_controller = context.ports.clock.now() - context.policy.run_started
        by_host = context.access.clock.monotonic() - (memory.begun or 0.0)  # larger than the controller's if time is scaled
        memory.started = context.access.reader.system.facts().now - max(0.0, by_controller, by_host)
        context.emit("host_clock", **HostClockData(run_started=memory.started))
    return memory.started


FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
"""Seconds of host time between two observations; doubled each time up to the maximum."""


def rounds(seconds: float, clock: Clock, ports: Ports) -> Iterator[bool]:
    """Yield once per observation whether it is the last one: `seconds` have passed, or Ctrl-C was pressed."""
    until = clock.monotonic() + seconds
    pause = FIRST_PAUSE
    while True:
        left = until - clock.monotonic()
        last = left <= 0 or ports.cancelled()
        yield last
        if last:
            return
        clock.sleep(min(pause, left), ports.wait)
        pause = min(2 * pause, LONGEST_PAUSE)
