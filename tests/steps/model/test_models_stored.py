"""Models in the store: pulled, taken away, repaired layer by layer, and replaced by smaller ones."""

from __future__ import annotations

import pytest

from remediation.engine.step.executor import execute_step
from remediation.model.change import Risk, StepCall
from remediation.model.errors import CallFailed
from remediation.model.facts import ExecResult
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import (
    LOCAL,
    WEIGHTS,
    damaged,
    loaded,
    manifest,
    stored,
)
from tests.engine.fakes.host import GIB, MIB, MODEL
from tests.engine.fakes.world import Stored, blob_path
from tests.steps.step_runner import ALLOWED, bench, run, seen, summaries, undo


def test_a_model_is_pulled_and_can_be_taken_away_again() -> None:
    world = stored()
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2 * GIB)
    result = run(world, "model.present", {"model": "phi3:3.8b"})
    assert summaries(result) == ["pull phi3:3.8b (2.0 GiB)"]
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert "phi3:3.8b" not in world.models


def test_a_goal_for_a_model_whose_pull_is_predicted_is_not_judged() -> None:
    world = stored()
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2 * GIB)
    context = bench(world).context(check=True, **ALLOWED)
    assert execute_step(StepCall("model.present", {"model": "phi3:3.8b"}), context).outcome is Outcome.WOULD_CHANGE
    goal = execute_step(StepCall("model.offloaded", {"model": "phi3:3.8b"}), context)
    assert (goal.outcome, goal.reason.partition(":")[0]) == (Outcome.SKIPPED, "unknown until the changes above are made")
    assert execute_step(StepCall("model.offloaded", {"model": "other:7b"}), context).outcome is Outcome.FAILED


def test_a_pull_that_was_interrupted_goes_on() -> None:
    world = stored()
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, "sha256:" + "c" * 64, size=GIB)
    world.fails["ollama.pull"] = [CallFailed("max retries exceeded")]
    first = run(world, "model.present", {"model": "phi3:3.8b"})
    assert (first.outcome, "max retries exceeded" in first.reason) == (Outcome.FAILED, True)
    assert run(world, "model.present", {"model": "phi3:3.8b"}).outcome is Outcome.CHANGED


@pytest.mark.parametrize(
    ("case", "said"), [("unknown", "no registry has a model"), ("offline", "cannot be reached"), ("full", "of disk")]
)
def test_what_cannot_be_pulled_is_said_before_anything_is_tried(case: str, said: str) -> None:
    world = stored()
    if case != "unknown":
        world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2 * GIB)
    if case == "offline":
        world.fails["ollama.registry"] = [CallFailed("no route to host")] * 3
    if case == "full":
        line = f"/dev/sdb 1000000 900000 {100 * 1024} 90% /root/.ollama"
        world.answers["df", "-Pk", "/root/.ollama"] = ExecResult(
            0, f"Filesystem 1024-blocks Used Available Capacity Mounted on\n{line}\n"
        )
    result = run(world, "model.present", {"model": "phi3:3.8b"})
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert said in result.reason


def test_deleting_what_no_registry_holds_is_destructive() -> None:
    assert seen(stored(), "model.absent", {"model": LOCAL})[2][0].risk is Risk.DESTRUCTIVE
    assert seen(stored(), "model.absent", {"model": MODEL})[2][0].risk is Risk.DISRUPTIVE


def test_only_the_damaged_layer_is_moved_aside_and_fetched() -> None:
    world = damaged()
    result = run(world, "model.repulled")
    assert summaries(result) == [
        f"move the damaged layer {'f' * 12} of {MODEL} aside (4.1 GiB)",
        f"pull {MODEL} again (4.1 GiB to fetch)",
    ]
    assert world.store[blob_path(WEIGHTS)].digest == WEIGHTS
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert world.store[blob_path(WEIGHTS)].digest == "sha256:" + "0" * 64


def test_a_missing_layer_is_fetched() -> None:
    world = stored()
    del world.store[blob_path(WEIGHTS)]
    assert summaries(run(world, "model.repulled")) == [f"pull {MODEL} again (4.1 GiB to fetch)"]


def test_a_pull_that_fails_leaves_the_damaged_layer_to_be_put_back() -> None:
    world = damaged()
    world.fails["ollama.pull"] = [CallFailed("no space left on device")]
    result = run(world, "model.repulled")
    assert result.outcome is Outcome.FAILED
    assert "no space left on device" in result.reason
    assert world.aside[WEIGHTS].digest == "sha256:" + "0" * 64
    assert run(world, "model.repulled").outcome is Outcome.CHANGED


def test_a_damaged_model_that_exists_only_here_is_not_touched() -> None:
    world = stored()
    world.store[blob_path("sha256:" + "a" * 64)] = Stored(GIB, "sha256:" + "0" * 64)
    result = run(world, "model.repulled", {"model": LOCAL})
    assert (result.outcome, world.writes, world.aside) == (Outcome.FAILED, [], {})
    assert "no registry has it" in result.reason


def test_a_broken_manifest_is_fetched_again() -> None:
    world = stored()
    world.fails["ollama.blobs"] = [CallFailed("the manifest of mistral is damaged")] * 2
    result = run(world, "model.repulled", check=True)
    assert summaries(result) == [f"pull {MODEL} again (4.1 GiB to fetch)"]


def test_the_largest_quantisation_that_fits_and_exists_is_taken() -> None:
    world = stored()
    world.start("game.exe", vram=900 * MIB)
    for level, fill, size in (("q4_K_S", "4", 4_100_000_000), ("q3_K_M", "3", 3_522_183_168), ("q2_K", "2", 2_700_000_000)):
        if level != "q4_K_S":
            world.registry[f"mistral:7b-instruct-{level}"] = manifest(
                f"mistral:7b-instruct-{level}", "sha256:" + fill * 64, size=size
            )
    result = run(world, "model.smaller")
    assert result.values["model"] == "mistral:7b-instruct-q3_K_M"
    assert summaries(result) == ["pull mistral:7b-instruct-q3_K_M (3.3 GiB, 33/33 layers predicted)"]


def test_another_model_comes_last() -> None:
    world = stored()
    world.start("game.exe", vram=1600 * MIB)
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2 * GIB)
    world.registry["mistral:7b-instruct-q3_K_M"] = manifest("mistral:7b-instruct-q3_K_M", "sha256:" + "3" * 64)
    assert run(world, "model.smaller").values == {"model": "phi3:3.8b", "predicted": [33, 33]}


def test_nothing_is_pulled_in_vain() -> None:
    world = stored()
    world.start("game.exe", vram=5 * GIB)
    world.registry["phi3:3.8b"] = manifest("phi3:3.8b", "sha256:" + "b" * 64, size=2 * GIB)
    result = run(world, "model.smaller")
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "none of them is suitable" in result.reason


def test_a_model_that_fits_needs_no_smaller_one() -> None:
    world = stored()
    result = run(world, "model.smaller")
    assert (result.outcome, result.values["model"], world.writes) == (Outcome.OK, MODEL, [])


def test_a_loaded_model_is_unloaded_before_it_is_deleted() -> None:
    world = loaded(stored())
    model = next(iter(world.runners))
    run(world, "model.absent", {"model": model})
    assert (world.writes, dict(world.runners)) == ([f"unload {model}", f"delete {model}"], {})
