"""What Windows refuses, leaves empty and reports: the probes of the stand-in answer as those of a real host."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json

import pytest

from remediation_lab.scenarios.faults import FOLDER
from remediation_lab.wire import Refusal
from remediation_lab.world import booting
from remediation_lab.world.files import PART
from remediation_lab.world.state import Program
from tests.lab.conftest import made
from tests.lab.machine_queries import VERSION, names, pass_by, probe, rows, run

_EMPTY = hashlib.sha256(b"").hexdigest()


def test_each_file_has_its_own_time_and_each_drive_its_own_space() -> None:
    machine = made("healthy")
    before = {each["Name"]: each["LastWriteTime"] for each in probe(machine, "folder", path=FOLDER)["Entries"]}
    machine.clock.sleep(100)
    machine.files.put(f"{FOLDER}\\logs\\one.txt", b"x")
    after = {each["Name"]: each["LastWriteTime"] for each in probe(machine, "folder", path=FOLDER)["Entries"]}
    assert after[".env"] == before[".env"] < after["logs"]
    spaces = [
        (value["Total"], value["Free"])
        for value in (probe(machine, "folder", path=path) for path in ("C:\\", "D:\\models", "E:\\"))
    ]
    assert len({*spaces}) == 3
    assert spaces[2] == (None, None)
    assert probe(machine, "folder", path="E:\\")["Problems"] == dict.fromkeys(("Total", "Free"), "the drive E:\\ is not ready")
    assert probe(machine, "folder", path=FOLDER, entries=False)["Entries"] is None


def test_a_closed_folder_is_not_listed_and_its_drive_is() -> None:
    for fault, path in (("no-rights", FOLDER), ("no-rights", "C:\\Users\\maria"), ("not-elevated", "C:\\Users\\maria")):
        value = probe(made(fault), "folder", path=path)
        assert value["Entries"] is None
        assert value["Problems"] == {"Entries": f"Access to the path '{path}' is denied."}
        assert 0 < value["Free"] < value["Total"]
    assert probe(made("not-elevated"), "folder", path=FOLDER)["Problems"] == {}


def test_a_file_is_not_renamed_into_a_folder_that_is_not_there_nor_removed_while_it_is_in_use() -> None:
    machine = made("healthy")
    path = f"{FOLDER}\\.env"
    done = probe(machine, "file", action="rename", path=path, to="C:\\nowhere\\.env")
    assert done == {"Done": False, "Problem": "Could not find a part of the path."}
    assert probe(machine, "file", action="remove", path="C:\\nowhere\\x", to=None)["Done"]
    assert not probe(machine, "file", action="remove", path=FOLDER, to=None)["Done"]
    assert "unknown action" in probe(machine, "file", action="copy", path=path, to=None)["Problem"]
    machine.state.in_use = [path]
    for action in ("rename", "remove"):
        assert "being used by another process" in probe(machine, "file", action=action, path=path, to=f"{path}.old")["Problem"]
    machine.state.in_use, machine.state.closed, machine.state.login.elevated = [], [FOLDER], False
    for action in ("rename", "remove"):
        assert "is denied" in probe(machine, "file", action=action, path=path, to=f"{path}.old")["Problem"]
    assert machine.files.get(path) is not None


def test_a_settings_file_in_use_leaves_the_rest_of_docker_desktop() -> None:
    machine = made("settings-in-use")
    value = probe(machine, "desktop")
    assert value["Settings"] is None
    assert "being used by another process" in value["Problems"]["Settings"]
    assert value["SettingsPath"].endswith("settings-store.json")
    assert {each["Name"] for each in value["Processes"]} == {booting.DESKTOP, booting.BACKEND, booting.BUILD}
    for call in ({"op": "read"}, {"op": "write", "offset": 0, "content": "", "last": True, "sha256": _EMPTY, "backup": None}):
        with pytest.raises(Refusal, match="being used by another process"):
            machine.call(**call, path=value["SettingsPath"])
    assert all(not name.endswith(PART) for name in machine.state.files)


def test_a_login_without_rights_is_refused_every_class_and_other_users_files() -> None:
    machine = made("no-rights")
    session, system, desktop = (probe(machine, name) for name in ("session", "system", "desktop"))
    assert (session["User"], session["Elevated"], session["DesktopUser"]) == ("LAB\\ops", False, None)
    assert session["Problems"] == {"DesktopUser": "Access denied (0x80041003)"}
    assert (system["Hostname"], system["TotalVisibleMemorySize"], system["LastBootUpTime"]) == ("LAPTOP-07", None, None)
    assert {"Caption", "TotalVisibleMemorySize", "LastBootUpTime"} <= system["Problems"].keys()
    assert (desktop["Installed"], desktop["SettingsPath"], desktop["Processes"]) == (True, None, [])
    assert desktop["Problems"].keys() == {"Profile", "Processes", "SettingsPath", "Settings", "WslConfigPath", "WslConfig"}
    listed = probe(machine, "processes")
    assert (listed["Processes"], listed["Problems"]["Processes"]) == ([], "Access denied (0x80041003)")
    gpu = probe(machine, "gpu", fields=["index", "memory.used"])
    assert (gpu["rc"], gpu["process_memory"], gpu["counters_error"]) == (0, [], "Access denied (0x80041003)")
    ready = probe(machine, "readiness")
    assert ready["QuotasProblem"] == "Access is denied."
    assert (ready["GpuClassesProblem"], ready["WslService"], ready["Distributions"]) == ("Access denied (0x80041003)", None, [])
    assert ready["Problems"].keys() == {"WslService", "Distributions", "GpuClasses", "Quotas"}
    assert run(machine, "docker", "ps")[2].rstrip().endswith("Access is denied.")
    assert json.loads(run(machine, "docker", "info", "--format", "json")[1])["ServerErrors"]
    with pytest.raises(Refusal, match="is denied"):
        machine.call("read", path=f"{FOLDER}\\.env")
    assert probe(machine, "http", **VERSION)["status"] == 200  # the server on the loopback needs no login
    assert machine.state.writes == {}


def test_docker_desktop_is_not_killed_by_a_login_that_may_not() -> None:
    for fault, words in (("no-rights", "Access denied"), ("not-elevated", "Access is denied")):
        machine = made(fault)
        done = probe(machine, "docker-desktop", action="kill")
        assert (done["done"], words in done["problem"]) == (False, True)
        assert machine.state.engine.up
    assert probe(made("healthy"), "docker-desktop", action="restart")["problem"] == "there is no action restart"


def test_a_slow_task_starts_docker_desktop_later() -> None:
    machine = made("task-slow")
    assert probe(machine, "docker-desktop", action="kill")["done"]
    done = probe(machine, "docker-desktop", action="start")
    assert (done["done"], done["task"], done["task_code"]) == (False, "running", 267009)
    assert names(machine) == set()
    pass_by(machine, 60)
    assert names(machine) == {booting.DESKTOP, booting.BACKEND, booting.BUILD}
    refused = probe(made("task-refused"), "docker-desktop", action="start")
    assert (refused["task"], refused["task_code"]) == ("refused", 0x80070005)


def test_processes_of_docker_desktop_are_found_by_name_without_the_service() -> None:
    machine = made("healthy")
    for name in ("vpnkit-bridge.exe", "com.docker.admin.exe", "docker-agent.exe", "docker.exe"):
        machine.state.programs.append(Program(machine.state.pid(), 4, name, None, 1, machine.clock.now()))
    assert {each["Name"] for each in rows(machine)} >= {booting.HELPER, "docker.exe"}
    assert names(machine) >= {"vpnkit-bridge.exe", "com.docker.admin.exe", "docker-agent.exe"}
    assert not names(machine) & {booting.HELPER, "docker.exe"}
    probe(machine, "docker-desktop", action="kill")
    assert names(machine) == set()
    assert booting.HELPER in {each["Name"] for each in rows(machine)}


def test_where_docker_desktop_is_not_installed_nothing_is_started() -> None:
    machine = made("engine-down")
    machine.state.engine.desktop = None
    assert (probe(machine, "desktop")["Installed"], probe(machine, "desktop")["Version"]) == (False, None)
    done = probe(machine, "docker-desktop", action="start")
    assert (done["done"], done["task"], done["task_code"]) == (False, "ended", None)
    assert (done["task_result"], "neither in Program Files" in done["problem"]) == (2, True)


def test_what_windows_hides_is_null() -> None:
    machine = made("values-missing")
    system, ready = probe(machine, "system"), probe(machine, "readiness")
    assert [system[name] for name in ("TotalVisibleMemorySize", "FreePhysicalMemory", "LastBootUpTime")] == [None] * 3
    assert set(system["Problems"].values()) == {"Win32_OperatingSystem has no value for it"}
    assert (ready["Quotas"]["MaxConnections"], ready["Quotas"]["MaxShellsPerUser"]) == (None, "30")
    assert [each["Version"] for each in ready["Distributions"]] == [None]
    machine.state.unknown = ["CreationDate", "LocalUsage", "DedicatedUsage"]
    for name in ("processes", "desktop"):
        assert {each["CreationDate"] for each in probe(machine, name)["Processes"]} == {None}
    gpu = probe(machine, "gpu", fields=["index"])
    assert {each["LocalUsage"] for each in gpu["process_memory"]} == {None}
    assert {each["DedicatedUsage"] for each in gpu["adapter_memory"]} == {None}


def test_only_administrators_see_paths_of_other_users_programs() -> None:
    seen = {fault: {each["Name"]: each for each in rows(made(fault))} for fault in ("vram-occupied", "not-elevated")}
    assert seen["vram-occupied"]["chrome.exe"]["ExecutablePath"].endswith("chrome.exe")
    assert seen["not-elevated"]["chrome.exe"]["ExecutablePath"] is None
    assert seen["not-elevated"]["winrshost.exe"]["ExecutablePath"].endswith("winrshost.exe")
    assert seen["vram-occupied"]["System"]["CreationDate"] is None


def test_distributions_are_the_login_s_own_where_it_is_the_desktop_s_user() -> None:
    machine = made("healthy")
    assert [each["Own"] for each in probe(machine, "readiness")["Distributions"]] == [False]
    machine.state.login.user = "LAB\\maria"
    assert [each["Own"] for each in probe(machine, "readiness")["Distributions"]] == [True]


def test_a_card_that_needs_a_reset_is_listed_without_amounts() -> None:
    machine = made("card-needs-reset")
    fields = ["index", "name", "memory.total", "utilization.gpu", "compute_cap"]
    value = probe(machine, "gpu", fields=fields)
    assert value["rc"] == 0
    assert value["stdout"] == f"0, {machine.state.card.name}, [GPU requires reset], [Unknown Error], [N/A]\r\n"
    assert "GPU requires reset" in run(machine, "nvidia-smi", "-q", "-x")[1]
    machine.call("reboot")
    pass_by(machine, 60)
    assert "requires reset" not in probe(machine, "gpu", fields=fields)["stdout"]


def test_without_a_driver_there_is_no_nvidia_smi() -> None:
    machine = made("healthy")
    machine.state.card.installed = False
    assert probe(machine, "gpu", fields=["index"])["rc"] is None
    assert probe(machine, "sample", fields=["index"], every=1, count=1)["rc"] is None
    with pytest.raises(Refusal, match="cannot find the file"):
        run(machine, "nvidia-smi", "-L")


def test_bodies_and_settings_are_decoded_by_their_mark_and_counted_in_bytes() -> None:
    machine = made("healthy")
    body = '{"model": "modèle", "num_gpu": 1}'
    files = {
        "C:\\t\\1": body.encode("utf-16"),
        "C:\\t\\2": body.encode("utf-8-sig"),
        "C:\\t\\3": body.encode(),
        "C:\\t\\4": body.encode("utf-32"),
    }
    for path, content in files.items():
        machine.files.put(path, content)
    machine.files.put("C:\\t\\large", "é".encode() * (1024**2 // 2 + 1))
    value = probe(machine, "requests", paths=[*files, "C:\\t\\large", "C:\\t\\missing"])
    assert [each["Text"] for each in value["Rows"]] == ['"model": "modèle", "num_gpu": 1'] * 4
    machine.files.put(machine.desktop.settings_path, '{"AutoStart": false}'.encode("utf-16"))
    assert json.loads(probe(machine, "desktop")["Settings"]) == {"AutoStart": False}
    machine.state.closed, machine.state.login.elevated = ["C:\\t"], False
    assert probe(machine, "requests", paths=["C:\\t\\1"])["Refused"] == ["C:\\t\\1"]


def test_what_stands_before_the_server_redirects_resets_compresses_or_is_silent() -> None:
    machine = made("healthy")
    for what, expected in (("redirect https://sso.lab/", 302), ("gzip hello", 200)):
        machine.state.between = {"/api/version": what}
        assert probe(machine, "http", **VERSION)["status"] == expected
    assert gzip.decompress(base64.b64decode(probe(machine, "http", **VERSION)["body"])) == b"hello"
    machine.state.between = {"/api/version": "redirect https://sso.lab/"}
    value = probe(machine, "http", **VERSION)
    assert (value["location"], value["first_byte"], value["body"]) == ("https://sso.lab/", None, "")
    for what, kind in (("reset", "error"), ("hang", "timeout")):
        machine.state.between = {"/api/version": what}
        assert probe(machine, "http", **VERSION)["error"]["kind"] == kind


def test_a_request_is_given_up_after_the_given_silence() -> None:
    machine = made("slow-disk")
    body = json.dumps({"model": "mistral:7b-instruct-q4_K_M", "keep_alive": 0})
    post = {"method": "POST", "url": "http://127.0.0.1:11434/api/generate", "timeout": 600}
    assert probe(machine, "http", **post, body=body)["status"] == 200
    value = probe(machine, "http", **post, body=json.dumps({"model": "mistral:7b-instruct-q4_K_M"}), silence=5)
    assert value["error"] == {"kind": "timeout", "message": "nothing came for 5 s"}
