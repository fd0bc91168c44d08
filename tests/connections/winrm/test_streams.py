"""Send and Receive are what pywinrm would have written, but that more is taken; what comes back is read as pywinrm reads it."""

from __future__ import annotations

import re
import sys

import pytest
from winrm.encryption import Encryption
from winrm.protocol import Protocol

from remediation.connections.settings import from_variables
from remediation.connections.winrm import messages as winrm_messages
from remediation.connections.winrm.channel import Streams
from tests.connections.conftest import StartPeer, winrm_variables

ANSWER = (
    '<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope" xmlns:rsp="http://schemas.microsoft.com/wbem/wsman/1/windows/shell">'
    "<s:Body><rsp:ReceiveResponse>{}</rsp:ReceiveResponse></s:Body></s:Envelope>"
)
STREAMS = (
    '<rsp:Stream Name="stdout" CommandId="C">YWI=</rsp:Stream><rsp:Stream Name="stderr" CommandId="C">IQ==</rsp:Stream>'
    '<rsp:Stream Name="stdout" CommandId="C">Yw==</rsp:Stream><rsp:Stream Name="stderr" CommandId="C" End="true"/>'
)
ENDED = (
    '<rsp:CommandState CommandId="C" State="http://schemas.microsoft.com/wbem/wsman/1/windows/shell/CommandState/Done">'
    "<rsp:ExitCode>3221225786</rsp:ExitCode></rsp:CommandState>"
)


class Written(Protocol):
    """pywinrm's own, but for the wire: what would be sent is kept."""

    def __init__(self, answer: str = "") -> None:
        super().__init__("http://box:5985/wsman", transport="ntlm", username="ops", password="x", operation_timeout_sec=7)
        self.sent: list[str] = []
        self.answer = ANSWER.format(answer).encode()

    def send_message(self, message: str) -> bytes:
        self.sent.append(re.sub(r"uuid:[0-9a-f-]{36}", "uuid:*", message).replace(">153600<", ">512000<"))
        return self.answer


@pytest.mark.parametrize("end", [True, False])
def test_what_is_sent_is_what_pywinrm_sends(end: bool) -> None:
    wire = Written()
    streams = Streams(wire, "S", "C")
    for data in (b"one\n", b"\x00\xff" * 500):
        wire.send_command_input("S", "C", data, end=end)
        streams.send(data, end=end)
        assert wire.sent[-1] == wire.sent[-2]
    wire.get_command_output_raw("S", "C")
    streams.receive()
    assert wire.sent[-1] == wire.sent[-2]
    wire.operation_timeout_sec = 3
    streams.receive()
    assert "PT3S" in wire.sent[-1]


def test_one_answer_holds_as_much_as_a_service_gives_by_default(start_peer: StartPeer) -> None:
    server = start_peer()
    server.programs = {"big": (sys.executable, "-c", "print('x' * 350_000, end='')")}
    wire = winrm_messages.connect(from_variables("box", winrm_variables(server)))
    shell = wire.open_shell()
    command = wire.run_command(shell, "big")
    program = server.shells[shell][command]
    with program.changed:
        program.changed.wait_for(lambda: not program.open)
    # 107,520 bytes is what pywinrm's own request would have brought
    assert len(Streams(wire, shell, command).receive()[0]) == 350_000
    wire.close_shell(shell)


def test_a_request_is_what_pywinrm_would_have_prepared(start_peer: StartPeer) -> None:
    settings = from_variables("box", winrm_variables(start_peer()))
    wire = winrm_messages.connect(settings)
    winrm_messages.log_in(wire, settings)
    session, ours = wire.transport.session, wire.transport.encryption
    assert session is not None
    assert ours is not None
    theirs = Encryption(session, "ntlm")
    assert type(ours) is not Encryption
    login = session.auth
    for message, present in ((b"<one/>", login), (b"<two/>" * 500, login), (b"<three/>", winrm_messages.ReusedAuth(login))):
        session.auth = present
        one, two = (each.prepare_encrypted_request(session, settings.endpoint, message) for each in (theirs, ours))
        assert (one.method, one.url, one.headers, one.hooks) == (two.method, two.url, two.headers, two.hooks)
        assert len(one.body or b"") == len(two.body or b"")
        assert one.body != two.body  # sealed by the connection's own count
    wire.transport.close_session()


def test_each_message_has_its_own_id() -> None:
    ids: list[str] = []

    class Ids(Written):
        def send_message(self, message: str) -> bytes:
            ids.extend(re.findall(r"uuid:([0-9a-f-]{36})", message))
            return self.answer

    streams = Streams(Ids(), "S", "C")
    streams.receive()
    streams.receive()
    streams.send(b"x", end=False)
    assert len(set(ids)) == 3


@pytest.mark.parametrize("answer", [STREAMS, STREAMS + ENDED, ENDED, ""])
def test_what_comes_is_read_as_pywinrm_reads_it(answer: str) -> None:
    wire = Written(answer)
    assert Streams(wire, "S", "C").receive() == wire.get_command_output_raw("S", "C")
