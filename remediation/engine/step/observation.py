"""One look at a host through one step: what was seen, whether the state is met, and how that is told."""

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
        DesktopReader,
        EngineReader,
        FilesReader,
        GpuReader,
        OllamaReader,
        ProcessReader,
        Reader,
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
    """What a step saw. ``state`` is whether it is met, None when that cannot be told; ``plan`` is empty once it is met.

    ``snapshot`` is the look it was seen by.
    """

    seen: Any
    state: bool | None
    text: str
    values: Mapping[str, Any]
    plan: tuple[Change, ...]
    snapshot: Reader

    def plans(self, change: Change) -> bool:
        """Return whether that very change is still to be done."""
        return any(item.key == change.key for item in self.plan)


def observe(step: Step[Any], context: StepContext, *, reuse: bool = False) -> Observation:
    """Look through `step`; reads only. Raises what the facets raise.

    Where `reuse`, the last look stands for this one while nothing has been changed since; what did not answer then is asked again.
    """
    memory, clock = context.memory, context.ports.clock
    if memory.begun is None:
        memory.begun = context.access.clock.monotonic()
    if context.snapshot is not None:
        return _looked(step, context, context.snapshot)
    last = memory.reuse(clock.monotonic()) if reuse else None
    if last is not None:
        with suppress(CallFailed, DeadlineExceeded):
            return _looked(step, context, last)
    memory.seen = None
    observation = _looked(step, context, context.access.reader)
    memory.seen = (observation.snapshot, clock.monotonic())
    return observation


def confirm(step: Step[Any], context: StepContext, observation: Observation) -> str:
    """Return what contradicts a state that looks met, by the proof that the step asks for; "" in check mode, which asks nothing."""
    from remediation.steps.contract import Step as Contract

    if context.policy.check or type(step).confirm is Contract.confirm:
        return ""
    doubt = step.confirm(context.access.writer(), observation.seen)
    if doubt:
        context.memory.seen = None  # the request left its traces on the host: the next look is a new one
    return doubt


def _looked(step: Step[Any], context: StepContext, snapshot: Reader) -> Observation:
    seen = step.look(_reader(step, context, snapshot))
    state = step.met(seen)
    # an earlier process of the run, and a saved plan, know a change by its masked sentence
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
    """Return the run's start by the host's own clock, asked for once per host: the controller's may be minutes off."""
    memory = context.memory
    if memory.started is None:
        by_controller = context.ports.clock.now() - context.policy.run_started
        by_host = context.access.clock.monotonic() - (memory.begun or 0.0)  # more than the controller's in scaled time
        memory.started = context.access.reader.system.facts().now - max(0.0, by_controller, by_host)
        context.emit("host_clock", run_started=memory.started)
    return memory.started


class Informed:
    """A reader whose variables hold more: when the run began, what check mode has predicted so far (`ports`)."""

    def __init__(self, reader: Reader, known: Mapping[str, Any]) -> None:
        self._reader = reader
        self.variables: Mapping[str, Any] = {**reader.variables, **known}

    @property
    def name(self) -> str:
        """As the reader's."""
        return self._reader.name

    @property
    def gpu(self) -> GpuReader:
        """As the reader's."""
        return self._reader.gpu

    @property
    def processes(self) -> ProcessReader:
        """As the reader's."""
        return self._reader.processes

    @property
    def engine(self) -> EngineReader:
        """As the reader's."""
        return self._reader.engine

    @property
    def compose(self) -> ComposeReader:
        """As the reader's."""
        return self._reader.compose

    @property
    def ollama(self) -> OllamaReader:
        """As the reader's."""
        return self._reader.ollama

    @property
    def desktop(self) -> DesktopReader:
        """As the reader's."""
        return self._reader.desktop

    @property
    def system(self) -> SystemReader:
        """As the reader's."""
        return self._reader.system

    @property
    def files(self) -> FilesReader:
        """As the reader's."""
        return self._reader.files

    def target(self) -> Target:
        """As the reader's."""
        return self._reader.target()


FIRST_PAUSE = 0.25
LONGEST_PAUSE = 2.0
"""Seconds of the host's time between two looks; doubled from the first to the longest."""


def rounds(seconds: float, clock: Clock, ports: Ports) -> Iterator[bool]:
    """Yield once per look, whether it is the last one: `seconds` are over then, or Ctrl-C was pressed."""
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
