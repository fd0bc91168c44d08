"""Servers that answer as no honest server does, and count the requests and how many bytes the client read."""

from __future__ import annotations

import functools
import gzip
import itertools
import json
import socket
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from typing import Any

import pytest

OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
BLOCK = b"x" * 65536
DRIP = 0.05
"""Seconds between two bytes of a server that drips."""
REDIRECTS = (301, 302, 303, 307, 308)


@functools.cache
def _bomb() -> bytes:
    """Return 6.4 GB of spaces in a few MB: members of one gzip file, which are read as one."""
    return gzip.compress(b" " * 64_000_000, 1) * 100


def slowly(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield piece
        time.sleep(DRIP)


def _endless_body() -> Iterator[bytes]:
    yield OK + b"\r\n"
    yield from itertools.repeat(BLOCK)


def _endless_chunks() -> Iterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n"
    yield from itertools.repeat(b"10000\r\n" + BLOCK + b"\r\n")


def _endless_trailers() -> Iterator[bytes]:
    yield OK + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"
    yield from itertools.repeat(b"X-More: 1\r\n" * 1000)


def _endless_headers() -> Iterator[bytes]:
    yield OK
    yield from itertools.repeat(b"X-More: 1\r\n" * 1000)


def _gzip_bomb() -> Iterator[bytes]:
    body = _bomb()
    yield OK + b"Content-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def _drip() -> Iterator[bytes]:
    yield OK + b"Content-Length: 100000\r\n\r\n"
    yield from slowly(itertools.repeat(b" "))


def _lines() -> Iterator[bytes]:
    yield OK + b"\r\n"
    yield from slowly(itertools.repeat(b'{"status": "pulling"}\n'))


def _json(text: str) -> Iterator[bytes]:
    body = text.encode()
    yield OK + b"Content-Length: %d\r\nConnection: close\r\n\r\n" % len(body) + body


ANSWERS: dict[str, Any] = {
    "endless body": _endless_body,
    "endless chunks": _endless_chunks,
    "endless trailers": _endless_trailers,
    "endless headers": _endless_headers,
    "endless header line": lambda: itertools.chain([OK + b"X-Long: "], itertools.repeat(BLOCK)),
    "endless status line": lambda: itertools.chain([b"HTTP/1.1 200 "], itertools.repeat(BLOCK)),
    "endless continue": lambda: itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "slow continue": lambda: slowly(itertools.repeat(b"HTTP/1.1 100 Continue\r\n\r\n")),
    "slow headers": lambda: itertools.chain([OK], slowly(itertools.repeat(b"X-More: 1\r\n"))),
    "slow status line": lambda: itertools.chain([b"HTTP/1.1 200 "], slowly(itertools.repeat(b"x"))),
    "drip": _drip,
    "gzip bomb": _gzip_bomb,
    "lines": _lines,
    "deep": lambda: _json("[" * 200_000),
    "deep and whole": lambda: _json('{"a":' * 200_000 + "1" + "}" * 200_000),
    "a little deep": lambda: _json('{"models": ' + "[" * 500 + "]" * 500 + "}"),
    "many digits": lambda: _json('{"version": %s}' % ("9" * 5000)),
    "NaN": lambda: _json('{"version": NaN}'),
    "infinite": lambda: _json('{"version": -Infinity}'),
    "overflow": lambda: _json('{"version": 1e999}'),
    "twice": lambda: _json('{"version": "1", "version": "0.12.0"}'),
    "surrogate": lambda: _json('{"version": "\\ud800 0.12.0"}'),
    "no JSON": lambda: _json("\x00\x01"),
}
TOO_MUCH = tuple(kind for kind in ANSWERS if kind.startswith("endless"))
TOO_SLOW = ("slow continue", "slow headers", "slow status line", "drip")


class Hostile:
    """A server on loopback that gives every request the same answer, for as long as the client reads it."""

    def __init__(self, answer: Iterable[bytes] | str = "", *, redirect: tuple[int, str] | None = None) -> None:
        self._answer, self._redirect = answer, redirect
        self.requests: list[bytes] = []
        self.sent = 0
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open = True
        self.port = int(self._socket.getsockname()[1])
        self.url = f"http://127.0.0.1:{self.port}"
        self._threads = [threading.Thread(target=self._accept, daemon=True)]
        self._threads[0].start()

    def _accept(self) -> None:
        while self._open:
            try:
                peer, _ = self._socket.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(peer,), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, peer: socket.socket) -> None:
        with peer, suppress(OSError):
            peer.settimeout(20)
            asked = b""
            while b"\r\n\r\n" not in asked:
                piece = peer.recv(65536)
                if not piece:
                    return
                asked += piece
            self.requests.append(asked)
            for piece in self._pieces():
                if not self._open:
                    return
                peer.sendall(piece)
                self.sent += len(piece)
            peer.shutdown(socket.SHUT_WR)
            while peer.recv(65536):
                pass

    def _pieces(self) -> Iterable[bytes]:
        if self._redirect is not None:
            status, where = self._redirect
            return [f"HTTP/1.1 {status} Moved\r\nLocation: {where}\r\nContent-Length: 0\r\n\r\n".encode()]
        return ANSWERS[self._answer]() if isinstance(self._answer, str) else self._answer

    def close(self) -> None:
        self._open = False
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        for thread in self._threads:
            thread.join(20)


class Servers:
    """Starts hostile servers, and closes them in the end."""

    def __init__(self) -> None:
        self._started: list[Hostile] = []

    def start(self, answer: Iterable[bytes] | str = "", *, redirect: tuple[int, str] | None = None) -> Hostile:
        self._started.append(Hostile(answer, redirect=redirect))
        return self._started[-1]

    def redirecting(self, status: int, path: str = "/") -> tuple[Hostile, Hostile]:
        """Start a server that redirects, and the one that it names, which should get no request."""
        elsewhere = self.start([OK + b"Content-Length: 2\r\n\r\n{}"])
        return self.start(redirect=(status, f"{elsewhere.url}{path}")), elsewhere

    def close(self) -> None:
        for server in self._started:
            server.close()


@pytest.fixture
def servers() -> Iterator[Servers]:
    started = Servers()
    yield started
    started.close()


def envelope(body: str, head: str = "") -> bytes:
    """Return a SOAP message as an honest server's, but for what it holds."""
    text = f'{head}<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>{body}</s:Body></s:Envelope>'
    return OK.replace(b"json", b"soap+xml") + b"Content-Length: %d\r\n\r\n" % len(text.encode()) + text.encode()


__all__ = ["ANSWERS", "REDIRECTS", "TOO_MUCH", "TOO_SLOW", "Hostile", "Servers", "envelope", "json", "servers"]
