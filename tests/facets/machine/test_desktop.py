"""A Windows desktop in the lab: Docker Desktop stopped, set and started, messages, sampling, folders, a restart."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator

import pytest

from remediation.facets.host_factory import Host, open_host
from remediation.facets.machine import docker_desktop, wsl
from remediation.model.errors import Blocked, CallFailed
from remediation_lab import control
from tests.facets.real_hosts import lab_variables

GIB = 1024**3


@pytest.fixture
def opened(lab: control.Lab) -> Iterator[Callable[[str], Host]]:
    hosts = []

    def open_with(fault: str) -> Host:
        control.fault(lab.hosts[0].name, fault, lab.folder)
        hosts.append(open_host(lab.hosts[0].name, lab_variables(lab), check=False))
        return hosts[-1]

    yield open_with
    for host in hosts:
        host.close()


def test_docker_desktop_is_stopped_set_and_started_again(opened: Callable[[str], Host]) -> None:
    host = opened("healthy")
    before = host.reader.desktop.docker()
    assert before is not None
    assert (before.state, before.engine, before.version[:1]) == ("running", True, "4")
    assert before.started is not None
    writer = host.writer().desktop
    with pytest.raises(Blocked, match="would overwrite"):
        writer.set_docker({"openUIOnStartupDisabled": True})
    writer.stop_docker()
    stopped = host.reader.desktop.docker()
    assert stopped is not None
    assert (stopped.state, stopped.engine, stopped.started) == ("stopped", False, None)
    backup = writer.set_docker({"openuionstartupdisabled": True})
    assert backup.startswith(stopped.settings_path)
    set_to = host.reader.desktop.docker()
    assert set_to is not None
    assert {name.lower(): value for name, value in set_to.settings.items()}["openuionstartupdisabled"] is True
    writer.start_docker()
    after = host.reader.desktop.docker()
    assert after is not None
    assert (after.state, after.engine) == ("running", True)
    assert after.started is not None
    assert after.started > before.started


def test_without_a_user_at_the_desktop_nothing_is_shown_or_started(opened: Callable[[str], Host]) -> None:
    host = opened("nobody-logged-on")
    assert host.reader.desktop.session().desktop_user is None
    writer = host.writer()
    assert writer.desktop.notify("in a minute", seconds=5) is False
    chrome = next(each for each in host.reader.processes.list() if each.program == "chrome" and each.has_window)
    with pytest.raises(Blocked, match="no user is logged on") as raised:
        writer.processes.close(chrome.pid, chrome.started, grace=1)
    assert "log on" in raised.value.next_step
    with pytest.raises(Blocked, match="no user is logged on"):
        writer.desktop.start_docker()


def test_the_user_at_the_desktop_is_notified(opened: Callable[[str], Host]) -> None:
    assert opened("healthy").writer().desktop.notify("quotes ' \" and grün", seconds=5) is True


def test_what_a_login_without_rights_is_refused_is_unknown_with_the_reason(opened: Callable[[str], Host]) -> None:
    reader = opened("no-rights").reader
    session, machine, desktop, use = reader.desktop.session(), reader.system.facts(), reader.desktop.docker(), reader.gpu.use()
    assert (session.user, session.elevated, session.desktop_user) == ("LAB\\ops", False, None)
    assert session.problems == {"DesktopUser": "Access denied (0x80041003)"}
    assert (machine.version, machine.memory_total, machine.booted) == ("10.0.22631", None, None)
    assert "denied" in machine.problems["TotalVisibleMemorySize"]
    assert desktop is not None
    assert (desktop.state, desktop.settings_path, desktop.problems.keys() >= {"Processes", "Settings"}) == ("unknown", "", True)
    assert len(use.gpus) == 1
    assert (use.processes, use.reliable) == ((), False)
    assert "Access denied" in use.why_unreliable
    with pytest.raises(CallFailed, match="the Docker engine refuses this login") as raised:
        reader.engine.containers()
    assert "administrator" in raised.value.next_step


def test_settings_in_use_are_unknown_and_are_not_written_over(opened: Callable[[str], Host]) -> None:
    host = opened("settings-in-use")
    found = host.reader.desktop.docker()
    assert found is not None
    assert (found.state, "being used by another process" in found.problems["Settings"]) == ("running", True)
    writer = host.writer()
    writer.desktop.stop_docker()
    with pytest.raises(CallFailed, match="being used by another process"):
        writer.desktop.set_docker({"AutoStart": True})


def test_an_engine_that_is_down_is_one_sentence(opened: Callable[[str], Host]) -> None:
    host = opened("engine-down")
    with pytest.raises(CallFailed, match="the Docker engine does not answer") as raised:
        host.reader.engine.facts()
    assert "start Docker" in raised.value.next_step
    target = host.reader.target()
    assert target.container is None
    with pytest.raises(CallFailed, match="no Ollama was found"):
        host.reader.ollama.version()


def test_without_counters_no_amount_is_known_and_none_is_0(opened: Callable[[str], Host]) -> None:
    use = opened("no-gpu-counters").reader.gpu.use()
    assert (use.reliable, use.processes) == (False, ())
    assert "winmgmt" in use.why_unreliable
    assert use.free > 0


def test_the_card_is_sampled_in_one_call(opened: Callable[[str], Host]) -> None:
    host = opened("healthy")
    before = host.round_trips
    samples = host.reader.gpu.sample(seconds=4, every=2)
    assert len(samples) == 3
    assert host.round_trips - before == 1
    assert all(each.used is not None and each.used > GIB and each.index == 0 for each in samples)
    assert samples[1].at - samples[0].at >= 2


def test_folders_files_and_space(opened: Callable[[str], Host]) -> None:
    host = opened("healthy")
    folder = "C:\\dev\\activia1"
    entries = {each.name: each for each in host.reader.files.list(folder) or ()}
    assert {".env", "docker-compose.yml"} <= set(entries)
    assert entries[".env"].size > 0
    assert host.reader.files.list(f"{folder}\\none") is None
    assert 0 < host.reader.files.space(f"{folder}\\none").free <= host.reader.files.space(folder).total
    files = host.writer().files
    files.write(f"{folder}\\new\\er\\x", b"1")
    files.rename(f"{folder}\\new\\er\\x", f"{folder}\\y")
    assert host.reader.files.read(f"{folder}\\y") == b"1"
    with pytest.raises(CallFailed, match="renaming"):
        files.rename(f"{folder}\\y", f"{folder}\\.env")
    files.remove(f"{folder}\\y")
    files.remove(f"{folder}\\y")
    assert host.reader.files.read(f"{folder}\\y") is None


def test_the_machine_is_restarted_and_comes_back(opened: Callable[[str], Host]) -> None:
    host = opened("healthy")
    before = host.reader.system.facts().booted
    host.writer().system.reboot(message="for a moment")
    after = host.reader.system.facts()
    assert before is not None
    assert after.booted is not None
    assert after.booted > before


def test_the_limits_of_containers(opened: Callable[[str], Host]) -> None:
    limits = opened("healthy").reader.system.limits()
    assert limits.host is not None
    assert limits.engine is not None
    assert limits.engine < limits.host
    assert limits.wslconfig.endswith("\\.wslconfig")


@pytest.mark.parametrize(
    ("text", "memory"),
    [
        ("[wsl2]\nmemory=8GB\n", 8 * GIB),
        ("\ufeff[WSL2]\r\nMemory = 512MB # half\r\n", 512 * 1024**2),
        ("[experimental]\nmemory=8GB\n", None),
        ("[wsl2]\nmemory=much\n", None),
        (None, None),
    ],
)
def test_the_memory_of_wsl_is_read_from_its_section_alone(text: str | None, memory: int | None) -> None:
    assert wsl.config_from("", text).memory == memory


def test_a_setting_keeps_the_spelling_that_is_there() -> None:
    before = '{"MemoryMiB": 4096, "AutoStart": true}'
    after = json.loads(docker_desktop.changed_settings(before, {"memoryMiB": 8192, "autoStart": None, "cpus": 4}))
    assert after == {"MemoryMiB": 8192, "cpus": 4}


def test_what_an_administrator_locked_is_named() -> None:
    text = '\ufeff{"configurationFileVersion": 2, "memoryMiB": {"locked": true, "value": 1}, "cpus": {"locked": false}}'
    assert docker_desktop.locked_settings(text) == ("memoryMiB",)
    assert docker_desktop.locked_settings("no json") == ()


@pytest.mark.parametrize(
    ("processes", "answers", "state"),
    [
        ([], False, "stopped"),
        ([("com.docker.backend.exe", 990.0)], True, "running"),
        ([("com.docker.backend.exe", 990.0)], False, "starting"),
        ([("com.docker.backend.exe", 10.0)], False, "unknown"),
        ([("Docker Desktop.exe", 990.0)], False, "stopping"),
        ([], True, "stopped"),
    ],
)
def test_the_state_is_what_runs_and_whether_the_engine_answers(
    processes: list[tuple[str, float]], answers: bool, state: str
) -> None:
    rows = [{"Name": name, "CreationDate": at} for name, at in processes]
    value = {
        "Installed": True,
        "Version": "4.37.1",
        "Processes": rows,
        "Now": 1000.0,
        "SettingsPath": "x",
        "Settings": None,
        "AdminSettings": None,
    }
    assert docker_desktop.parse_desktop(value, answers=answers).state == state
