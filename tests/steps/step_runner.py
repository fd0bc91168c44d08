"""A step carried out on a host in memory, as the engine does it."""

from __future__ import annotations

from typing import Any

from remediation.engine.journal.serialization import build
from remediation.engine.step.executor import execute_step
from remediation.facets.protocols import LookContext
from remediation.model.change import Change, Risk, StepCall
from remediation.model.outcome import Result
from remediation.steps.registry import registry
from tests.engine.fakes.host import FakeReader, World
from tests.engine.sample_steps import Bench

HOST = "laptop-07"
ALLOWED = {"max_risk": Risk.DESTRUCTIVE, "yes_destroy": frozenset({HOST}), "close_programs": True}


def bench(world: World) -> Bench:
    """Return a bench with all registered steps."""
    return Bench(world, steps=registry())


def run(world: World, step: str, params: dict[str, Any] | None = None, **policy: Any) -> Result:
    """Carry a step out with everything allowed."""
    context = bench(world).context(**{**ALLOWED, "run_started": world.clock.start, **policy})
    return execute_step(StepCall(step, params or {}), context)


def undo(world: World, change: Change) -> Result:
    """Carry out what takes a change back."""
    assert change.undo is not None
    return run(world, change.undo.step, dict(change.undo.params))


def seen(world: World, step: str, params: dict[str, Any] | None = None) -> tuple[Any, Any, list[Change]]:
    """Return the step, what it sees, and its plan."""
    made = build(StepCall(step, params or {}), registry())
    found = made.observe(FakeReader(world, LookContext(world.clock.start)))
    return made, found, list(made.plan(found))


def summaries(result: Result) -> list[str]:
    """Return what a result changed, in words."""
    return [change.summary for change in result.changes]
