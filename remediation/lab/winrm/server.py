"""The HTTP side: one listener per host, keep-alive, authentication per connection, encrypted messages."""

from __future__ import annotations

import os
import socket
import sys
import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import PureWindowsPath
from socketserver import TCPServer

from remediation.lab.winrm import soap
from remediation.lab.winrm.authentication import SCHEMES, Broken, Connection
from remediation.lab.winrm.shells import Shell, Shells

_TYPE = "application/soap+xml;charset=UTF-8"
POWERSHELL = (sys.executable, "-m", "remediation.lab.powershell")
PROGRAMS: Mapping[str, Sequence[str]] = {"powershell": POWERSHELL}
"""What can be started, by name without .exe: the words that replace it."""


class _Handler(BaseHTTPRequestHandler):
    """One TCP connection."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-HTTPAPI/2.0"
    sys_version = ""
    disable_nagle_algorithm = True
    server: WinRmServer

    def setup(self) -> None:
        super().setup()
        self.peer = Connection()

    def do_POST(self) -> None:  # a name that http.server looks up
        """Answer one request."""
        self.server.count("requests")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0].rstrip("/") != "/wsman":
            self._send(404)
            return
        header = self.headers.get("Authorization")
        back: str | None = None
        if header is not None:
            self.server.count("authentication")
            entered, back = self.peer.step(header)
            if not entered:
                self._send(401, ask=back)
                return
        if not self.peer.authenticated:
            self._send(401)
            return
        if not content:
            self._send(200, ask=back)
            return
        self._message(content, back)

    def _message(self, content: bytes, back: str | None) -> None:
        if not (self.headers.get("Content-Type") or "").startswith("multipart/encrypted"):
            # AllowUnencrypted is false: no SOAP fault, only the status (facts/windows 1.3)
            self._send(500, ask=back)
            return
        try:
            plain = self.peer.decrypt(content)
        except Broken:
            self._send(400)
            return
        status, message = self.server.answer(plain, self.peer.user)
        kind, body = self.peer.encrypt(message)
        self._send(status, body, kind=kind, ask=back)

    def _send(self, status: int, body: bytes = b"", *, kind: str = _TYPE, ask: str | None = None) -> None:
        self.send_response(status)
        if ask is not None:
            self.send_header("WWW-Authenticate", ask)
        elif status == 401:  # noqa: PLR2004  # HTTP's own number
            for scheme in SCHEMES:
                self.send_header("WWW-Authenticate", scheme)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  # http.server's signature
        """Say nothing: the counters tell."""


class WinRmServer(ThreadingHTTPServer):
    """WinRM of one host on one address.

    NTLM users come from the file that the environment variable NTLM_USER_FILE names, one ``DOMAIN:USER:PASSWORD`` per line.
    """

    daemon_threads = True
    request_queue_size = 128

    def __init__(
        self, address: tuple[str, int], name: str, *, environment: Mapping[str, str] | None = None,
        programs: Mapping[str, Sequence[str]] = PROGRAMS,
    ) -> None:  # fmt: skip
        self._name = name
        self._given = dict(environment or {})
        self._programs = programs
        self._counts: Counter[str] = Counter()
        self._lock = threading.Lock()
        self.shells = Shells(self._launch, self._surroundings, self.count)
        super().__init__(address, _Handler)

    @property
    def endpoint(self) -> str:
        """The URL that clients use."""
        host, port = self.server_address[:2]
        return f"http://{host!s}:{port}/wsman"

    def count(self, what: str) -> None:
        """Count one more of something."""
        with self._lock:
            self._counts[what] += 1

    def counters(self) -> dict[str, int]:
        """Return what was counted: requests, authentication legs, each action, faults, and what is open now."""
        with self._lock:
            return {**self._counts, **self.shells.counts()}

    def forget(self) -> None:
        """Set the counters to zero."""
        with self._lock:
            self._counts.clear()

    def answer(self, content: bytes, user: str) -> tuple[int, bytes]:
        """Answer one decrypted message with an HTTP status and an envelope."""
        message_id = ""
        try:
            request = soap.parse(content)
            message_id = request.message_id
            return 200, self.shells.answer(request, user)
        except soap.Fault as fault:
            self.count("faults")
            return 500, soap.fault(message_id, fault, self._name)

    def server_bind(self) -> None:
        """Bind without asking a name server for this machine's name, as http.server does: two hundred questions take seconds."""
        TCPServer.server_bind(self)
        self.server_name, self.server_port = str(self.server_address[0]), int(self.server_address[1])

    def admit(self) -> None:
        """Take one connection that waits."""
        self._handle_request_noblock()  # type: ignore[attr-defined]  # what serve_forever calls; typeshed leaves it out

    def get_request(self) -> tuple[socket.socket, object]:
        """Accept one connection, blocking from then on whatever the listener is."""
        connection, address = super().get_request()
        connection.setblocking(True)  # noqa: FBT003  # the socket module's own parameter
        return connection, address

    def stop(self) -> None:
        """End the listener, the shells and their programs, where `serve_forever` runs."""
        self.shutdown()
        self.end()

    def end(self) -> None:
        """End the listener, the shells and their programs, where a `Door` accepts for it."""
        self.server_close()
        self.shells.close()

    def handle_error(self, request: object, client_address: object) -> None:
        """Drop a connection that broke; other errors are shown."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]  # as socketserver calls it

    def _launch(self, words: Sequence[str]) -> Sequence[str] | None:
        name = PureWindowsPath(words[0]).name.lower().removesuffix(".exe")
        start = self._programs.get(name)
        return None if start is None else [*start, *words[1:]]

    def _surroundings(self, shell: Shell) -> Mapping[str, str]:
        return {**os.environ, **shell.environment, **self._given, "REMEDIATION_LAB_CWD": shell.folder}
