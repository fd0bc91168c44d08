"""The probe ``http`` under a real PowerShell, in a worker: answers, and their chunks before they are whole."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remediation.connections.calls import Failed, Http, HttpReply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.facets.scripts import script
from tests.connections.web import BODY, PIECES, Web, web
from tests.powershell import shell

__all__ = ["web"]


@pytest.fixture(params=[False, True], ids=["worker", "one-call"], scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[WorkerConnection]:
    channel = ChildChannel("here", before=(shell.program(),))
    connection = WorkerConnection("here", channel, scripts=script, opening=60.0, greeting=60.0)
    connection._one_call_each = request.param
    yield connection
    connection.close()


def held(web: Web, **more: object) -> Http:
    return Http("POST", f"{web.url}/held", {"x": "é"}, stream=True, **more)  # type: ignore[arg-type]  # a Http's fields


def test_the_first_piece_arrives_before_the_last_is_sent(host: WorkerConnection, web: Web) -> None:
    heard: list[bytes] = []

    def on_chunk(piece: bytes) -> None:
        heard.append(piece)
        if b"".join(heard).startswith(PIECES[0]):
            web.heard.set()

    reply, after = host.exchange([held(web, writes=True, on_chunk=on_chunk), Http("GET", f"{web.url}/none")])
    assert isinstance(reply, HttpReply), reply
    assert (reply.status, web.in_vain, web.asked) == (200, 0, 1)
    assert reply.body == b"".join(heard) == BODY
    assert max(map(len, heard)) <= 300_000
    assert isinstance(after, HttpReply), after
    assert after.status == 404


def test_without_a_listener_the_answer_is_one(host: WorkerConnection, web: Web) -> None:
    web.heard.set()
    (reply,) = host.exchange([held(web)])
    assert isinstance(reply, HttpReply), reply
    assert reply.body == BODY


@pytest.mark.parametrize("listens", [True, False])
def test_silence_is_a_time_out(host: WorkerConnection, web: Web, *, listens: bool) -> None:
    heard: list[bytes] = []
    on_chunk = heard.append if listens else None
    # one exchange waits for a silent server once
    never = host.exchange([Http("GET", f"{web.url}/slow", timeout=60.0, silence=0.5, on_chunk=on_chunk)])
    late = host.exchange([held(web, timeout=60.0, silence=0.5, on_chunk=on_chunk)])
    for reply in (*never, *late):
        assert isinstance(reply, Failed), reply
        assert reply.kind == "timeout"
    assert b"".join(heard) == (PIECES[0] if listens else b"")


def test_refusals_are_distinguished(host: WorkerConnection) -> None:
    (refused,) = host.exchange([Http("GET", "http://127.0.0.1:1/", on_chunk=print)])
    assert isinstance(refused, Failed)
    assert refused.kind in {"refused", "error"}  # the number of the error is Windows' own
