"""Each connection passes an HTTP answer on while it comes: its first piece before the last is even sent."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.connections.calls import Failed, Http, HttpReply, Run
from remediation.connections.guard import Guard
from remediation.connections.recorder import cassette
from remediation.connections.recorder.replay import ReplayConnection
from remediation.connections.settings import from_variables
from remediation.connections.worker import protocol
from remediation.connections.worker.session import WorkerSession, line_of
from remediation.connections.worker.transport import DeliveryUnknown, ProcessExited
from remediation.model.clock import SystemClock
from remediation.model.errors import OutcomeUnknown, WriteRefused
from tests.connections import contract
from tests.connections.conftest import StartPeer, opened, winrm_variables
from tests.connections.planned_faults import Impatient, ended
from tests.connections.sshd import sshd
from tests.connections.web import BODY, PIECES, Web
from tests.support.requirements import need_program

WAYS = (*contract.WAYS, "ssh-curl")


@pytest.fixture(params=WAYS)
def host(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Guard]:
    if request.param != "ssh-curl":
        yield from contract.way(request.param, request)
        return
    need_program("curl", "curl")
    with sshd(tmp_path / "sshd", "AllowTcpForwarding no") as server:
        guard = opened(server.variables())
        yield guard
        guard.close()


class Listener:
    """Collects a body; lets the server go on once the first piece is there."""

    def __init__(self, web: Web) -> None:
        self._web = web
        self.body = b""

    def __call__(self, piece: bytes) -> None:
        assert piece
        self.body += piece
        if self.body.startswith(PIECES[0]):
            self._web.heard.set()


def held(web: Web, **more: object) -> Http:
    return Http("POST", f"{web.url}/held", {"x": 1}, stream=True, **more)  # type: ignore[arg-type]  # a Http's fields


def test_the_first_piece_arrives_before_the_last_is_sent(host: Guard, web: Web) -> None:
    listener = Listener(web)
    (reply,) = host.exchange([held(web, writes=True, on_chunk=listener)])
    assert isinstance(reply, HttpReply), reply
    assert web.in_vain == 0
    assert (reply.status, web.asked) == (200, 1)
    assert reply.body == listener.body == BODY


def test_a_listener_that_fails_loses_nothing(host: Guard, web: Web) -> None:
    def failing(piece: bytes) -> None:
        web.heard.set()
        raise RuntimeError(piece[:1])

    (reply,) = host.exchange([held(web, on_chunk=failing)])
    assert isinstance(reply, HttpReply), reply
    assert reply.body == BODY
    (after,) = host.exchange([held(web)])
    assert isinstance(after, HttpReply), after
    assert (after.body, web.asked) == (BODY, 2)


def test_several_listeners_each_get_their_own_body(host: Guard, web: Web) -> None:
    web.heard.set()
    first, second = Listener(web), Listener(web)
    replies = host.exchange([held(web, on_chunk=first), Run(("true",)), held(web), held(web, on_chunk=second)])
    assert [reply.body for reply in replies if isinstance(reply, HttpReply)] == [BODY] * 3
    assert first.body == second.body == BODY


def test_silence_is_not_waited_for_to_the_end(host: Guard, web: Web) -> None:
    (reply,) = host.exchange([held(web, timeout=60.0, silence=0.3, writes=True)])
    assert isinstance(reply, Failed), reply
    assert reply.kind == "timeout"
    web.heard.set()
    (after,) = host.exchange([held(web, silence=20.0)])
    assert isinstance(after, HttpReply), after
    assert (after.body, web.asked) == (BODY, 2)


def test_without_a_byte_the_error_names_the_silence_in_seconds(web: Web) -> None:
    guard = opened({"ansible_connection": "local"})
    (late,) = guard.exchange([Http("GET", f"{web.url}/slow", timeout=60.0, silence=0.2)])
    assert late == Failed("timeout", f"GET {web.url}/slow: no data for 0.2 s")


@pytest.mark.parametrize("writes", [True, False], ids=["write", "read"])
def test_chunks_before_a_loss_do_not_reach_the_next_answer(start_peer: StartPeer, web: Web, *, writes: bool) -> None:
    server = start_peer(environment={"PEER_DIES_TELLING": "1"})
    guard = opened(winrm_variables(server), clock=Impatient())
    listener = Listener(web)
    found = ended(guard, held(web, writes=writes, on_chunk=listener))
    if writes:
        assert isinstance(found, OutcomeUnknown)
        assert web.asked == 1
        assert listener.body.startswith(PIECES[0])
        assert BODY.startswith(listener.body)
    else:
        assert isinstance(found, HttpReply)
        assert (web.asked, found.body) == (2, BODY)
        assert listener.body.endswith(BODY)
        assert BODY.startswith(listener.body.removesuffix(BODY))
    guard.close()


class Line:
    """A channel that says what it was given, however it is cut."""

    def __init__(self, *said: bytes) -> None:
        self.clock, self._said, self.nonce = SystemClock(), list(said), ""

    def start(self, command: object, deadline: float) -> None:
        """Nothing is started."""

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Learn the nonce."""
        for line in data.splitlines():
            content = base64.b64decode(line)
            if content.startswith(b'{"nonce"'):
                self.nonce = json.loads(content)["nonce"]

    def receive(self, deadline: float) -> bytes:
        """Say the next."""
        if not self._said:
            raise ProcessExited("it ended")
        return b"".join(f"{self.nonce} {each.decode()}\r\n".encode() for each in self._said.pop(0).splitlines())

    def errors(self) -> str:
        return ""

    def close(self) -> None:
        """Nothing is held."""


def test_a_chunk_reaches_its_listener_alone_when_its_frame_comes() -> None:
    def chunk(call: int, text: bytes, stream: str = "chunk") -> bytes:
        return line_of({"id": 1, "call": call, "stream": stream, "data": base64.b64encode(text).decode()})

    line = Line(
        line_of({"hello": 1, "language_mode": "FullLanguage"}), chunk(0, b"a") + chunk(1, b"b"), chunk(0, b"c", "stdout"), chunk(0, b"d"),
        line_of({"id": 1, "replies": [{"value": {"status": 200, "body": "ZQ=="}}, {"value": {"status": 200, "body": ""}}]}),
    )  # fmt: skip
    talk = WorkerSession("box", line)
    talk.greet((), 9.0, 9.0)
    heard: list[bytes] = []
    replies = talk.ask([{}, {}], 9.0, {0: heard.append})
    assert heard == [b"a", b"d"]
    assert [protocol.http_reply(reply) for reply in replies] == [HttpReply(200, b"ade"), HttpReply(200, b"b")]
    call = Http("GET", "http://x", on_chunk=heard.append)
    protocol.reply_reader(call)(replies[0])
    assert heard == [b"a", b"d", b"e"]
    with pytest.raises(DeliveryUnknown):
        talk.ask([{}], 9.0)


def test_a_cassette_keeps_no_listener_and_a_replay_calls_one(tmp_path: Path, web: Web) -> None:
    variables = {"ansible_connection": "local"}
    taped = cassette.Cassette(tmp_path / "tape")
    web.heard.set()
    guard = opened(variables, recorder=taped.recorder(from_variables("box", variables)))
    guard.exchange([held(web, writes=True, silence=20.0, on_chunk=Listener(web))])
    taped.save()
    assert "on_chunk" not in json.loads((tmp_path / "tape").read_text("utf-8").splitlines()[1])["call"]
    replayed, listener = ReplayConnection("box", tmp_path / "tape"), Listener(web)
    (reply,) = replayed.exchange([held(web, writes=True, silence=1.0, on_chunk=listener)])
    assert isinstance(reply, HttpReply)
    assert reply.body == listener.body == BODY
    checked, deaf = Guard(replayed, check=True), Listener(web)
    with pytest.raises(WriteRefused):
        checked.exchange([held(web, writes=True, on_chunk=deaf)])
    assert deaf.body == b""
