"""A change without effect is not repeated until something else has changed: loads of a model cost minutes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from remediation.engine.ladder.ladder import Ladder
from remediation.engine.ladder.rung_order import Rung
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, StepCall
from remediation.model.errors import CallFailed
from remediation.model.finding import Diagnosis
from remediation.steps.contract import Step, step
from remediation.steps.registry import registry
from tests.engine.fakes.examples import left_by_a_client
from tests.engine.fakes.host import MODEL, World
from tests.engine.ladder.test_ladder import CLOSE, occupied, run, rungs, says
from tests.engine.sample_steps import TOYS, Bench

GOAL = (StepCall("sample.whole", {"model": MODEL}),)
RELOAD = StepCall("model.reloaded", {"model": MODEL})
THREE = tuple(Rung(name, calls=(RELOAD,)) for name in ("one", "two", "three"))


class EverySecond(list[Exception]):
    """Errors for every second call, which a call finds with its truth."""

    calls = 0

    def __bool__(self) -> bool:
        self.calls += 1
        return self.calls % 2 == 1

    def pop(self, _: Any = 0) -> Exception:
        return self[0]


def bench(world: World, diagnosis: Diagnosis) -> Bench:
    return Bench(world, diagnose=says(diagnosis), steps={**TOYS, **registry()})


def test_a_model_that_does_not_load_again_is_not_unloaded_for_each_rung() -> None:
    made = bench(left_by_a_client(), Diagnosis())
    made.world.fails["ollama.load"] = EverySecond([CallFailed("llama runner process has terminated", status=500)])
    run(made, Ladder(GOAL, THREE))
    assert rungs(made) == ["one", "two", "three"]
    # unloaded, not loaded, and restored
    assert made.world.writes == [f"unload {MODEL}", f"load {MODEL}", f"load {MODEL}"]
    assert MODEL in made.world.runners


@step("sample.vain", settle=1.0)
class Vain(Step[bool]):
    """A state that its change does not reach."""

    def observe(self, host: Reader) -> bool:
        return False

    def is_met(self, seen: bool) -> bool:
        return seen

    def plan(self, seen: bool) -> Iterator[Change]:
        yield Change("load it", subject=MODEL)

    def apply(self, host: Writer, change: Change) -> None:
        host.files.write("/vain", b"once more")


@pytest.mark.parametrize("closes", [False, True])
def test_a_change_without_effect_is_made_once_per_state_of_the_host(closes: bool) -> None:
    made = occupied(diagnose=says(Diagnosis()), steps={**TOYS, Vain.name: Vain})
    vain = StepCall(Vain.name, {})
    close = (Rung("close", calls=(CLOSE, vain)),) if closes else ()
    run(made, Ladder(GOAL, (*(Rung(name, calls=(vain,)) for name in ("one", "two", "three")), *close)))
    assert made.world.writes == ["write /vain", *(["close chrome.exe", "write /vain"] if closes else [])]
