"""Each fault of the wire against unpatched pywinrm: what the client gets, and whether the request was carried out."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import requests
import winrm
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WinRMTransportError, WSManFaultError

from remediation.model.errors import UsageError
from remediation_lab import control
from remediation_lab.winrm.faults import KINDS, SOAP, STDERR_NOISE, STDOUT_NOISE, Fault
from remediation_lab.winrm.server import WinRmServer
from remediation_lab.wire import Refusal
from tests.lab import protocol_client
from tests.lab.clients import client
from tests.lab.conftest import PASSWORD


def protocol(server: WinRmServer, read_timeout: int = 30) -> winrm.Protocol:
    return winrm.Protocol(
        server.endpoint, transport="ntlm", username="ops", password=PASSWORD, proxy=None, ca_trust_path=None,
        read_timeout_sec=read_timeout, operation_timeout_sec=min(20, read_timeout - 1),
    )  # fmt: skip


BROKEN = (requests.exceptions.ConnectionError, requests.exceptions.ChunkedEncodingError)

EXPECTED: dict[str, type[Exception] | tuple[type[Exception], ...]] = {
    "drop-before": BROKEN,
    "drop-after": BROKEN,
    "silent": BROKEN,
    "truncated": BROKEN,
    "reboot": BROKEN,
    "reboot-after": BROKEN,
    "http-401": WinRMTransportError,
    "http-400": WinRMTransportError,
    "http-500": WinRMTransportError,
    "http-503": WinRMTransportError,
    "shell-lost": WSManFaultError,
    "timed-out": WinRMOperationTimeoutError,
}


def struck(server: WinRmServer, fault: Fault) -> tuple[BaseException | None, int]:
    """Send one line to a program under a fault; returns what the client got and how many lines the program has taken."""
    client = protocol(server)
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, "cat", console_mode_stdin=False)
    server.faults.put(fault)
    caught: BaseException | None = None
    try:
        client.send_command_input(shell, command, b"one\n")
    except Exception as error:  # whichever it is, is the point
        caught = error
    sends = server.counters().get("send", 0)
    return caught, sends


@pytest.mark.parametrize("kind", [each for each in KINDS if each in EXPECTED or each in SOAP])
def test_a_fault_is_what_the_client_gets_and_says_whether_the_request_was_carried_out(server: WinRmServer, kind: str) -> None:
    caught, sends = struck(server, Fault(kind, "send", seconds=0.05))
    if kind == "http-401":  # pywinrm authenticates again, and the message was made with the keys of the first time
        assert isinstance(caught, (WinRMTransportError, InvalidCredentialsError))
    else:
        assert isinstance(caught, EXPECTED.get(kind, WSManFaultError)), caught
    if kind in SOAP and isinstance(caught, WSManFaultError):
        assert caught.wsman_fault_code == SOAP[kind].code
    carried_out = KINDS[kind].processed
    assert (sends >= 1) is (carried_out or kind == "shell-lost")  # a lost shell is noticed while the request is being carried out
    assert server.counters()[f"wire {kind}"] == 1


@pytest.mark.parametrize("kind", ["garbage", "not-encrypted"])
def test_an_answer_that_is_none_is_noticed_by_who_reads_it(server: WinRmServer, kind: str) -> None:
    one = protocol(server)
    shell = one.open_shell()
    server.faults.put(Fault(kind, "command"))
    with pytest.raises(Exception, match=r"."):  # any error of the client's parser
        one.run_command(shell, "cat")
    assert server.counters()["command"] == 1


def test_an_answer_may_come_late(server: WinRmServer) -> None:
    caught, sends = struck(server, Fault("slow", "send", seconds=0.1))
    assert (caught, sends) == (None, 1)


def test_a_fault_waits_for_its_message_and_strikes_as_often_as_said(server: WinRmServer) -> None:
    server.faults.put(Fault("busy", "send", nth=2, times=2))
    client = protocol(server)
    shell = client.open_shell()
    command = client.run_command(shell, "cat", console_mode_stdin=False)
    got = []
    for _ in range(4):
        try:
            client.send_command_input(shell, command, b"x\n")
            got.append("ok")
        except WSManFaultError:
            got.append("busy")
    assert got == ["ok", "busy", "busy", "ok"]
    assert server.faults.waiting() == 0


def test_any_message_can_be_the_nth(server: WinRmServer) -> None:
    server.faults.put(Fault("busy", nth=2))
    client = protocol(server)
    shell = client.open_shell()
    with pytest.raises(WSManFaultError):
        client.run_command(shell, "cat")


def test_a_refused_login_counts_and_the_next_is_let_in(server: WinRmServer) -> None:
    server.faults.put(Fault("http-401", "authentication", nth=2))  # the leg that carries the proof
    with pytest.raises(InvalidCredentialsError):
        protocol(server).open_shell()
    assert protocol(server).open_shell()


def test_a_program_that_dies_is_reported_with_its_code(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell()
    command = client.run_command(shell, "cat", console_mode_stdin=False)
    server.faults.put(Fault("worker-dies", "receive"))
    _, _, code, done = client.get_command_output_raw(shell, command)
    assert done
    assert code != 0


def test_noise_stands_before_the_programs_own_output(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell(codepage=65001)
    server.faults.put(Fault("noise", "command"))
    command = client.run_command(shell, "cat", console_mode_stdin=False)
    client.send_command_input(shell, command, "zwölf\n".encode(), end=True)
    stdout, stderr, _ = client.get_command_output(shell, command)
    assert stdout == STDOUT_NOISE + "ZWÖLF\n".encode().replace("Ö".encode(), "ö".encode())
    assert stderr == STDERR_NOISE


def test_output_comes_in_pieces_through_the_middle_of_characters(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, "big", ["5"])
    server.faults.put(Fault("split", "receive", size=1))
    pieces = []
    done = False
    while not done:
        stdout, _, _, done = client.get_command_output_raw(shell, command)
        pieces.append(stdout)
    assert max(len(each) for each in pieces) == 1
    assert b"".join(pieces) == "é".encode() * 5


def test_a_host_that_restarts_resets_connections_and_is_back(server: WinRmServer) -> None:
    first, second = protocol(server), protocol(server)
    shell = first.open_shell()
    second.open_shell()
    server.faults.put(Fault("reboot", "command", seconds=0.0))
    with pytest.raises(BROKEN):
        first.run_command(shell, "cat")
    with pytest.raises((*BROKEN, WinRMTransportError)):
        second.open_shell()  # its connection is gone as well
    assert server.counters()["shells_open"] == 0
    assert protocol(server).open_shell()


def test_while_it_restarts_no_login_succeeds(server: WinRmServer) -> None:
    server.reboot(60)
    with pytest.raises(BROKEN):
        protocol(server).open_shell()


@pytest.mark.parametrize(("given", "words"), [({"kind": "worse"}, "no fault of the wire"), ({"kind": "busy", "message": "x"}, "no message"), ({"kind": "busy", "nth": 0}, "from 1")])  # fmt: skip
def test_a_fault_that_does_not_exist_is_refused(given: dict[str, object], words: str) -> None:
    with pytest.raises(Refusal, match=words):
        Fault(**given)  # type: ignore[arg-type]


def test_a_fault_is_put_into_a_running_lab_and_taken_out(lab: control.Lab) -> None:
    first, second = lab.hosts
    control.wire(first.name, "busy", lab.folder, message="create", times=0)
    with pytest.raises(WSManFaultError):
        client(lab, first, ca_trust_path=None).open_shell()
    client(lab, second, ca_trust_path=None).open_shell()
    control.unwire(first.name, lab.folder)
    client(lab, first, ca_trust_path=None).open_shell()
    with pytest.raises(UsageError, match="no fault of the wire"):
        control.wire(first.name, "worse", lab.folder)
    with pytest.raises(UsageError, match="no host"):
        control.wire("unknown", "busy", lab.folder)
    with pytest.raises(UsageError, match=r"no fault 'driver-old' in the world docker-desktop; did you mean 'driver-too-old'\?\n"):
        control.fault(first.name, "driver-old", lab.folder)


def test_a_write_whose_answer_is_lost_has_happened_once(lab: control.Lab) -> None:
    """What a careful client has to find out by looking again: the machine counts its writes."""
    host = lab.hosts[0]
    control.fault(host.name, "vram-occupied", lab.folder)
    control.unwire(None, lab.folder)
    one = client(lab, host, ca_trust_path=None)
    shell = one.open_shell(codepage=65001)
    command = one.run_command(shell, "powershell.exe", ["-EncodedCommand", "eAA="], console_mode_stdin=False)
    one.send_command_input(shell, command, protocol_client.opening())
    one.get_command_output_raw(shell, command)
    write = {"op": "run", "argv": ["docker", "restart", "ai-native-ollama"], "stdin": "", "timeout": 60, "cwd": None, "env": {}}
    one.send_command_input(shell, command, protocol_client.request(write))
    control.wire(host.name, "drop-after", lab.folder, message="receive")
    with pytest.raises(BROKEN):
        one.get_command_output_raw(shell, command)
    known = control.status(lab.folder)
    assert known is not None
    assert [count for kind, count in known[host.name]["writes"].items() if "restart" in kind] == [1]


def test_a_machine_that_restarts_takes_its_listener_and_shells_along_and_comes_back(lab: control.Lab) -> None:
    host = lab.hosts[1]
    control.fault(host.name, "healthy", lab.folder)
    one = client(lab, host, ca_trust_path=None)
    shell = one.open_shell(codepage=65001)
    command = one.run_command(shell, "powershell.exe", ["-EncodedCommand", "eAA="], console_mode_stdin=False)
    one.send_command_input(
        shell, command, protocol_client.opening() + protocol_client.request(protocol_client.run("shutdown", "/r", "/t", "5"))
    )
    output = b""
    while output.count(b"\n") < 2:
        output += one.get_command_output_raw(shell, command)[0]
    restarted: dict[str, int] = {}
    for _ in range(20000):  # the listener learns it within a second; each look takes a few milliseconds
        known = control.status(lab.folder)
        assert known is not None
        restarted = known[host.name]["winrm"]
        if restarted.get("reboots"):
            break
    assert (restarted["reboots"], restarted["shells_open"]) == (1, 0)
    machine = control.machine(host.name, lab.folder)
    machine.call("clock")
    for _ in range(5000):
        try:
            again = client(lab, host, ca_trust_path=None).open_shell()
            break
        except (*BROKEN, WinRMTransportError):
            continue
    machine.close()
    assert again


def test_ansibles_winrm_connection_runs_raw_on_the_server(server: WinRmServer, tmp_path: Path) -> None:
    pytest.importorskip("ansible", reason="ansible-core is not installed (extra: bench)")
    host, port = server.server_address[:2]
    variables = {
        "ansible_connection": "winrm", "ansible_port": port, "ansible_winrm_scheme": "http", "ansible_winrm_transport": "ntlm",
        "ansible_user": "ops", "ansible_password": PASSWORD, "ansible_shell_type": "powershell",
    }  # fmt: skip
    line = " ".join(f"{key}={value}" for key, value in variables.items())
    (tmp_path / "hosts").write_text(f"box ansible_host={host} {line}\n", encoding="utf-8")
    environment = {"HOME": str(tmp_path), "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin", "LC_ALL": "C.UTF-8"}
    done = subprocess.run(
        [sys.executable, "-m", "ansible", "adhoc", "-i", str(tmp_path / "hosts"), "box", "-m", "raw", "-a", "hostname"],
        env=environment, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "rc=3" in done.stdout, done.stdout + done.stderr
    assert "-EncodedCommand" in done.stdout
