"""The file `.env`: edited, made, put back or taken away, and its readers recreated."""

from __future__ import annotations

import pytest
import yaml

from remediation.engine.journal.serialization import build
from remediation.model.change import StepCall
from remediation.model.errors import CallFailed, UsageError
from remediation.model.outcome import Outcome
from remediation.model.text.yaml_limits import FASTEST
from remediation.steps.registry import registry
from tests.engine.fakes.examples import (
    FOLDER,
    dotenv_changed,
    stack,
    with_dotenv,
    without_dotenv,
)
from tests.engine.fakes.host import MODEL
from tests.steps.step_runner import run, summaries, undo

DOTENV = f"{FOLDER}\\.env"


def test_the_env_file_is_edited_in_place() -> None:
    world = with_dotenv()
    before = world.texts[DOTENV]
    result = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}})
    assert world.texts[DOTENV] == before.replace(MODEL.encode(), b"phi3:3.8b")
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert world.texts[DOTENV] == before


@pytest.mark.parametrize("value", ["plain", "with space", "quo'te", 'do"uble', "hash # inside", "", "ü"])
def test_whatever_is_set_is_read_back(value: str) -> None:
    world = with_dotenv()
    world.texts[DOTENV] = b"A=1\r\nexport B='two'\r\n"
    for _ in range(2):
        result = run(world, "env_file.set", {"set": {"NEW": value, "B": "3"}})
    assert result.outcome is Outcome.OK
    assert result.values["settings"] == {"NEW": value, "B": "3"}
    assert b"\n" not in world.texts[DOTENV].replace(b"\r\n", b"")


def test_an_env_file_that_is_not_there_is_made() -> None:
    world = stack()
    assert run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).outcome is Outcome.CHANGED
    assert world.texts[DOTENV] == b"OLLAMA_MODEL=phi3:3.8b\n"


def test_undoing_the_making_of_an_env_file_takes_it_away_and_brings_its_readers_back() -> None:
    world = without_dotenv()
    before = world.containers["ai-native-api"].environment
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    run(world, "service.recreated", {"service": "api"})
    assert world.containers["ai-native-api"].environment["OLLAMA_MODEL"] == "phi3:3.8b"
    undone = undo(world, change)
    assert (undone.outcome, summaries(undone)) == (Outcome.CHANGED, [f"remove {DOTENV}, which the run created", "recreate api"])
    assert DOTENV not in world.texts
    assert world.containers["ai-native-api"].environment == before
    assert undo(world, change).outcome is Outcome.OK
    again = undo(world, undone.changes[0])
    assert (again.outcome, world.texts[DOTENV]) == (Outcome.CHANGED, b"OLLAMA_MODEL=phi3:3.8b\n")
    assert undo(world, change).outcome is Outcome.CHANGED  # although what it says is kept already
    assert DOTENV not in world.texts


def test_an_undo_that_broke_off_after_the_removal_still_brings_the_readers_back() -> None:
    world = without_dotenv()
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    run(world, "service.recreated", {"service": "api"})
    world.fails["compose.up"] = [CallFailed("broken off")]
    assert undo(world, change).outcome is Outcome.FAILED
    assert DOTENV not in world.texts
    assert summaries(undo(world, change)) == ["recreate api"]


def test_an_env_file_edited_since_stays() -> None:
    world = without_dotenv()
    change = run(world, "env_file.set", {"set": {"OLLAMA_MODEL": "phi3:3.8b"}}).changes[0]
    world.texts[DOTENV] += b"TOKEN=mine\n"
    refused = undo(world, change)
    assert (refused.outcome.bad, refused.changes) == (True, ())
    assert f"{DOTENV} was edited since" in refused.reason
    assert world.texts[DOTENV] == b"OLLAMA_MODEL=phi3:3.8b\nTOKEN=mine\n"


@pytest.mark.parametrize("params", [{}, {"path": DOTENV}, {"path": DOTENV, "expect": "0" * 64, "backup": f"{DOTENV}.bak"}])
def test_no_file_is_taken_away_without_knowing_what_the_run_wrote(params: dict[str, str]) -> None:
    with pytest.raises(UsageError, match="made requires path and expect"):
        build(StepCall("file.restored", {"made": True, **params}), registry())


@pytest.mark.parametrize("settings", [{"1X": "a"}, {"X": "a\nY=b"}, {}])
def test_what_is_no_setting_is_refused(settings: dict[str, str]) -> None:
    with pytest.raises(UsageError):
        build(StepCall("env_file.set", {"set": settings}), registry())


def test_the_reader_of_the_env_file_is_recreated_because_a_restart_would_not_do() -> None:
    world = dotenv_changed()
    result = run(world, "service.recreated", {"service": "api"})
    assert summaries(result) == ["recreate api"]
    assert world.containers["ai-native-api"].environment["OLLAMA_MODEL"] == "phi3:3.8b"
    assert "restart" not in " ".join(world.writes)


def test_always_recreates_once_per_run() -> None:
    world = stack()
    assert run(world, "service.recreated", {"service": "api", "always": True}).outcome is Outcome.CHANGED
    assert run(world, "service.recreated", {"service": "api", "always": True}).outcome is Outcome.OK


def test_a_project_of_ollama_alone_has_no_application_to_recreate() -> None:
    world = stack()
    world.variables["service"] = "ollama"
    path = next(path for path in world.texts if path.endswith("compose.yml"))
    services = yaml.load(world.texts[path], Loader=FASTEST)["services"]
    world.texts[path] = yaml.dump({"services": {"ollama": services["ollama"]}}).encode()
    del world.containers["ai-native-api"]
    result = run(world, "service.recreated")
    assert (result.outcome, result.applies, result.reason) == (
        Outcome.SKIPPED,
        False,
        "does not apply, because the project has no service but ollama",
    )
