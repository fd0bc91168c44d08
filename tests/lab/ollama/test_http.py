"""The stand-in behind real HTTP."""

from __future__ import annotations

import http.client
import json
import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from remediation.facets.machine.processes import processes_from_shell
from remediation.facets.scripts import shell
from remediation.model.facts import Process
from remediation_lab.free_ports import free_port
from remediation_lab.ollama.disk import DiskStore
from remediation_lab.ollama.http import OllamaHttp
from tests.lab.ollama.play import MISTRAL, Played, play


@pytest.fixture
def served() -> Iterator[tuple[Played, int]]:
    played = play(free=1100)
    server = OllamaHttp(played.server, ("127.0.0.1", 0))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield played, server.port
    server.stop()
    thread.join(10)


@contextmanager
def request(port: int, method: str, path: str, body: object = None) -> Iterator[http.client.HTTPResponse]:
    with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request(method, path, None if body is None else json.dumps(body))
        with connection.getresponse() as answer:
            yield answer


def test_a_stream_comes_in_chunks_and_a_document_with_its_length(served: tuple[Played, int]) -> None:
    _, port = served
    with request(port, "POST", "/api/generate", {"model": MISTRAL, "prompt": "Why?", "options": {"num_predict": 3}}) as answer:
        assert answer.getheader("Transfer-Encoding") == "chunked"
        assert answer.getheader("Content-Type") == "application/x-ndjson"
        assert [json.loads(line)["done"] for line in answer] == [False, False, False, True]
    with request(port, "GET", "/api/version") as answer:
        assert answer.getheader("Content-Length") == "20"
        assert json.load(answer) == {"version": "0.13.5"}
    with request(port, "HEAD", "/") as answer:
        assert (answer.status, answer.read()) == (200, b"")


def test_a_request_that_is_never_answered_ends_when_the_server_does(served: tuple[Played, int]) -> None:
    played, port = served
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=0.3)
    connection.request("POST", "/api/generate", json.dumps({"model": MISTRAL, "options": {"num_gpu": 99}}))
    with pytest.raises(TimeoutError):
        connection.getresponse()
    connection.close()
    with request(port, "GET", "/api/ps") as answer:
        assert json.load(answer) == {"models": []}
    assert "requested=99" in played.log


def test_models_on_disk_are_there_for_the_next_server(tmp_path: Path) -> None:
    first = DiskStore(tmp_path)
    model = first.fetch(MISTRAL, 1.8e9)
    assert model is not None
    first.put(model)
    second = DiskStore(tmp_path)
    assert second.all() == first.all()
    assert (tmp_path / "blobs" / model.file.digest.replace(":", "-")).exists()
    second.remove(MISTRAL)
    assert DiskStore(tmp_path).all() == ()
    assert list((tmp_path / "blobs").iterdir()) == []


def test_a_port_that_is_given_is_the_one_that_the_log_names(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "OLLAMA_HOST": "0.0.0.0", "OLLAMA_MODELS": str(tmp_path)}
    command = [sys.executable, "-m", "remediation_lab.ollama", "serve", "--port", str(port)]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, encoding="utf-8") as server:
        assert server.stderr is not None
        listening = next(line for line in server.stderr if "Listening on" in line)
        server.kill()
    assert f"Listening on [::]:{port}" in listening


@pytest.mark.skipif(sys.platform != "linux", reason="processes are played on Linux")
def test_a_loaded_model_has_a_process_and_a_runner_that_is_killed_fails_the_next_request(tmp_path: Path) -> None:
    port = free_port()
    environment = {**os.environ, "OLLAMA_HOST": f"127.0.0.1:{port}", "OLLAMA_MODELS": str(tmp_path)}
    command = [sys.executable, "-m", "remediation_lab.ollama", "serve", "--model", MISTRAL, "--speed", "1000"]
    with subprocess.Popen(command, env=environment, stderr=subprocess.PIPE, text=True, encoding="utf-8") as server:
        assert server.stderr is not None
        assert any("Listening on" in line for line in server.stderr)

        def ask(**more: object) -> int:
            with request(port, "POST", "/api/generate", {"model": MISTRAL, "stream": False, **more}) as answer:
                answer.read()
                return answer.status

        def runners() -> list[Process]:
            listed = subprocess.run(["sh", "-c", shell("processes")], capture_output=True, text=True, check=True).stdout
            return [one for one in processes_from_shell(listed) if one.runner and one.parent == server.pid]

        try:
            assert (ask(), [one.program for one in runners()]) == (200, ["ollama"])
            ended = os.pidfd_open(runners()[0].pid)
            os.kill(runners()[0].pid, signal.SIGKILL)
            assert select.select([ended], [], [], 30)[0] == [ended]
            os.close(ended)
            assert (ask(prompt="Why?"), ask(prompt="Why?"), len(runners())) == (500, 200, 1)
            assert ask(keep_alive=0) == 200
        finally:
            server.terminate()
        assert server.wait(10) == 0
