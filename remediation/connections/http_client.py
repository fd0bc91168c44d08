"""HTTP requests over a stream that the caller opens: a TCP connection of this machine, or a channel through SSH.

No proxy is used and no redirect followed. An answer has limits (`remediation.model.limits`), and the deadline of a call is one
for all of it.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
import time
from collections.abc import Callable

from remediation.connections.addresses import address_of
from remediation.connections.bounded import Deadline, Incoming, send_all
from remediation.connections.calls import REDIRECTS, Failed, Http, HttpReply, Reply, notify_listener, redirect_failure
from remediation.model import limits
from remediation.model.limits import LimitExceeded, Tally

Dial = Callable[[str, int, float], socket.socket]
"""Opens a stream to (host, port) within so many seconds; raises OSError."""
READ_AHEAD = 8192
"""Bytes that are read beyond the head, of a body whose beginning came with it."""
_BLOCK = 65536


class _Bounded:
    """What http.client needs of a socket."""

    def __init__(self, stream: socket.socket, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline
        self.incoming: Incoming | None = None

    def sendall(self, data: bytes) -> None:
        """Send all of it before the deadline."""
        send_all(self._stream, data, self._deadline)

    def makefile(self, _mode: str = "rb", _buffering: int = -1) -> io.BufferedReader:
        """Return what is read of the answer, its head at first."""
        source = self._stream.makefile("rb", buffering=0)
        self.incoming = Incoming(source, self._stream, self._deadline, Tally("the head of the answer", limits.HEAD, READ_AHEAD))
        return io.BufferedReader(self.incoming, READ_AHEAD)


class _Connection(http.client.HTTPConnection):
    """A connection whose stream is given."""

    def __init__(self, host: str, port: int, stream: _Bounded) -> None:
        super().__init__(host, port)
        self.sock = stream  # all that http.client needs of one

    def connect(self) -> None:
        """Use the stream that is there."""

    def close(self) -> None:
        """Let go of the stream without closing it: that is done by whoever opened it.

        http.client closes as soon as it has the head of an answer that ends with the connection. A socket lives on in the
        answer's file; a channel through SSH does not, and what had not arrived by then would be lost.
        """
        self.sock = None
        super().close()


def direct(host: str, port: int, timeout: float) -> socket.socket:
    """Open a TCP connection from this machine; the addresses of a name share the time."""
    deadline, last = Deadline(timeout), OSError(f"{host} has no address")
    for family, kind, protocol, _, address in socket.getaddrinfo(host, port, 0, socket.SOCK_STREAM):
        stream = socket.socket(family, kind, protocol)
        try:
            stream.settimeout(deadline.left())
            stream.connect(address)
        except OSError as error:
            stream.close()
            last = error
        else:
            return stream
    raise last


def send_request(call: Http, dial: Dial = direct, monotonic: Callable[[], float] = time.monotonic) -> Reply:
    """Make the request, in no more than `call.timeout` seconds (and `call.silence` without a byte)."""
    deadline = Deadline(call.timeout, call.silence, monotonic)
    stream: socket.socket | None = None
    where = call.url
    try:
        address = address_of(call.url)
        where = f"{address.host}:{address.port}"
        stream = dial(address.host, address.port, deadline.left())
        stream.settimeout(deadline.patience())
        if address.secure:
            stream = ssl.create_default_context().wrap_socket(stream, server_hostname=address.host)
        bounded = _Bounded(stream, deadline)
        return _talk(call, address.target, _Connection(address.host, address.port, bounded), bounded, deadline)
    except TimeoutError:
        if call.silence is not None and deadline.elapsed() < call.timeout:
            return Failed("timeout", f"{call.method} {call.url}: nothing came for {call.silence:g} s")
        return Failed("timeout", f"{call.method} {call.url} was not answered within {call.timeout:g} s")
    except ConnectionRefusedError:
        return Failed("refused", f"nothing listens at {where}")
    except (OSError, http.client.HTTPException, ValueError, LimitExceeded) as error:
        # ValueError: a URL that cannot be taken apart, or a number in the answer's head that is none
        return Failed("error", f"{call.method} {call.url}: {error or type(error).__name__}")
    finally:
        if stream is not None:
            stream.close()


def _talk(call: Http, target: str, connection: _Connection, stream: _Bounded, deadline: Deadline) -> Reply:
    body = None if call.body is None else json.dumps(call.body).encode()
    # http.client asks for "identity" itself: an answer that is compressed has not the size that it announces
    headers = {"Accept": "*/*", "Connection": "close"} | ({} if body is None else {"Content-Type": "application/json"})
    connection.request(call.method, target, body, headers)
    answer = connection.getresponse()
    if answer.status in REDIRECTS:
        return redirect_failure(call, answer.status, answer.getheader("Location") or "")
    if (encoding := answer.getheader("Content-Encoding", "identity").strip().lower()) not in {"", "identity"}:
        raise LimitExceeded(f"the answer is compressed ({encoding[:20]}), which was not asked for")
    received, first, line = bytearray(), None, 0
    most = limits.STREAM if call.stream else limits.BODY
    if stream.incoming is not None:
        stream.incoming.tally = Tally("the answer", most, overhead=limits.HEAD)
    while True:
        block = answer.read1(_BLOCK)
        if not block:
            return HttpReply(answer.status, bytes(received), deadline.elapsed(), first)
        received += block
        end = block.rfind(b"\n")
        line = line + len(block) if end < 0 else len(block) - end - 1
        if len(received) > most:
            raise LimitExceeded(limits.exceeded("the answer", most))
        if line > limits.LINE:
            raise LimitExceeded(limits.exceeded("a line of the answer", limits.LINE))
        notify_listener(call, block)
        if call.stream and first is None and end >= 0:
            first = deadline.elapsed()
