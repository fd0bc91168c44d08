"""kernel_module.reloaded: only while nothing but Ollama's unit uses the module."""

from __future__ import annotations

import pytest

from remediation.model.facts import KernelModule, Manager, Serving
from remediation.model.outcome import Outcome
from tests.engine.fakes.examples import linux_engine, native_unit
from tests.engine.fakes.world import GIB, World
from tests.steps.step_runner import run, summaries

STEP = "kernel_module.reloaded"


def used_by_a_program() -> World:
    world = native_unit()
    world.start("blender", vram=GIB)
    return world


def used_by_hand() -> World:
    world = native_unit()
    world.serving = Serving(Manager.PROCESS)
    return world


@pytest.mark.parametrize(
    ("made", "reason"),
    [
        (used_by_a_program, "blender (process"),
        (linux_engine, "the container"),
        (used_by_hand, "only its user can start it again"),
    ],
)
def test_what_uses_the_card_is_named_and_nothing_is_reloaded(made: object, reason: str) -> None:
    assert callable(made)
    world = made()
    result = run(world, STEP)
    assert result.outcome is Outcome.BLOCKED
    assert reason in result.reason
    assert world.writes == []


def test_a_module_that_is_not_loaded_is_loaded_with_the_unit_stopped() -> None:
    world = native_unit()
    world.kernel_modules = {"nvidia": KernelModule("nvidia", 1)}
    (change,) = summaries(run(world, STEP)) or [""]
    assert change.startswith("reload the kernel module nvidia_uvm, with ")


def test_a_host_without_the_driver_has_nothing_to_reload() -> None:
    world = native_unit()
    world.kernel_modules = {}
    result = run(world, STEP)
    assert "no NVIDIA module is loaded" in result.reason
    assert world.writes == []
