"""The probes that make web requests, under a real PowerShell: no redirect is followed, and an answer has its limit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remediation.connections.calls import Failed, Http, Probe, ProbeReply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.facets.scripts import script
from remediation.model import limits
from tests.connections.hostile_servers import REDIRECTS, Servers, servers
from tests.powershell import shell

__all__ = ["servers"]


@pytest.fixture(scope="module")
def host() -> Iterator[WorkerConnection]:
    channel = ChildChannel("here", before=(shell.program(),))
    connection = WorkerConnection("here", channel, scripts=script, opening=60.0, greeting=60.0)
    yield connection
    connection.close()


def test_no_redirect_is_followed(host: WorkerConnection, servers: Servers) -> None:
    for status in REDIRECTS:
        server, elsewhere = servers.redirecting(status, "/api/generate")
        said, generated = host.exchange([
            Http("POST", f"{server.url}/api/pull", {"model": "x"}),
            Probe("generate", {"url": f"{server.url}/api/generate", "body": "{}", "timeout": 10, "sample": False}),
        ])  # fmt: skip
        assert isinstance(said, Failed), said
        assert f"redirected to {elsewhere.url}/api/generate (HTTP {status})" in said.message
        assert isinstance(generated, ProbeReply), generated
        assert (generated.value["status"], generated.value["location"]) == (status, f"{elsewhere.url}/api/generate")
        assert (len(server.requests), len(elsewhere.requests)) == (2, 0)


def test_an_answer_has_a_limit(host: WorkerConnection, servers: Servers) -> None:
    server = servers.start("endless body")
    said, generated = host.exchange([
        Http("GET", f"{server.url}/api/version", timeout=60.0),
        Probe("generate", {"url": f"{server.url}/api/generate", "body": "{}", "timeout": 60, "sample": False}, timeout=75.0),
    ])  # fmt: skip
    assert isinstance(said, Failed), said
    assert "larger than" in said.message
    assert isinstance(generated, ProbeReply), generated
    assert "larger than 16 MB" in generated.value["error"]["message"]
    assert server.sent < 2 * (limits.BODY + 16_000_000)
