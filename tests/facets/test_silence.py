"""Servers that accept connections and never answer, proxies in front of nothing, servers at another port than the usual one."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Call, Completed, Failed, Http, HttpReply, Reply, Run
from remediation.connections.posix.local import LocalConnection
from remediation.facets.docker import sdk
from remediation.facets.ollama import client as ollama
from remediation.facets.ollama.client import OllamaByHttp, same_name
from remediation.facets.ollama.service_log import fatal_error
from remediation.facets.silence import BRIEF, LASTS, REMEMBERED, Silence
from remediation.facets.snapshot import Snapshot
from remediation.facets.target import NATIVE, Finder, address_in_log
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Found, Target
from remediation.model.finding import Cause
from tests.facets.prepared_connection import Answering, docker
from tests.facets.test_target import box, server

SHORT = 0.3


class Silent:
    """A server on loopback that accepts connections, keeps them, and says nothing."""

    def __init__(self) -> None:
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        self.accepted: list[socket.socket] = []
        self._thread = threading.Thread(target=self._accept)
        self._thread.start()

    def _accept(self) -> None:
        while True:
            stream, _ = self._listener.accept()
            if not stream.recv(1):
                stream.close()
                return
            self.accepted.append(stream)

    def close(self) -> None:
        socket.create_connection(self._listener.getsockname()).close()
        self._thread.join()
        for each in (*self.accepted, self._listener):
            each.close()


@pytest.fixture
def silent() -> Iterator[Silent]:
    found = Silent()
    yield found
    found.close()


def reads(url: str) -> list[Http]:
    return [Http("GET", f"{url}/api/{each}", timeout=SHORT) for each in ("version", "ps", "tags")]


def test_one_deadline_holds_for_all_requests_of_a_look(silent: Silent) -> None:
    hints: dict[str, Any] = {}
    snapshot = Snapshot(lambda: LocalConnection("box"), hints=hints)
    replies = snapshot.fetch(*reads(silent.url), Http("GET", f"{silent.url}/api/show", timeout=SHORT))
    assert [reply.kind for reply in replies if isinstance(reply, Failed)] == ["timeout"] * 4
    assert len(silent.accepted) == 1
    snapshot.fetch(Http("GET", f"{silent.url}/api/other", timeout=SHORT))
    assert len(silent.accepted) == 1
    Snapshot(lambda: LocalConnection("box"), hints=hints).fetch(*reads(silent.url))
    assert len(silent.accepted) == 1, "the snapshot that follows at once knows it"
    snapshot.invalidate()
    snapshot.fetch(*reads(silent.url))
    assert len(silent.accepted) == 2, "after a change the server gets a request again"


class Turning:
    """A connection whose server answers until the test silences it; it keeps the calls."""

    def __init__(self) -> None:
        self.host, self.platform, self.round_trips, self.answers = "box", "posix", 0, True
        self.asked: list[tuple[str, ...]] = []

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.round_trips += 1
        self.asked.append(tuple(call.url.rpartition("/")[2] if isinstance(call, Http) else "run" for call in calls))
        return [self._one(call) for call in calls]

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Run):
            return Completed(0, b"", b"")
        return HttpReply(200, b"{}") if self.answers else Failed("timeout", "silent")

    def close(self) -> None:
        """Nothing is open."""


def test_a_server_that_has_answered_gets_all_requests_at_once() -> None:
    connection, hints = Turning(), dict[str, Any]()
    Snapshot(lambda: connection, hints=hints).fetch(*reads(NATIVE), Run(("x",)))
    Snapshot(lambda: connection, hints=hints).fetch(*reads(NATIVE), Run(("x",)))
    assert connection.asked == [("version", "run"), ("ps", "tags"), ("version", "ps", "tags", "run")]
    connection.answers = False
    Snapshot(lambda: connection, hints=hints).fetch(*reads(NATIVE))
    connection.answers = True
    hints["hangs"].clear()
    Snapshot(lambda: connection, hints=hints).fetch(*reads(NATIVE))
    assert connection.asked[4:] == [("version",), ("ps", "tags")], "what fell silent is no longer trusted to answer"


def test_what_is_sent_ahead_waits_for_the_first_answer_in_the_next_exchange() -> None:
    connection = Turning()
    snapshot = Snapshot(lambda: connection)
    snapshot.prefetch(*reads(NATIVE), Run(("x",)))
    snapshot.fetch(Run(("y",)))
    assert connection.asked == [("version", "run"), ("run", "ps", "tags")]
    snapshot.fetch(*reads(NATIVE))
    assert connection.round_trips == 2


class Hanging:
    """A connection on which one program hangs until the test lets it answer; it keeps the deadlines."""

    def __init__(self) -> None:
        self.host, self.platform, self.round_trips, self.answers = "box", "posix", 0, False
        self.deadlines: list[float] = []

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.deadlines += [call.timeout for call in calls]
        if not self.answers:
            return [Failed("timeout", f"not in {call.timeout:g} s") for call in calls]
        return [HttpReply(200, b"{}") if isinstance(call, Http) else Completed(0, b"", b"") for call in calls]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("call", [Run(("nvidia-smi",), timeout=30.0), Http("GET", f"{NATIVE}/api/tags", timeout=20.0)])
def test_what_hung_has_its_full_deadline_once(call: Run | Http) -> None:
    connection, hints, time = Hanging(), dict[str, Any](), 100.0
    full = call.timeout

    def ask(other: Call = call) -> Reply:
        snapshot = Snapshot(lambda: connection, hints=hints)
        snapshot._silence = Silence(hints, lambda: time)
        return snapshot.fetch(other)[0]

    first = ask()
    time += LASTS / 2
    assert ask() == first
    assert connection.deadlines == [full], "a snapshot that follows at once does not ask"
    time += LASTS
    assert ask() == first, "the reply that is used is the one that was waited for longest"
    assert connection.deadlines == [full, BRIEF]
    time += REMEMBERED
    ask()
    assert connection.deadlines == [full, BRIEF, full], "after a while it is given its own deadline"
    time += LASTS
    connection.answers = True
    ask()
    connection.answers = False
    time += LASTS
    ask()
    assert connection.deadlines == [full, BRIEF, full, BRIEF, full]


def test_a_change_that_was_not_answered_leaves_little_patience_and_no_verdict() -> None:
    connection, hints = Hanging(), dict[str, Any]()
    snapshot = Snapshot(lambda: connection, hints=hints, changing=True)
    snapshot.write(Http("POST", f"{NATIVE}/api/generate", {}, timeout=60.0, writes=True))
    connection.answers = True
    assert isinstance(snapshot.fetch(Http("GET", f"{NATIVE}/api/ps", timeout=10.0))[0], HttpReply)
    assert connection.deadlines == [60.0, BRIEF]


def test_one_exchange_waits_once_for_a_server_that_hangs(silent: Silent) -> None:
    replies = LocalConnection("box").exchange([*reads(silent.url), Run(("true",))])
    assert [reply.kind for reply in replies if isinstance(reply, Failed)] == ["timeout"] * 3
    assert isinstance(replies[-1], Completed)
    assert len(silent.accepted) == 1


def test_an_engine_that_hangs_is_waited_for_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker"
    program.write_text(f'#!/bin/sh\necho "$*" >> {tmp_path}/started\n[ "$1" = compose ] && exit 0\nexec sleep 600\n')
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    hints: dict[str, Any] = {}
    snapshot = Snapshot(lambda: LocalConnection("box"), hints=hints)
    queries = [Run(("docker", *words), timeout=SHORT) for words in (("ps", "--all"), ("info",), ("version",), ("inspect", "x"))]
    compose = Run(("docker", "compose", "version"), timeout=30.0)
    *hung, answered = snapshot.fetch(*queries, compose)
    assert [reply.kind for reply in hung if isinstance(reply, Failed)] == ["timeout"] * 4
    assert isinstance(answered, Completed)
    snapshot.fetch(Run(("docker", "volume", "ls"), timeout=SHORT))
    assert (tmp_path / "started").read_text().splitlines() == ["ps --all", "compose version"]
    assert Silence(hints).brief(compose).timeout == BRIEF, "what does not need the engine may hang with its client"
    assert Silence(hints).brief(replace(compose, env={"DOCKER_HOST": "tcp://other"})).timeout == 30.0
    assert isinstance(snapshot.fetch(Run(("docker", "ps"), timeout=SHORT, env={"DOCKER_HOST": "x"}))[0], Failed)
    assert len((tmp_path / "started").read_text().splitlines()) == 3, "another engine is asked"


def test_the_sdk_waits_once_for_an_engine_that_hangs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_TIMEOUT", 1)
    with socket.socket(socket.AF_UNIX) as engine:
        engine.bind(str(tmp_path / "docker.sock"))
        engine.listen(8)
        snapshot = Snapshot(lambda: LocalConnection("box"))
        reader = sdk.SdkEngine(snapshot, {"DOCKER_HOST": f"unix://{tmp_path}/docker.sock"})
        for read in (reader.facts, reader.containers, reader.volumes, lambda: reader.inspect("x")):
            with pytest.raises(DeadlineExceeded, match="the Docker engine did not answer within"):
                read()
        engine.setblocking(False)
        streams = [engine.accept()[0], engine.accept()[0]]  # one looks whether the engine is there, one asks
        with pytest.raises(BlockingIOError):
            engine.accept()
        for stream in streams:
            stream.close()


def test_requests_that_write_are_never_answered_from_memory() -> None:
    connection, hints = Turning(), dict[str, Any]()
    connection.answers = False
    snapshot = Snapshot(lambda: connection, hints=hints)
    snapshot.fetch(reads(NATIVE)[0])
    snapshot.write(Http("POST", f"{NATIVE}/api/generate", {}, writes=True))
    assert connection.asked[-1] == ("generate",)


class Refusing(Answering):
    """Gives prepared answers; a server in `silent` accepts and does not answer, one in `broken` has a proxy in front."""

    def __init__(self, *, silent: str = "", broken: str = "", status: int = 502, **more: Any) -> None:
        super().__init__(**more)
        self._silent, self._broken, self._status = silent, broken, status

    def _one(self, call: Call) -> Reply:
        if isinstance(call, Http) and self._silent and call.url.startswith(self._silent):
            return Failed("timeout", f"GET {call.url} was not answered within {call.timeout:g} s")
        if isinstance(call, Http) and self._broken and call.url.startswith(self._broken):
            return HttpReply(self._status, b"<html><body><h1>502 Bad Gateway</h1></body></html>")
        return super()._one(call)


def target_of(connection: Answering) -> Target:
    return Finder(connection.look(), {}, tuple).find()


@pytest.mark.parametrize(
    ("platform", "container", "cure"),
    [
        ("posix", None, "sudo systemctl restart ollama"),
        ("windows", None, "tray icon"),
        ("posix", "ai-ollama-1", "docker restart ai-ollama-1"),
    ],
)
def test_a_server_that_does_not_answer_is_there_and_its_cure_is_a_restart(
    platform: str, container: str | None, cure: str
) -> None:
    connection = Refusing(silent=NATIVE, platform=platform)
    target = target_of(connection)
    assert target.endpoint is not None
    assert (target.endpoint.value, "does not answer" in target.endpoint.source) == (NATIVE, True)
    found = replace(target, container=Found(container, "x") if container else None)
    client = OllamaByHttp(connection.look(), lambda: found, None)
    for ask in (client.version, client.running, client.models, lambda: client.show("m")):
        with pytest.raises(DeadlineExceeded, match=r"accepts connections but does not answer \(10 s\)") as raised:
            ask()
        assert cure in raised.value.next_step


@pytest.mark.parametrize("status", [502, 503, 504])
def test_a_proxy_without_a_server_is_named_as_one(status: int) -> None:
    connection = Refusing(broken=NATIVE, status=status)
    target = target_of(connection)
    assert target.endpoint is not None
    with pytest.raises(CallFailed, match=rf"a proxy answers at .*, but the server behind it does not \(HTTP {status}\)"):
        OllamaByHttp(connection.look(), lambda: target, None).version()


@pytest.mark.parametrize(
    ("url", "said", "cure"),
    [
        ("https://gpu:8443", "GET …: [SSL: CERTIFICATE_VERIFY_FAILED] certificate verify failed: self-signed certificate", "let the host trust the certificate of gpu:8443"),
        ("https://gpu:8443", "curl: (60) SSL certificate problem: unable to get local issuer certificate", "let the host trust the certificate of gpu:8443"),
        ("https://gpu:8443", "Could not establish trust relationship for the SSL/TLS secure channel.", "let the host trust the certificate of gpu:8443"),
        ("https://gpu:8443", "[SSL: WRONG_VERSION_NUMBER] wrong version number (_ssl.c:1006)", "set endpoint: http://gpu:8443"),
        ("http://gpu:8443", "GET …: [Errno 104] Connection reset by peer", "set endpoint: https://gpu:8443"),
        ("http://gpu:8443", "nothing listens at gpu:8443", "start Ollama, or set the address at which it listens"),
    ],
)  # fmt: skip
def test_a_connection_that_fails_for_tls_says_what_to_do_about_it(url: str, said: str, cure: str) -> None:
    class Failing(Answering):
        def _one(self, call: Call) -> Reply:
            return Failed("error", said) if isinstance(call, Http) else super()._one(call)

    client = OllamaByHttp(Failing().look(), lambda: Target(endpoint=Found(url, "the variable endpoint")), None)
    with pytest.raises(CallFailed) as raised:
        client.version()
    assert cure in raised.value.next_step


LOG = 'time=x level=INFO source=routes.go:1607 msg="Listening on {} (version 0.13.5)"\n'


@pytest.mark.parametrize(
    ("error", "cure"),
    [
        ("open /srv/models/blobs/sha256-8738: read-only file system", "the file system of /srv/models/blobs is read-only"),
        ("write /srv/models/blobs/sha256-8738: no space left on device", "free space on the disk of /srv/models/blobs"),
        ("model 'x' not found", ""),
    ],
)
def test_an_error_of_the_servers_disk_says_what_to_do_about_the_disk(error: str, cure: str) -> None:
    connection = Answering(http={f"{NATIVE}/api/version": {"error": error}})
    client = OllamaByHttp.at(connection.look(), NATIVE)
    with pytest.raises(CallFailed) as raised:
        client.version()
    assert raised.value.next_step.startswith(cure)
    assert bool(raised.value.next_step) == bool(cure)


@pytest.mark.parametrize(
    ("log", "url"),
    [
        (LOG.format("127.0.0.1:11500"), "http://127.0.0.1:11500"),
        (LOG.format("[::]:8080"), "http://127.0.0.1:8080"),
        (LOG.format("0.0.0.0:8080"), "http://127.0.0.1:8080"),
        (LOG.format("127.0.0.1:1") + LOG.format("192.168.1.5:2"), "http://192.168.1.5:2"),
        ("2024/01/20 10:00:00 routes.go:953: INFO Listening on 127.0.0.1:11501 (version 0.1.20)\n", "http://127.0.0.1:11501"),
        ('msg="Server listening on 127.0.0.1:40000"\n', ""),
        ("", ""),
    ],
)
def test_where_a_server_listens_stands_in_its_log(log: str, url: str) -> None:
    assert address_in_log(log) == url


def test_a_native_server_at_another_port_is_found_by_its_log() -> None:
    other = "http://127.0.0.1:11500"
    journal = Completed(0, LOG.format("127.0.0.1:11500").encode(), b"")
    runs = {"journalctl": journal}
    target = target_of(Answering(runs=lambda argv: runs.get(argv[0]), http=server("m", url=other)))
    assert target.endpoint == Found(other, "answers at the address in its log")
    assert target.model is not None
    stopped = target_of(Answering(runs=lambda argv: runs.get(argv[0])))
    assert stopped.endpoint is None, "the log is of a server that has ended"
    silent = target_of(Refusing(runs=lambda argv: runs.get(argv[0]), silent=other))
    assert silent.endpoint is not None
    assert silent.endpoint.value == other


def test_a_server_at_its_own_port_counts_more_than_a_proxy_without_one() -> None:
    own = "http://127.0.0.1:11600"
    text = "server 77 root /usr/local/bin/ollama\nreadable 77\nenv 77 OLLAMA_HOST=127.0.0.1:11600\n"
    runs = {"sh": Completed(0, text.encode(), b"")}
    target = target_of(Refusing(runs=lambda argv: runs.get(argv[0]), http=server("m", url=own), broken=NATIVE, status=502))
    assert target.endpoint == Found(own, "answers at the address in its environment")
    alone = target_of(Refusing(broken=NATIVE, status=502))
    assert alone.endpoint == Found(NATIVE, "answers at port 11434 of the host with HTTP 502")


def test_a_container_that_hangs_is_not_looked_for_elsewhere() -> None:
    records = [box("ollama", port="11434")]
    connection = Refusing(runs=docker(records), silent="http://127.0.0.1:11434")
    target = target_of(connection)
    assert target.endpoint is not None
    assert target.endpoint.value == "http://127.0.0.1:11434"


LOOK = """\
import json, sys
from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.facets.host_factory import open_host

host = open_host("box", {"ansible_connection": "local", "endpoint": sys.argv[1], "model": "m"}, check=True)
evidence = collect(host.reader)
host.close()
first = diagnose(evidence).findings[0]
print(json.dumps([list(evidence.skipped), first.cause, first.because, first.cure]))
"""


def test_a_server_that_hangs_is_what_a_diagnosis_says_first(silent: Silent) -> None:
    # other tests' servers run on this machine; where root may hide them, they are no second installation
    alone = ("unshare", "--pid", "--fork", "--mount-proc") if shutil.which("unshare") and os.geteuid() == 0 else ()
    words = [*alone, sys.executable, "-c", LOOK, silent.url]
    done = subprocess.run(words, capture_output=True, text=True, check=False, timeout=100)
    assert done.returncode == 0, done.stderr
    skipped, cause, because, cure = json.loads(done.stdout)
    assert len(silent.accepted) == 1
    assert len([note for note in skipped if "does not answer" in note and silent.url in note]) == 1
    assert cause == Cause.OTHER
    assert because.endswith(f"Ollama at {silent.url} accepts connections but does not answer (10 s)")
    assert "systemctl restart ollama" in cure
    assert ollama.PATIENCE <= 10


@pytest.mark.parametrize(("log", "error"), [
    ("a\nError: mkdir /data: no such file or directory\n\n", (2, "Error: mkdir /data: no such file or directory")),
    ("Error: listen tcp: bind: address already in use\ntime=x msg=again\n", None),
    ("", None),
])  # fmt: skip
def test_the_error_with_which_a_server_ended_is_the_last_line_of_its_log(log: str, error: tuple[int, str] | None) -> None:
    assert fatal_error(log) == error


@pytest.mark.parametrize(
    ("loaded", "wanted", "same"),
    [
        ("plain:latest", "PLAIN", True),
        ("plain:latest", "Plain:Latest", True),
        ("plain", "plain:latest", True),
        ("plain:1", "plain", False),
        ("hf.co/a/b", "hf.co/a/b:latest", True),
        ("localhost:5000/x/y", "localhost:5000/x/y:latest", True),
    ],
)
def test_names_of_models_are_compared_as_the_server_does(loaded: str, wanted: str, same: bool) -> None:
    assert same_name(loaded, wanted) is same
