"""An HTTP server of this machine's loopback and what a connection must make of its answers."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from remediation.connections.calls import Failed, Http, HttpReply, Reply

PIECES = (b'{"n": 1}\n', b'{"n": 2, "text": "' + "é".encode() * 200_000 + b'\x1e"}\n', b'{"n": 3}\n')
BODY = b"".join(PIECES)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def do_GET(self) -> None:
        if self.path == "/slow":
            release: threading.Event = self.server.release  # type: ignore[attr-defined]  # set where the server is made
            release.wait(20)
            return
        self._say(404 if self.path == "/none" else 200, json.dumps([self.command, self.path]).encode())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if self.path == "/lines":
            self.send_response(200)
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            for line in (b'{"n": 1}\n', b'{"n": 2}\n'):
                self.wfile.write(f"{len(line):x}\r\n".encode() + line + b"\r\n")
                self.wfile.flush()
            self.wfile.write(b"0\r\n\r\n")
            return
        if self.path == "/held":
            self._hold()
            return
        self._say(200, body + self.headers["Content-Type"].encode())

    def _hold(self) -> None:
        """Answer in three pieces, the others only once a client has the first."""
        web: Web = self.server.web  # type: ignore[attr-defined]  # set where the server is made
        web.asked += 1
        self.send_response(200)
        self.send_header("Content-Length", str(sum(map(len, PIECES))))
        self.end_headers()
        for piece in PIECES:
            self.wfile.write(piece)
            self.wfile.flush()
            if not web.heard.wait(20):
                web.in_vain += 1
                return

    def _say(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Web:
    """A server and its port."""

    def __init__(self) -> None:
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
        self.server.release = threading.Event()  # type: ignore[attr-defined]
        self.server.web = self  # type: ignore[attr-defined]
        self.heard = threading.Event()
        """Set by the client once it has the first piece of ``/held``."""
        self.asked = self.in_vain = 0
        """How many requests for ``/held`` there were, and how many were given up before the first piece was read."""
        self.url = f"http://127.0.0.1:{self.server.server_address[1]}"

    def check(self, ask: Callable[[Http], Reply]) -> None:
        """Ask for everything that has to work."""
        got = ask(Http("GET", f"{self.url}/a?b=c%20d"))
        assert isinstance(got, HttpReply)
        assert (got.status, json.loads(got.body), got.first_byte) == (200, ["GET", "/a?b=c%20d"], None)
        none = ask(Http("GET", f"{self.url}/none"))
        assert isinstance(none, HttpReply)
        assert none.status == 404
        posted = ask(Http("POST", f"{self.url}/x", {"é": [1]}))
        assert isinstance(posted, HttpReply)
        assert posted.body == json.dumps({"é": [1]}).encode() + b"application/json"
        lines = ask(Http("POST", f"{self.url}/lines", {}, stream=True))
        assert isinstance(lines, HttpReply)
        assert lines.body == b'{"n": 1}\n{"n": 2}\n'
        assert lines.first_byte is not None
        assert 0 <= lines.first_byte <= lines.elapsed
        late = ask(Http("GET", f"{self.url}/slow", timeout=0.3))
        refused = ask(Http("GET", "http://127.0.0.1:1/"))
        wrong = ask(Http("GET", "ftp://127.0.0.1/"))
        assert [each.kind for each in (late, refused, wrong) if isinstance(each, Failed)] == ["timeout", "refused", "error"]


@pytest.fixture
def web() -> Iterator[Web]:
    served = Web()
    thread = threading.Thread(target=served.server.serve_forever, args=(0.02,))
    thread.start()
    yield served
    served.server.release.set()  # type: ignore[attr-defined]
    served.heard.set()
    served.server.shutdown()
    served.server.server_close()
    thread.join()
