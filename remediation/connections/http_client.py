"""HTTP requests over a stream somebody else opens: a TCP connection of this machine, or a channel through SSH."""

from __future__ import annotations

import http.client
import json
import socket
import ssl
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from remediation.connections.base import Failed, Http, HttpReply, Reply, tell

Dial = Callable[[str, int, float], socket.socket]
"""Opens a stream to (host, port) within so many seconds; raises OSError."""
_BLOCK = 65536


class _Timed(http.client.HTTPConnection):
    """A connection whose stream is given."""

    def __init__(self, host: str, port: int, stream: socket.socket) -> None:
        super().__init__(host, port)
        self.sock = stream

    def connect(self) -> None:
        """Use the stream that is there."""

    def close(self) -> None:
        """Let go of the stream without closing it, which is whoever opened it's to do.

        http.client closes as soon as it has the head of an answer that ends with the connection. A socket lives on in the
        answer's file; a channel through SSH does not, and what had not arrived by then would be lost.
        """
        self.sock = None
        super().close()


def direct(host: str, port: int, timeout: float) -> socket.socket:
    """Open a TCP connection from this machine."""
    return socket.create_connection((host, port), timeout)


class _Deadline:
    """Seconds since the request began, and how many are left."""

    def __init__(self, call: Http, monotonic: Callable[[], float]) -> None:
        self._monotonic, self._timeout, self._began = monotonic, call.timeout, monotonic()
        self._silence = call.silence

    def elapsed(self) -> float:
        return self._monotonic() - self._began

    def left(self) -> float:
        rest = self._timeout - self.elapsed()
        if rest <= 0:
            raise TimeoutError
        return rest

    def patience(self) -> float:
        """Return for how long the next byte is waited."""
        return self.left() if self._silence is None else min(self.left(), self._silence)


def request(call: Http, dial: Dial = direct, monotonic: Callable[[], float] = time.monotonic) -> Reply:
    """Make the request; no proxy, no redirect, and never longer than `call.timeout` (`call.silence` without a byte)."""
    parts = urlsplit(call.url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        return Failed("error", f"{call.url} is no http address")
    port = parts.port or (443 if parts.scheme == "https" else 80)
    deadline = _Deadline(call, monotonic)
    stream: socket.socket | None = None
    try:
        stream = dial(parts.hostname, port, deadline.left())
        stream.settimeout(deadline.patience())
        if parts.scheme == "https":
            stream = ssl.create_default_context().wrap_socket(stream, server_hostname=parts.hostname)
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        return _talk(call, target, _Timed(parts.hostname, port, stream), stream, deadline)
    except TimeoutError:
        if call.silence is not None and deadline.elapsed() < call.timeout:
            return Failed("timeout", f"{call.method} {call.url}: nothing came for {call.silence:g} s")
        return Failed("timeout", f"{call.method} {call.url} was not answered within {call.timeout:g} s")
    except ConnectionRefusedError:
        return Failed("refused", f"nothing listens at {parts.hostname}:{port}")
    except (OSError, http.client.HTTPException) as error:
        return Failed("error", f"{call.method} {call.url}: {error or type(error).__name__}")
    finally:
        if stream is not None:
            stream.close()


def _talk(call: Http, target: str, connection: _Timed, stream: socket.socket, deadline: _Deadline) -> HttpReply:
    body = None if call.body is None else json.dumps(call.body).encode()
    headers = {"Accept": "*/*", "Connection": "close"} | ({} if body is None else {"Content-Type": "application/json"})
    connection.request(call.method, target, body, headers)
    stream.settimeout(deadline.patience())
    answer = connection.getresponse()
    received, first = bytearray(), None
    while True:
        stream.settimeout(deadline.patience())
        block = answer.read1(_BLOCK)
        if not block:
            return HttpReply(answer.status, bytes(received), deadline.elapsed(), first)
        received += block
        tell(call, block)
        if call.stream and first is None and b"\n" in received:
            first = deadline.elapsed()
