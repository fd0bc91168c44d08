"""Ollama in a distribution of WSL on a Windows host of the lab: how wsl.exe behaves, and how the program repairs each fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

from remediation.connections.calls import Call, Reply
from remediation.connections.worker.connection import WorkerConnection
from remediation.diagnosis.collect import collect
from remediation.facets.host import HostReader
from remediation.facets.host_info import HostInfo
from remediation.facets.scripts import script
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import SystemClock
from remediation_lab.host.host import Host
from remediation_lab.scenarios import worlds
from remediation_lab.scenarios.wsl import CONFIG, FAULTS, MODEL, NAME
from remediation_lab.world.state import State
from tests.lab.conftest import NOW
from tests.lab.product import Events, ThreadChannel, on

PLAYBOOK = "- hosts: all\n  tasks:\n"


def made(fault: str = "healthy") -> Host:
    machine = worlds.machine("wsl-07", "wsl", now=NOW, scale=1000.0, saved=lambda _: None, fault=fault)
    machine.clock.grain = 0.05
    return machine


def wsl(machine: Host, *words: str) -> tuple[int, bytes]:
    done = machine.call("run", argv=["C:\\Program Files\\WSL\\wsl.exe", *words])
    return done["rc"], base64.b64decode(done["stdout"])


def answers(machine: Host) -> bool:
    return "error" not in machine.call(
        "probe", name="http", data={"method": "GET", "url": "http://127.0.0.1:11434/api/version", "timeout": 5}
    )


def test_wsl_prints_utf16_and_its_programs_do_not() -> None:
    machine = made()
    assert "Ubuntu    Running         2" in wsl(machine, "--list", "--verbose")[1].decode("utf-16-le")
    assert "WSL version: 2" in wsl(machine, "--version")[1].decode("utf-16-le")
    assert "Default Distribution: Ubuntu" in wsl(machine, "--status")[1].decode("utf-16-le")
    assert b"LoadState=loaded" in wsl(machine, "-d", NAME, "--", "systemctl", "show", "ollama")[1]


def test_the_memory_of_wslconfig_applies_after_a_shutdown() -> None:
    machine = made()
    before = machine.state.guest_memory
    machine.files.put(CONFIG, b"[wsl2]\nmemory=4GB\n")
    wsl(machine, "--terminate", NAME)
    wsl(machine, "-d", NAME, "--exec", "true")
    assert machine.state.guest_memory == before == machine.state.memory_total // 2
    wsl(machine, "--shutdown")
    assert not answers(machine)
    wsl(machine, "-d", NAME, "--exec", "true")
    assert machine.state.guest_memory == 4 * 1024**3
    assert answers(machine)


def test_the_card_is_charged_to_the_machine_of_wsl_and_comes_back_with_it() -> None:
    machine = made()
    held = {each["Name"]: each["LocalUsage"] for each in machine.memory.process_rows()}
    (pid,) = [each.pid for each in machine.state.programs if each.name == "vmmemWSL"]
    assert held[f"pid_{pid}_luid_{machine.state.card.luid}_phys_0"] > 4 * 1024**3
    free = machine.memory.free()
    wsl(machine, "--shutdown")
    assert machine.memory.free() > free + 4 * 1024**3


def test_a_machine_comes_back_from_disk() -> None:
    machine = made()
    again = Host(State.from_json(json.loads(json.dumps(machine.call("state")))), scale=1000.0)
    assert [each.layers for each in again.serving.servers()[0].runners] == [33]


REPAIRED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "num-gpu-1": ("explicit_num_gpu", ("model.reloaded",)),
    "num-gpu-1-model": ("explicit_num_gpu", ("model.parameter", "model.reloaded")),
    "num-gpu-1-client": ("explicit_num_gpu", ("model.reloaded",)),
    "vram-occupied": ("vram_occupied", ("vram.free", "model.reloaded")),
    "memory-limit": ("system_memory_limit", ("wsl.configured", "wsl.restarted", "model.reloaded", "vram.free")),
    "by-hand": ("unknown", ("model.reloaded",)),
    "healthy": ("healthy", ()),
}
"""The cause that a diagnosis puts first, and the steps that repair it; a server without a unit has no log."""
BY_HAND: Mapping[str, tuple[str, str]] = {
    "unit-llm-library": ("wrong_library_or_missing_runner", f"wsl -d {NAME} -u root -- systemctl edit ollama"),
    "unit-gpu-overhead": ("gpu_overhead_reserved", f"wsl -d {NAME} -u root -- systemctl edit ollama"),
    "linux-driver": ("docker_desktop_state", "never inside WSL"),
    "version-1": ("docker_desktop_state", "wsl --set-version"),
    "two-models-loaded": ("explicit_num_gpu", ""),
    "distribution-stopped": ("other", f"wsl -d {NAME} -u root -- systemctl start ollama"),
    "unit-stopped": ("other", f"wsl -d {NAME} -u root -- systemctl start ollama"),
    "not-forwarded": ("other", f"Take the line localhostForwarding=false out of {CONFIG}"),
}
"""The cause, and words of the advice with which the diagnosis ends; the runbook changes nothing."""
SAMPLE = ("num-gpu-1", "memory-limit", "unit-llm-library", "linux-driver", "version-1", "distribution-stopped", "not-forwarded")


def test_every_fault_has_its_outcome() -> None:
    assert {*REPAIRED, *BY_HAND} == {*FAULTS}


def outcome(machine: Host, folder: Path) -> tuple[str, str, int, tuple[str, ...], str]:
    """Return cause and cure of the diagnosis; code, applied steps and events of the repair."""
    with on(machine, folder) as remediate:
        _, found = remediate("diagnose")
        code, events = remediate("fix-offload")
    first = found[0]["findings"][0]
    return str(first["cause"]), str(first["cure"]), code, steps(events), json.dumps(events)


def steps(events: Events) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event["step"] for event in events if event["event"] == "change_end" and event["applied"]))


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in REPAIRED])
def test_what_is_repaired(fault: str, tmp_path: Path) -> None:
    wanted, expected = REPAIRED[fault]
    machine = made(fault)
    cause, _, code, changed, events = outcome(machine, tmp_path)
    assert (cause, code, changed) == (wanted, 0, expected), events
    (runner,) = machine.serving.servers()[0].runners
    assert (runner.name, runner.layers) == (MODEL, 33)


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in BY_HAND])
def test_what_ends_with_advice(fault: str, tmp_path: Path) -> None:
    wanted, advice = BY_HAND[fault]
    cause, cure, code, changed, events = outcome(made(fault), tmp_path)
    assert (cause, code, changed) == (wanted, 2, ()), events
    assert advice in cure
    assert json.dumps(advice)[1:-1] in events  # the runbook ends with it


def play(machine: Host, folder: Path, *tasks: str) -> tuple[int, Events]:
    playbook = folder / "play.yml"
    playbook.write_text(PLAYBOOK + "".join(f"    - {each}\n" for each in tasks), encoding="utf-8")
    with on(machine, folder) as remediate:
        return remediate("play", str(playbook))


def test_a_memory_limit_is_raised_and_wsl_restarted(tmp_path: Path) -> None:
    machine = made("memory-limit")
    code, events = play(machine, tmp_path, "wsl.configured: { memory: 8 GiB }", "wsl.restarted:")
    assert (code, steps(events)) == (0, ("wsl.configured", "wsl.restarted")), events
    assert (machine.state.guest_memory, answers(machine)) == (8 * 1024**3, True)
    assert machine.state.writes["wsl --shutdown"] == 1


def test_a_memory_limit_is_predicted_asked_for_and_undone(tmp_path: Path) -> None:
    machine = made("memory-limit")
    before = machine.files.get(CONFIG)
    with on(machine, tmp_path) as remediate:
        code, events = remediate("fix-offload", "--check", "--diff")
        said = json.dumps(events)
        assert (code, machine.files.get(CONFIG)) == (4, before), events
        assert "-memory=1GB\\n+memory=16GB" in said
        assert f"wsl --shutdown: ends {NAME}, with all programs and unsaved work in them" in said
    with on(machine, tmp_path, max_risk="safe") as remediate:
        code, events = remediate("fix-offload")
        assert (code, machine.files.get(CONFIG), "wsl --shutdown" in machine.state.writes) == (5, before, False), events
    with on(machine, tmp_path) as remediate:
        code, events = remediate("fix-offload")
        assert (code, machine.state.guest_memory) == (0, 16 * 1024**3), events
        run = next(each["run"] for each in events if each["event"] == "run_end")
        code, events = remediate("undo", run)
    assert machine.files.get(CONFIG) == before, events


def test_a_stopped_distribution_is_started(tmp_path: Path) -> None:
    machine = made("distribution-stopped")
    code, events = play(machine, tmp_path, "wsl.restarted: { distribution: Ubuntu }")
    assert (code, answers(machine)) == (0, True), events
    assert not any(each.startswith("wsl --") for each in machine.state.writes)


def test_a_server_in_a_distribution_costs_a_diagnosis_no_exchange_for_the_list_of_distributions() -> None:
    exchanges: list[Sequence[Call]] = []

    class Counting(WorkerConnection):
        def exchange(self, calls: Sequence[Call]) -> list[Reply]:
            exchanges.append(calls)
            return super().exchange(calls)

    connection = Counting("wsl-07", ThreadChannel(made("num-gpu-1")), scripts=script)
    place = HostInfo("wsl-07", {}, windows=True, local=False, clock=SystemClock(), environment={})
    serving = collect(HostReader(place, Snapshot(lambda: connection))).serving
    connection.close()
    assert serving is not None
    assert serving.guest is not None
    assert len(exchanges) <= 4, exchanges
