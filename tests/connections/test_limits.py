"""Any answer of a host costs a bounded amount of memory and time, ends in one sentence, and redirects no request."""

from __future__ import annotations

import base64
import itertools
import json
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from remediation.connections.bounded import Gathered, watchdog
from remediation.connections.calls import Completed, Failed, FileContent, Http, HttpReply, ReadFile, Run
from remediation.connections.guard import Guard
from remediation.connections.recorder.replay import ReplayConnection
from remediation.connections.ssh import commands as ssh_exec
from remediation.connections.winrm.transport import forbidden_xml
from remediation.connections.worker import protocol
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.connections.worker.session import WorkerSession
from remediation.connections.worker.transport import DeliveryUnknown, ReadTimeout
from remediation.facets.host_factory import open_host
from remediation.model import limits
from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed, HostError, Unreachable, UsageError
from remediation.model.limits import LimitExceeded
from remediation.model.text.json_text import load_json
from tests.connections import contract, hostile
from tests.connections.conftest import PASSWORD, opened
from tests.connections.hostile import REDIRECTS, TOO_MUCH, TOO_SLOW, Hostile, Servers, envelope, servers
from tests.connections.sshd import sshd
from tests.support.parts import need_program

__all__ = ["servers"]
WAYS = ("local", "ssh", "ssh-curl")
SLACK = 16_000_000
"""Bytes that may be in buffers of the kernel, of sshd and of an SSH channel when the reading ends."""
posix = pytest.mark.skipif(sys.platform == "win32", reason="FIFOs and limits of memory are POSIX")


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


def failed(guard: Guard, call: Http | ReadFile | Run) -> Failed:
    (reply,) = guard.exchange([call])
    assert isinstance(reply, Failed), reply
    assert "\n" not in reply.message
    return reply


@pytest.mark.parametrize("answer", TOO_MUCH)
def test_an_endless_answer_is_given_up(
    host: Guard, servers: Servers, answer: str, request: pytest.FixtureRequest
) -> None:  # fmt: skip
    server = servers.start(answer)
    by_curl = "ssh-curl" in request.node.name and answer == "endless trailers"  # which curl reads and drops
    said = failed(host, Http("GET", f"{server.url}/api/version", timeout=2.0 if by_curl else 15.0))
    assert said.kind == ("timeout" if by_curl else "error"), said
    assert by_curl or server.sent < limits.BODY + SLACK
    assert isinstance(host.exchange([Run(("true",))])[0], Completed)  # the connection is not harmed


@pytest.mark.parametrize("answer", TOO_SLOW)
def test_a_slow_answer_ends_with_its_deadline(host: Guard, servers: Servers, answer: str) -> None:
    said = failed(host, Http("GET", f"{servers.start(answer).url}/api/version", timeout=1.0))
    assert said.kind == "timeout", said


def test_a_compressed_answer_is_refused_unread(host: Guard, servers: Servers) -> None:
    server = servers.start("gzip bomb")
    (reply,) = host.exchange([Http("GET", f"{server.url}/api/tags", timeout=15.0)])
    assert b"Accept-Encoding: identity" in server.requests[0]
    # curl gives the bytes as they came: as many as were sent, and no JSON
    assert isinstance(reply, Failed) or (isinstance(reply, HttpReply) and reply.body.startswith(b"\x1f\x8b"))


@pytest.mark.parametrize("status", REDIRECTS)
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_no_redirect_is_followed(host: Guard, servers: Servers, status: int, method: str) -> None:
    server, elsewhere = servers.redirecting(status, "/api/pull")
    said = failed(
        host, Http(method, f"{server.url}/api/pull", {"model": "x"} if method != "GET" else None, writes=method != "GET")
    )
    assert said.kind == "redirected"
    assert f"redirected to {elsewhere.url}/api/pull (HTTP {status})" in said.message
    assert (len(server.requests), len(elsewhere.requests)) == (1, 0)


def test_a_curlrc_of_the_login_changes_nothing(servers: Servers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    need_program("curl", "curl")
    (tmp_path / ".curlrc").write_text("location\n", "utf-8")
    monkeypatch.setenv("CURL_HOME", str(tmp_path))
    server, elsewhere = servers.redirecting(307)
    with sshd(tmp_path / "sshd", "AllowTcpForwarding no", f"SetEnv CURL_HOME={tmp_path}") as started:
        guard = opened(started.variables())
        assert failed(guard, Http("GET", f"{server.url}/")).kind == "redirected"
        guard.close()
    assert elsewhere.requests == []


def test_a_redirect_names_its_target_and_what_to_do(servers: Servers) -> None:
    server, elsewhere = servers.redirecting(302, "/x")
    access = open_host("localhost", {"endpoint": server.url, "registry": server.url, "model": "a"}, check=True)
    for read in (
        access.reader.ollama.version,
        lambda: access.reader.ollama.registry("a"),
        lambda: access.reader.ollama.show("a"),
    ):
        with pytest.raises(CallFailed, match=f"redirected to {elsewhere.url}/x") as caught:
            read()
        assert "endpoint" in caught.value.next_step
    access.close()
    assert elsewhere.requests == []


@pytest.mark.parametrize(
    "answer", ["deep", "deep and whole", "a little deep", "many digits", "NaN", "infinite", "overflow", "no JSON"]
)
def test_what_is_no_sensible_json_is_the_hosts_failure(servers: Servers, answer: str) -> None:
    server = servers.start(answer)
    access = open_host("localhost", {"endpoint": server.url}, check=True)
    with pytest.raises(CallFailed, match="its answer is not JSON"):
        access.reader.ollama.version()
    access.close()


def test_what_is_odd_json_is_read(servers: Servers) -> None:
    for answer, version in (("twice", "0.12.0"), ("surrogate", "\ufffd 0.12.0")):
        access = open_host("localhost", {"endpoint": servers.start(answer).url}, check=True)
        assert access.reader.ollama.version() == version
        access.close()


@pytest.mark.parametrize(
    "text",
    [
        "[" * 200_000, '{"a":' * 200_000, "[" * 101 + "]" * 101, "9" * 5000, "-" + "9" * 41, "NaN", '{"a": -Infinity}', "1e999", "", "{",
        b"\xff\xfe", b"\x00", "[" + "{}," * 1_000_001 + "{}]", " " * (limits.JSON_SIZE + 1),
    ],
    ids=range(14),
)  # fmt: skip
def test_json_that_is_refused(text: str | bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        load_json(text)


def test_json_that_is_read() -> None:
    deep = "[" * 100 + "]" * 100
    assert load_json(deep) == load_json(deep.encode("utf-16"))
    assert load_json('{"a": 18446744073709551615, "b": 1.5e3, "a": "\\ud83c\\udf89"}') == {"a": "🎉", "b": 1500.0}
    assert load_json('{"\\udfff": ["\\ud800x"]}') == {"\ufffd": ["\ufffdx"]}
    assert load_json(b'\xef\xbb\xbf{"a": "\xff"}') == {"a": "\ufffd"}


def pull(server: Hostile, **more: object) -> Http:
    return Http("POST", f"{server.url}/api/pull", {}, stream=True, writes=True, **more)  # type: ignore[arg-type]  # a Http's fields


def test_a_stream_has_its_own_limit(host: Guard, servers: Servers) -> None:
    endless = servers.start([b"HTTP/1.1 200 OK\r\n\r\n", *[b'{"status": "pulling"}\n' * 3000] * 2000])
    assert "64 MB" in failed(host, pull(endless, timeout=60.0)).message or host.platform == "posix"
    assert limits.BODY < endless.sent < limits.STREAM + SLACK


def test_a_line_of_a_stream_has_a_limit(servers: Servers) -> None:
    line = servers.start([b"HTTP/1.1 200 OK\r\n\r\n", *[b"x" * 65536] * 1000])
    said = failed(opened({"ansible_connection": "local"}), pull(line, timeout=60.0))
    assert "a line of the answer exceeds the limit of 16 MB" in said.message


@pytest.mark.parametrize("stream", ["stdout", "stderr"])
def test_a_program_that_writes_without_end_is_ended(host: Guard, stream: str, tmp_path: Path) -> None:
    lock = tmp_path / "lock"
    code = (
        "import fcntl, os, sys; f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX); fd = getattr(sys, sys.argv[2]).fileno()\n"
        "while True: os.write(fd, b'x' * 65536)"
    )
    said = failed(host, Run((sys.executable, "-I", "-c", code, str(lock), stream), timeout=50.0))
    assert said.kind == "error"
    assert f"its {stream} exceeds the limit of 128 MB" in said.message
    free = "import fcntl, sys; fcntl.flock(open(sys.argv[1], 'w'), fcntl.LOCK_EX); print('free')"
    (reply,) = host.exchange([Run((sys.executable, "-I", "-c", free, str(lock)), timeout=20.0)])
    assert isinstance(reply, Completed), reply
    assert reply.stdout == b"free\n"


def test_a_program_that_changes_something_is_not_cut_short(host: Guard, tmp_path: Path) -> None:
    code = "import sys; [sys.stdout.write('x' * 1000000) for _ in range(140)]; open(sys.argv[1], 'w').close()"
    said = failed(host, Run((sys.executable, "-I", "-c", code, str(tmp_path / "done")), timeout=50.0, writes=True))
    assert "its stdout exceeds the limit of 128 MB" in said.message
    assert (tmp_path / "done").exists()


def test_many_short_lines_of_stderr_come_through(host: Guard) -> None:
    code = "import sys; sys.stderr.write('a\\n' * 1000000)"
    (reply,) = host.exchange([Run((sys.executable, "-I", "-c", code), timeout=30.0)])
    assert isinstance(reply, Completed), reply
    assert reply.stderr == b"a\n" * 1_000_000


@posix
def test_only_regular_files_are_read(host: Guard, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "link").symlink_to(tmp_path / "fifo")
    for path in (tmp_path / "fifo", tmp_path / "link", Path("/dev/zero"), Path("/dev/tty"), tmp_path):
        said = failed(host, ReadFile(str(path), timeout=5.0))
        assert said.kind == "error"
        assert "is not a regular file" in said.message or path == Path("/dev/tty")
    (reply,) = host.exchange([ReadFile("/proc/self/status")])
    assert isinstance(reply, FileContent)
    assert b"Name:" in reply.content


@posix
def test_sudo_reads_regular_files_only(tmp_path: Path) -> None:
    from remediation.connections.posix import files as posix_files
    from remediation.connections.posix import local

    os.mkfifo(tmp_path / "fifo")
    reply = posix_files.read_file(local.run_program, ReadFile(str(tmp_path / "fifo"), timeout=5.0))
    assert reply == Failed("error", f"{tmp_path / 'fifo'} is not a regular file")


# WinRM: nothing of it needs a login, a hostile server answers the very first message


def winrm(server: Hostile, **more: object) -> Guard:
    return opened({
        "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": server.port, "ansible_winrm_scheme": "http",
        "ansible_user": "ops", "ansible_password": PASSWORD, "ansible_winrm_operation_timeout_sec": 1,
        "ansible_winrm_read_timeout_sec": 2, "ansible_timeout": 2, **more,
    })  # fmt: skip


def unreachable(guard: Guard) -> HostError:
    with pytest.raises(Unreachable) as caught:
        guard.exchange([Run(("x",), writes=True)])
    guard.close()
    assert "\n" not in caught.value.message
    assert caught.value.next_step
    return caught.value


@pytest.mark.parametrize("answer", [*TOO_MUCH, *TOO_SLOW, "gzip bomb"])
def test_a_winrm_service_that_answers_too_much_or_too_slowly(servers: Servers, answer: str) -> None:
    server = servers.start(answer)
    unreachable(winrm(server))
    assert server.sent < limits.ENVELOPE + SLACK
    assert b"Accept-Encoding: identity" in server.requests[0]


@pytest.mark.parametrize("status", REDIRECTS)
def test_a_winrm_service_that_redirects_gets_nothing_more(servers: Servers, status: int) -> None:
    server, elsewhere = servers.redirecting(status, "/wsman")
    error = unreachable(winrm(server))
    assert f"the service redirects to {elsewhere.url}/wsman (HTTP {status}), and redirects are not followed" in error.message
    assert "ansible_host" in error.next_step
    assert (len(server.requests), len(elsewhere.requests)) == (1, 0)


ENTITIES = '<!DOCTYPE s [<!ENTITY a "aaaaaaaaaa">' + "".join(
    f'<!ENTITY {chr(98 + n)} "{f"&{chr(97 + n)};" * 10}">' for n in range(8)
) + "]>"  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (f"{ENTITIES}<s>&i;</s>", "has a document type"), (f"{ENTITIES}<s>&i;</s>".encode("utf-16").decode("latin-1"), "has a document type"),
        ("<a>" * 150_000, "is nested deeper"), ("<a>" * 101 + "</a>" * 101, "is nested deeper"), ("<a>" * 100 + "</a>" * 100, ""), ("no XML", ""),
    ],
    ids=["entities", "utf-16", "deep", "101", "100", "none"],
)  # fmt: skip
def test_xml_that_no_parser_gets(text: str, problem: str) -> None:
    assert problem in forbidden_xml(text.encode("latin-1"))
    assert bool(problem) == bool(forbidden_xml(text.encode("latin-1")))


@pytest.mark.parametrize("body", ["<a>" * 1000, "", "<b/>" * 10_000])
def test_a_winrm_answer_that_is_no_message_is_one_sentence(servers: Servers, body: str) -> None:
    unreachable(winrm(servers.start([envelope(body, ENTITIES if not body else "")])))


@posix
@pytest.mark.parametrize("way", ["local", "winrm"])
@pytest.mark.parametrize("answer", ["endless body", "endless header line", "endless continue", "gzip bomb"])
def test_memory_is_bounded(servers: Servers, way: str, answer: str) -> None:
    """In a process that may take no more than 600 MB of address space."""
    server = servers.start(answer)
    code = (
        "import resource, sys\n"
        "from remediation.connections.calls import Http, Run\n"
        "from tests.connections.test_limits import opened, winrm\n"
        "class Server: port = int(sys.argv[2])\n"
        "guard = winrm(Server) if sys.argv[1] == 'winrm' else opened({'ansible_connection': 'local'})\n"
        "resource.setrlimit(resource.RLIMIT_AS, (600_000_000,) * 2)\n"
        "call = Http('GET', f'http://127.0.0.1:{Server.port}/api/version') if sys.argv[1] == 'local' else Run(('x',))\n"
        "try: print(guard.exchange([call]))\n"
        "except Exception as error: print(type(error).__name__, error)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, way, str(server.port)], capture_output=True, text=True, timeout=60, check=False,
        cwd=Path(__file__).parents[2],
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("[Failed(kind='error'" if way == "local" else "Unreachable"), done.stdout


def test_a_cassette_has_limits(tmp_path: Path) -> None:
    head = '{"cassette": 1, "hosts": [{"host": 1, "platform": "posix"}]}\n'
    for content in (
        head + "[" * 200_000,
        head + "9" * 5000,
        head + "[]\n",
        head + '{"host": 1, "call": [], "reply": 1}',
        "[" * 200_000,
        "1",
    ):
        path = tmp_path / "tape"
        path.write_text(content, "utf-8")
        with pytest.raises(UsageError, match="tape"):
            ReplayConnection("box", path)
    with pytest.raises(UsageError, match="Is a directory"):
        ReplayConnection("box", tmp_path)
    with path.open("wb") as file:
        file.truncate(limits.CASSETTE + 1)
    with pytest.raises(UsageError, match="larger than 256 MiB"):
        ReplayConnection("box", path)


def gathering(finish: bool) -> Callable[[], bytes]:
    sink = Gathered("stdout", 3, finish=finish)
    for _ in range(2):
        sink.take(b"ab")
    return sink.content


def test_what_exceeds_is_never_taken_for_all() -> None:
    with pytest.raises(LimitExceeded):
        gathering(finish=False)
    content = gathering(finish=True)
    with pytest.raises(LimitExceeded):
        content()


class Mute:
    """A channel whose host says the same again and again."""

    def __init__(self, said: Callable[[str], bytes]) -> None:
        self.clock, self._said, self._nonce, self.received = SystemClock(), said, "", 0

    def start(self, command: object, deadline: float) -> None:
        """Nothing is started."""

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        for line in data.splitlines():
            if (content := base64.b64decode(line)).startswith(b'{"nonce"'):
                self._nonce = json.loads(content)["nonce"]

    def receive(self, deadline: float) -> bytes:
        self.received += 1
        if self.received == 1:
            hello = base64.b64encode(b'{"hello": 1, "language_mode": "FullLanguage"}').decode()
            return f"{self._nonce} {hello}\n".encode()
        return self._said(self._nonce)

    def errors(self) -> str:
        return ""


def _line(nonce: str, value: object) -> bytes:
    return f"{nonce} {base64.b64encode(json.dumps(value).encode()).decode()}\n".encode()


@pytest.mark.parametrize(
    "said",
    [
        lambda nonce: nonce.encode() + b" " + b"A" * 1_000_000, lambda _: b"x" * 1_000_000,
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": base64.b64encode(b"x" * 300_000).decode()}),
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": ""}) * 10_000,
        lambda nonce: _line(nonce, {"id": 1, "call": "x", "stream": "stdout", "data": ""}), lambda nonce: _line(nonce, {"id": 1, "stream": 1}),
        lambda nonce: _line(nonce, {"id": 1, "replies": [1]}), lambda nonce: _line(nonce, {"id": 1, "replies": {}}),
        lambda nonce: _line(nonce, {"id": 1, "call": 0, "stream": "stdout", "data": "="}),
        lambda nonce: f"{nonce} {base64.b64encode(b'[' * 200_000).decode()}\n".encode(),
    ],
    ids=range(10),
)  # fmt: skip
def test_a_worker_that_talks_nonsense_without_end(said: Callable[[str], bytes]) -> None:
    channel = Mute(said)
    talk = WorkerSession("box", channel)  # type: ignore[arg-type]  # all that a conversation needs of a channel
    end = time.monotonic() + 60
    talk.greet((), end, 60.0)
    with pytest.raises(DeliveryUnknown):
        talk.ask([{"op": "run"}], end)
    assert channel.received < limits.ANSWER // 280_000


def test_noise_alone_ends_with_the_deadline() -> None:
    channel = Mute(lambda _: b"noise\n")
    talk = WorkerSession("box", channel)  # type: ignore[arg-type]  # as above
    talk.greet((), time.monotonic() + 5, 5.0)
    with pytest.raises(ReadTimeout):
        talk.ask([{"op": "run"}], time.monotonic() + 0.2)


@pytest.mark.parametrize(
    "reply", [{}, {"rc": "x"}, {"rc": None}, {"rc": 0, "stdout": 5}, {"rc": 0, "stdout": "="}, {"rc": float("inf")}]
)
def test_a_reply_of_another_form_is_a_failure(reply: dict[str, object]) -> None:
    for writes, kind in ((False, "error"), (True, "uncertain")):
        found = protocol.understood(lambda: protocol.completed(reply), Run(("docker",), writes=writes))
        assert isinstance(found, Failed)
        assert (found.kind, "docker: cannot parse the worker's reply" in found.message) == (kind, True)


@posix
def test_a_local_powershell_that_writes_without_end_is_ended() -> None:
    program = (sys.executable, "-I", "-c", "import os\nwhile True: os.write(1, b'x' * 65536); os.write(2, b'y' * 65536)")
    connection = WorkerConnection("here", ChildChannel("here", before=program), scripts=lambda _: "", opening=1.0, greeting=60.0)
    with pytest.raises(HostError) as caught:
        connection.exchange([Run(("x",), timeout=1.0)])
    assert "a line of the worker exceeds the limit of 32 MB" in caught.value.message
    connection.close()


def test_an_ssh_port_that_drips_or_sends_a_giant_packet(tmp_path: Path) -> None:
    def answer(packet: bytes) -> Iterator[bytes]:
        yield b"SSH-2.0-x\r\n" + packet
        yield from itertools.repeat(b"x" * 65536)

    for server in (Banner(()), Banner(answer(b"\x7f\xff\xff\xff\x06")), Banner(itertools.repeat(b"welcome\r\n" * 5))):
        variables = {
            "ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": server.port, "ansible_timeout": 1, "ansible_user": "ops",
            "ansible_ssh_agent": False, "ansible_ssh_known_hosts_file": str(tmp_path / "none"),
        }  # fmt: skip
        with pytest.raises(Unreachable):
            opened(variables).exchange([Run(("true",))])
        assert server.sent < SLACK
        server.close()


class Banner(Hostile):
    """A server that speaks first: slowly, where there is nothing to say."""

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.settimeout(20)
            for piece in self._answer or hostile.slowly(itertools.repeat(b"y")):
                peer.sendall(piece if isinstance(piece, bytes) else piece.encode())
                self.sent += len(piece)
                if not self._open:
                    return


def test_an_unanswered_exec_request_ends_with_the_deadline() -> None:
    """By paramiko's own server, which accepts a session and never says whether it starts the program."""
    theirs, ours = socket.socketpair()
    server = paramiko.Transport(theirs)
    server.add_server_key(paramiko.ECDSAKey.generate())
    never = threading.Event()

    class Silence(paramiko.ServerInterface):
        def check_channel_request(self, kind: str, chanid: int) -> int:
            return paramiko.OPEN_SUCCEEDED

        def check_auth_none(self, username: str) -> int:
            return paramiko.AUTH_SUCCESSFUL

        def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
            never.wait(20)
            return False

    server.start_server(server=Silence(), event=threading.Event())
    client = paramiko.Transport(ours)
    client.start_client(timeout=20)
    client.auth_none("ops")
    try:
        with pytest.raises(ssh_exec.Late):
            ssh_exec.execute_command(client, ("true",), timeout=0.5)
    finally:
        never.set()
        client.close()
        server.close()


def test_a_deadline_of_a_connection_that_is_gone_already_prints_nothing() -> None:
    closed = threading.Event()

    def close() -> None:
        closed.set()
        raise EOFError

    with watchdog(0.01, close) as dog:
        assert closed.wait(30)
    for timer in (each for each in threading.enumerate() if isinstance(each, threading.Timer)):
        timer.join(30)
    assert dog.expired
