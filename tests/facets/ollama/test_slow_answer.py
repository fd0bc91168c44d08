"""A model that answers so slowly that its deadline comes first: what had come by then are its figures."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from remediation.connections.calls import Call, Failed, Http, Probe, ProbeReply, Reply
from remediation.connections.http_client import send_request
from remediation.engine.benchmark import measure
from remediation.facets.ollama.generate import CUT_OFF, LocalAsker, PosixAsker, ProbeAsker, so_far
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import DeadlineExceeded
from remediation.model.facts import Found, GenerationFigures, Runner, Target


def lines(count: int) -> bytes:
    return b"".join(json.dumps({"response": f" {number}", "done": False}).encode() + b"\n" for number in range(count))


@contextmanager
def server(tokens: int) -> Iterator[str]:
    """Answer one request with this many tokens, and never end."""
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            stream, _ = listening.accept()
            with stream:
                stream.recv(65536)
                stream.sendall(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
                for line in lines(tokens).splitlines(keepends=True):
                    stream.sendall(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                over.wait()

        serving = threading.Thread(target=serve, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{listening.getsockname()[1]}/api/generate"
        finally:
            over.set()
            serving.join()


class Here:
    """A connection that makes HTTP requests from this machine, and nothing else."""

    host, platform, round_trips = "host", "posix", 0

    def exchange(self, calls: list[Call]) -> list[Reply]:
        return [send_request(call) if isinstance(call, Http) else Failed("not-found", "nothing of that") for call in calls]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize("asker", [LocalAsker, PosixAsker])
def test_the_tokens_that_came_before_the_deadline_are_counted(asker: type[LocalAsker | PosixAsker]) -> None:
    with server(6) as url:
        seen = asker(Snapshot(Here)).ask(url, {}, timeout=1.0, sample=False)  # type: ignore[arg-type] - all that is used of a connection
    assert (seen.tokens, seen.done_reason, seen.first_token is not None) == (6, CUT_OFF, True)


def test_without_a_token_the_error_names_the_deadline() -> None:
    with server(0) as url, pytest.raises(DeadlineExceeded):
        LocalAsker(Snapshot(Here)).ask(url, {}, timeout=0.3, sample=False)  # type: ignore[arg-type] - as above


class Windows(Here):
    """A Windows host with this reply of the probe ``generate``."""

    platform = "windows"

    def __init__(self, value: dict[str, Any]) -> None:
        self.value = value

    def exchange(self, calls: list[Call]) -> list[Reply]:
        assert [call.name for call in calls if isinstance(call, Probe)] == ["generate"]
        return [ProbeReply(self.value)]


def test_a_windows_host_returns_the_tokens_that_came() -> None:
    from base64 import b64encode

    value = {
        "status": 200,
        "body": b64encode(lines(6)).decode(),
        "first_byte": 1.0,
        "last_byte": 21.0,
        "elapsed": 24.0,
        "cut": True,
    }
    seen = ProbeAsker(Snapshot(lambda: Windows(value))).ask("http://127.0.0.1:11434", {}, timeout=24.0, sample=False)  # type: ignore[arg-type, return-value] - as above
    assert (seen.tokens, seen.first_token, seen.eval) == (6, 1.0, 24.0)  # one in 4 s


def test_a_line_that_was_cut_in_the_middle_is_no_token() -> None:
    assert so_far(lines(2) + b'{"response": "x', 0.5, 1.0) == so_far(lines(2), 0.5, 1.0)
    assert so_far(b'{"response": "x", "don', 0.5, 1.0) is None


class Slow:
    """The part of a host that a measurement touches, whose answers are cut off after so many tokens."""

    def __init__(self, tokens: int) -> None:
        self.ollama, self.tokens = self, tokens

    def target(self) -> Target:
        return Target(model=Found("m", "given"))

    def running(self) -> list[Runner]:
        return [Runner("m", size=10, size_vram=1, context_length=4096)]

    def generate(self, *_: object, **__: object) -> GenerationFigures:
        found = so_far(lines(self.tokens), 1.0, 1.0 + 4.0 * (self.tokens - 1))
        assert found is not None
        return found


def test_the_rate_is_extrapolated_from_the_tokens_that_came_and_their_number_is_returned() -> None:
    host = Slow(6)
    found = measure(host, host, label="before")  # type: ignore[arg-type] - the part of a host that is used
    assert (found["first_token_s"], found["total_50_tokens_s"], found["tokens_seen"], found["extrapolated"]) == (
        1.0,
        201.0,
        6,
        True,
    )


def test_one_token_gives_the_time_to_it_and_no_rate() -> None:
    host = Slow(1)
    found = measure(host, host, label="before")  # type: ignore[arg-type] - the part of a host that is used
    assert (found["first_token_s"], found["total_50_tokens_s"], found["tokens_seen"]) == (1.0, None, 1)
    assert found["reason"] == "not measured: 1 token came before the deadline, too few for a rate"
