"""How long a model stays loaded after a repair: as long as it would have without one."""

from __future__ import annotations

from dataclasses import replace
from math import inf

import pytest

from remediation.steps.model.keep_alive import server_keeps
from tests.engine.fakes.examples import left_by_a_client, loaded, stack
from tests.engine.fakes.host import MODEL, OLLAMA, World
from tests.steps.step_runner import run, undo

FOREVER = "2319-03-11T15:50:50Z"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("", 300.0), ("5m0s", 300.0), ("1h30m", 5400.0), ("90", 90.0), ("0", 0.0), ("0s", 0.0), ("-1", inf), ("-1m", inf),
        ("2562047h47m16.854775807s", inf), ("forever", 300.0), ("1.5s", 1.5),
    ],
)  # fmt: skip
def test_the_servers_own_keep_alive_is_read_as_go_does(text: str, seconds: float) -> None:
    assert server_keeps({"OLLAMA_KEEP_ALIVE": text}) == seconds


def stays(world: World, until: str) -> World:
    """Let the loaded model stay until then."""
    world.runners[MODEL] = replace(world.runners[MODEL], expires_at=until)
    return world


def test_what_was_loaded_for_ever_is_so_after_the_reload() -> None:
    world = stays(left_by_a_client(), FOREVER)
    result = run(world, "model.reloaded")
    assert (world.runners[MODEL].expires_at, result.values["layers"]) == (FOREVER, [33, 33])
    unloading = result.changes[0]
    world.runners.clear()
    undo(world, unloading)
    assert world.runners[MODEL].expires_at == FOREVER


def test_what_stays_longer_than_the_server_keeps_models_does_so_after_the_reload() -> None:
    world = left_by_a_client()
    stays(world, world.expiry("86400s"))
    run(world, "model.reloaded")
    assert world.runners[MODEL].expires_at == world.expiry("86400s")


def test_what_stays_as_long_as_the_server_keeps_models_is_loaded_without_a_keep_alive() -> None:
    world = left_by_a_client()
    stays(world, world.expiry("299s"))
    run(world, "model.reloaded")
    assert world.runners[MODEL].expires_at == ""  # of the server's own


def test_a_keep_alive_that_the_task_names_wins() -> None:
    world = stays(left_by_a_client(), FOREVER)
    run(world, "model.reloaded", {"keep_alive": "600s"})
    assert world.runners[MODEL].expires_at == world.expiry("600s")


@pytest.mark.parametrize("step", ["model.loaded", "model.reloaded"])
def test_a_server_that_keeps_no_model_keeps_this_one_for_a_moment_and_that_is_said(step: str) -> None:
    world = stack("OLLAMA_KEEP_ALIVE=0")
    result = run(world, step)
    assert world.runners[MODEL].expires_at == world.expiry("2m")
    (change,) = result.changes
    assert change.data["keep_alive"] == "2m"


def test_a_model_that_was_unloaded_by_an_earlier_task_stays_as_long_as_it_did() -> None:
    world = stays(loaded(stack()), FOREVER)
    run(world, "model.unloaded")
    run(world, "model.loaded")
    assert world.runners[MODEL].expires_at == FOREVER
    assert world.containers[OLLAMA].status == "running"
