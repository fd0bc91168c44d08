"""Room on the GPU: whole trees, largest first, only what may be closed, and only where that can be enough."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from remediation.engine.journal.serialization import build
from remediation.model.change import Need, Risk, StepCall
from remediation.model.errors import CallFailed, UsageError
from remediation.model.facts import GpuUse
from remediation.model.outcome import Outcome
from remediation.steps.gpu.closable_programs import trees, why_protected
from remediation.steps.registry import registry
from tests.engine.fakes.examples import healthy, loaded, occupied, stack
from tests.engine.fakes.host import GIB, MIB, MODEL, World
from tests.engine.fakes.machine import FakeGpu
from tests.steps.step_runner import bench, run, seen, summaries


def browser(world: World, *, vram: int) -> None:
    """Start a browser as it is: the window's process holds little, a child much."""
    root = world.start("chrome.exe", vram=64 * MIB, has_window=True)
    world.start("chrome.exe", vram=vram, parent=root.pid)
    world.start("chrome.exe", parent=root.pid)


def test_the_need_of_the_model_is_the_default() -> None:
    world = occupied()
    result = run(world, "vram.free")
    assert result.outcome is Outcome.CHANGED
    assert summaries(result) == ["close chrome.exe", "close Discord.exe"]
    assert "all 33 layers of mistral:7b-instruct-q4_K_M at 4096 context" in result.reason
    assert result.values["want"] == pytest.approx(5521 * MIB, abs=2 * MIB)  # facts/ollama 4.8


def test_a_loaded_models_own_memory_counts_as_free() -> None:
    world = healthy()
    assert (run(world, "vram.free").outcome, world.writes) == (Outcome.OK, [])


@pytest.mark.parametrize(("whole", "outcome"), [(True, Outcome.OK), (False, Outcome.FAILED)])
def test_a_model_of_an_unknown_architecture_fits_if_all_of_it_is_on_the_gpu(*, whole: bool, outcome: Outcome) -> None:
    world = healthy()
    show, runner = world.models[MODEL], world.runners[MODEL]
    assert show is not None
    world.models[MODEL] = replace(show, info={**show.info, "general.architecture": "novel"})
    if not whole:
        world.runners[MODEL] = replace(runner, size=runner.size + 8 * GIB)
    result = run(world, "vram.free")
    assert (result.outcome, world.writes) == (outcome, []), result.reason
    assert ("all of it on the GPU" in result.reason) is whole


def test_a_tree_is_one_program_and_its_root_is_closed() -> None:
    world = loaded(stack())
    browser(world, vram=2 * GIB)
    found = seen(world, "vram.free")[1]
    assert [(tree.name, tree.vram, len(tree.members)) for tree in found.holders] == [("chrome.exe", 2 * GIB + 64 * MIB, 3)]
    assert found.holders[0].root.has_window


def test_nothing_is_closed_where_closing_all_would_not_do() -> None:
    world = stack()
    world.start("explorer.exe", vram=3 * GIB)
    world.start("chrome.exe", vram=GIB, has_window=True)
    result = run(loaded(world), "vram.free")
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "explorer.exe 3.0 GiB (protected" in result.reason


def test_an_unknown_amount_is_not_counted_as_nothing() -> None:
    world = stack()
    world.start("chrome.exe", vram=3 * GIB, has_window=True)
    unknown = replace(world.start("discord.exe", vram=0), vram=None)
    found = trees([*world.programs.values(), unknown], list(world.programs.values()))
    by_name = {tree.name: (tree.vram, tree.unknown) for tree in found}
    assert by_name == {"chrome.exe": (3 * GIB, 0), "discord.exe": (0, 1)}


def test_contradicting_counters_close_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    world = occupied()
    honest = FakeGpu.use

    def contradicting(self: FakeGpu) -> GpuUse:
        return replace(honest(self), reliable=False, why_unreliable="14 GiB of 6 GiB")

    monkeypatch.setattr(FakeGpu, "use", contradicting)
    result = run(world, "vram.free")
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "14 GiB of 6 GiB" in result.reason


@pytest.mark.parametrize(
    ("facts", "why"),
    [
        ({"name": "dwm.exe"}, "system"),
        ({"name": "Docker Desktop.exe"}, "Docker"),
        ({"name": "com.docker.backend.exe"}, "Docker"),
        ({"name": "vmmemWSL"}, "system"),
        ({"name": "chrome.exe", "session_id": 0}, "session 0"),
        ({"name": "chrome.exe", "owner": None}, "owner is unknown"),
        ({"name": "chrome.exe", "owner": "NT AUTHORITY\\SYSTEM"}, "belongs to NT AUTHORITY"),
        ({"name": "chrome.exe", "service": "Chrome"}, "service Chrome"),
        ({"name": "chrome.exe", "path": "C:\\Windows\\chrome.exe"}, "Windows folder"),
    ],
)
def test_protected_programs_stay(facts: dict[str, Any], why: str) -> None:
    world = stack()
    process = world.start(**{"vram": 4 * GIB, **facts})
    assert why in why_protected(process)
    run(loaded(world), "vram.free")
    assert process.pid in world.programs


def test_a_program_with_unsaved_work_is_closed_only_when_named() -> None:
    world = stack()
    world.start("Code.exe", vram=3 * GIB, has_window=True)
    loaded(world)
    refused = run(world, "vram.free")
    assert (refused.outcome, world.writes) == (Outcome.FAILED, [])
    assert "ask first" in refused.reason
    assert run(world, "vram.free", {"close": ["code"]}).outcome is Outcome.CHANGED


@pytest.mark.parametrize("name", ["explorer", "dwm.exe", "ollama", "com.docker.backend"])
def test_protected_names_are_refused_when_the_playbook_is_loaded(name: str) -> None:
    with pytest.raises(UsageError, match="never closed"):
        build(StepCall("vram.free", {"close": [name]}), registry())
    with pytest.raises(UsageError, match="never closed"):
        build(StepCall("program.closed", {"program": name}), registry())


def test_a_window_needs_the_desktop_and_asks() -> None:
    change = seen(occupied(), "vram.free")[2][0]
    assert change.needs == {Need.DESKTOP}
    assert change.asks == "closes a window of chrome.exe"
    world = occupied()
    world.desktop_user = None
    result = run(world, "vram.free")
    assert (result.outcome, world.writes) == (Outcome.BLOCKED, [])


def test_a_program_that_will_not_close_is_named_and_never_forced() -> None:
    world = occupied()
    world.stubborn.add("chrome.exe")
    result = run(world, "vram.free")
    assert result.outcome is Outcome.FAILED
    assert "unsaved work" in result.reason
    assert "force: true" in result.next_step
    assert run(world, "vram.free", {"force": True}).outcome is Outcome.CHANGED


def test_a_browser_that_comes_back_does_not_make_it_run_for_ever() -> None:
    world = occupied()
    world.returning.add("chrome.exe")
    result = run(world, "vram.free")
    assert result.outcome is Outcome.UNVERIFIED
    assert len([write for write in world.writes if write.startswith("close")]) <= 5


def test_a_reused_pid_is_another_process() -> None:
    world = stack()
    old = world.start("chrome.exe", has_window=True)
    world.programs[old.pid] = replace(old, name="winword.exe", started=old.started + 60)
    result = run(world, "program.closed", {"pid": old.pid, "started": old.started})
    assert (result.outcome, world.writes) == (Outcome.OK, [])


@pytest.mark.parametrize("params", [{}, {"program": "chrome", "pid": 4}, {"pid": 4}])
def test_a_program_is_named_in_one_way(params: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match=r"program\.closed"):
        build(StepCall("program.closed", params), registry())


def test_the_guides_thresholds_are_values() -> None:
    world = occupied()
    assert run(world, "vram.at_most", {"used": "4700 MiB"}).outcome is Outcome.OK
    result = run(world, "vram.at_most", {"used": "1500 MB"})
    assert summaries(result) == ["close chrome.exe", "close Discord.exe"]


def test_before_the_containers_run_ollama_is_not_needed() -> None:
    world = occupied()
    world.engine_up = False
    assert run(world, "vram.at_most", {"used": "3 GiB"}).outcome is Outcome.CHANGED


def test_it_says_before_the_first_change_what_is_lacking_on_a_small_card() -> None:
    world = stack()
    world.vram = 4 * GIB
    result = run(loaded(world), "vram.free")
    assert "the card has less in total" in result.reason
    assert world.writes == []


def test_the_prediction_of_a_reload_counts_what_would_be_freed() -> None:
    world = occupied()
    made = bench(world)
    context = made.context(check=True, run_started=world.clock.start, close_programs=True)
    from remediation.engine.step.executor import execute_step

    execute_step(StepCall("vram.free", {}), context)
    result = execute_step(StepCall("model.reloaded", {}), context)
    assert result.values["predicted"] == [33, 33]


def with_orphan() -> World:
    """Return the host on which the runner of a server that was killed holds what the model lacks."""
    world = stack()
    world.start("ollama", vram=3 * GIB, owner="root", orphan=True, runner=True)
    return loaded(world)


def test_a_runner_that_a_dead_server_left_is_ended_and_that_is_safe() -> None:
    world = with_orphan()
    result = run(world, "vram.free", max_risk=Risk.SAFE, close_programs=False)
    assert result.outcome is Outcome.CHANGED, result.reason
    (change,) = result.changes
    assert (change.risk, change.summary.startswith("end ollama (process ")) == (Risk.SAFE, True)
    assert [process for process in world.programs.values() if process.orphan] == []


def test_a_runner_of_a_server_that_lives_is_never_ended() -> None:
    world = stack()
    world.start("ollama", vram=3 * GIB, owner="ana", runner=True)
    result = run(loaded(world), "vram.free")
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "ollama 3.0 GiB (protected: it belongs to the system, Docker or Ollama)" in result.reason


def test_the_step_does_not_apply_to_a_gpu_of_unknown_memory() -> None:
    world = healthy()
    world.fails["gpu.use"] = [CallFailed("nvidia-smi is not installed")] * 99
    result = run(world, "vram.free")
    assert (result.outcome, result.applies) == (Outcome.SKIPPED, False)
    world.runners.clear()
    assert run(world, "vram.free").outcome is Outcome.FAILED


@pytest.mark.parametrize("step", ["vram.free", "vram.at_most"])
def test_a_card_of_unknown_memory_is_an_error_with_its_reason(monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    world = stack()
    honest = FakeGpu.use

    def silent(self: FakeGpu) -> GpuUse:
        use = honest(self)
        cards = (replace(each, used=None, free=None, problem="it needs a reset: restart the machine") for each in use.gpus)
        return replace(use, gpus=tuple(cards))

    monkeypatch.setattr(FakeGpu, "use", silent)
    result = run(world, step, {} if step == "vram.free" else {"used": "1 GiB"})
    assert (result.outcome, world.writes) == (Outcome.FAILED, [])
    assert "does not report its memory: it needs a reset" in result.reason
