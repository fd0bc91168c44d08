"""One connection to the server: logging in, sealed messages, and the faults that were planned for it."""

from __future__ import annotations

import base64
import re
import socket
import struct
import xml.etree.ElementTree as ET
from contextlib import suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any

import spnego

if TYPE_CHECKING:
    from tests.connections.peer.winrm_server import WinRmPeer

A = "http://schemas.xmlsoap.org/ws/2004/08/addressing"

_KIND = "application/HTTP-SPNEGO-session-encrypted"


class Fault(Exception):
    def __init__(self, code: int, text: str = "refused") -> None:
        super().__init__(text)
        self.code, self.text = code, text


class Drop(Exception):
    """Close the TCP connection without an answer."""


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: WinRmPeer

    def setup(self) -> None:
        super().setup()
        self.context: Any = None
        self.server.peers.add(self.connection)

    def finish(self) -> None:
        self.server.peers.discard(self.connection)
        super().finish()

    def log_message(self, *_: object) -> None:
        """The counters tell."""

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.counts["requests"] += 1
        token = self._entered()
        if token is None:
            return
        if not content:
            self._answer(200, b"", token)
            return
        try:
            message = self._opened(content)
        except Exception:  # keys of another connection: HTTP 400 for each of spnego's errors
            self._answer(400, b"")
            return
        try:
            self._carry_out(message, token)
        except Drop:
            self.close_connection = True
            with suppress(OSError):
                self.connection.shutdown(socket.SHUT_RDWR)

    def _carry_out(self, message: bytes, token: str) -> None:
        root = ET.fromstring(message)
        action = str(root.findtext(f".//{{{A}}}Action")).rsplit("/", 1)[-1]
        how = self.server.planned(action)
        most, refusal = self.server.envelope
        if most and len(message) > most:
            self.server.counts["too large"] += 1
            how = refusal
        if how == "drop-before":
            raise Drop
        if how in {"400", "401", "413", "500"}:
            if how == "401":
                self.context = None
            self._answer(int(how), b"")
            return
        if how.isdigit():
            status, body = 500, self.server.fault(root, Fault(int(how)))
        else:
            status, body = self.server.answer(root, action)
        if how == "drop-after":
            raise Drop
        if how == "garbage":
            body = b"<html>a proxy's page & no envelope"
        if how == "truncated":
            body = body[: len(body) // 2]
        self._answer(status, body, token)

    def _entered(self) -> str | None:
        """Return a token for the answer once the client is in; None after a 401."""
        scheme, _, text = (self.headers.get("Authorization") or "").partition(" ")
        users = self.server.users
        if self.server.basic:
            user, _, password = base64.b64decode(text or "").decode("latin-1").partition(":")
            if scheme == "Basic" and users.get(user) == password:
                return ""
        elif scheme in {"NTLM", "Negotiate"}:
            self.server.counts["legs"] += 1
            if self.context is None or self.context.complete:
                own = spnego.NegotiateOptions.use_ntlm if scheme == "NTLM" else spnego.NegotiateOptions.use_negotiate
                self.context = spnego.server(protocol=scheme.lower(), options=own)
            try:
                out = self.context.step(base64.b64decode(text))
            except spnego.exceptions.SpnegoError:
                self.context, out = None, None
                self.server.counts["refused"] += 1
            token = f"{scheme} {base64.b64encode(out).decode()}" if out else ""
            if self.context is not None and self.context.complete:
                return token
            self._answer(401, b"", token or "NTLM")
            return None
        elif self.context is not None and self.context.complete:
            return ""
        self._answer(401, b"", 'Basic realm="WSMAN"' if self.server.basic else "NTLM")
        return None

    def _opened(self, content: bytes) -> bytes:
        if self.server.basic or self.server.tls:
            return content
        parts = [part for part in re.split(rb"--\s*Encrypted Boundary(?:--)?\r\n", content) if part]
        sealed = parts[1].split(b"\r\n", 1)[1]
        size = struct.unpack("<i", sealed[:4])[0]
        return bytes(self.context.unwrap_winrm(sealed[4 : 4 + size], sealed[4 + size :]))

    def _answer(self, status: int, body: bytes, token: str = "") -> None:
        kind = "application/soap+xml;charset=UTF-8"
        if body and not (self.server.basic or self.server.tls):
            sealed = self.context.wrap_winrm(body)
            kind = f'multipart/encrypted;protocol="{_KIND}";boundary="Encrypted Boundary"'
            length = len(body) + sealed.padding_length
            body = (
                f"--Encrypted Boundary\r\n\tContent-Type: {_KIND}\r\n"
                f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={length}\r\n"
                "--Encrypted Boundary\r\n\tContent-Type: application/octet-stream\r\n"
            ).encode() + struct.pack("<i", len(sealed.header)) + sealed.header + sealed.data + b"--Encrypted Boundary--\r\n"  # fmt: skip
        self.send_response(status)
        if status == 401 and not token:
            token = 'Basic realm="WSMAN"' if self.server.basic else "NTLM"
        if token:
            self.send_header("WWW-Authenticate", token)
        if body:
            self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
