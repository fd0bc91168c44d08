"""The machine model: its clock, its programs, its card, and the faults it can have."""

from __future__ import annotations

import base64
import json
import threading

import pytest

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.scenarios.faults import FAULTS
from remediation_lab.wire import Refusal
from remediation_lab.world.clock import MachineClock
from remediation_lab.world.state import State
from tests.lab.conftest import NOW, made
from tests.lab.machine_queries import MODEL, close, offloaded, reload


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
        ("card-tight", "28/33"),
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
        ("no-rights", "1/33"),
        ("task-refused", "1/33"),
        ("task-slow", "1/33"),
        ("settings-in-use", "1/33"),
        ("values-missing", "1/33"),
        ("card-needs-reset", "no line"),
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


def test_a_killed_runner_stays_listed_and_the_next_request_loads_it_again() -> None:
    machine = made("runner-killed")
    assert offloaded(machine) == "33/33"
    ask = {"method": "POST", "url": "http://localhost:11434/api/generate", "timeout": 600}
    for _ in range(2):
        value = machine.network.request(**ask, body=json.dumps({"model": MODEL, "prompt": "x"}))
        assert value["status"] == 500
        assert "model runner has unexpectedly stopped" in base64.b64decode(value["body"]).decode()
        listed = machine.network.request(method="GET", url="http://localhost:11434/api/ps", body="", timeout=60)
        assert MODEL in base64.b64decode(listed["body"]).decode()
    log = [text for _, _, text in machine.engine.find("ai-native-ollama").log]
    assert any('string="signal: killed"' in text for text in log)


def test_every_fault_is_tried_here() -> None:
    tests = (test_what_the_first_look_finds, test_what_a_machine_that_cannot_load_answers)
    tried = {case[0] for test in tests for case in test.pytestmark[0].args[1]}
    assert tried | {"no-gpu-runtime", "engine-down", "desktop-hangs", "runner-killed"} == set(FAULTS)


def test_a_machine_comes_back_from_its_state_as_it_was(machine: Host) -> None:
    close(machine, "chrome.exe")
    machine.save()
    again = Host(State.from_json(json.loads(json.dumps(machine.state.to_json()))), scale=2000)
    assert [each.name for each in again.engine.servers()[0].runners] == [MODEL]
    assert again.memory.free() == machine.memory.free()
    assert again.state.writes == {"close chrome.exe": 1}
    close(again, "Discord.exe")
    assert reload(again) == "33/33"


def test_unknown_fields_of_an_older_lab_are_left_out(machine: Host) -> None:
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


def test_time_passes_slowly_until_a_client_needs_it() -> None:
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


ROUNDING = 1e-9


def test_a_busy_computer_makes_no_sleeper_late() -> None:
    clock = MachineClock(100.0, 1e6)
    seen: list[tuple[float, float]] = []

    def sleep() -> None:
        for _ in range(20):
            start = clock.now()
            clock.sleep(5.0)
            seen.append((start, clock.now()))

    threads = [threading.Thread(target=sleep) for _ in range(3)]
    clock.grain = 0.05
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(seen) == 60
    # between reading the time and sleeping, the others may sleep all of their 200 s; a millisecond of ours would be 1,000 s
    assert all(5.0 - ROUNDING <= end - start < 300.0 for start, end in seen)


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


def test_the_guide_s_project_lies_where_it_says(machine: Host) -> None:
    text = (machine.files.get("C:\\dev\\activia1\\docker-compose.gpu.yml") or b"").decode()
    assert "OLLAMA_NUM_GPU=99" in text
    assert "LLM_LIBRARY" not in text
    assert machine.engine.find("ai-native-ollama").wants_gpu
    assert [volume.name for volume in machine.state.volumes] == ["activia1_ollama_data"]
