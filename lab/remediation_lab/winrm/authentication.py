"""Authentication of one TCP connection by pyspnego's acceptor, and the encryption of its messages (facts/windows 1.2, 8)."""

from __future__ import annotations

import base64
import binascii
import hmac
import os
import re
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import spnego
from spnego.exceptions import SpnegoError

_OPTIONS = spnego.NegotiateOptions
SCHEMES = ("Negotiate", "NTLM")
PROTOCOL = "application/HTTP-SPNEGO-session-encrypted"
_BOUNDARY = "Encrypted Boundary"
_PART = re.compile(rb"--\s*Encrypted Boundary(?:--)?\r\n")
_LENGTH = re.compile(rb"Length=(\d+)")


MUTUAL = "http://schemas.dmtf.org/wbem/wsman/1/wsman/secprofile/https/mutual"


def basic(header: str) -> str | None:
    """Return the user of a Basic header whose password is right, else None; users as pyspnego reads them."""
    try:
        user, colon, password = base64.b64decode(header.partition(" ")[2], validate=True).decode("utf-8").partition(":")
    except (binascii.Error, UnicodeDecodeError):
        return None
    domain, slash, name = user.rpartition("\\")
    for line in Path(os.environ["NTLM_USER_FILE"]).read_text(encoding="utf-8").splitlines():
        known = line.split(":", 2)
        if colon and known[:2] == [domain if slash else "", name] and hmac.compare_digest(known[2], password):
            return user
    return None


def subject(certificate: Mapping[str, Any] | None) -> str | None:
    """Return the common name of a client's certificate that TLS has verified, else None."""
    for part in (certificate or {}).get("subject", ()):
        for key, value in part:
            if key == "commonName":
                return str(value)
    return None


class Broken(Exception):  # answered with HTTP 400
    """A message that cannot be decrypted with this connection's keys."""


class Connection:
    """Who is at the other end of one TCP connection."""

    def __init__(self) -> None:
        self._context: spnego.ContextProxy | None = None
        self._scheme = ""
        self._admitted = ""

    @property
    def authenticated(self) -> bool:
        """Whether the client has proven who it is."""
        return bool(self._admitted) or (self._context is not None and self._context.complete)

    @property
    def user(self) -> str:
        """Who it is."""
        return self._admitted or ((self._context.client_principal or "") if self._context is not None else "")

    def admit(self, user: str | None) -> None:
        """Admit a user whom TLS protects: by password or by certificate; None is a refusal."""
        self._admitted = user or ""

    def step(self, header: str) -> tuple[bool, str | None]:
        """Take an Authorization header; returns whether the client is in, and a WWW-Authenticate value to send back.

        ``(False, None)`` is a refusal: the client may start again.
        """
        scheme, _, token = header.partition(" ")
        known = {each.lower(): each for each in SCHEMES}.get(scheme.lower())
        try:
            given = base64.b64decode(token, validate=True)
        except binascii.Error:
            known = None
        if known is None:
            self._context = None
            return False, None
        if self._context is None or self._context.complete or known != self._scheme:
            # pyspnego's own Python code on every system: Windows would ask its real accounts
            protocol, own = ("ntlm", _OPTIONS.use_ntlm) if known == "NTLM" else ("negotiate", _OPTIONS.use_negotiate)
            self._context = spnego.server(protocol=protocol, options=own)
            self._scheme = known
        try:
            out = self._context.step(given)
        except (SpnegoError, LookupError, ValueError, struct.error):  # the last three for a token that is none
            self._context = None
            return False, None
        back = f"{known} {base64.b64encode(out).decode()}" if out else None
        return self._context.complete, back

    def decrypt(self, content: bytes) -> bytes:
        """Return the message in a multipart/encrypted body; raises Broken."""
        if self._context is None:
            raise Broken
        parts = [part for part in _PART.split(content) if part]
        message = b""
        try:
            for head, sealed in zip(parts[::2], parts[1::2], strict=True):
                length = _LENGTH.search(head)
                data = sealed.split(b"\r\n", 1)[1]
                size = struct.unpack("<i", data[:4])[0]
                plain = self._context.unwrap_winrm(data[4 : 4 + size], data[4 + size :])
                if length is None or len(plain) != int(length[1]):
                    raise Broken
                message += plain
        except (SpnegoError, ValueError, IndexError, struct.error) as error:
            raise Broken from error
        return message

    def encrypt(self, message: bytes) -> tuple[str, bytes]:
        """Return the Content-Type and body that carry a message."""
        assert self._context is not None
        sealed = self._context.wrap_winrm(message)
        body = b"".join(
            (
                f"--{_BOUNDARY}\r\n\tContent-Type: {PROTOCOL}\r\n".encode(),
                f"\tOriginalContent: type=application/soap+xml;charset=UTF-8;Length={len(message) + sealed.padding_length}\r\n".encode(),
                f"--{_BOUNDARY}\r\n\tContent-Type: application/octet-stream\r\n".encode(),
                struct.pack("<i", len(sealed.header)),
                sealed.header,
                sealed.data,
                f"--{_BOUNDARY}--\r\n".encode(),
            )
        )
        return f'multipart/encrypted;protocol="{PROTOCOL}";boundary="{_BOUNDARY}"', body
