"""HTTP through SSH: an answer that ends with its connection arrives whole, however large it is."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler

import pytest

from remediation.connections.calls import Http, HttpReply
from remediation.facets.host_factory import open_host
from tests.connections.sshd import Sshd
from tests.facets.local_server import serving

BODY = b"0123456789abcdef" * 200_000


class Closing(BaseHTTPRequestHandler):
    """Sends the length or not, by its path, and closes either way, as Go's server does on request."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Connection", "close")
        if self.path == "/length":
            self.send_header("Content-Length", str(len(BODY)))
        self.end_headers()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def closing() -> Iterator[str]:
    yield from serving(Closing)


@pytest.mark.live
@pytest.mark.parametrize("path", ["length", "end"])
def test_an_answer_that_ends_with_its_connection_is_whole(server: Sshd, closing: str, path: str) -> None:
    host = open_host("far", server.variables(), check=True)
    (reply,) = host.connection.exchange([Http("GET", f"{closing}/{path}")])
    host.close()
    assert isinstance(reply, HttpReply)
    assert reply.body == BODY
