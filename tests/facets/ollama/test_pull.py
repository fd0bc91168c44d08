"""A pull tells its progress while it goes on, on every kind of host; how it ended is judged on all of it."""

from __future__ import annotations

import json
import os
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest

from remediation.facets.host_factory import Host, open_host
from remediation.facets.ollama import pull
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import PullProgress
from remediation_lab.owner.owner import ADDRESS, Owner
from remediation_lab.powershell.start import HOST, WORLD
from remediation_lab.winrm.server import WinRmServer
from tests.facets.local_server import serving

MODEL = "phi3:3.8b"
PASSWORD = "Pa55-word"
LINES = (
    {"status": "pulling manifest"},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 9},
    {"status": "pulling aa", "digest": "sha256:aa", "total": 9, "completed": 9},
    {"status": "success"},
)


class Gate:
    """Holds a pull until its first line has arrived; says whether that took too long."""

    def __init__(self) -> None:
        self.heard = threading.Event()
        self.held = 0
        self.in_vain = 0

    def wait(self) -> None:
        self.held += 1
        if not self.heard.wait(30):
            self.in_vain += 1


GATE = Gate()


class Slow(BaseHTTPRequestHandler):
    """A server that sends more of a pull only after its first line has arrived."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.end_headers()
        for line in LINES:
            self.wfile.write(json.dumps(line).encode() + b"\n")
            self.wfile.flush()
            GATE.wait()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def gate() -> Iterator[Gate]:
    GATE.__init__()  # type: ignore[misc]  # a new one, known to the handler
    yield GATE
    GATE.heard.set()


@pytest.fixture
def slow(gate: Gate) -> Iterator[str]:
    yield from serving(Slow)


@contextmanager
def lab_host(folder: Path, hold: Callable[[], None]) -> Iterator[Host]:
    """A host of the lab over WinRM, its world in this process: its network waits at each step of a pull."""
    owner = Owner(folder, ["laptop-07"], scale=1000)
    threading.Thread(target=owner.service.serve, daemon=True).start()
    owner.service.publish()
    environment = {
        WORLD: str(folder / ADDRESS), HOST: "laptop-07", "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)
    }  # fmt: skip
    server = WinRmServer(("127.0.0.1", 0), "LAPTOP-07", environment=environment)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    clock = owner._machine("laptop-07").clock
    variables = {
        "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": server.server_address[1],
        "ansible_winrm_scheme": "http", "ansible_user": "ops", "ansible_password": PASSWORD, "lab_scale": 1000,
    }  # fmt: skip
    host = open_host("laptop-07", variables, check=False)
    assert host.reader.ollama.version()
    clock.sleep = lambda _: hold()  # type: ignore[method-assign]
    yield host
    host.close()
    assert server.counters()["shells_open"] == 0
    server.stop()
    thread.join()
    owner.close()


@pytest.fixture(params=["local", "ssh", "lab"])
def host(request: pytest.FixtureRequest, gate: Gate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    if request.param == "lab":
        (tmp_path / "users").write_text(f":ops:{PASSWORD}\nLAB:ops:{PASSWORD}\n", encoding="utf-8")
        monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "users"))
        with lab_host(tmp_path, gate.wait) as opened:
            yield opened
        return
    way = request.getfixturevalue("server").variables() if request.param == "ssh" else {"ansible_connection": "local"}
    opened = open_host("here", {**way, "endpoint": request.getfixturevalue("slow")}, check=False)
    yield opened
    opened.close()


def test_the_first_line_arrives_while_the_pull_goes_on(host: Host, gate: Gate) -> None:
    reported: list[PullProgress] = []

    def progress(line: PullProgress) -> None:
        reported.append(line)
        gate.heard.set()

    host.writer().ollama.pull(MODEL, progress=progress)
    assert gate.held > 0
    assert gate.in_vain == 0
    assert (reported[0].status, reported[-1].status) == ("pulling manifest", "success")
    assert any(each.total and each.completed == each.total for each in reported)


def test_whoever_watches_cannot_break_a_pull(host: Host, gate: Gate) -> None:
    def progress(line: PullProgress) -> None:
        gate.heard.set()
        raise ValueError(line)

    host.writer().ollama.pull(MODEL, progress=progress)
    assert gate.in_vain == 0


def test_a_pull_works_without_a_listener(host: Host, gate: Gate) -> None:
    gate.heard.set()
    host.writer().ollama.pull(MODEL)


@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_lines_are_whole_however_they_are_cut(size: int) -> None:
    reported: list[PullProgress] = []
    follower = pull.Follower("pulling x", "box", reported.append)
    body = b"".join(json.dumps(line).encode() + b"\r\n" for line in (LINES[0], *LINES)) + b"no json\n[]\n"
    for at in range(0, len(body), size):
        follower.on_chunk(body[at : at + size])
    assert [(each.status, each.completed, each.total) for each in reported] == [
        ("pulling manifest", None, None), ("pulling aa", None, 9), ("pulling aa", 9, 9), ("success", None, None)
    ]  # fmt: skip
    follower.judge(body)


@pytest.mark.parametrize(
    ("lines", "error", "words"),
    [
        ([*LINES[:2]], DeadlineExceeded, "broke off at 'pulling aa'"),
        ([], DeadlineExceeded, "broke off"),
        ([LINES[0], {"error": "no space left on device"}, LINES[3]], CallFailed, "no space left"),
    ],
)
def test_an_end_is_judged_on_the_whole(lines: list[dict[str, Any]], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        pull.Follower("pulling x", "box").judge(b"\n".join(json.dumps(line).encode() for line in lines))
