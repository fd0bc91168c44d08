"""A registry that serves a manifest, and pulls that end badly."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from remediation.facets.host_factory import open_host
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Blob, PullProgress
from tests.facets.local_server import open_with, serving
from tests.facets.real_hosts import Bed


class Puller(BaseHTTPRequestHandler):
    """A server whose pulls end badly, each in its own way."""

    def do_POST(self) -> None:
        model = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"]
        lines = [
            b'{"status":"pulling manifest"}\n',
            b"no json\n",
            b'{"status":"pulling aa","digest":"sha256:aa","total":9,"completed":4}\n',
        ]
        if model == "full":
            lines.append(b'{"error":"write /root/.ollama/models/blobs/x: no space left on device"}\n')
        self.send_response(500 if model == "broken" else 200)
        self.end_headers()
        self.wfile.write(b"[]" if model == "broken" else b"".join(lines))

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def puller() -> Iterator[str]:
    yield from serving(Puller)


@pytest.mark.parametrize(
    ("model", "error", "words", "step"),
    [
        ("full", CallFailed, "no space left", "free space"),
        ("cut", DeadlineExceeded, "broke off at 'pulling aa'", "continues where it stopped"),
        ("broken", CallFailed, "refused", ""),
    ],
)
@pytest.mark.parametrize("way", ["local", "ssh"])
def test_a_pull_that_ends_badly_says_how_and_passes_on_what_came_before(
    request: pytest.FixtureRequest, puller: str, way: str, model: str, error: type[Exception], words: str, step: str
) -> None:
    variables = request.getfixturevalue("server").variables() if way == "ssh" else {"ansible_connection": "local"}
    host = open_host("here", {**variables, "endpoint": puller}, check=False)
    reported: list[PullProgress] = []
    with pytest.raises(error, match=words) as raised:
        host.writer().ollama.pull(model, progress=reported.append)
    assert step in raised.value.next_step  # type: ignore[attr-defined]
    assert [each.completed for each in reported] == ([] if model == "broken" else [None, 4])
    host.close()


class Registry(BaseHTTPRequestHandler):
    manifest = json.dumps(
        {
            "config": {"digest": f"sha256:{'a' * 64}", "size": 5},
            "layers": [{"digest": f"sha256:{'b' * 64}", "size": 7, "mediaType": "x.model"}],
        }
    ).encode()

    def do_GET(self) -> None:
        found = self.path == "/v2/library/mistral/manifests/7b"
        broken = self.path == "/v2/library/broken/manifests/latest"
        body = self.manifest if found else b"{}" if broken else b'{"errors":[]}'
        self.send_response(200 if found or broken else 404)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry() -> Iterator[str]:
    yield from serving(Registry)


@pytest.mark.live
def test_a_registry_serves_the_manifest_alone(real: Bed, registry: str) -> None:
    host = open_with(real, registry)
    found = host.reader.ollama.registry("mistral:7b")
    assert found.digest == hashlib.sha256(Registry.manifest).hexdigest()  # as /api/tags writes it
    assert (found.size, found.layers[1]) == (12, Blob(f"sha256:{'b' * 64}", 7, "x.model"))
    assert host.reader.ollama.registry("mistral:no-such") is None
    with pytest.raises(CallFailed, match="damaged"):
        host.reader.ollama.registry("broken")
    with pytest.raises(CallFailed, match="nothing listens"):
        open_with(real, "http://127.0.0.1:1").reader.ollama.registry("mistral:7b")
