"""HTTP from a host over SSH: through the connection if sshd forwards TCP, else with the host's curl."""

from __future__ import annotations

import io
import json
import math
import socket
from collections.abc import Callable
from typing import Any, cast

import paramiko

from remediation.connections import http_client
from remediation.connections.calls import (
    REDIRECTS,
    Completed,
    Failed,
    Http,
    HttpReply,
    Reply,
    Run,
    notify_listener,
    redirect_failure,
)
from remediation.model import limits
from remediation.model.text.visible import brief

_CONNECT_FAILED = 2
_REFUSED, _TIMED_OUT = 7, 28
_MARK = b"\x1e"
"""Precedes curl's own output. JSON cannot contain it, so the body can be streamed up to its last occurrence."""
_TAIL = f"{_MARK.decode()}%{{http_code}} %{{time_total}} %{{time_starttransfer}} %{{redirect_url}}"
Start = Callable[[Run, Callable[[bytes], None], int], Reply]
"""Runs a program on the host. The callable receives its stdout as it arrives, up to a number of bytes."""


class _NotForwarded(OSError):
    """sshd refuses to forward a connection."""


def request_over_ssh(transport: paramiko.Transport, call: Http, run: Start) -> Reply:
    """Make the request from the host. `run` starts a program there."""

    def dial(host: str, port: int, timeout: float) -> socket.socket:
        try:
            channel = transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=timeout)
        except paramiko.ChannelException as error:
            if error.code == _CONNECT_FAILED:
                raise ConnectionRefusedError from error
            forbidden.append(error.text)
            raise _NotForwarded from error
        return cast("socket.socket", _Stream(channel))

    forbidden: list[str] = []
    if call.url.startswith("https:"):
        return _by_curl(call, run)  # TLS needs a real socket
    reply = http_client.send_request(call, dial)
    return _by_curl(call, run) if forbidden else reply


def _by_curl(call: Http, run: Start) -> Reply:
    body = b"" if call.body is None else json.dumps(call.body).encode()
    # --disable must come first: the login's .curlrc must not enable redirects or add a proxy or headers
    argv = [
        "curl", "--disable", "-sS", "--proto", "=http,https", "--max-redirs", "0", "--noproxy", "*", "--max-time", f"{call.timeout:g}",
        "--header", "Accept-Encoding: identity", "--request", call.method, "--write-out", _TAIL,
    ]  # fmt: skip
    if call.on_chunk is not None:
        argv += ["--no-buffer"]
    if call.silence is not None:
        argv += ["--speed-limit", "1", "--speed-time", str(math.ceil(call.silence))]
    if call.body is not None:
        argv += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    stream = _BodyStream(call)
    most = limits.STREAM if call.stream else limits.BODY
    done = run(Run((*argv, "--url", call.url), body, call.timeout + 2.0), stream, most + limits.HEAD)
    if isinstance(done, Failed) and done.kind == "not-found":
        return Failed(
            "error", f"{call.method} {call.url}: sshd does not forward connections (AllowTcpForwarding), and the host has no curl"
        )
    if not isinstance(done, Completed):
        return done
    if done.rc == 0:
        content, _, figures = done.stdout.rpartition(_MARK)
        try:
            status, total, first, location = _figures(figures)
        except ValueError:
            return Failed("error", f"{call.method} {call.url}: cannot parse the output of the host's curl")
        if status in REDIRECTS:
            return redirect_failure(call, status, location)
        stream.rest(content)
        return HttpReply(status, content, total, first if call.stream else None)
    kind = {_REFUSED: "refused", _TIMED_OUT: "timeout"}.get(done.rc, "error")
    return Failed(kind, f"{call.method} {call.url}: {brief(done.stderr.decode('utf-8', 'replace'))}")


def _figures(said: bytes) -> tuple[int, float, float, str]:
    """Parse curl's output after the body: status, seconds, seconds to the first byte, and the target of a redirect."""
    status, total, first, *location = said.decode("utf-8", "replace").split(maxsplit=3)
    return int(status), float(total), float(first), "".join(location)


class _BodyStream:
    """Passes the body that curl prints to a call's listener, without curl's own output."""

    def __init__(self, call: Http) -> None:
        self._call, self._passed_on, self._kept = call, 0, b""

    def __call__(self, piece: bytes) -> None:
        """Add a chunk. From the last mark on, it may be curl's own output."""
        waiting = self._kept + piece
        at = waiting.rfind(_MARK)
        body, self._kept = (waiting, b"") if at < 0 else (waiting[:at], waiting[at:])
        self._passed_on += len(body)
        notify_listener(self._call, body)

    def rest(self, body: bytes) -> None:
        """Pass the rest of the complete body to the listener."""
        notify_listener(self._call, body[self._passed_on :])


class _Raw(io.RawIOBase):
    """A channel as a raw stream."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int:
        """Read available bytes."""
        content = self._channel.recv(len(buffer))
        buffer[: len(content)] = content
        return len(content)


class _Stream:
    """The part of a socket that `http_client` uses, on an SSH channel."""

    def __init__(self, channel: paramiko.Channel) -> None:
        self._channel = channel
        self.send, self.settimeout, self.close = channel.send, channel.settimeout, channel.close

    def makefile(self, _mode: str = "rb", buffering: int = 0) -> io.RawIOBase:
        """Return a reader of the channel."""
        return _Raw(self._channel)
