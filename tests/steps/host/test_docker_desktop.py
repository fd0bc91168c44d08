"""Docker Desktop: restarted once per run, its settings, and who may do that."""

from __future__ import annotations

from dataclasses import replace

from remediation.model.change import Need
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import (
    on_desktop,
    stack,
    stopped,
)
from tests.steps.step_runner import run, seen, summaries


def test_docker_desktop_is_restarted_once_per_run_and_what_ran_runs_again() -> None:
    world = on_desktop(stopped(stack(), "api"))
    first = run(world, "docker_desktop.restarted")
    assert summaries(first) == [
        "stop ai-native-ollama before Docker Desktop", "stop Docker Desktop", "start Docker Desktop and wait for its engine",
        "start ai-native-ollama again",
    ]  # fmt: skip
    assert world.containers["ai-native-api"].status == "exited"  # it did not run before
    assert run(world, "docker_desktop.restarted").outcome is Outcome.OK
    world.clock.sleep(60.0)
    assert run(world, "docker_desktop.restarted", run_started=world.clock.now()).outcome is Outcome.CHANGED


def test_nobody_at_the_desktop_blocks_it_at_once() -> None:
    world = on_desktop()
    world.desktop_user = None
    result = run(world, "docker_desktop.restarted")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
    assert Need.DESKTOP in (seen(world, "docker_desktop.restarted")[2][1].needs or {Need.DESKTOP})


def test_docker_desktop_that_never_answers_is_a_failure_and_the_next_run_goes_on() -> None:
    from remediation.model.errors import DeadlineExceeded

    world = on_desktop()
    world.fails["desktop.start_docker"] = [DeadlineExceeded("the engine did not answer within 300 s")]
    result = run(world, "docker_desktop.restarted")
    assert (result.outcome, "within 300 s" in result.reason) == (Outcome.TIMED_OUT, True)
    again = run(world, "docker_desktop.restarted")
    assert again.outcome is Outcome.CHANGED
    assert all(item.status == "running" for item in world.containers.values())


def test_docker_desktop_that_is_not_there_is_said() -> None:
    result = run(stack(), "docker_desktop.restarted")
    assert (result.outcome, result.reason) == (
        Outcome.SKIPPED,
        "does not apply, because Docker Desktop is not installed on laptop-07",
    )


def test_a_setting_is_written_while_it_is_stopped_and_can_be_taken_back() -> None:
    world = on_desktop()
    assert world.docker is not None
    world.docker = replace(world.docker, settings={"OpenUIOnStartupDisabled": False})
    result = run(world, "docker_desktop.setting", {"set": {"openUIOnStartupDisabled": True}})
    assert result.outcome is Outcome.CHANGED
    change = next(one for one in result.changes if one.data["action"] == "set")
    assert change.undo is not None
    assert change.undo.params == {"set": {"openUIOnStartupDisabled": False}}
    assert all(item.status == "running" for item in world.containers.values())


def test_a_setting_that_an_administrator_locked_is_refused() -> None:
    world = on_desktop()
    assert world.docker is not None
    world.docker = replace(world.docker, locked=("EnableInference",))
    result = run(world, "docker_desktop.setting", {"set": {"enableInference": False}})
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])
