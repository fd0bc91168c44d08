"""A lab in separate processes: started, found, started twice at once, killed, broken, reset, stopped."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import winrm

from remediation.model.errors import CallFailed, UsageError
from remediation_lab import control
from remediation_lab.scenarios.worlds import WORLDS
from remediation_lab.wire import Client, Refusal, Service
from tests.lab import protocol_client
from tests.lab.protocol_client import probe


def worker(lab: control.Lab, host: control.LabHost, *calls: dict[str, object]) -> list[dict[str, object]]:
    """Drive a worker over unpatched pywinrm."""
    client = winrm.Protocol(
        host.endpoint, transport="ntlm", username=lab.user, password=lab.password, proxy=None, ca_trust_path=None
    )
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, "powershell.exe", ["-NoProfile", "-EncodedCommand", "eAA="], console_mode_stdin=False)
    client.send_command_input(shell, command, protocol_client.opening() + protocol_client.request(*calls), end=True)
    stdout, stderr, code = client.get_command_output(shell, command)
    client.cleanup_command(shell, command)
    client.close_shell(shell)
    assert (stderr, code) == (b"", 0)
    found: list[dict[str, object]] = protocol_client.frames(stdout)[-1]["replies"]
    return found


def writes(folder: Path, host: str) -> dict[str, int]:
    known = control.status(folder)
    assert known is not None
    found: dict[str, int] = known[host]["writes"]
    return found


def chrome(lab: control.Lab, host: control.LabHost) -> dict[str, object]:
    (reply,) = worker(lab, host, probe("processes"))
    rows = reply["value"]["Processes"]
    assert isinstance(rows, list)
    row = next(each for each in rows if each["Name"] == "chrome.exe")
    return probe("close", {"pid": row["ProcessId"], "started": row["CreationDate"], "grace": 10, "force": False})


def test_the_worker_answers_over_real_winrm_on_each_host(lab: control.Lab) -> None:
    for host in lab.hosts:
        (reply,) = worker(lab, host, probe("system"))
        assert reply["value"]["Hostname"] == host.name.upper()  # type: ignore[index]
    assert len({host.endpoint for host in lab.hosts}) == 2


def test_hosts_are_apart_and_shells_are_not_left(lab: control.Lab) -> None:
    first, second = lab.hosts
    control.reset(lab.folder)
    worker(lab, first, chrome(lab, first))
    assert writes(lab.folder, first.name) == {"close chrome.exe": 1}
    assert writes(lab.folder, second.name) == {}
    known = control.status(lab.folder)
    assert known is not None
    assert {(each["winrm"]["shells_open"], each["winrm"]["commands_running"]) for each in known.values()} == {(0, 0)}


def test_a_second_start_finds_the_first(lab: control.Lab) -> None:
    again = control.start(lab.folder, hosts=1, scale=100)
    assert (again.started, again.hosts, again.password) == (False, lab.hosts, lab.password)
    assert control.find(lab.folder) == again


def test_a_fault_and_a_reset_make_a_machine_new(lab: control.Lab) -> None:
    host = lab.hosts[0]
    control.reset(lab.folder)
    worker(lab, host, chrome(lab, host))
    control.fault(host.name, "healthy", lab.folder)
    known = control.status(lab.folder)
    assert known is not None
    assert (known[host.name]["fault"], known[host.name]["writes"]) == ("healthy", {})
    control.reset(lab.folder)
    assert "chrome.exe" in str(worker(lab, host, probe("processes")))


def test_what_a_user_can_get_wrong_is_said(lab: control.Lab, tmp_path: Path) -> None:
    for host, name in ((lab.hosts[0].name, "nosuch"), ("nosuch", "healthy")):
        with pytest.raises(UsageError, match="nosuch"):
            control.fault(host, name, lab.folder)
    with pytest.raises(UsageError, match="does not run"):
        control.fault("laptop-07", "healthy", tmp_path)
    with pytest.raises(UsageError, match="1 to 250"):
        control.start(tmp_path, hosts=0)
    with pytest.raises(UsageError, match="no host"):
        lab.host("nosuch")
    (tmp_path / "lab.json").write_text("{", encoding="utf-8")
    with pytest.raises(CallFailed, match="not what a lab wrote"):
        control.start(tmp_path)


def test_the_password_is_nowhere_but_in_a_private_file(lab: control.Lab) -> None:
    assert lab.password not in repr(lab)
    users = lab.folder / "users"
    if sys.platform != "win32":
        assert stat.S_IMODE(users.stat().st_mode) == 0o600
    for path in lab.folder.rglob("*"):
        if path.is_file() and path != users:
            assert lab.password.encode() not in path.read_bytes()


@pytest.fixture
def folder(tmp_path: Path) -> object:
    yield tmp_path / "lab"
    control.stop(tmp_path / "lab")


def test_two_starts_at_once_are_one(folder: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        labs = list(pool.map(lambda _: control.start(folder, scale=100), range(4)))
    assert sum(each.started for each in labs) == 1
    assert len({each.hosts for each in labs}) == len({each.password for each in labs}) == 1


def test_a_stopped_lab_comes_back_with_its_machines_and_ports(folder: Path) -> None:
    lab = control.start(folder, scale=100)
    worker(lab, lab.hosts[0], chrome(lab, lab.hosts[0]))
    assert control.stop(folder)
    assert not control.stop(folder)
    assert control.find(folder) is None
    assert control.status(folder) is None
    again = control.start(folder, scale=100)
    assert (again.started, again.hosts, again.password) == (True, lab.hosts, lab.password)
    assert "chrome.exe" not in str(worker(again, again.hosts[0], probe("processes")))
    assert writes(folder, "laptop-07") == {"close chrome.exe": 1}


def test_a_stopped_lab_can_be_reset(folder: Path) -> None:
    lab = control.start(folder, scale=100)
    worker(lab, lab.hosts[0], chrome(lab, lab.hosts[0]))
    control.stop(folder)
    control.reset(folder)
    control.start(folder, scale=100)
    assert writes(folder, "laptop-07") == {}


def ended(client: Client) -> bool:
    """Ask until the system has ended the process."""
    try:
        while client.call("ping"):
            pass
    except Refusal:
        return True
    return False


def test_a_killed_world_is_started_again_and_has_lost_nothing(folder: Path) -> None:
    lab = control.start(folder, scale=100)
    host = lab.hosts[0]
    worker(lab, host, chrome(lab, host))
    client = Client(folder / "world.json")
    os.kill(client.call("ping")["pid"], signal.SIGKILL if sys.platform != "win32" else signal.SIGTERM)
    assert ended(client)
    again = control.start(folder, scale=100)
    assert again.started
    assert writes(folder, host.name) == {"close chrome.exe": 1}
    assert "chrome.exe" not in str(worker(again, host, probe("processes")))


def test_more_hosts_are_added_to_a_lab(folder: Path) -> None:
    one = control.start(folder, scale=100)
    three = control.start(folder, hosts=3, scale=100)
    assert three.hosts[0] == one.hosts[0]
    assert [host.name for host in three.hosts] == ["laptop-07", "laptop-08", "laptop-09"]


def test_a_port_in_use_is_named(folder: Path) -> None:
    lab = control.start(folder, scale=100)
    control.stop(folder)
    with socket.socket() as taken:
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind((lab.hosts[0].address, lab.hosts[0].port))
        taken.listen()
        with pytest.raises(CallFailed, match="winrm process did not start"):
            control.start(folder, scale=100)


def test_a_wrong_token_and_broken_lines_are_refused(tmp_path: Path) -> None:
    service = Service(tmp_path / "x.json", lambda _, request: request["op"])
    thread = threading.Thread(target=service.serve)
    thread.start()
    service.publish()
    client = Client(tmp_path / "x.json")
    assert client.call("hello") == "hello"
    address = (tmp_path / "x.json").read_text(encoding="utf-8")
    (tmp_path / "y.json").write_text(address.replace('"token": "', '"token": "x'), encoding="utf-8")
    stranger = Client(tmp_path / "y.json")
    with pytest.raises(Refusal, match="wrong token"):
        stranger.call("hello")
    client.close()
    stranger.close()
    service.close()
    thread.join()
    assert not (tmp_path / "x.json").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_an_interrupted_start_leaves_nothing_that_starts_later(tmp_path: Path, number: signal.Signals) -> None:
    place = tmp_path / "remediation" / "lab"
    place.mkdir(parents=True)
    os.mkfifo(place / "winrm.log")  # nobody reads it: the start waits here, with the machines' process started
    environment = {**os.environ, "XDG_STATE_HOME": str(tmp_path)}
    command = [sys.executable, "-m", "remediation.cli.main", "lab.start"]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while not _of(place):
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)
    process.send_signal(number)
    said = process.communicate(timeout=60)
    assert (process.returncode, said) == (130, ("", "interrupted\n"))
    assert _of(place) == []
    assert control.find(place) is None


def _of(place: Path) -> list[str]:
    listed = subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listed.splitlines() if f" {place} " in f"{line} "]


def test_two_hundred_hosts_share_two_processes_and_each_is_made_at_its_first_client(tmp_path: Path) -> None:
    lab = control.start(tmp_path, hosts=200, scale=100)
    try:
        assert not list((tmp_path / "hosts").glob("laptop-1*"))
        for host in (lab.hosts[0], lab.hosts[117], lab.hosts[199]):
            (reply,) = worker(lab, host, probe("system"))
            assert reply["value"]["Hostname"] == host.name.upper()  # type: ignore[index]
        assert {each.stem for each in (tmp_path / "hosts").glob("*.json")} == {"laptop-07", "laptop-124", "laptop-206"}
        if sys.platform == "linux":
            client = Client(tmp_path / "winrm.json")
            pid = client.call("ping")["pid"]
            client.close()
            assert len(list(Path(f"/proc/{pid}/task").iterdir())) < 20
    finally:
        control.stop(tmp_path)


def test_a_reset_reaches_machines_without_a_client_since_the_start(tmp_path: Path) -> None:
    lab = control.start(tmp_path, hosts=2, scale=100)
    try:
        control.fault(lab.hosts[1].name, "healthy", tmp_path)
        control.stop(tmp_path)
        control.start(tmp_path, hosts=2, scale=100)
        control.reset(tmp_path)
        known = control.status(tmp_path)
        assert known is not None
        assert known[lab.hosts[1].name]["fault"] == "vram-occupied"
    finally:
        control.stop(tmp_path)


def test_a_lab_that_other_code_has_started_is_restarted_and_its_machines_stay(tmp_path: Path) -> None:
    lab = control.start(tmp_path, scale=100)
    try:
        control.fault(lab.hosts[0].name, "healthy", tmp_path)
        described = (tmp_path / "lab.json").read_text(encoding="utf-8")
        code = json.loads(described)["code"]
        (tmp_path / "lab.json").write_text(described.replace(code, "0"), encoding="utf-8")
        again = control.start(tmp_path, scale=100)
        assert (again.started, again.hosts, again.password) == (True, lab.hosts, lab.password)
        assert not control.start(tmp_path, scale=100).started
        known = control.status(tmp_path)
        assert known is not None
        assert known[lab.hosts[0].name]["fault"] == "healthy"
    finally:
        control.stop(tmp_path)


def test_each_kind_of_host_can_be_started_by_its_name() -> None:
    """The worlds that the machines' process knows, and the Linux host, which is no machine of it."""
    assert set(control.NAMES) == {*WORLDS, "linux"}
