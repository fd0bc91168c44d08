"""Docker Desktop, the machine's own comings and goings, messages, folders, and Windows' own programs."""

from __future__ import annotations

import json
from itertools import pairwise

import pytest

from remediation_lab.scenarios.faults import FOLDER
from remediation_lab.wire import Refusal
from remediation_lab.world import booting
from tests.lab.conftest import made
from tests.lab.machine_queries import VERSION, names, pass_by, probe, rows, run

OLLAMA = "ai-native-ollama"


def test_docker_desktop_stops_with_its_containers_and_starts_them_again() -> None:
    machine = made("healthy")
    before = machine.engine.find(OLLAMA).started
    assert names(machine) == {booting.DESKTOP, booting.BACKEND, booting.BUILD}
    assert probe(machine, "docker-desktop", action="stop")["done"]
    assert names(machine) == set()
    assert probe(machine, "http", **VERSION)["error"]["kind"] == "refused"
    assert run(machine, "docker", "ps")[0] == 1
    assert machine.engine.find(OLLAMA).exit_code == 137
    assert machine.state.held == {}
    started = probe(machine, "docker-desktop", action="start")
    assert (started["done"], started["problem"], started["task"], started["task_result"]) == (True, None, "ended", 0)
    assert run(machine, "docker", "ps")[0] == 1  # it takes its time
    pass_by(machine, 30)
    assert machine.engine.find(OLLAMA).running
    assert machine.engine.find(OLLAMA).started > before
    assert probe(machine, "http", **VERSION)["status"] == 200
    assert [key for key in machine.state.writes if key.startswith("docker")] == ["docker desktop stop", "docker desktop start"]


def test_a_container_that_was_stopped_stays_stopped() -> None:
    machine = made("healthy")
    run(machine, "docker", "stop", OLLAMA)
    probe(machine, "docker-desktop", action="stop")
    probe(machine, "docker-desktop", action="start")
    pass_by(machine, 30)
    assert not machine.engine.find(OLLAMA).running
    assert machine.engine.find("ai-native-api").running


def test_its_window_does_not_come_while_its_backend_lives() -> None:
    machine = made("healthy")
    window = next(each for each in machine.state.programs if each.name == booting.DESKTOP)
    backend = next(each for each in machine.state.programs if each.name == booting.BACKEND)
    backend.parent = 4
    machine.processes.kill(window)
    probe(machine, "docker-desktop", action="start")
    assert names(machine) == {booting.BACKEND, booting.BUILD}
    assert machine.state.engine.up
    assert run(machine, "taskkill", "/F", "/IM", booting.BACKEND)[0] == 0
    assert not machine.state.engine.up


def test_an_edit_while_it_runs_is_lost_and_one_while_it_is_stopped_counts() -> None:
    machine = made("healthy")
    path = probe(machine, "desktop")["SettingsPath"]
    text = json.dumps({"OpenUIOnStartupDisabled": True}).encode()
    machine.files.put(path, text)
    probe(machine, "docker-desktop", action="stop")
    assert json.loads(probe(machine, "desktop")["Settings"]) == {}
    held = machine.memory.used()
    machine.files.put(path, text)
    probe(machine, "docker-desktop", action="start")
    assert json.loads(probe(machine, "desktop")["Settings"]) == {"OpenUIOnStartupDisabled": True}
    assert machine.memory.used() == held  # no window, no video memory


def test_an_engine_that_never_answers_stays_so() -> None:
    machine = made("desktop-hangs")
    probe(machine, "docker-desktop", action="start")
    pass_by(machine, 1000)
    assert names(machine) == {booting.DESKTOP, booting.BACKEND, booting.BUILD}
    assert run(machine, "docker", "version")[0] == 1


def test_nobody_at_the_desktop_no_start_and_no_message() -> None:
    machine = made("nobody-logged-on")
    assert probe(machine, "docker-desktop", action="start")["task_result"] == 0x800710E0
    assert probe(machine, "notify", message="hello", seconds=5)["shown"] is False
    assert machine.state.messages == []


def test_a_message_is_shown() -> None:
    machine = made("healthy")
    assert probe(machine, "notify", message="Chrome will be closed", seconds=5)["shown"] is True
    assert machine.state.messages == ["Chrome will be closed"]


def test_the_plugin_hangs_in_a_remote_session_and_shows_its_state_there() -> None:
    machine = made("healthy")
    with pytest.raises(Refusal) as caught:
        run(machine, "docker", "desktop", "stop", timeout=30)
    assert caught.value.kind == "timeout"
    assert json.loads(run(machine, "docker", "desktop", "status", "--format", "json")[1])["Status"] == "running"
    assert names(machine) == {booting.DESKTOP, booting.BACKEND, booting.BUILD}


def test_a_restarted_machine_waits_for_a_logon() -> None:
    machine = made("driver-lost", scale=1.0)  # a booting machine's time flies else, and it would be back too soon to be seen away
    booted = probe(machine, "system")["LastBootUpTime"]
    assert run(machine, "shutdown.exe", "/r", "/t", "5", "/c", "maintenance")[0] == 0
    assert run(machine, "shutdown.exe", "/r")[0] == 1190
    pass_by(machine, 6)
    with pytest.raises(Refusal) as caught:
        probe(machine, "system")
    assert caught.value.kind == "rebooted"
    pass_by(machine, 60)
    assert probe(machine, "system")["LastBootUpTime"] > booted
    assert probe(machine, "session")["DesktopUser"] is None
    assert names(machine) == set()
    assert run(machine, "nvidia-smi", "-L")[0] == 0  # the driver has the card again
    assert machine.state.writes["reboot"] == 1


def test_with_an_automatic_logon_everything_comes_back() -> None:
    machine = made("healthy")
    machine.state.login.autologon = 10.0
    machine.call("reboot")
    pass_by(machine, 50)
    pass_by(machine, 30)
    assert probe(machine, "session")["DesktopUser"] == "LAB\\maria"
    assert machine.engine.find(OLLAMA).running
    assert {each["Name"] for each in rows(machine)} >= {"explorer.exe", "vmmemWSL", "dwm.exe"}


def test_a_restart_can_be_called_off() -> None:
    machine = made("healthy")
    run(machine, "shutdown", "/r", "/t", "60")
    assert run(machine, "shutdown", "/a")[0] == 0
    assert run(machine, "shutdown", "/a")[0] == 1116
    pass_by(machine, 100)
    assert machine.state.boots == 1


def test_a_program_that_cannot_be_ended_says_so_and_stays() -> None:
    machine = made("chrome-immortal")
    chrome = next(each for each in machine.state.programs if each.name == "chrome.exe")
    assert probe(machine, "close", pid=chrome.pid, started=chrome.started, grace=1, force=False)["how"] == "still-there"
    assert probe(machine, "close", pid=chrome.pid, started=chrome.started, grace=1, force=True)["how"] == "still-there"
    assert run(machine, "taskkill", "/F", "/PID", str(chrome.pid))[0] == 1
    assert run(machine, "taskkill", "/PID", str(chrome.pid))[0] == 1
    assert run(machine, "taskkill", "/F", "/PID", "3")[0] == 128


def test_a_number_that_was_reused_is_another_program() -> None:
    machine = made("pid-reused")
    chrome = next(each for each in machine.state.programs if each.name == "chrome.exe")
    assert probe(machine, "close", pid=chrome.pid, started=chrome.started, grace=10, force=False)["ended"]
    (other,) = [each for each in rows(machine) if each["ProcessId"] == chrome.pid]
    assert other["Name"] == "OUTLOOK.EXE"
    assert probe(machine, "close", pid=chrome.pid, started=chrome.started, grace=1, force=True)["how"] == "gone"
    assert any(each["Name"] == "OUTLOOK.EXE" for each in rows(machine))


def test_an_amount_that_windows_does_not_count_is_missing_from_the_rows_and_in_the_total() -> None:
    machine = made("discord-uncounted")
    seen = probe(machine, "gpu")
    discord = {each["ProcessId"] for each in rows(machine) if each["Name"] == "Discord.exe"}
    assert not any(int(each["Name"].split("_")[1]) in discord for each in seen["process_memory"])
    counted = sum(each["LocalUsage"] for each in seen["process_memory"] if machine.state.card.luid in each["Name"])
    assert counted < machine.memory.used() - 1500 * 1024**2


def test_the_application_asks_again_with_one_layer() -> None:
    machine = made("num-gpu-1-client")
    for options in ({}, {"num_gpu": -1}):
        body = json.dumps(
            {"model": "mistral:7b-instruct-q4_K_M", "stream": False, "keep_alive": 0 if not options else -1, "options": options}
        )
        probe(machine, "http", method="POST", url="http://127.0.0.1:11434/api/generate", body=body, timeout=60)
        pass_by(machine, 1)
    assert machine.engine.servers()[0].runners[0].layers == 33
    pass_by(machine, 200)
    assert machine.engine.servers()[0].runners[0].layers == 1
    run(machine, "docker", "stop", "ai-native-api")
    machine.engine.servers()[0].stop()
    pass_by(machine, 500)
    assert machine.engine.servers()[0].runners == []


def test_folders_files_and_space() -> None:
    machine = made("healthy")
    value = probe(machine, "folder", path=FOLDER)
    assert {each["Name"] for each in value["Entries"]} >= {".env", "docker-compose.yml", "docker-compose.gpu.yml"}
    assert 0 < value["Free"] < value["Total"]
    assert probe(machine, "folder", path="C:\\nowhere")["Entries"] is None
    assert probe(machine, "folder", path="Z:\\")["Total"] is None
    assert probe(machine, "file", action="rename", path=f"{FOLDER}\\.env", to=f"{FOLDER}\\.env.old")["Done"]
    assert machine.files.get(f"{FOLDER}\\.env") is None
    assert not probe(machine, "file", action="rename", path=f"{FOLDER}\\.env", to=f"{FOLDER}\\x")["Done"]
    assert not probe(machine, "file", action="rename", path=f"{FOLDER}\\.env.old", to=f"{FOLDER}\\docker-compose.yml")["Done"]
    assert probe(machine, "file", action="remove", path=f"{FOLDER}\\.env.old", to=None)["Done"]
    assert probe(machine, "file", action="remove", path=f"{FOLDER}\\.env.old", to=None)["Done"]


def test_samples_come_at_their_moments() -> None:
    machine = made("healthy")
    value = probe(machine, "sample", fields=["index", "utilization.gpu", "memory.used"], every=2.0, count=3)
    moments = [row["At"] for row in value["rows"]]
    assert len(moments) == 3
    assert all(later - earlier >= 2 for earlier, later in pairwise(moments))
    assert value["rc"] == 0
    lost = probe(made("driver-lost"), "sample", fields=["index"], every=1.0, count=2)
    assert (lost["rc"], lost["rows"]) == (15, [])
