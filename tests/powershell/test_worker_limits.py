"""What the worker does when something is refused, large, lost or in the way: under a real PowerShell."""

from __future__ import annotations

import base64
import hashlib
import json
import os
import socket
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    FileContent,
    Http,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
    WriteFile,
)
from remediation.connections.worker import bootstrap, protocol
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.connections.worker.session import WorkerSession, line_of
from remediation.facets.scripts import script
from tests.powershell import shell

TELL = "import sys, os, json; print(json.dumps([sys.argv[1:], dict(os.environ)]))"
CAT = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
DATES = [
    "2026-08-21T10:00:00Z",
    "2024-01-01T10:00:00+02:00",
    "/Date(1700000000000)/",
    "\\/Date(0)\\/",
    "2026-08-21",
    "1e5",
    "true",
    "null",
]
ECHO = "param($Data)\nConvertTo-Json -Depth 20 -Compress -InputObject $Data"


class Host:
    """A worker and its channel; ``before`` are the words that start PowerShell."""

    def __init__(self, *, one_call_each: bool = False, channel: ChildChannel | None = None) -> None:
        self.channel = channel or ChildChannel("here", before=(shell.program(),))
        self.connection = WorkerConnection(
            "here", self.channel, scripts=lambda name: ECHO if name == "echo" else script(name), opening=60.0, greeting=60.0
        )
        self.connection._one_call_each = one_call_each

    def ask(self, *calls: Call) -> list[Reply]:
        return self.connection.exchange(calls)

    def done(self, call: Run) -> Completed:
        (reply,) = self.ask(call)
        assert isinstance(reply, Completed), reply
        return reply

    def wire(self, *calls: dict[str, Any]) -> list[dict[str, Any]]:
        return self.connection._ask(calls, [Run(("program",))] * len(calls), 60.0)


@pytest.fixture
def host() -> Iterator[Host]:
    host = Host()
    yield host
    host.connection.close()


@pytest.fixture(scope="module")
def shared() -> Iterator[Host]:
    """Yield a worker for tests that leave it as it was; the start of PowerShell takes a second."""
    host = Host()
    yield host
    host.connection.close()


@pytest.fixture(params=[False, True], ids=["worker", "one-call"], scope="module")
def each(request: pytest.FixtureRequest) -> Iterator[Host]:
    host = Host(one_call_each=request.param)
    yield host
    host.connection.close()


def python(code: str, *words: str, **more: object) -> Run:
    return Run((sys.executable, "-I", "-c", code, *words), **more)  # type: ignore[arg-type]  # a Run's fields


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_short_program_takes_one_exchange_at_any_timeout(host: Host) -> None:
    for number in range(1, 4):
        assert host.done(python("print('said')", timeout=3600)).text.split() == ["said"]
        assert host.connection.round_trips == number


def test_a_job_ends_with_its_program_or_with_the_last_poll(host: Host, tmp_path: Path) -> None:
    call = python("import os, sys, time; print(os.getpid(), flush=True); time.sleep(600)")
    begin = {**protocol.run_request(call), "op": "start", "wait": 0.0}
    (started,) = host.wire(begin)
    assert (started["done"], started["rc"]) == (False, None)
    said = ""
    while not said:
        said = protocol.decode_base64(host.wire({"op": "poll", "job": started["job"], "wait": 1.0})[0], "stdout").decode()
    last, after = host.wire(*[{"op": "poll", "job": started["job"], "wait": 0.0, "last": True}] * 2)
    assert (last["done"], after["error"]["kind"]) == (False, "not-found")
    with pytest.raises(ProcessLookupError):  # its end is waited for
        os.kill(int(said), 0)
    ended, after, stopped = host.wire(
        {**protocol.run_request(python(f"open({str(tmp_path / 'f')!r}, 'w')")), "op": "start", "wait": 60.0},
        {"op": "poll", "job": "none", "wait": 0.0}, {"op": "stop", "job": "none"},
    )  # fmt: skip
    assert (ended["done"], ended["rc"]) == (True, 0)
    assert [reply["error"]["kind"] for reply in (after, stopped)] == ["not-found"] * 2


def test_text_that_looks_like_a_date_arrives_as_it_was_sent(each: Host, tmp_path: Path) -> None:
    env = {f"WORD{number}": word for number, word in enumerate(DATES)}
    arguments, environment = json.loads(each.done(python(TELL, *DATES, env=env)).stdout)
    assert arguments == DATES
    assert {name: environment[name] for name in env} == env
    data = {
        "words": DATES,
        "deep": [{"at": DATES[0]}],
        "numbers": [1, 2**40, 0.5, -3],
        "none": None,
        "no": False,
        "empty": [],
        "one": [[]],
    }
    path = str(tmp_path / "2026-08-21T10:00:00Z")
    probed, wrote, read = each.ask(Probe("echo", data), WriteFile(path, b"x"), ReadFile(path))
    assert isinstance(probed, ProbeReply)
    assert probed.value == data
    assert (wrote, read, names(tmp_path)) == (FileContent(), FileContent(b"x"), ["2026-08-21T10:00:00Z"])


def test_names_that_differ_in_case_alone_do_no_harm(each: Host, tmp_path: Path) -> None:
    environment = json.loads(each.done(python(TELL, env={"Word": "a", "WORD": "b", "word": "c"})).stdout)[1]
    found = [environment.get(name) for name in ("Word", "WORD", "word")]
    assert found == ["a", "b", "c"] if sys.platform != "win32" else "c" in found
    call = Probe("echo", {"Path": 1, "PATH": 2}, writes=True)
    refused, wrote, echoed = each.ask(call, WriteFile(str(tmp_path / "f"), b"x"), Probe("echo", {"fine": 1}))
    assert isinstance(refused, Failed)
    assert (refused.kind, "cannot be read" in refused.message) == ("error", True)
    assert (wrote, echoed) == (FileContent(), ProbeReply({"fine": 1}))


@pytest.mark.parametrize(
    "broken", [b'{"id":1,"calls":[', b'{"id": 1, "calls": [{"op": "run", "a": 1, "A": 2}]}', b"\xff\xfe", b""]
)
def test_a_request_that_cannot_be_read_is_answered_with_its_id(broken: bytes) -> None:
    channel = ChildChannel("here", before=(shell.program(),))
    talk = WorkerSession("here", channel)
    end = time.monotonic() + 60.0
    talk.greet(bootstrap.worker_command(shell.program()), end, 60.0)
    channel.send(line_of(broken) if broken else b"no base64\n", end)
    frame = talk._frame(end)
    assert (frame["id"], frame["error"]["kind"]) == (1 if broken.startswith(b"{") else None, "error")
    (reply,) = talk.ask([{"op": "read", "path": "/no/such/file", "offset": 0, "limit": 1, "tail": False}], end)
    assert reply == {"missing": True}
    channel.close()


@pytest.mark.parametrize("size", [420_001, pytest.param(1_300_000, marks=pytest.mark.every)])
def test_stdin_of_any_size(each: Host, size: int) -> None:
    content = os.urandom(size)
    assert each.done(python(CAT, stdin=content, timeout=60)).stdout == content
    completed = each.done(
        python("import sys, hashlib; print(hashlib.sha256(sys.stdin.buffer.read()).hexdigest())", stdin=content, timeout=600)
    )
    assert completed.text.strip() == hashlib.sha256(content).hexdigest()
    assert each.done(python("print('unread')", stdin=content, timeout=600)).text.strip() == "unread"


def test_a_program_that_reads_nothing_is_ended_in_time(shared: Host) -> None:
    (late,) = shared.ask(python("import time; time.sleep(600)", stdin=b"x" * 2_000_000, timeout=1.0))
    assert isinstance(late, Failed)
    assert late.kind == "timeout"


class Counting(ChildChannel):
    """Writes a file as soon as so many bytes have come."""

    def __init__(self, path: Path, size: int) -> None:
        super().__init__("here", before=(shell.program(),))
        self.path, self.left = path, size

    def receive(self, deadline: float) -> bytes:
        content = super().receive(deadline)
        self.left -= len(content)
        if self.left < 0:
            self.path.touch()
        return content


@pytest.mark.parametrize("timeout", [60.0, 600.0])
def test_output_leaves_while_the_program_runs(tmp_path: Path, timeout: float) -> None:
    host = Host(channel=Counting(tmp_path / "came", 1_000_000))
    code = (
        "import os, sys, time\n"
        "sys.stdout.buffer.write(b'x' * 3_000_000)\n"
        "sys.stdout.flush()\n"
        "while not os.path.exists(sys.argv[1]): time.sleep(0.01)\n"
    )
    assert host.done(python(code, str(tmp_path / "came"), timeout=timeout)).stdout == b"x" * 3_000_000
    host.connection.close()


@pytest.mark.parametrize("timeout", [60.0, 600.0])
def test_a_program_that_writes_too_much_is_refused_and_one_that_changes_something_ends_as_it_would(
    host: Host, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, timeout: float
) -> None:
    limit, text = b"$OutputLimit = 128MB", bootstrap.worker_text()
    assert limit in text
    monkeypatch.setattr(bootstrap, "worker_text", lambda: text.replace(limit, b"$OutputLimit = 2MB"))
    code = "import sys; [sys.stdout.buffer.write(b'x' * 1_000_000) for _ in range(4)]; sys.stdout.flush(); open(sys.argv[1], 'w')"
    (reply, after) = host.ask(python(code, str(tmp_path / "f"), writes=True, timeout=timeout), python("print('fine')"))
    assert isinstance(reply, Failed)
    assert "its stdout" in reply.message
    assert "128 MB" in reply.message
    assert (names(tmp_path), isinstance(after, Completed)) == (["f"], True)
    (reply,) = host.ask(
        python("import sys\nwhile True: sys.stdout.buffer.write(b'x' * 1_000_000)", timeout=timeout if timeout > 60 else 5)
    )
    assert isinstance(reply, Failed)


@pytest.mark.parametrize("what", ["backup", "folder", "hash", "order"])
@pytest.mark.parametrize("size", [10, 500_000])
def test_a_write_that_fails_leaves_nothing_and_changes_nothing(each: Host, tmp_path: Path, what: str, size: int) -> None:
    path, content = tmp_path / ".env", b"x" * size
    if what == "folder":
        path.mkdir()
    else:
        path.write_bytes(b"before")
    if what in {"backup", "folder"}:
        (reply,) = each.ask(WriteFile(str(path), content, backup=str(tmp_path / "none" / "kept") if what == "backup" else None))
        assert isinstance(reply, Failed)
    elif not each.connection._one_call_each:
        wrong = "0" * 64 if what == "hash" else hashlib.sha256(content).hexdigest()
        (first, last) = each.wire(
            protocol.write_request(str(path), 0, content[:5], None, None),
            protocol.write_request(str(path), 5 if what == "hash" else 7, content[5:], wrong, None),
        )
        assert (first, last["error"]["kind"]) == ({"size": 5}, "error")
    assert names(tmp_path) == [".env"]
    assert path.is_dir() or path.read_bytes() == b"before"


def test_a_write_whose_worker_ends_leaves_nothing(host: Host, tmp_path: Path) -> None:
    path = tmp_path / "f"
    host.wire(protocol.write_request(str(path), 0, b"secret", None, None))
    assert len(names(tmp_path)) == 1
    host.connection.close()
    assert names(tmp_path) == []


@pytest.mark.parametrize("size", [10, 900_000])
def test_what_a_killed_worker_left_of_a_file_goes_with_the_next_write(host: Host, tmp_path: Path, size: int) -> None:
    path = tmp_path / "f"
    host.wire(protocol.write_request(str(path), 0, b"secret" * 1_000, None, None))
    assert host.channel._process is not None
    host.channel._process.kill()
    (left,) = names(tmp_path)
    assert len(left) <= 11
    again = Host()
    assert again.ask(WriteFile(str(path), b"x" * size), ReadFile(str(path))) == [FileContent(), FileContent(b"x" * size)]
    again.connection.close()
    assert names(tmp_path) == ["f"]


def test_a_file_is_begun_again_where_a_new_worker_has_none_of_its_slices(host: Host, tmp_path: Path) -> None:
    path, content = tmp_path / "f", os.urandom(1_500_000)
    asked = host.connection._ask
    lost: list[int] = []

    def ask(wanted: Sequence[dict[str, Any]], calls: Sequence[Call], timeout: float, **more: bool) -> list[dict[str, Any]]:
        if wanted[0].get("offset") == protocol.SLICE and not lost:
            lost.append(1)
            host.channel.close()  # the worker ends, and takes what it has of the file along
        return asked(wanted, calls, timeout, **more)

    host.connection._ask = ask  # type: ignore[method-assign]
    assert host.ask(WriteFile(str(path), content)) == [FileContent()]
    assert (path.read_bytes(), names(tmp_path), lost) == (content, ["f"], [1])


def test_any_name_that_can_be_read_can_be_written(each: Host, tmp_path: Path) -> None:
    path = tmp_path / ("n" * 255)
    assert each.ask(WriteFile(str(path), b"x"), ReadFile(str(path))) == [FileContent(), FileContent(b"x")]


def test_a_server_that_hangs_gets_one_call_per_request(shared: Host) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        came: list[socket.socket] = []

        def serve() -> None:
            while True:
                try:
                    came.append(server.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        calls = [Http("GET", url + word, timeout=1.0) for word in ("a", "b", "c")]
        replies = shared.ask(*calls, Http("POST", url, {}, timeout=1.0, writes=True))
        assert {(type(reply), reply.kind) for reply in replies if isinstance(reply, Failed)} == {(Failed, "timeout")}
        assert len(came) == 2, "one that reads, and the one that writes"
        shared.ask(calls[0])
        assert len(came) == 3
        server.shutdown(socket.SHUT_RDWR)
        thread.join()
        for each in came:
            each.close()


def test_stdin_by_its_handle_as_net_framework_needs_it() -> None:
    # the branch for versions before 6, taken here by a later one
    command = bootstrap.worker_command(shell.program())
    text = base64.b64decode(command[-1]).decode("utf-16-le")
    assert "-lt 6" in text
    for marker in ("-lt 6", "'_handle'"):
        changed = text.replace("-lt 6", "-lt 99").replace(marker, marker if marker == "-lt 6" else "'_none'")
        if marker == "-lt 6":
            changed = text.replace("-lt 6", "-lt 99")
        channel = ChildChannel("here", before=(shell.program(),))
        talk = WorkerSession("here", channel)
        end = time.monotonic() + 60.0
        talk.greet((*command[:-1], base64.b64encode(changed.encode("utf-16-le")).decode()), end, 60.0)
        for size in (10, 400_000):
            call = protocol.run_request(python("import sys; print(len(sys.stdin.read()))", stdin=b"x" * size))
            (reply,) = talk.ask([call], end)
            assert protocol.decode_base64(reply, "stdout").split() == [str(size).encode()]
        channel.close()


@pytest.mark.parametrize("name", ["a folder", "R&D", "%TEMP%", "a^b", "it's", "é [x]"])
def test_a_folder_is_made_by_the_name_it_was_given(shared: Host, tmp_path: Path, name: str) -> None:
    call = Probe("file", {"action": "make", "path": str(tmp_path / "above" / name), "to": None}, writes=True)
    assert shared.ask(call, call) == [ProbeReply({"Done": True, "Problem": None})] * 2
    assert names(tmp_path / "above") == [name]
    (tmp_path / "file").write_bytes(b"")
    (reply,) = shared.ask(Probe("file", {"action": "make", "path": str(tmp_path / "file" / name), "to": None}, writes=True))
    assert isinstance(reply, ProbeReply)
    assert (reply.value["Done"], bool(reply.value["Problem"])) == (False, True)
