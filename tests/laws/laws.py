"""What holds for every step, as functions that raise `LawError`; each takes a step's example."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.engine.journal.serialization import build, change_from_json, change_to_json
from remediation.engine.step.executor import execute_step
from remediation.facets.protocols import LookContext, Reader
from remediation.model.change import Risk, StepCall
from remediation.model.outcome import Outcome
from remediation.steps.contract import Step
from tests.engine.fakes.host import FakeReader, World
from tests.engine.sample_steps import Bench

Steps = Mapping[str, type[Step[Any]]]


class LawError(AssertionError):
    """A step breaks a law."""


@dataclass(frozen=True, slots=True)
class Example:
    """A step at work: on the host that `unmet` makes its state is not reached and a pass reaches it.

    ``looks`` says that the step only looks (a goal) and cannot reach its state. ``met`` makes a host on which the state holds
    from the start. ``variables`` are the host's.
    """

    params: Mapping[str, Any]
    unmet: Callable[[], World]
    met: Callable[[], World] | None = None
    looks: bool = False
    variables: Mapping[str, Any] = field(default_factory=dict)

    def host(self) -> World:
        """Return the host on which the state is not reached."""
        return self._made(self.unmet)

    def hosts(self) -> list[World]:
        """Return all hosts of the example."""
        return [self._made(make) for make in (self.unmet, self.met) if make is not None]

    def _made(self, make: Callable[[], World]) -> World:
        world = make()
        world.variables.update(self.variables)
        return world


def looking_writes_nothing(call: StepCall, example: Example, steps: Steps) -> None:
    """Look, met, plan and what else a step says of what it saw change nothing at the host."""
    step = build(call, steps)
    for world in example.hosts():
        before = _state(world)
        with world.only_looking():
            seen = step.observe(_reader(world))
            state = step.is_met(seen)
            changes = list(step.plan(seen))
            step.describe(seen)
            step.values(seen)
            step.probe_step(seen)
            for change in changes:
                step.measured_effect(change, seen, seen)
        if _state(world) != before:
            raise LawError(f"{call.step}: looking changed the host")
        _require(state in {True, False, None}, f"{call.step}: met says {state!r}")


def planning_looks_at_nothing(call: StepCall, example: Example, steps: Steps) -> None:
    """A plan follows from what was seen alone: it asks the host nothing, and is the same each time."""
    step = build(call, steps)
    for world in example.hosts():
        seen = step.observe(_reader(world))
        looks = world.looks
        plans = [list(step.plan(seen)) for _ in range(3)]
        _require(world.looks == looks, f"{call.step}: plan looks at the host")
        _require(plans[0] == plans[1] == plans[2], f"{call.step}: plan differs from one time to the next")
        again = list(step.plan(step.observe(_reader(world))))
        _require(again == plans[0], f"{call.step}: two looks at the same host give two plans")
        keys = [change.key for change in plans[0]]
        _require(len(keys) == len(set(keys)), f"{call.step}: two changes of one plan have the same key")


def met_means_nothing_to_do(call: StepCall, example: Example, steps: Steps) -> None:
    """Where the state is met the plan is empty."""
    step = build(call, steps)
    worlds = example.hosts()
    reached = example.host()
    if not example.looks:
        execute_step(call, _bench(reached, steps).context(**_allowing(reached)))
        worlds.append(reached)
    for world in worlds:
        seen = step.observe(_reader(world))
        if step.is_met(seen):
            _require(not list(step.plan(seen)), f"{call.step}: the state is met and something is planned")


def a_second_pass_changes_nothing(call: StepCall, example: Example, steps: Steps) -> None:
    """A pass reaches the state, and another finds nothing to do."""
    if example.looks:
        return
    world = example.host()
    bench = _bench(world, steps)
    context = bench.context(**_allowing(world))
    first = execute_step(call, context)
    _require(first.outcome is Outcome.CHANGED, f"{call.step}: the first pass is {first.outcome}: {first.reason}")
    world.writes.clear()
    second = execute_step(call, context)
    _require(second.outcome is Outcome.OK, f"{call.step}: the second pass is {second.outcome}: {second.reason}")
    _require(not world.writes, f"{call.step}: the second pass writes {world.writes}")


def check_mode_foretells_the_first_change(call: StepCall, example: Example, steps: Steps) -> None:
    """Check mode writes nothing, and what it foretells first is what a pass does first."""
    world = example.host()
    before = _state(world)
    checked = execute_step(call, _bench(world, steps).context(check=True, **_allowing(world)))
    _require(_state(world) == before, f"{call.step}: check mode changed the host")
    if example.looks:
        return
    _require(checked.outcome is Outcome.WOULD_CHANGE, f"{call.step}: check mode is {checked.outcome}: {checked.reason}")
    done = execute_step(call, _bench(world, steps).context(**_allowing(world)))
    _require(
        done.changes[:1] == checked.changes[:1], f"{call.step}: {checked.changes[:1]} was predicted, {done.changes[:1]} done"
    )


def changes_can_be_journaled(call: StepCall, example: Example, steps: Steps) -> None:
    """What a change says survives the journal as it is, and its undo is a step that exists."""
    step = build(call, steps)
    for world in example.hosts():
        for change in step.plan(step.observe(_reader(world))):
            written = json.dumps(change_to_json(change))
            again = json.dumps(change_to_json(change_from_json(json.loads(written))))
            _require(again == written, f"{call.step}: {change.summary} does not survive the journal")
            _require(bool(change.summary.strip()), f"{call.step}: a change without a word of what it does")
            if change.undo is not None:
                build(change.undo, steps)


def values_are_json(call: StepCall, example: Example, steps: Steps) -> None:
    """What is registered can be written into events."""
    step = build(call, steps)
    for world in example.hosts():
        json.dumps(step.values(step.observe(_reader(world))))


def a_met_host_is_left_alone(call: StepCall, example: Example, steps: Steps) -> None:
    """Where the state holds from the start, a pass is ok and writes nothing."""
    if example.met is None:
        return
    world = example.hosts()[1]
    result = execute_step(call, _bench(world, steps).context(**_allowing(world)))
    _require(result.outcome is Outcome.OK, f"{call.step}: a healthy host is {result.outcome}: {result.reason}")
    _require(not world.writes, f"{call.step}: on a healthy host it writes {world.writes}")


LAWS = (
    looking_writes_nothing,
    planning_looks_at_nothing,
    met_means_nothing_to_do,
    a_second_pass_changes_nothing,
    check_mode_foretells_the_first_change,
    changes_can_be_journaled,
    values_are_json,
    a_met_host_is_left_alone,
)


def _require(holds: bool, otherwise: str) -> None:
    if not holds:
        raise LawError(otherwise)


def _bench(world: World, steps: Steps) -> Bench:
    return Bench(world, steps=steps)


def _allowing(world: World) -> dict[str, Any]:
    destroy = frozenset({"laptop-07"})
    return {"max_risk": Risk.DESTRUCTIVE, "yes_destroy": destroy, "close_programs": True, "run_started": world.clock.start}


def _reader(world: World) -> Reader:
    return FakeReader(world, LookContext(world.clock.start))


def _state(world: World) -> dict[str, Any]:
    """Return all that a write could change; what a look counts does not belong to it."""
    parts = (
        "programs", "containers", "texts", "models", "runners", "log", "writes", "notified", "volumes", "aside", "engine_up", "docker",
        "booted",
    )  # fmt: skip
    return {part: copy.deepcopy(getattr(world, part)) for part in parts}
