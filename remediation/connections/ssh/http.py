"""HTTP from a host over SSH: through the connection if sshd forwards TCP, else with the host's curl."""

from __future__ import annotations

import io
import socket
from typing import Any, cast

import paramiko

from remediation.connections import http_client
from remediation.connections.calls import Http, Reply
from remediation.connections.posix.curl import Stream, request_by_curl

_CONNECT_FAILED = 2
_NO_CURL = "sshd forwards no connection (AllowTcpForwarding), and the host has no curl"


class _NotForwarded(OSError):
    """sshd refuses to forward a connection."""


def request_over_ssh(transport: paramiko.Transport, call: Http, run: Stream) -> Reply:
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
        return request_by_curl(call, run, _NO_CURL)  # TLS needs a real socket
    reply = http_client.send_request(call, dial)
    return request_by_curl(call, run, _NO_CURL) if forbidden else reply


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
