"""The ladder with the real diagnosis on whole hosts: each fault is cured by the right rung and by no other."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.engine.ladder.ladder import Ladder, run_ladder
from remediation.engine.ladder.rung_order import Rung
from remediation.model.change import Risk, StepCall
from remediation.model.finding import Cause
from remediation.model.outcome import Outcome
from remediation.steps.registry import registry
from tests.engine.fakes.examples import healthy, left_by_a_client, loaded, occupied, stack
from tests.engine.fakes.host import MODEL, World
from tests.engine.ladder.test_ladder import rungs, rungs_by
from tests.engine.sample_steps import Bench

RELOAD = StepCall("sample.fitted", {"model": MODEL})
LADDER = Ladder(
    (StepCall("sample.whole", {"model": MODEL}),),
    (
        Rung("make room", (Cause.VRAM_OCCUPIED,), calls=(StepCall("sample.closed", {"names": ["chrome", "discord"]}), RELOAD)),
        Rung("reload", (Cause.EXPLICIT_NUM_GPU, Cause.OTHER_MODEL_LOADED), calls=(RELOAD,)),
    ),
)


def diagnosed(world: World) -> Bench:
    return Bench(world, diagnose=lambda host: diagnose(collect(host)))


@pytest.mark.parametrize(
    ("make", "outcome", "climbed", "changes"),
    [
        (healthy, Outcome.OK, [], 0),
        (left_by_a_client, Outcome.CHANGED, ["reload"], 2),
        (occupied, Outcome.CHANGED, ["make room"], 4),
    ],
)
def test_the_right_rung_and_no_other(make: Callable[[], World], outcome: Outcome, climbed: list[str], changes: int) -> None:
    bench = diagnosed(make())
    context = bench.context(max_risk=Risk.DISRUPTIVE, close_programs=True)
    result = run_ladder(LADDER, context, rungs_by(context))
    assert (result.outcome, rungs(bench), len(result.changes)) == (outcome, climbed, changes)
    bench.recorded.events.clear()
    bench.world.writes.clear()
    again = run_ladder(LADDER, context, rungs_by(context))
    assert (again.outcome, bench.recorded.kinds, bench.world.writes) == (Outcome.OK, ["goal"], [])


def test_half_a_remedy_is_not_begun() -> None:
    """The file could be edited at any risk; that the service may not be recreated is known before."""
    bench = diagnosed(loaded(stack("OLLAMA_LLM_LIBRARY=cuda")))
    bench.steps = {**bench.steps, **registry()}
    rung = Rung("mend", (Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,), calls=(StepCall("compose.environment"), StepCall("stack.up")))
    context = bench.context(max_risk=Risk.SAFE)
    result = run_ladder(Ladder(LADDER.goal, (rung,)), context, rungs_by(context))
    assert result.outcome is Outcome.BLOCKED
    assert "--max-risk disruptive" in result.next_step
    assert bench.world.writes == []


def test_a_cause_that_no_rung_treats_is_named_with_its_cure() -> None:
    bench = diagnosed(loaded(stack("OLLAMA_LLM_LIBRARY=cuda")))
    context = bench.context(max_risk=Risk.DISRUPTIVE)
    result = run_ladder(Ladder(LADDER.goal, ()), context, rungs_by(context))
    assert result.outcome is Outcome.FAILED
    assert "wrong_library_or_missing_runner" in result.reason
    assert result.next_step
    assert bench.world.writes == []
