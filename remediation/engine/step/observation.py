"""One observation of a host through one step: what was read, whether the state is met, and its description."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.context import PENDING, RUN_STARTED, StepContext
from remediation.engine.journal.serialization import change_to_json, resolved
from remediation.model.errors import CallFailed, DeadlineExceeded

if TYPE_CHECKING:
    from remediation.engine.context import Ports
    from remediation.facets.protocols import (
        ComposeReader,
        DaemonReader,
        DesktopReader,
        EngineReader,
        FilesReader,
        GpuReader,
        OllamaReader,
        ProcessReader,
        Reader,
        ServiceManagerReader,
        ServicesReader,
        SystemReader,
    )
    from remediation.model.change import Change
    from remediation.model.clock import Clock
    from remediation.model.facts import Target
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


def observe(step: Step[Any], context: StepContext, *, reuse: bool = False) -> Observation:
    """Observe the host through `step`; reads only. Raises the errors of the facets.

    With ``reuse``, the latest snapshot is used while nothing has changed since; readings that failed are repeated.
    """
    memory, clock = context.memory, context.ports.clock
    if memory.begun is None:
        memory.begun = context.access.clock.monotonic()
    snapshot = context.snapshot
    last = memory.reuse(clock.monotonic()) if reuse and snapshot is None else None
    if last is not None:
        with suppress(CallFailed, DeadlineExceeded):
            return _evaluated(step, context, last, step.look(_reader(step, context, last)))
    if snapshot is not None:
        return _evaluated(step, context, snapshot, step.look(_reader(step, context, snapshot)))
    memory.seen = None
    snapshot = context.access.reader
    observation = _evaluated(step, context, snapshot, step.look(_reader(step, context, snapshot)))
    memory.seen = (snapshot, clock.monotonic())
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


def _evaluated(step: Step[Any], context: StepContext, snapshot: Reader, seen: Any) -> Observation:
    """Return what the step makes of what it read."""
    state = step.met(seen)
    # an earlier process of the run and a saved plan identify a change by its masked summary
    hide = context.ports.mask.text
    made = () if state else tuple(resolved(change, step) for change in step.plan(seen))
    plan = tuple(dataclasses.replace(change, summary=hide(change.summary)) for change in made)
    text = step.describe(seen)
    _log.debug("%s: %s is %s (%s), %d changes planned", context.host, step.name, _STATES[state], text, len(plan))
    return Observation(seen, state, text, step.values(seen), plan, snapshot)


def _reader(step: Step[Any], context: StepContext, snapshot: Reader) -> Reader:
    reader = context.access.reader_for(step.name, snapshot=snapshot)
    known: dict[str, Any] = {}
    if step.once_per_run:
        known[RUN_STARTED] = _run_started(context)
    if context.policy.check and context.memory.pending:
        known[PENDING] = [change_to_json(change) for change in context.memory.pending]
    return Informed(reader, known) if known else reader


def _run_started(context: StepContext) -> float:
    """Return the run's start by the host's own clock, read once per host: the controller's clock may be minutes off."""
    memory = context.memory
    if memory.started is None:
        by_controller = context.ports.clock.now() - context.policy.run_started
        by_host = context.access.clock.monotonic() - (memory.begun or 0.0)  # larger than the controller's if time is scaled
        memory.started = context.access.reader.system.facts().now - max(0.0, by_controller, by_host)
        context.emit("host_clock", run_started=memory.started)
    return memory.started


class Informed:
    """A reader with additional variables: when the run began, and what check mode has predicted so far."""

    def __init__(self, reader: Reader, known: Mapping[str, Any]) -> None:
        self._reader = reader
        self.variables: Mapping[str, Any] = {**reader.variables, **known}

    @property
    def name(self) -> str:
        """The wrapped reader's name."""
        return self._reader.name

    @property
    def gpu(self) -> GpuReader:
        """The wrapped reader's GPU facet."""
        return self._reader.gpu

    @property
    def processes(self) -> ProcessReader:
        """The wrapped reader's process facet."""
        return self._reader.processes

    @property
    def engine(self) -> EngineReader:
        """The wrapped reader's engine facet."""
        return self._reader.engine

    @property
    def compose(self) -> ComposeReader:
        """The wrapped reader's Compose facet."""
        return self._reader.compose

    @property
    def ollama(self) -> OllamaReader:
        """The wrapped reader's Ollama facet."""
        return self._reader.ollama

    @property
    def desktop(self) -> DesktopReader:
        """The wrapped reader's desktop facet."""
        return self._reader.desktop

    @property
    def system(self) -> SystemReader:
        """The wrapped reader's system facet."""
        return self._reader.system

    @property
    def services(self) -> ServicesReader:
        """What serves Ollama, and systemd."""
        return self._reader.services

    @property
    def daemon(self) -> DaemonReader:
        """The Docker daemon of a Linux host."""
        return self._reader.daemon

    @property
    def files(self) -> FilesReader:
        """The wrapped reader's file facet."""
        return self._reader.files

    @property
    def service_manager(self) -> ServiceManagerReader:
        """The wrapped reader's service manager."""
        return self._reader.service_manager

    def target(self) -> Target:
        """Return the wrapped reader's target."""
        return self._reader.target()


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
