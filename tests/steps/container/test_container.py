"""Containers: the card that they ask for, what the server found, and the memory they may take."""

from __future__ import annotations

import pytest

from remediation.model.facts import ContainerStats, ExecResult, SystemLimits
from remediation.model.outcome import Outcome
from remediation.steps.compose.resources import bytes_of
from tests.engine.fakes.examples import (
    GPU,
    stack,
    without_gpu_request,
)
from tests.engine.fakes.host import GIB, OLLAMA
from tests.steps.step_runner import run, seen, summaries, undo


def test_a_container_that_asks_for_no_gpu_gets_a_reservation_and_is_recreated() -> None:
    world = without_gpu_request()
    world.answers["nvidia-smi", "-L"] = ExecResult(0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n")
    result = run(world, "container.sees_gpu")
    assert summaries(result) == [f"request the GPU for service ollama in {GPU}", "recreate ollama"]
    assert b"capabilities: [gpu]" in world.texts[GPU]
    assert undo(world, result.changes[0]).outcome is Outcome.CHANGED
    assert b"capabilities: [gpu]" not in world.texts[GPU]


def test_a_container_that_lost_the_card_is_recreated_once() -> None:
    world = stack()
    world.answers["nvidia-smi", "-L"] = ExecResult(255, "", "Failed to initialize NVML: Unknown Error\n")
    result = run(world, "container.sees_gpu")
    assert result.outcome is Outcome.UNVERIFIED
    assert summaries(result) == ["recreate ollama"]
    assert "Failed to initialize NVML" in result.reason


def test_a_card_that_comes_back_is_said_to_be_lost_again_with_what_keeps_it() -> None:
    world = stack()
    world.answers["nvidia-smi", "-L"] = ExecResult(255, "", "Failed to initialize NVML: Unknown Error\n")
    step, before, (change,) = seen(world, "container.sees_gpu")
    world.answers["nvidia-smi", "-L"] = ExecResult(0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n")
    _, after, _ = seen(world, "container.sees_gpu")
    said = step.measured_effect(change, before, after)
    assert said.startswith(
        "the next systemctl daemon-reload takes the card away again: name the device files under devices: of ollama"
    )
    assert step.measured_effect(change, after, after) == ""


def test_nvidias_variables_prove_nothing() -> None:
    world = stack()
    assert world.containers[OLLAMA].environment["NVIDIA_VISIBLE_DEVICES"] == "all"
    assert seen(world, "container.sees_gpu")[0].is_met(seen(world, "container.sees_gpu")[1]) is False


def test_what_ollama_found_counts_first() -> None:
    world = stack()
    world.answers["nvidia-smi", "-L"] = ExecResult(0, "GPU 0: NVIDIA GeForce RTX 3060 (UUID: GPU-1)\n")
    world.log = 'time=2026-01-01T00:00:01.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu compute="" name=cpu\n'
    step, found, _ = seen(world, "container.sees_gpu")
    assert step.is_met(found) is False
    assert "only the CPU" in step.describe(found)


def test_what_the_server_ignores_is_said() -> None:
    world = stack("OLLAMA_NUM_GPU=99")
    world.log = 'time=2026-01-01T00:00:00.000Z level=INFO source=routes.go:1 msg="server config" env="map[OLLAMA_DEBUG:INFO OLLAMA_CONTEXT_LENGTH:4096]"\n'
    result = run(world, "container.environment", {"expect": {"OLLAMA_NUM_GPU": "99", "OLLAMA_CONTEXT_LENGTH": "4096"}})
    assert result.outcome is Outcome.FAILED
    assert "OLLAMA_NUM_GPU is ignored by the server" in result.reason


@pytest.mark.parametrize(
    ("used", "limit", "outcome"),
    [(7 * GIB, 8 * GIB, Outcome.OK), (int(7.8 * GIB), 8 * GIB, Outcome.FAILED), (GIB, None, Outcome.OK)],
)
def test_headroom_is_measured_against_what_really_bounds_it(used: int, limit: int | None, outcome: Outcome) -> None:
    world = stack()
    world.stats = ContainerStats(used, limit)
    assert run(world, "container.headroom").outcome is outcome


def test_limits_are_capped_by_what_the_engine_has() -> None:
    world = stack()
    world.limits = SystemLimits(host=16 * GIB, wsl=8 * GIB)
    result = run(world, "compose.resources", {"memory": "12G", "reserve": "4G", "cpus": 6})
    assert b"memory: 7680M" in world.texts[GPU]
    assert b"cpus: '6'" in world.texts[GPU]
    assert b"memory: 4G" in world.texts[GPU]
    assert "more than the engine's machine has" in result.reason
    assert run(world, "compose.resources", {"memory": "12G", "reserve": "4G", "cpus": 6}).outcome is Outcome.OK


@pytest.mark.parametrize(
    ("text", "size"), [("12G", 12 * GIB), ("512m", 512 * 1024**2), ("12884901888", 12 * GIB), ("8gb", 8 * GIB), ("1.5g", 3 * GIB // 2), ("0", None), (None, None), ("1e999", None)]
)  # fmt: skip
def test_compose_writes_sizes_in_several_ways(text: str | None, size: int | None) -> None:
    assert bytes_of(text) == size
