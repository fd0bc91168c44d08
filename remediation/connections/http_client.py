"""HTTP requests over a stream opened by the caller: a TCP connection or a channel through SSH.

No proxy is used and no redirect is followed. Answers have size limits (`remediation.model.limits`), and the timeout of a call
covers the whole request.
"""

from __future__ import annotations

import http.client
import io
import json
import socket
import ssl
from collections.abc import Callable

from remediation.connections.addresses import address_of
from remediation.connections.bounded import Deadline, IncomingBytes, send_all
from remediation.connections.calls import REDIRECTS, Failed, Http, HttpReply, Reply, notify_listener, redirect_failure
from remediation.model import limits
from remediation.model.limits import LimitExceeded, Tally

Dial = Callable[[str, int, float], socket.socket]
"""Opens a stream to (host, port) within a number of seconds. Raises OSError."""
READ_AHEAD = 8192
"""Bytes of the body that may be read together with the head."""
_BLOCK = 65536


class _Bounded:
    """The part of a socket that http.client uses."""

    def __init__(self, stream: socket.socket, deadline: Deadline) -> None:
        self._stream, self._deadline = stream, deadline
        self.incoming: IncomingBytes | None = None

    def sendall(self, data: bytes) -> None:
        """Send all of `data` before the deadline."""
        send_all(self._stream, data, self._deadline)

    def makefile(self, _mode: str = "rb", _buffering: int = -1) -> io.BufferedReader:
        """Return a reader of the answer, limited to its head at first."""
        source = self._stream.makefile("rb", buffering=0)
        self.incoming = IncomingBytes(
            source, self._stream, self._deadline, Tally("the head of the answer", limits.HEAD, READ_AHEAD)
        )
        return io.BufferedReader(self.incoming, READ_AHEAD)


class _Connection(http.client.HTTPConnection):
    """A connection over an existing stream."""

    def __init__(self, host: str, port: int, stream: _Bounded) -> None:
        super().__init__(host, port)
        self.sock = stream  # provides everything that http.client uses

    def connect(self) -> None:
        """Use the existing stream."""

    def close(self) -> None:
        """Release the stream without closing it. The caller that opened the stream closes it.

        http.client closes its socket after the head of an answer without a length. A real socket stays open through the answer's file,
        but an SSH channel does not, and data that has not arrived yet would be lost.
        """
        self.sock = None
        super().close()


def direct(host: str, port: int, timeout: float) -> socket.socket:
    """Open a TCP connection from this machine. All addresses of a name share the time limit."""
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


def send_request(call: Http, dial: Dial = direct) -> Reply:
    """Make the request within `call.timeout` seconds (and `call.silence` without data)."""
    deadline = Deadline(call.timeout, call.silence)
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
            return Failed("timeout", f"{call.method} {call.url}: no data for {call.silence:g} s")
        return Failed("timeout", f"{call.method} {call.url} was not answered within {call.timeout:g} s")
    except ConnectionRefusedError:
        return Failed("refused", f"nothing listens at {where}")
    except (OSError, http.client.HTTPException, ValueError, LimitExceeded) as error:
        # ValueError: an invalid URL, or an invalid number in the answer's head
        return Failed("error", f"{call.method} {call.url}: {error or type(error).__name__}")
    finally:
        if stream is not None:
            stream.close()


def _talk(call: Http, target: str, connection: _Connection, stream: _Bounded, deadline: Deadline) -> Reply:
    body = None if call.body is None else json.dumps(call.body).encode()
    # http.client requests "identity": the size of a compressed answer would differ from its Content-Length
    headers = {"Accept": "*/*", "Connection": "close"} | ({} if body is None else {"Content-Type": "application/json"})
    connection.request(call.method, target, body, headers)
    answer = connection.getresponse()
    if answer.status in REDIRECTS:
        return redirect_failure(call, answer.status, answer.getheader("Location") or "")
    if (encoding := answer.getheader("Content-Encoding", "identity").strip().lower()) not in {"", "identity"}:
        raise LimitExceeded(f"the answer is compressed ({encoding[:20]})although that was not requested")
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
            raise LimitExceeded(limits.exceeded_text("the answer", most))
        if line > limits.LINE:
            raise LimitExceeded(limits.exceeded_text("a line of the answer", limits.LINE))
        notify_listener(call, block)
        if call.stream and first is None and end >= 0:
            first = deadline.elapsed()
