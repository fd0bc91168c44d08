"""Ollama outside of containers on a Windows host of the lab: how the machine behaves, and how the program repairs each fault."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation_lab.host.host import Host
from remediation_lab.programs import Call, find
from remediation_lab.scenarios import worlds
from remediation_lab.scenarios.native import FAULTS, FOLDER, MODEL, USER
from remediation_lab.wire import Refusal
from remediation_lab.world.native import database
from remediation_lab.world.setup import Installation
from remediation_lab.world.state import State
from tests.lab.conftest import NOW
from tests.lab.product import Events, on

WORLD = "native-windows"
LOG = "C:\\Users\\maria\\AppData\\Local\\Ollama\\server.log"
DATABASE = "C:\\Users\\maria\\AppData\\Local\\Ollama\\db.sqlite"


def made(fault: str = "healthy", *, scale: float = 500.0) -> Host:
    machine = worlds.machine("desktop-07", WORLD, now=NOW, scale=scale, saved=lambda _: None, fault=fault)
    machine.clock.grain = 0.05
    return machine


def only(machine: Host) -> Installation:
    (one,) = machine.state.installations
    return one


def log_of(machine: Host, path: str = LOG) -> str:
    machine.call("state")
    return (machine.files.get(path) or b"").decode()


def named(machine: Host, name: str) -> list[int]:
    return [each.pid for each in machine.state.programs if each.name == name]


def pass_by(machine: Host, seconds: float) -> None:
    machine.clock.sleep(seconds)
    machine.call("clock")


def get(machine: Host, path: str, port: int = 11434) -> Any:
    value = machine.call("probe", name="http", data={"method": "GET", "url": f"http://127.0.0.1:{port}{path}", "timeout": 5})
    return value if "error" in value else json.loads(base64.b64decode(value["body"]))


def test_the_app_starts_the_server_and_each_model_is_a_process_of_its_user() -> None:
    machine = made()
    (app,), (server, runner) = named(machine, "ollama app.exe"), named(machine, "ollama.exe")
    rows = {each["ProcessId"]: each for each in machine.call("probe", name="processes")["Processes"]}
    assert (rows[server]["ParentProcessId"], rows[runner]["ParentProcessId"]) == (app, server)
    assert {rows[each]["Owner"] for each in (app, server, runner)} == {USER}
    assert {rows[each]["SessionId"] for each in (app, server, runner)} == {1}
    held = {each["Name"]: each["LocalUsage"] for each in machine.memory.process_rows()}
    assert held[f"pid_{runner}_luid_{machine.state.card.luid}_phys_0"] > 4 * 1024**3
    assert "offloaded 33/33" in log_of(machine)
    with pytest.raises(Refusal, match="cannot find the file"):
        machine.call("run", argv=["docker", "ps"])


def test_the_app_starts_a_killed_server_again_and_its_runner_lives_on() -> None:
    machine = made()
    server, runner = named(machine, "ollama.exe")
    before = machine.memory.free()
    machine.processes.end_one(next(each for each in machine.state.programs if each.pid == server))
    assert get(machine, "/api/version")["error"]["kind"] == "refused"
    pass_by(machine, 3)
    assert get(machine, "/api/version") == {"version": "0.13.5"}
    assert get(machine, "/api/ps") == {"models": []}
    assert runner in named(machine, "ollama.exe")
    assert machine.memory.free() == before
    assert log_of(machine).count("server config") == 2  # a restarted server writes into the same file
    machine.call("run", argv=["taskkill", "/F", "/PID", str(runner)])
    assert machine.memory.free() > before + 4 * 1024**3


def test_without_the_app_a_killed_server_stays_away() -> None:
    machine = made()
    (app,) = named(machine, "ollama app.exe")
    machine.call("run", argv=["taskkill", "/F", "/T", "/PID", str(app)])
    pass_by(machine, 10)
    assert named(machine, "ollama.exe") == []
    assert machine.state.held == {}
    assert get(machine, "/api/version")["error"]["kind"] == "refused"


def test_a_variable_reaches_the_server_with_a_new_start_of_the_app_only() -> None:
    machine = made()
    machine.state.variables[USER]["OLLAMA_KEEP_ALIVE"] = "7m"
    server = named(machine, "ollama.exe")[0]
    machine.processes.end_one(next(each for each in machine.state.programs if each.pid == server))
    pass_by(machine, 3)
    assert "OLLAMA_KEEP_ALIVE:5m0s" in log_of(machine).rpartition("server config")[2]
    machine.native.stop(only(machine))
    machine.native.start(only(machine))
    assert "OLLAMA_KEEP_ALIVE:7m0s" in log_of(machine).rpartition("server config")[2]
    assert log_of(machine).count("server config") == 1  # a new start of the app begins a new file
    assert log_of(machine, LOG.replace("server.log", "server-1.log")).count("server config") == 2


def test_the_apps_database_wins_over_variables() -> None:
    machine = made()
    machine.state.variables[USER]["OLLAMA_CONTEXT_LENGTH"] = "16384"
    content = machine.files.get(DATABASE)
    assert content is not None
    assert {"schema_version": 12, "context_length": 4096}.items() <= database.settings(content).items()
    for value, context in ((4096, "4096"), (0, "16384"), (8192, "8192")):
        machine.native.stop(only(machine))
        machine.files.put(DATABASE, database.updated(machine.files.get(DATABASE) or b"", {"context_length": value}))
        machine.native.start(only(machine))
        assert f"OLLAMA_CONTEXT_LENGTH:{context} " in log_of(machine)


def test_a_second_server_finds_the_port_taken() -> None:
    machine = made("app-and-service")
    assert [(each.kind, bool(each.pid)) for each in machine.state.installations] == [("service", True), ("app", False)]
    assert "Only one usage of each socket address" in log_of(machine)


def test_a_service_is_stopped_and_started_by_its_name() -> None:
    machine = made("service-num-gpu-1")
    stopped = machine.call("probe", name="service", data={"name": "Ollama", "action": "stop"})
    assert (stopped["State"], named(machine, "nssm.exe"), named(machine, "ollama.exe")) == ("Stopped", [], [])
    assert machine.state.held == {}
    machine.call("probe", name="service", data={"name": "Ollama", "action": "start"})
    (server,) = named(machine, "ollama.exe")
    rows = {each["ProcessId"]: each for each in machine.call("probe", name="processes")["Processes"]}
    parent = rows[rows[server]["ParentProcessId"]]
    assert (parent["Name"], parent["Service"], parent["SessionId"]) == ("nssm.exe", "Ollama", 0)
    assert get(machine, "/api/tags")["models"][0]["name"] == MODEL


def test_a_restarted_machine_has_its_service_and_no_app_before_somebody_logs_on() -> None:
    for fault, serves in (("service-num-gpu-1", True), ("num-gpu-1", False)):
        machine = made(fault)
        machine.desktop.restart_machine(seconds=1.0)
        pass_by(machine, 2)
        assert ("error" not in get(machine, "/api/version")) is serves
        machine.state.login.desktop_user = USER
        machine.desktop.log_on()
        assert get(machine, "/api/ps") == {"models": []}


def test_the_models_lie_in_files_that_can_be_hashed() -> None:
    machine = made()
    (name,) = [
        each for each in machine.files.names("C:\\Users\\maria\\.ollama\\models\\blobs") if _size(machine, each) > 50 and "GGUF" in _text(machine, each)
    ]  # fmt: skip
    path = f"C:\\Users\\maria\\.ollama\\models\\blobs\\{name}"
    done = machine.call("run", argv=["certutil.exe", "-hashfile", path, "SHA256"])
    assert name.removeprefix("sha256-") in base64.b64decode(done["stdout"]).decode()
    missing = machine.call("run", argv=["certutil.exe", "-hashfile", f"{path}x", "SHA256"])
    assert missing["rc"] == 0x80070002


def _text(machine: Host, name: str) -> str:
    return (machine.files.get(f"C:\\Users\\maria\\.ollama\\models\\blobs\\{name}") or b"").decode()


def _size(machine: Host, name: str) -> int:
    return len(_text(machine, name))


def test_ollamas_command_line_starts_no_server_here() -> None:
    machine = made("app-closed")
    program = find(["ollama.exe"])
    call = Call(("ollama.exe", "--version"), b"", "C:\\", {}, machine.clock.now() + 9)
    assert program(machine, call).stdout == b"ollama version is 0.13.5\n"
    call = Call(("ollama.exe", "list"), b"", "C:\\", {}, machine.clock.now() + 99)
    assert program(machine, call).rc == 1
    assert machine.state.writes == {"ollama app in session 0": 1}  # the trap: facts/native 1.6


@pytest.mark.parametrize("fault", ["healthy", "orphan-runner", "service-num-gpu-1"])
def test_a_machine_comes_back_from_disk(fault: str) -> None:
    machine = made(fault)
    again = Host(State.from_json(json.loads(json.dumps(machine.call("state")))), scale=500.0)
    again.clock.grain = machine.clock.grain
    assert get(again, "/api/ps") == get(machine, "/api/ps") != {"models": []}
    assert again.memory.free() == machine.memory.free()
    runner = again.serving.servers()[0]
    runner.stop()
    assert again.memory.free() > machine.memory.free()


SETTING = ("ollama.environment", "ollama.reconfigured")
REPAIRED: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "num-gpu-1": ("explicit_num_gpu", ("model.reloaded",)),
    "num-gpu-1-model": ("explicit_num_gpu", ("model.parameter", "model.reloaded")),
    "num-gpu-1-client": ("explicit_num_gpu", ("model.reloaded",)),
    "vram-occupied": ("vram_occupied", ("vram.free", "model.reloaded")),
    "service-num-parallel": ("num_parallel_too_high", (*SETTING, "model.reloaded")),
    "service-parallel-no-log": ("num_parallel_too_high", ("ollama.environment", "model.reloaded")),
    "service-num-gpu-1": ("explicit_num_gpu", ("model.reloaded",)),
    "service-without-log": ("unknown", ("model.reloaded",)),
    "task-num-gpu-1": ("unknown", ("model.reloaded",)),
    "hand-num-gpu-1": ("unknown", ("model.reloaded",)),
    "app-and-service": ("explicit_num_gpu", ("model.reloaded",)),
    "other-port": ("explicit_num_gpu", ("model.reloaded",)),
    "two-models-stored": ("explicit_num_gpu", ("model.reloaded",)),
    "deleted-model-loaded": ("", ("model.loaded",)),
    "model-truncated": ("model_corrupt", ("model.repulled", "model.reloaded")),
    "orphan-runner": ("vram_occupied", ("vram.free", "model.reloaded")),
    "slow-tokens": ("explicit_num_gpu", ("model.reloaded",)),
    "healthy": ("healthy", ()),
    "user-llm-library": ("wrong_library_or_missing_runner", (*SETTING, "model.reloaded")),
    "user-visible-devices": ("cuda_visible_devices_wrong", (*SETTING, "model.reloaded")),
    "machine-gpu-overhead": ("gpu_overhead_reserved", (*SETTING, "model.reloaded")),
    "app-context": ("context_too_large", ("ollama.environment", "model.reloaded")),
    "variable-removed": ("wrong_library_or_missing_runner", ("ollama.reconfigured", "model.reloaded")),
    "server-hangs": ("other", ("ollama.restarted", "model.loaded")),
}
"""The cause that a diagnosis puts first, and the steps that repair it; without a readable log the API does not show the cause."""
BY_HAND: Mapping[str, tuple[str, str]] = {
    "libraries-missing": ("wrong_library_or_missing_runner", "OllamaSetup.exe"),
    "two-models-loaded": ("explicit_num_gpu", "-e model="),
    "app-closed": ("unknown", "start Ollama"),
}
"""The cause, and words of the advice with which a repair ends; nothing is changed for the worse."""
SAMPLE = (
    "num-gpu-1",
    "vram-occupied",
    "service-without-log",
    "model-truncated",
    "user-llm-library",
    "app-context",
    "libraries-missing",
)


def test_every_fault_has_its_outcome() -> None:
    assert {*REPAIRED, *BY_HAND} == {*FAULTS}


def repaired(fault: str, folder: Path) -> tuple[str, int, tuple[str, ...], str, Host]:
    machine = made(fault, scale=1000.0)
    with on(machine, folder) as remediate:
        code, found = remediate("diagnose")
        assert code == 0
        code, events = remediate("fix-offload")
    return str(found[0]["findings"][0]["cause"]), code, steps(events), json.dumps(events), machine


def steps(events: Events) -> tuple[str, ...]:
    return tuple(dict.fromkeys(event["step"] for event in events if event["event"] == "change_end" and event["applied"]))


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in REPAIRED])
def test_what_is_repaired(fault: str, tmp_path: Path) -> None:
    wanted, expected = REPAIRED[fault]
    cause, code, changed, events, machine = repaired(fault, tmp_path)
    assert (code, changed) == (0, expected), events
    assert not wanted or cause == wanted
    (runner,) = machine.serving.servers()[0].runners
    assert (runner.name, runner.layers) == (MODEL, 33)


def test_an_orphan_runner_is_named_with_its_process_and_what_it_holds_and_is_ended(tmp_path: Path) -> None:
    machine = made("orphan-runner", scale=1000.0)
    pid = next(each.pid for each in machine.state.programs if (each.holds or "").startswith("orphan"))
    with on(machine, tmp_path) as remediate:
        _, found = remediate("diagnose")
        code, events = remediate("fix-offload")
    first = found[0]["findings"][0]
    assert (first["cause"], f"(pid {pid}, 4.8 GiB)" in first["because"]) == ("vram_occupied", True)
    assert f"taskkill /F /PID {pid}" in first["cure"]
    assert "dwm.exe" not in first["because"]  # the desktop's 56 MiB do not fill a card
    assert (code, steps(events)) == (0, ("vram.free", "model.reloaded"))
    assert pid not in named(machine, "ollama.exe")


@pytest.mark.parametrize("fault", [pytest.param(each, marks=() if each in SAMPLE else pytest.mark.every) for each in BY_HAND])
def test_what_ends_with_advice(fault: str, tmp_path: Path) -> None:
    wanted, advice = BY_HAND[fault]
    cause, code, changed, events, machine = repaired(fault, tmp_path)
    assert code in {2, 5}, events
    assert not wanted or cause == wanted
    assert not advice or advice in events
    assert set(changed) <= {"model.reloaded"}
    assert machine.files.folder(FOLDER) or fault.startswith("service")
