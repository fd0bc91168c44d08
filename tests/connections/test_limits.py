"""Any answer of a host costs a bounded amount of memory and time, ends in one sentence, and redirects no request."""

from __future__ import annotations

import itertools
import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from remediation.connections.bounded import BoundedOutput, watchdog
from remediation.connections.calls import Completed, Failed, FileContent, Http, HttpReply, ReadFile, Run
from remediation.connections.guard import Guard
from remediation.connections.recorder.replay import ReplayConnection
from remediation.connections.ssh import commands as ssh_exec
from remediation.facets.host_factory import open_host
from remediation.model import limits
from remediation.model.errors import CallFailed, Unreachable, UsageError
from remediation.model.limits import LimitExceeded
from remediation.model.text.json_text import load_json
from tests.connections import contract, hostile_servers
from tests.connections.conftest import opened
from tests.connections.hostile_servers import REDIRECTS, TOO_MUCH, TOO_SLOW, Hostile, Servers, servers
from tests.connections.sshd import sshd
from tests.support.requirements import need_program

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
def test_a_path_with_a_nul_is_a_failure_and_nothing_waits_for_it(host: Guard) -> None:
    for call in (ReadFile("/a\0b", timeout=600.0), Run(("true",), cwd="/a\0b", timeout=600.0)):
        said = failed(host, call)
        assert (said.kind, "contains a NUL" in said.message) == ("error", True)


@posix
def test_sudo_reads_regular_files_only(tmp_path: Path) -> None:
    from remediation.connections.posix import files as posix_files
    from remediation.connections.posix import local

    os.mkfifo(tmp_path / "fifo")
    reply = posix_files.read_file(local.run_program, ReadFile(str(tmp_path / "fifo"), timeout=5.0))
    assert reply == Failed("error", f"{tmp_path / 'fifo'} is not a regular file")


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
    sink = BoundedOutput("stdout", 3, finish=finish)
    for _ in range(2):
        sink.take(b"ab")
    return sink.content


def test_what_exceeds_is_never_taken_for_all() -> None:
    with pytest.raises(LimitExceeded):
        gathering(finish=False)
    content = gathering(finish=True)
    with pytest.raises(LimitExceeded):
        content()


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
            for piece in self._answer or hostile_servers.slowly(itertools.repeat(b"y")):
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
        with pytest.raises(ssh_exec.ProgramTimeout):
            ssh_exec.execute_command(client, Run(("true",), timeout=0.5))
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
