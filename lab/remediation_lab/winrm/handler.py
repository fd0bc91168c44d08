"""The HTTP side of one connection: keep-alive, authentication, encrypted messages, and the faults that strike them."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import Protocol, cast

from remediation_lab.winrm import soap
from remediation_lab.winrm.authentication import MUTUAL, SCHEMES, Broken, Connection, basic, subject
from remediation_lab.winrm.faults import SOAP, Armed, Fault
from remediation_lab.winrm.shells import Shells

_TYPE = "application/soap+xml;charset=UTF-8"


class Service(Protocol):
    """What a connection needs of its host's listener."""

    name: str
    secure: bool
    faults: Armed
    closing: threading.Event

    def count(self, what: str) -> None:
        """Count one more of something."""

    def shells_of(self, connection: socket.socket) -> Shells:
        """Return the shells that a connection may reach."""

    def answer(self, request: soap.Request, user: str, shells: Shells, fault: Fault | None = None) -> tuple[int, bytes]:
        """Answer one request with an HTTP status and an envelope."""

    def reboot(self, seconds: float) -> None:
        """Restart the host."""


class Handler(BaseHTTPRequestHandler):
    """One TCP connection."""

    protocol_version = "HTTP/1.1"
    server_version = "Microsoft-HTTPAPI/2.0"
    sys_version = ""
    disable_nagle_algorithm = True

    def setup(self) -> None:
        """Begin with a stranger."""
        super().setup()
        self.peer = Connection()
        self.service = cast("Service", self.server)
        self.shells = self.service.shells_of(self.request)

    def do_POST(self) -> None:  # a name that http.server looks up
        """Answer one request."""
        self.service.count("requests")
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if self.path.partition("?")[0].rstrip("/") != "/wsman":
            self._send(404)
            return
        header = self.headers.get("Authorization")
        back: str | None = None
        if header is not None:
            self.service.count("authentication")
            if self._struck(self.service.faults.at("authentication")):
                return
            entered, back = self._entered(header)
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

    def _entered(self, header: str) -> tuple[bool, str | None]:
        """Take an Authorization header; Basic and certificates only over TLS, as AllowUnencrypted is false."""
        if self.service.secure and isinstance(self.connection, ssl.SSLSocket):
            if header.lower().startswith("basic "):
                self.peer.admit(basic(header))
                return self.peer.authenticated, None
            if header == MUTUAL:
                self.peer.admit(subject(self.connection.getpeercert()))
                return self.peer.authenticated, None
        return self.peer.step(header)

    def _message(self, content: bytes, back: str | None) -> None:
        sealed = (self.headers.get("Content-Type") or "").startswith("multipart/encrypted")
        if not sealed and not self.service.secure:
            # AllowUnencrypted is false: no SOAP fault, only the status (facts/windows 1.3)
            self._send(500, ask=back)
            return
        try:
            plain = self.peer.decrypt(content) if sealed else content
        except Broken:
            self._send(400)
            return
        try:
            request = soap.parse(plain)
        except soap.Fault as fault:
            self.service.count("faults")
            self._reply(500, soap.fault("", fault, self.service.name), back, sealed=sealed)
            return
        fault_of_wire = self.service.faults.at(request.action.rsplit("/", 1)[-1].lower())
        if fault_of_wire is not None and not fault_of_wire.processed:
            if self._struck(fault_of_wire):
                return
            if fault_of_wire.kind in SOAP:
                self.service.count("faults")
                self._reply(500, soap.fault(request.message_id, SOAP[fault_of_wire.kind], self.service.name), back, sealed=sealed)
                return
        status, message = self.service.answer(request, self.peer.user, self.shells, fault_of_wire)
        if fault_of_wire is None or not self._spoilt(fault_of_wire, message, back, sealed=sealed):
            self._reply(status, message, back, sealed=sealed)

    def _reply(self, status: int, message: bytes, back: str | None, *, sealed: bool) -> None:
        kind, body = self.peer.encrypt(message) if sealed else (_TYPE, message)
        self._send(status, body, kind=kind, ask=back)

    def _struck(self, fault: Fault | None) -> bool:
        """Play what happens instead of carrying a request out; returns whether the request is answered, or never will be."""
        kind = fault.kind if fault is not None else ""
        if fault is None or kind in SOAP or fault.processed:
            return False
        if kind == "drop-before":
            self._hang_up()
        elif kind == "reboot":
            self.service.reboot(fault.seconds)
            self._hang_up()
        elif kind == "http-401":
            self.peer = Connection()
            self._send(401)
        elif kind.startswith("http-"):
            self._send(int(kind.removeprefix("http-")))
        elif kind == "shell-lost":
            self.shells.close()
            return False
        return True

    def _spoilt(self, fault: Fault, message: bytes, back: str | None, *, sealed: bool) -> bool:
        """Play what happens to the answer of a request that was carried out; returns whether it has been sent, or never will be."""
        match fault.kind:
            case "drop-after":
                self._hang_up()
            case "reboot-after":
                self.service.reboot(fault.seconds)
                self._hang_up()
            case "silent":
                self.service.closing.wait(fault.seconds)
                self._hang_up()
            case "truncated":
                self._send(200, self.peer.encrypt(message)[1] if sealed else message, kind=_TYPE, ask=back, cut=True)
                self._hang_up()
            case "garbage":
                self._reply(200, b"\xff\xfe<not <xml", back, sealed=sealed)
            case "not-encrypted":
                self._send(200, b"<html><body><hr>Service Unavailable</body></html>", kind="text/html", ask=back)
            case "slow":
                self.service.closing.wait(fault.seconds)
                return False
            case _:
                return False
        return True

    def _hang_up(self) -> None:
        self.close_connection = True
        with suppress(OSError):  # the client was quicker
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, status: int, body: bytes = b"", *, kind: str = _TYPE, ask: str | None = None, cut: bool = False) -> None:
        self.send_response(status)
        if ask is not None:
            self.send_header("WWW-Authenticate", ask)
        elif status == 401:  # HTTP's own number
            for scheme in (*SCHEMES, 'Basic realm="WSMAN"') if self.service.secure else SCHEMES:
                self.send_header("WWW-Authenticate", scheme)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: len(body) // 2] if cut else body)

    def log_message(self, format: str, *args: object) -> None:  # http.server's signature
        """Say nothing: the counters tell."""
