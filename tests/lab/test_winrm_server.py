"""The WinRM server against third-party clients: unpatched pywinrm, and pypsrp's WinRS shell."""

from __future__ import annotations

import uuid

import pytest
import requests
import winrm
from pypsrp.shell import Process, WinRS
from pypsrp.wsman import WSMan
from winrm.exceptions import InvalidCredentialsError, WinRMOperationTimeoutError, WinRMTransportError, WSManFaultError

from remediation_lab.winrm import soap
from remediation_lab.winrm.commands import split
from remediation_lab.winrm.server import WinRmServer
from remediation_lab.winrm.shells import MAX_OPERATIONS, MAX_SHELLS, Shells
from tests.lab.conftest import PASSWORD


def session(server: WinRmServer, password: str = PASSWORD, user: str = "ops", **more: object) -> winrm.Session:
    return winrm.Session(server.endpoint, auth=(user, password), transport="ntlm", proxy=None, ca_trust_path=None, **more)


def protocol(server: WinRmServer, **more: object) -> winrm.Protocol:
    return winrm.Protocol(
        server.endpoint, transport="ntlm", username="ops", password=PASSWORD, proxy=None, ca_trust_path=None, **more
    )


def test_a_session_runs_a_command_and_leaves_nothing(server: WinRmServer) -> None:
    done = session(server).run_cmd("say.exe", ["one", '"two words"'])
    assert (done.status_code, done.std_out, done.std_err) == (3, b"one two words", b"oops")
    assert server.counters()["shells_open"] == 0


def test_a_session_costs_the_requests_that_a_real_server_sees(server: WinRmServer) -> None:
    client = session(server)
    for expected in (8, 16):  # facts/windows 1.1: three for NTLM, five for the command, and all again the second time
        client.run_cmd("nosuch")  # a program that says something first and ends later may take one Receive more
        assert server.counters()["requests"] == expected


@pytest.mark.parametrize("user", ["ops", "OPS", "LAB\\ops"])
def test_a_user_is_known_by_the_ways_to_write_it(server: WinRmServer, user: str) -> None:
    assert session(server, user=user).run_cmd("say", ["x"]).status_code == 3


@pytest.mark.parametrize(("user", "password"), [("ops", "wrong"), ("unknown", PASSWORD)])
def test_a_wrong_login_is_refused(server: WinRmServer, user: str, password: str) -> None:
    with pytest.raises(InvalidCredentialsError):
        session(server, password, user).run_cmd("say")
    assert "create" not in server.counters()


def test_a_client_without_a_login_is_offered_both_schemes(server: WinRmServer) -> None:
    answer = requests.post(server.endpoint, data=b"", timeout=5)
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"] == "Negotiate, NTLM"
    assert requests.post(server.endpoint.replace("wsman", "other"), data=b"", timeout=5).status_code == 404


def test_a_kept_process_costs_two_requests_per_exchange(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell(codepage=65001)
    command = client.run_command(shell, "cat.exe", console_mode_stdin=False)
    before = server.counters()["requests"]
    for word in (b"one\n", "zwölf\n".encode()):
        client.send_command_input(shell, command, word)
        stdout, _, _, done = client.get_command_output_raw(shell, command)
        assert (stdout, done) == (word.upper(), False)
    assert server.counters()["requests"] == before + 4
    client.send_command_input(shell, command, b"last\n", end=True)
    out, done = b"", False
    while not done:
        stdout, _, code, done = client.get_command_output_raw(shell, command)
        out += stdout
    assert (out, code) == (b"LAST\n", 0)
    client.cleanup_command(shell, command)
    client.close_shell(shell)
    assert server.counters()["commands_running"] == 0


def test_silence_is_the_fault_that_means_ask_again(server: WinRmServer) -> None:
    client = protocol(server, operation_timeout_sec=1, read_timeout_sec=10)
    shell = client.open_shell()
    command = client.run_command(shell, "cat", console_mode_stdin=False)
    with pytest.raises(WinRMOperationTimeoutError):
        client.get_command_output_raw(shell, command)
    client.send_command_input(shell, command, b"still here\n")
    assert client.get_command_output_raw(shell, command)[0] == b"STILL HERE\n"
    client.close_shell(shell)
    assert server.counters() | {"shells_open": 0, "commands_running": 0} == server.counters()


def test_an_unknown_shell_or_command_is_said_by_its_code(server: WinRmServer) -> None:
    client = protocol(server)
    with pytest.raises(WSManFaultError) as caught:
        client.run_command(str(uuid.uuid4()), "say")
    assert caught.value.wsman_fault_code == 2150858843
    shell = client.open_shell()
    with pytest.raises(WSManFaultError) as caught:
        client.get_command_output_raw(shell, str(uuid.uuid4()))
    assert caught.value.wsman_fault_code == 2150858843
    client.close_shell(shell)


def test_an_idle_time_that_is_no_duration_is_a_schema_fault(server: WinRmServer) -> None:
    with pytest.raises(WSManFaultError) as caught:
        protocol(server).open_shell(idle_timeout=7200)
    assert caught.value.wsman_fault_code == 2150858817


def test_big_output_comes_in_slices_that_cut_characters(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell()
    command = client.run_command(shell, "big", ["200001"])
    parts, done = [], False
    while not done:
        stdout, _, code, done = client.get_command_output_raw(shell, command)
        parts.append(stdout)
    assert b"".join(parts).decode() == "é" * 200001
    assert max(map(len, parts)) < 110_000  # facts/windows 1.2: MaxEnvelopeSize 153600
    assert code == 0
    client.close_shell(shell)


def test_exit_codes_are_unsigned(server: WinRmServer) -> None:
    assert session(server).run_cmd("die").status_code == -9 & 0xFFFFFFFF


def test_an_unknown_program_is_what_cmd_says(server: WinRmServer) -> None:
    done = session(server).run_cmd("nosuch", ["x"])
    assert done.status_code == 1
    assert done.std_err.startswith(b"'nosuch' is not recognized")


def test_a_shell_s_environment_reaches_its_programs(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell(env_vars={"WORD": "grün"})
    command = client.run_command(shell, "environment")
    assert client.get_command_output(shell, command)[0].decode().strip() == "grün"
    client.close_shell(shell)


def test_terminate_and_delete_end_the_programs(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell()
    commands = [client.run_command(shell, "cat", console_mode_stdin=False) for _ in range(2)]
    assert server.counters()["commands_running"] == 2
    client.cleanup_command(shell, commands[0])
    assert server.counters()["commands_running"] == 1
    client.close_shell(shell)
    assert server.counters() | {"commands_running": 0, "shells_open": 0} == server.counters()


def test_plain_messages_are_refused_without_a_soap_fault(server: WinRmServer) -> None:
    with pytest.raises(WinRMTransportError) as caught:
        protocol(server, message_encryption="never").open_shell()
    assert caught.value.code == 500


def test_a_message_for_a_lost_connection_is_a_400_and_the_shell_lives_on(server: WinRmServer) -> None:
    client = protocol(server)
    shell = client.open_shell()
    client.transport.session.adapters["http://"].close()  # the TCP connection is gone, the keys are not
    with pytest.raises(WinRMTransportError) as caught:
        client.run_command(shell, "say", ["x"])
    assert caught.value.code == 400
    client.transport.close_session()
    command = client.run_command(shell, "say", ["x"])
    assert client.get_command_output(shell, command) == (b"x", b"oops", 3)
    client.close_shell(shell)


@pytest.mark.parametrize("auth", ["negotiate", "ntlm"])
def test_pypsrp_s_shell(server: WinRmServer, auth: str) -> None:
    host, port = server.server_address[:2]
    with (
        WSMan(str(host), port=port, username="ops", password=PASSWORD, ssl=False, auth=auth, no_proxy=True) as wsman,
        WinRS(wsman) as shell,
    ):
        process = Process(shell, "say", ["one", "two"])
        process.invoke()
        process.signal("http://schemas.microsoft.com/wbem/wsman/1/windows/shell/signal/ctrl_c")
        assert (process.rc, process.stdout, process.stderr) == (3, b"one two", b"oops")
        assert shell.owner
    assert server.counters()["shells_open"] == 0


def envelope(action: str, shell: str, body: str) -> soap.Request:
    names = " ".join(f'xmlns:{key}="{value}"' for key, value in soap.NS.items())
    text = (
        f"<s:Envelope {names}><s:Header><a:Action>{action}</a:Action><a:MessageID>uuid:1</a:MessageID>"
        f'<w:ResourceURI>{soap.CMD_URI}</w:ResourceURI><w:SelectorSet><w:Selector Name="ShellId">{shell}</w:Selector></w:SelectorSet>'
        f"</s:Header><s:Body>{body}</s:Body></s:Envelope>"
    )
    return soap.parse(text.encode())


def test_shells_of_a_host_that_restarted_take_no_new_one() -> None:
    shells = Shells(lambda _: None, lambda _: {})
    shells.end()
    with pytest.raises(ConnectionResetError):
        shells.answer(envelope(f"{soap.TRANSFER}/Create", "", "<rsp:Shell/>"), "ops")
    assert shells.counts()["shells_open"] == 0


def opened(shells: Shells) -> str:
    answer = shells.answer(envelope(f"{soap.TRANSFER}/Create", "", "<rsp:Shell/>"), "ops").decode()
    return answer.partition('<w:Selector Name="ShellId">')[2].partition("<")[0]


def test_quotas_of_shells_and_operations() -> None:
    shells = Shells(lambda _: None, lambda _: {})
    first = opened(shells)
    for _ in range(MAX_SHELLS - 1):
        opened(shells)
    with pytest.raises(soap.Fault) as caught:
        opened(shells)
    assert caught.value.code == 2150859173
    command = envelope(f"{soap.SHELL}/Command", first, "<rsp:CommandLine><rsp:Command>x</rsp:Command></rsp:CommandLine>")
    for _ in range(MAX_OPERATIONS):
        shells.answer(command, "ops")
    with pytest.raises(soap.Fault) as caught:
        shells.answer(command, "ops")
    assert caught.value.code == 2150859174  # terminating gives nothing back: facts/windows 1.4


def test_an_idle_shell_expires() -> None:
    shells = Shells(lambda _: None, lambda _: {})
    shells.answer(
        envelope(f"{soap.TRANSFER}/Create", "", "<rsp:Shell><rsp:IdleTimeOut>PT0S</rsp:IdleTimeOut></rsp:Shell>"), "ops"
    )
    shells.expire()
    assert shells.counts()["shells_open"] == 0


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("a b", ["a", "b"]),
        ('a "b c"', ["a", "b c"]),
        ('a ""', ["a", ""]),
        (r'a "b\"c"', ["a", 'b"c']),
        (r'a "b\\" c', ["a", "b\\", "c"]),
        (r"a\\b c\d", ["a\\\\b", "c\\d"]),
        (r"a \\\"b", ["a", '\\"b']),
        ("", []),
    ],
)
def test_command_lines_are_split_as_windows_does(line: str, words: list[str]) -> None:
    assert split(line) == words
