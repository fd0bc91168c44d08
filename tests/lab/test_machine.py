"""The machine model: its clock, its programs, its card, and the faults it can have."""

from __future__ import annotations

import base64
import json
import threading
from typing import Any

import pytest

from remediation.lab.wire import Json, Refusal
from remediation.lab.world import scenario
from remediation.lab.world.clock import MachineClock
from remediation.lab.world.faults import FAULTS, LIBRARY_LINE
from remediation.lab.world.machine import Machine
from remediation.lab.world.processes import TASK_DENIED, TASK_NOT_LOGGED_ON
from remediation.lab.world.state import MIB, Program, State
from tests.lab.conftest import NOW, made

MODEL = scenario.MODEL


def program(machine: Machine, name: str) -> Program:
    return next(each for each in machine.state.programs if each.name == name)


def close(machine: Machine, name: str, *, grace: float = 10, force: bool = False) -> dict[str, Any]:
    found = program(machine, name)
    data = {"pid": found.pid, "started": found.started, "grace": grace, "force": force}
    value: dict[str, Any] = machine.call("probe", name="close", data=data)
    return value


def running(machine: Machine, name: str) -> bool:
    return any(each.name == name for each in machine.state.programs)


def ask(machine: Machine, path: str = "/api/generate", **body: Json) -> dict[str, Any]:
    value = machine.network.request(
        method="POST",
        url=f"http://localhost:11434{path}",
        body=json.dumps({"model": MODEL, "stream": False, **body}),
        timeout=600,
    )
    answer: dict[str, Any] = json.loads(base64.b64decode(value["body"]))
    return answer


def offloaded(machine: Machine) -> str:
    lines = [line for _, _, line in machine.engine.find("ai-native-ollama").log if "offloaded" in line]
    return lines[-1].split("offloaded ")[1].split()[0] if lines else "no line"


def reload(machine: Machine, **options: Json) -> str:
    ask(machine, keep_alive=0)
    while machine.engine.servers()[0].runners:
        machine.clock.sleep(0.1)
    ask(machine, keep_alive="10m", options=options)
    return offloaded(machine)


@pytest.mark.parametrize(
    ("fault", "layers"),
    [
        ("vram-occupied", "1/33"),
        ("num-gpu-1", "1/33"),
        ("llm-library-cuda", "no line"),
        ("healthy", "33/33"),
        ("num-gpu-1-model", "1/33"),
        ("num-gpu-1-client", "1/33"),
        ("context-32768", "11/33"),
        ("context-request", "11/33"),
        ("num-parallel-8", "11/33"),
        ("gpu-overhead", "13/33"),
        ("no-gpu-request", "no line"),
        ("visible-devices", "no line"),
        ("card-too-small", "21/33"),
        ("card-unsupported", "no line"),
        ("driver-too-old", "no line"),
        ("driver-lost", "no line"),
        ("other-model", "10/33"),
        ("slow-disk", "33/33"),
        ("discord-uncounted", "1/33"),
        ("chrome-immortal", "1/33"),
        ("pid-reused", "1/33"),
        ("margin-0.32", "32/33"),
        ("vram-occupied-0.32", "0/33"),
        ("num-gpu-1-0.32", "1/33"),
        ("vram-occupied-0.12", "1/33"),
        ("not-loaded", "no line"),
        ("chrome-comes-back", "1/33"),
        ("discord-hides", "1/33"),
        ("nobody-logged-on", "1/33"),
        ("unprepared", "1/33"),
        ("constrained-language", "1/33"),
        ("not-elevated", "1/33"),
        ("no-gpu-counters", "1/33"),
    ],
)
def test_what_the_first_look_finds(fault: str, layers: str) -> None:
    machine = made(fault)
    assert offloaded(machine) == layers
    assert bool(machine.engine.servers()[0].runners) == (fault != "not-loaded")
    assert (machine.state.fault, machine.state.writes) == (fault, {})


@pytest.mark.parametrize(
    ("fault", "status", "words"),
    [
        ("memory-limit", 500, "model requires more system memory"),
        ("model-corrupt", 500, "invalid file magic"),
        ("model-truncated", 500, "unable to load model"),
        ("model-blob-missing", 400, "does not support generate"),
    ],
)
def test_what_a_machine_that_cannot_load_answers(fault: str, status: int, words: str) -> None:
    machine = made(fault)
    value = machine.network.request(
        method="POST", url="http://localhost:11434/api/generate", body=json.dumps({"model": MODEL, "prompt": "x"}), timeout=600
    )
    assert value["status"] == status
    assert words in base64.b64decode(value["body"]).decode()
    assert offloaded(machine) == "no line"


@pytest.mark.parametrize("fault", ["no-gpu-runtime", "engine-down", "desktop-hangs"])
def test_a_machine_without_a_server_refuses_the_connection(fault: str) -> None:
    machine = made(fault)
    assert machine.call("probe", name="http", data=_VERSION)["error"]["kind"] == "refused"
    assert machine.state.engine.up is (fault == "no-gpu-runtime")


_VERSION = {"method": "GET", "url": "http://127.0.0.1:11434/api/version", "timeout": 5}


def test_every_fault_is_tried_here() -> None:
    tests = (test_what_the_first_look_finds, test_what_a_machine_that_cannot_load_answers)
    tried = {case[0] for test in tests for case in test.pytestmark[0].args[1]}
    assert tried | {"no-gpu-runtime", "engine-down", "desktop-hangs"} == set(FAULTS)


def test_closing_two_programs_makes_room_for_all_layers(machine: Machine) -> None:
    before = machine.memory.free()
    assert close(machine, "chrome.exe") == {"ended": True, "how": "polite", "asked": 1, "task_result": 0}
    assert reload(machine) != "33/33"  # one is not enough
    assert close(machine, "Discord.exe")["how"] == "polite"
    assert machine.memory.free() > before + 1500 * MIB
    assert reload(machine) == "33/33"
    assert running(machine, "Code.exe")
    assert {key: machine.state.writes[key] for key in machine.state.writes} == {"close chrome.exe": 1, "close Discord.exe": 1}


def test_a_sticky_runner_keeps_its_layers_until_it_is_loaded_anew() -> None:
    machine = made("num-gpu-1")
    ask(machine, prompt="x", options={"num_predict": 2})
    assert offloaded(machine) == "1/33"
    assert reload(machine, num_gpu=-1) == "33/33"


def test_the_library_filter_is_gone_after_an_up_without_it() -> None:
    machine = made("llm-library-cuda")
    path = f"{scenario.FOLDER}\\docker-compose.gpu.yml"
    text = (machine.files.get(path) or b"").decode()
    machine.files.put(path, text.replace(f"      - {LIBRARY_LINE}\n", "").encode())
    machine.call(
        "run", argv=["docker", "compose", "-f", "docker-compose.yml", "-f", path, "up", "-d"], cwd=scenario.FOLDER, timeout=600
    )
    ask(machine)
    assert offloaded(machine) == "33/33"


def test_a_program_with_unsaved_work_stays_unless_forced(machine: Machine) -> None:
    assert close(machine, "Code.exe", grace=3)["how"] == "still-there"
    assert close(machine, "Code.exe", grace=3, force=True)["how"] == "forced"
    assert not running(machine, "Code.exe")


def test_a_tree_ends_as_a_whole_and_identity_is_pid_and_start(machine: Machine) -> None:
    chrome = program(machine, "chrome.exe")
    other = {"pid": chrome.pid, "started": chrome.started + 1, "grace": 1, "force": True}
    assert machine.call("probe", name="close", data=other)["how"] == "gone"
    assert running(machine, "chrome.exe")
    assert len(machine.processes.tree(chrome.pid)) == 3
    close(machine, "chrome.exe")
    assert not running(machine, "chrome.exe")


def test_nobody_at_the_desktop_means_that_nobody_is_asked() -> None:
    machine = made("nobody-logged-on")
    assert close(machine, "chrome.exe") == {"ended": False, "how": "still-there", "asked": 0, "task_result": TASK_NOT_LOGGED_ON}
    assert machine.state.writes == {}


def test_a_login_does_not_close_what_it_came_from_and_the_system_is_not_ended(machine: Machine) -> None:
    assert close(machine, "winrshost.exe", force=True)["how"] == "own"
    assert close(machine, "NVDisplay.Container.exe", force=True) == {
        "ended": False,
        "how": "still-there",
        "asked": 0,
        "task_result": None,
    }
    assert machine.state.writes == {}


def test_a_login_without_rights_asks_nobody_and_ends_nothing_of_another_user() -> None:
    machine = made("not-elevated")
    assert close(machine, "chrome.exe", force=True) == {
        "ended": False,
        "how": "still-there",
        "asked": 0,
        "task_result": TASK_DENIED,
    }
    assert running(machine, "chrome.exe")
    assert machine.state.writes == {}


def test_chrome_comes_back_with_another_number() -> None:
    machine = made("chrome-comes-back")
    first = program(machine, "chrome.exe").pid
    assert close(machine, "chrome.exe")["ended"]
    machine.clock.sleep(30)
    machine.call("clock")
    assert program(machine, "chrome.exe").pid != first
    assert len(machine.processes.tree(program(machine, "chrome.exe").pid)) == 3


def test_a_program_that_hides_keeps_running_with_less_memory() -> None:
    machine = made("discord-hides")
    before = machine.memory.used()
    assert close(machine, "Discord.exe")["how"] == "still-there"
    assert machine.memory.used() < before - 1000 * MIB
    assert close(machine, "Discord.exe")["asked"] == 0  # no window left to ask


def test_the_loaded_model_is_charged_to_the_virtual_machine(machine: Machine) -> None:
    pid = program(machine, "vmmemWSL").pid
    rows = {row["Name"]: row["LocalUsage"] for row in machine.memory.process_rows()}
    held = rows[f"pid_{pid}_luid_{machine.state.card.luid}_phys_0"]
    assert held == sum(machine.state.held.values()) > 300 * MIB
    ask(machine, keep_alive=0)
    machine.clock.sleep(1)
    machine.engine.servers()[0].tick()
    assert machine.state.held == {}


def test_rows_and_the_driver_agree_on_what_is_resident(machine: Machine) -> None:
    card = machine.state.card
    own = sum(row["LocalUsage"] for row in machine.memory.process_rows() if card.luid in row["Name"])
    assert own == machine.memory.used() == card.total - card.reserve - machine.memory.free()


def test_video_memory_is_never_given_twice(machine: Machine) -> None:
    machine.memory.hold("x", 100 * 1024 * MIB)
    assert machine.memory.free() == 0
    machine.memory.hold("x", 0)
    assert machine.memory.free() > 0


def test_a_machine_comes_back_from_its_state_as_it_was(machine: Machine) -> None:
    close(machine, "chrome.exe")
    machine.save()
    again = Machine(State.from_json(json.loads(json.dumps(machine.state.to_json()))), scale=2000)
    assert [each.name for each in again.engine.servers()[0].runners] == [MODEL]
    assert again.memory.free() == machine.memory.free()
    assert again.state.writes == {"close chrome.exe": 1}
    close(again, "Discord.exe")
    assert reload(again) == "33/33"


def test_unknown_fields_of_an_older_lab_are_left_out(machine: Machine) -> None:
    old = {**machine.state.to_json(), "gone": 1}
    old["card"]["gone"] = 1
    assert State.from_json(old).name == "laptop-07"


def test_everything_that_changes_is_saved_at_once() -> None:
    saved: list[dict[str, int]] = []
    machine = scenario.machine("x", now=NOW, scale=2000, saved=lambda state: saved.append(dict(state.writes)))
    count = len(saved)
    machine.call("read", path="C:\\x")
    assert len(saved) == count
    close(machine, "chrome.exe")
    assert saved[-1] == {"close chrome.exe": 1}


def test_operations_are_checked() -> None:
    machine = made()
    for op, fields in (("nosuch", {}), ("read", {"nosuch": 1}), ("write", {})):
        with pytest.raises(Refusal) as caught:
            machine.call(op, **fields)
        assert caught.value.kind == "error"


def test_time_passes_slowly_until_somebody_needs_it() -> None:
    clock = MachineClock(100.0, 1e6)
    with clock.jumping():
        clock.sleep(50)
    start = clock.now()
    assert 150 <= start < 1000
    clock.sleep(1e4)
    assert clock.now() >= start + 1e4
    before = clock.now()
    with clock.hurried():
        while clock.now() < before + 1e4:  # a hundredth of a second of ours
            threading.Event().wait(0.001)


def test_time_passes_fast_until_a_machine_has_booted_and_slowly_again_from_then_on() -> None:
    clock = MachineClock(100.0, 1e6)
    clock.hurry_until(1e4)
    while clock.now() < 1e4:  # a hundredth of a second of ours
        threading.Event().wait(0.001)
    assert clock.now() < 2e4
    clock.hurry_until(0.0)
    with clock.hurried():
        pass
    assert 1e4 <= clock.now() < 2e4


def test_the_guide_s_project_lies_where_it_says(machine: Machine) -> None:
    text = (machine.files.get("C:\\dev\\activia1\\docker-compose.gpu.yml") or b"").decode()
    assert "OLLAMA_NUM_GPU=99" in text
    assert "LLM_LIBRARY" not in text
    assert machine.engine.find("ai-native-ollama").wants_gpu
    assert [volume.name for volume in machine.state.volumes] == ["activia1_ollama_data"]
