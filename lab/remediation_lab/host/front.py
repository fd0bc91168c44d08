"""A machine's network on the real loopback, for the HTTP client of a real PowerShell, with the faults of its connections."""

from __future__ import annotations

import secrets
import select
import socket
import struct
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from remediation_lab.ollama.answers import Answer, NoAnswer
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_WATCH = 0.5
"""Seconds of the machine's time between two looks at whether a client that gets no answer has gone."""


class Front:
    """Serves what the programs of one machine reach; the listener starts with the first request."""

    def __init__(self, machine: Machine) -> None:
        self._machine = machine
        self._server: _Listener | None = None
        self._starting = threading.Lock()

    def connect(self, method: str, url: str) -> dict[str, Any]:
        """Return the URL that represents one of the machine's; raises Refusal if the machine cannot reach it."""
        self._machine.network.reached(method, url)
        parts = urlsplit(url)
        with self._starting:
            if self._server is None:
                self._server = _Listener(self._machine)
                threading.Thread(target=self._server.serve_forever, args=(0.5,), daemon=True).start()
        place = f"/{self._server.secret}/{parts.scheme}/{parts.netloc}{parts.path}"
        query = f"?{parts.query}" if parts.query else ""
        if method not in {"GET", "HEAD"} and parts.path != "/api/show":  # asked by POST, and yet only read
            self._machine.state.wrote(f"http {method} {parts.path.lstrip('/')}")
        return {"url": f"http://127.0.0.1:{self._server.server_address[1]}{place}{query}", "scale": self._machine.clock.scale}


class _Listener(ThreadingHTTPServer):
    """The real listener of one machine; its secret keeps other programs of this computer out."""

    daemon_threads = True

    def __init__(self, machine: Machine) -> None:
        self.machine, self.secret = machine, secrets.token_hex(8)
        super().__init__(("127.0.0.1", 0), _Request)


class _Request(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Listener

    def _answer(self) -> None:
        self.close_connection = True
        _, secret, scheme, rest = self.path.split("/", 3)
        if secret != self.server.secret:
            self.send_error(404)
            return
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        machine = self.server.machine
        try:
            with machine.clock.hurried():
                self._send(machine.network.served(self.command, f"{scheme}://{rest}", body))
        except NoAnswer:
            while not self._gone():
                machine.clock.sleep(_WATCH)
        except Refusal:  # the connection breaks: that is what a reset looks like
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
        finally:
            machine.serving.keep()

    def _send(self, answer: Answer) -> None:
        chunked = "Content-Length" not in answer.headers
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.send_header("Connection", "close")
        self.end_headers()
        try:
            for chunk in answer.chunks:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk) if chunked else chunk)
                self.wfile.flush()
                if self._gone():
                    break  # a server gives up an answer without a reader
            else:
                if chunked and self.command != "HEAD":
                    self.wfile.write(b"0\r\n\r\n")
        except OSError:
            pass  # the client hung up
        finally:
            answer.close()

    def _gone(self) -> bool:
        with suppress(OSError):
            ready, _, _ = select.select([self.connection], [], [], 0)
            return bool(ready) and not self.connection.recv(1, socket.MSG_PEEK)
        return True

    do_GET = do_HEAD = do_POST = do_DELETE = do_PUT = _answer

    def log_message(self, format: str, *args: object) -> None:  # http.server's signature
        """Say nothing."""
