"""Stacks: what is recreated, stopped and started, what is refused, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from remediation.model.change import Risk, StepCall
from remediation.model.errors import CallFailed
from remediation.model.facts import ComposeProject
from remediation.model.outcome import Outcome
from remediation.model.text.timestamps import parse_timestamp
from tests.engine.fakes.compose import FakeCompose
from tests.engine.fakes.examples import (
    BASE,
    FOLDER,
    GPU,
    healthy,
    stack,
    stopped,
    with_dotenv,
)
from tests.engine.fakes.host import BOOT, GIB, MODEL, OLLAMA, stamp
from tests.steps.step_runner import run, summaries, undo


def test_only_what_differs_is_recreated() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    started = world.containers["ai-native-api"].started_at
    run(world, "compose.environment")
    result = run(world, "stack.up")
    assert summaries(result) == ["recreate ollama (ai-native)"]
    assert result.changes[0].risk is Risk.DISRUPTIVE
    assert world.containers["ai-native-api"].started_at == started


def test_check_mode_foresees_that_an_edited_file_recreates() -> None:
    from remediation.engine.step.executor import execute_step
    from tests.steps.step_runner import bench

    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    context = bench(world).context(check=True, run_started=world.clock.start)
    execute_step(StepCall("compose.environment", {}), context)
    assert summaries(execute_step(StepCall("stack.up", {}), context)) == ["recreate ollama (ai-native)"]
    foreseen = execute_step(StepCall("model.reloaded", {}), context)
    assert foreseen.values["predicted"] == [33, 33]
    assert world.writes == []


def test_an_unset_variable_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    def warnings(self: FakeCompose, project: ComposeProject) -> Sequence[str]:
        return ['The "TAG" variable is not set. Defaulting to a blank string.']

    monkeypatch.setattr(FakeCompose, "warnings", warnings)
    world = stack("OLLAMA_DEBUG=1")
    result = run(world, "stack.up")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert '"TAG" variable is not set' in result.reason
    assert ".env" in result.next_step


def test_another_environment_is_refused_before_anything_is_recreated() -> None:
    world = with_dotenv()
    world.texts[f"{FOLDER}\\.env"] = b""  # this session fills in nothing where the user's shell did
    result = run(world, "stack.up")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert f"OLLAMA_MODEL is '' here and '{MODEL}' in the container" in result.reason


def test_a_stopped_service_is_started_without_risk() -> None:
    world = stopped(stack(), "api")
    result = run(world, "stack.up")
    assert summaries(result) == ["start api (ai-native)"]
    assert result.changes[0].risk is Risk.SAFE


def test_a_service_that_is_not_there_is_said() -> None:
    result = run(stack(), "stack.up", {"services": ["olama"]})
    assert "has no service 'olama'; it has ollama, api" in result.reason


def test_the_engine_stopping_in_the_middle_is_a_failure_with_its_words() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    run(world, "compose.environment")
    world.fails["compose.up"] = [CallFailed("the Docker engine does not answer", next_step="start Docker")]
    result = run(world, "stack.up")
    assert (result.outcome, result.reason, result.next_step) == (
        Outcome.FAILED,
        "the Docker engine does not answer",
        "start Docker",
    )
    assert run(world, "stack.up").outcome is Outcome.CHANGED


def test_stopping_waits_for_the_vram_and_keeps_the_volumes() -> None:
    world = healthy()
    volumes = dict(world.volumes)
    result = run(world, "stack.stopped")
    assert (result.outcome, world.volumes) == (Outcome.CHANGED, volumes)
    assert result.values["free"] == 6 * GIB
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert all(item.status == "running" for item in world.containers.values())


def test_down_keeps_the_volumes_too() -> None:
    world = healthy()
    assert summaries(run(world, "stack.stopped", {"remove": True})) == ["take down ollama, api (ai-native); volumes stay"]
    assert (world.containers, "compose down" in world.writes, len(world.volumes)) == ({}, True, 1)


def test_the_model_is_loaded_before_the_rest_starts() -> None:
    world = stopped()
    result = run(world, "stack.ordered_start")
    assert summaries(result) == ["start ollama (ai-native)", f"load {MODEL}", "start api (ai-native)"]
    assert world.writes == ["up ", f"load {MODEL}", "up "]


@pytest.mark.parametrize(("version", "level"), [("0.12.3", "1"), ("0.12.4", "2")])
def test_the_debug_level_that_shows_discovery_depends_on_the_release(version: str, level: str) -> None:
    world = stack()
    world.version = version
    before = world.texts[GPU]
    assert run(world, "ollama.debug").outcome is Outcome.CHANGED
    assert world.containers[OLLAMA].environment["OLLAMA_DEBUG"] == level
    assert run(world, "ollama.debug", {"on": False}).outcome is Outcome.CHANGED
    assert world.texts[GPU] == before
    assert "OLLAMA_DEBUG" not in world.containers[OLLAMA].environment


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("2023-11-14T22:13:20Z", BOOT), ("2023-11-14T22:13:20.123456789Z", BOOT + 0.123456), ("2023-11-14T23:13:20.5+01:00", BOOT + 0.5), ("0001-01-01T00:00:00Z", None), ("", None), ("soon", None)],
)  # fmt: skip
def test_dockers_times_are_read(text: str, seconds: float | None) -> None:
    found = parse_timestamp(text)
    assert found == (pytest.approx(seconds) if seconds is not None else None)
    assert parse_timestamp(stamp(BOOT)) == BOOT


def test_two_services_of_the_same_file_do_not_disturb_each_other() -> None:
    world = stack("OLLAMA_LLM_LIBRARY=cuda")
    world.texts[BASE] = world.texts[BASE].replace(
        b"      - OLLAMA_BASE_URL", b"      - OLLAMA_LLM_LIBRARY=cuda\n      - OLLAMA_BASE_URL"
    )
    base = world.texts[BASE]
    run(world, "compose.environment")
    assert world.texts[BASE] == base
