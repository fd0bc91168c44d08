"""ollama.environment, its effect and its undo on Windows: the registry, and the settings of the app, which win."""

from __future__ import annotations

import pytest

from remediation.model.errors import UsageError
from remediation.model.facts import Manager, ServerProcess, Serving
from remediation.model.outcome import Outcome
from remediation.steps.registry import registry
from tests.engine.fakes.examples import DATABASE, healthy, windows
from tests.engine.fakes.host import World
from tests.steps.step_runner import run, seen, summaries, undo


def declared(world: World) -> dict[str, str]:
    assert world.serving is not None
    return dict(world.serving.declared)


def test_a_variable_of_the_user_is_removed_made_effective_and_restored_with_its_type() -> None:
    world = windows(OLLAMA_LLM_LIBRARY="cuda")
    done = run(world, "ollama.environment")
    assert (done.outcome, summaries(done)) == (Outcome.CHANGED, ["remove OLLAMA_LLM_LIBRARY from the environment of PC\\ana"])
    assert done.changes[0].diff == "-OLLAMA_LLM_LIBRARY=cuda\n"
    assert declared(world) == {}
    effective = run(world, "ollama.reconfigured")
    assert summaries(effective)[0].startswith("restart the Ollama app with its declared settings (OLLAMA_LLM_LIBRARY)")
    assert world.writes == ["registry OLLAMA_LLM_LIBRARY=None", "restart the app"]
    assert run(world, "ollama.reconfigured").outcome is Outcome.OK
    assert run(world, "ollama.environment").outcome is Outcome.OK
    taken = undo(world, done.changes[0])
    assert taken.outcome is Outcome.CHANGED, taken.reason
    assert declared(world) == {"OLLAMA_LLM_LIBRARY": "cuda"}
    assert world.serving is not None
    assert [one.kind for one in world.serving.settings] == ["ExpandString"]
    assert world.writes[-2:] == ["registry OLLAMA_LLM_LIBRARY=cuda", "restart the app"]
    assert undo(world, done.changes[0]).outcome is Outcome.OK


def test_the_apps_own_context_length_wins_and_is_set_where_it_is() -> None:
    world = windows({"context_length": "32768"}, OLLAMA_CONTEXT_LENGTH="4096")
    step, state, plan = seen(world, "ollama.environment", {"set": {"OLLAMA_CONTEXT_LENGTH": 4096}})
    assert step.describe(state) == f"OLLAMA_CONTEXT_LENGTH must be 4096 (32768 from {DATABASE})"
    (change,) = plan
    assert (
        change.summary
        == "set context_length=4096 in the settings of the Ollama app, and restart it: loaded models are lost until the next request"
    )
    assert change.diff == "-context_length=32768\n+context_length=4096\n"
    done = run(world, "ollama.environment", {"set": {"OLLAMA_CONTEXT_LENGTH": 4096}})
    assert (done.outcome, world.writes) == (Outcome.CHANGED, ["app {'context_length': '4096'}", "restart the app"])
    assert run(world, "ollama.reconfigured").outcome is Outcome.OK
    assert undo(world, done.changes[0]).outcome is Outcome.CHANGED
    assert declared(world)["OLLAMA_CONTEXT_LENGTH"] == "32768"


def test_a_setting_that_the_app_overrides_is_switched_off_there_and_set_for_the_user() -> None:
    world = windows({"expose": "1"})
    done = run(world, "ollama.environment", {"set": {"OLLAMA_HOST": "127.0.0.1:11500"}})
    assert done.outcome is Outcome.CHANGED, done.reason
    assert world.writes[:2] == ["registry OLLAMA_HOST=127.0.0.1:11500", "app {'expose': '0'}"]
    assert declared(world) == {"OLLAMA_HOST": "127.0.0.1:11500"}


def test_a_database_of_an_unknown_version_is_left_alone() -> None:
    world = windows({"context_length": "32768", "schema_version": "19"})
    done = run(world, "ollama.environment", {"set": {"OLLAMA_CONTEXT_LENGTH": 4096}})
    assert (done.outcome.bad, world.writes) == (True, [])
    assert done.next_step == "change it in the app (Settings): version 19 of its database is not known"


def test_what_was_changed_again_since_is_left_alone() -> None:
    world = windows({"context_length": "32768"})
    done = run(world, "ollama.environment", {"set": {"OLLAMA_CONTEXT_LENGTH": 4096}})
    other = windows({"context_length": "8192"})
    result = undo(other, done.changes[0])
    assert (result.outcome.bad, other.writes) == (True, [])
    assert "was changed again since" in result.reason


@pytest.mark.parametrize("environment", [{"OLLAMA_LLM_LIBRARY": "cuda"}, {}])
@pytest.mark.parametrize("given", [{}, {"set": {"OLLAMA_NUM_PARALLEL": 1}}])
def test_a_setting_of_a_server_started_by_hand_is_named_and_never_counts_as_done(
    environment: dict[str, str], given: dict[str, dict[str, int]]
) -> None:
    world = healthy()
    world.project = None
    world.serving = Serving(Manager.PROCESS, process=ServerProcess(42, "ana", environment=environment))
    result = run(world, "ollama.environment", given)
    if not environment and not given:
        assert (result.outcome, world.writes) == (Outcome.OK, [])
        return
    assert (result.outcome.bad, world.writes) == (True, [])
    assert "stop it (kill 42) and start Ollama again" in result.next_step
    assert ("without OLLAMA_LLM_LIBRARY" in result.next_step) is bool(environment)
    assert ("with OLLAMA_NUM_PARALLEL=1" in result.next_step) is bool(given)


def test_a_setting_that_cannot_be_read_is_an_error_only_where_it_was_requested() -> None:
    world = healthy()
    world.project = None
    world.serving = Serving(Manager.PROCESS, process=ServerProcess(42, "ana"))
    assert run(world, "ollama.environment").applies is False
    result = run(world, "ollama.environment", {"remove": ["OLLAMA_GPU_OVERHEAD"]})
    assert result.outcome.bad
    assert "cannot be read" in result.reason


@pytest.mark.parametrize("step", ["ollama.environment", "compose.environment"])
@pytest.mark.parametrize(
    "given", [{"set": {"A B": "1"}}, {"set": {"": "1"}}, {"remove": ["1A"]}, {"set": {"A": "x\ny"}}, {"remove": ["A=B"]}]
)
def test_what_is_no_name_of_a_variable_is_refused_before_a_host_is_touched(step: str, given: dict[str, object]) -> None:
    from remediation.engine.journal.serialization import build
    from remediation.model.change import StepCall

    with pytest.raises(UsageError, match=r"environment variable|control character"):
        build(StepCall(step, given), registry())
