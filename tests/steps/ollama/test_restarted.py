"""ollama.restarted: a container once per run, a native service by its process, and what lives in a container alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.model.errors import CallFailed, DeadlineExceeded, HostError
from remediation.model.facts import Elsewhere, Manager, Serving
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import healthy
from tests.engine.fakes.host import BOOT, OLLAMA, World
from tests.steps.step_runner import run, seen, summaries


def native() -> World:
    """Return a host whose server runs without a container."""
    world = World()
    world.start("explorer.exe")
    world.start("ollama", started=BOOT)
    return world


def test_a_container_is_restarted_once_per_run_and_what_was_loaded_is_gone() -> None:
    world = healthy()
    before = world.containers[OLLAMA]
    result = run(world, "ollama.restarted")
    assert result.outcome is Outcome.CHANGED, result.reason
    assert summaries(result) == [f"restart the container {OLLAMA}: loaded models are lost until the next request"]
    assert (world.containers[OLLAMA].id, world.runners) == (before.id, {})
    assert run(world, "ollama.restarted").outcome is Outcome.OK
    world.clock.sleep(60.0)
    assert run(world, "ollama.restarted", run_started=world.clock.now()).outcome is Outcome.CHANGED


def test_a_native_service_is_fresh_once_its_process_is() -> None:
    world = native()
    step, state, plan = seen(world, "ollama.restarted")
    assert (state.name, state.started, step.is_met(state)) == ("the service ollama", BOOT + 1.0, False)
    assert [change.summary for change in plan] == ["restart the service ollama: loaded models are lost until the next request"]
    world.programs = {pid: replace(each, started=world.clock.now()) for pid, each in world.programs.items()}
    step, state, plan = seen(world, "ollama.restarted")
    assert (step.is_met(state), plan) == (True, [])


def test_the_server_of_a_container_is_not_taken_for_the_service() -> None:
    world = native()
    world.start("ollama", started=world.clock.now(), parent=1)
    _, state, _ = seen(world, "ollama.restarted")
    assert state.started == world.clock.now() + 1.0


def test_a_runner_that_outlived_its_server_is_not_taken_for_the_service() -> None:
    world = native()
    world.start("ollama", started=world.clock.now(), parent=1)
    world.start("ollama", started=BOOT, parent=1, runner=True)
    _, state, _ = seen(world, "ollama.restarted")
    assert state.started == world.clock.now() + 1.0


@pytest.mark.parametrize(("early", "fresh"), [(0.97, True), (1.03, False)])
def test_a_start_time_up_to_a_second_early_is_still_of_this_run(early: float, *, fresh: bool) -> None:
    world = World()
    world.start("ollama", started=world.clock.now() - early)
    step, state, _ = seen(world, "ollama.restarted")
    assert step.is_met(state) is fresh


def test_a_container_that_was_started_by_hand_is_said_to_hold_its_settings_alone() -> None:
    world = healthy()
    world.containers[OLLAMA] = replace(world.containers[OLLAMA], labels={})
    step, state, _ = seen(world, "ollama.restarted")
    assert (state.by_hand, step.values(state)["by_hand"]) == (True, True)
    assert "it was started manually" in step.describe(state)


def test_a_server_that_hangs_is_restarted_where_only_such_a_one_is_to_be() -> None:
    world = healthy()
    world.fails["ollama.version"] = [DeadlineExceeded("accepts connections but does not answer")] * 2
    result = run(world, "ollama.restarted", {"hanging": True})
    assert result.outcome is Outcome.CHANGED, result.reason
    assert (
        run(world, "ollama.restarted", {"hanging": True}).outcome is Outcome.OK
    )  # it answers now, and was restarted in this run


@pytest.mark.parametrize("error", [None, CallFailed("connection refused")])
def test_a_server_that_answers_or_is_not_there_does_not_hang(error: HostError | None) -> None:
    world = healthy()
    world.fails["ollama.version"] = [error] * 9 if error else []
    result = run(world, "ollama.restarted", {"hanging": True})
    assert (result.outcome, result.applies, world.writes) == (Outcome.SKIPPED, False, []), result.reason


@pytest.mark.parametrize("step", ["ollama.restarted", "ollama.environment"])
def test_a_server_at_another_port_than_the_addressed_one_is_left_alone(step: str) -> None:
    world = World()
    world.serving = Serving(Manager.NOTHING, elsewhere=Elsewhere(11500, 11434, "the process 812 of maria"))
    result = run(world, step)
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert result.reason.startswith("no Ollama server was found here at port 11500; the process 812 of maria listens at")
    assert result.next_step.startswith("set endpoint: http://127.0.0.1:11434")
