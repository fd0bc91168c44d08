"""JSON lines between the lab's processes: one request, one answer, over a unix socket or loopback TCP with a token.

A service publishes its address as a file that only its user can read.  ``{"op": name, ...}`` is answered by ``{"value": ...}`` or
``{"error": {"kind", "message"}}``; to a request with ``"tell": true`` any number of ``{"chunk": value}`` may come before that.
"""

from __future__ import annotations

import hmac
import json
import os
import secrets
import socket
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol, TypeAlias

Json: TypeAlias = Any
"""Any JSON value; the code that uses it checks its content."""
OnChunk: TypeAlias = Callable[[Json], None]
"""Called with each part of an answer before it is whole."""

_UNIX_PATH_LIMIT = 100
"""sockaddr_un holds 104 bytes on some systems; a longer path gets loopback TCP instead."""


class Refusal(Exception):  # an answer of the world, not an error of the lab
    """An answer that says no; ``kind`` is one of the worker protocol's."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.message = message


class World(Protocol):
    """Something that carries out operations on a machine: the owner process behind a socket, or a machine in this process."""

    def call(self, op: str, *, on_chunk: OnChunk | None = None, **fields: Json) -> Json:
        """Carry out one operation; raises Refusal."""

    def close(self) -> None:
        """Hang up."""


class Service:
    """Serves a handler to any number of clients, each in its own thread.

    ``handle(session, request)`` returns the value or raises Refusal; ``session`` is an object of the connection, made by
    ``joined()`` and handed to ``left(session)`` when the client hangs up. Where the client listens, ``request["on_chunk"]`` gets
    each part of the value before the value is whole.
    """

    def __init__(
        self, address_file: Path, handle: Callable[[Any, dict[str, Any]], Any],
        joined: Callable[[], Any] = dict, left: Callable[[Any], None] = lambda _: None,
    ) -> None:  # fmt: skip
        self._handle, self._joined, self._left = handle, joined, left
        self._file = address_file
        self._token = secrets.token_hex(16)
        self._socket, self._address = self._listen(address_file)
        self._closed = threading.Event()
        self.clients = 0
        self._count = threading.Lock()

    def publish(self, **more: Json) -> None:
        """Write the address file; from then on clients can find the service."""
        write_private(self._file, json.dumps({**self._address, "token": self._token, "pid": os.getpid(), **more}))

    def serve(self) -> None:
        """Accept clients until `close`."""
        while not self._closed.is_set():
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            threading.Thread(target=self._converse, args=(connection,), daemon=True).start()

    def close(self) -> None:
        """Stop accepting and take the address away."""
        self._closed.set()
        self._file.unlink(missing_ok=True)
        # closing a listening socket does not wake accept() everywhere; a connection does
        try:
            with _connect(self._address):
                pass
        except OSError:
            pass
        self._socket.close()
        if "unix" in self._address:
            Path(self._address["unix"]).unlink(missing_ok=True)

    def _listen(self, address_file: Path) -> tuple[socket.socket, dict[str, Any]]:
        path = address_file.with_suffix(".sock")
        if sys.platform != "win32" and len(os.fsencode(path)) < _UNIX_PATH_LIMIT:
            path.unlink(missing_ok=True)
            listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            listener.bind(str(path))
            path.chmod(0o600)
            listener.listen(128)
            return listener, {"unix": str(path)}
        listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        listener.bind(("127.0.0.1", 0))
        listener.listen(128)
        return listener, {"tcp": list(listener.getsockname())}

    def _converse(self, connection: socket.socket) -> None:
        session = self._joined()
        with self._count:
            self.clients += 1
        try:
            with connection, connection.makefile("rb") as lines:

                def say(value: dict[str, Any]) -> None:
                    connection.sendall(json.dumps(value).encode() + b"\n")

                for line in lines:
                    say(self._answer(session, line, lambda chunk: say({"chunk": chunk})))
        except OSError:
            pass  # the client hung up in the middle: there is no one to answer
        finally:
            with self._count:
                self.clients -= 1
            self._left(session)

    def _answer(self, session: Json, line: bytes, on_chunk: OnChunk) -> dict[str, Any]:
        try:
            request = json.loads(line)
            if not isinstance(request, dict) or "op" not in request:
                return _error("error", "not a request: one JSON object with `op` per line")
            if not hmac.compare_digest(str(request.pop("token", "")), self._token):
                return _error("denied", "wrong token")
            if request.pop("tell", False):
                request["on_chunk"] = on_chunk
            return {"value": self._handle(session, request)}
        except json.JSONDecodeError as error:
            return _error("error", f"not JSON: {error}")
        except Refusal as refusal:
            return _error(refusal.kind, refusal.message)


class Client:
    """A client of one service; connects on the first call and again after the connection was lost."""

    def __init__(self, address_file: Path, **always: Json) -> None:
        self._file = address_file
        self._always = always
        self._socket: socket.socket | None = None
        self._token = ""
        self._lines: Any = None

    def call(self, op: str, *, on_chunk: OnChunk | None = None, **fields: Json) -> Json:
        """Carry out one operation; `on_chunk` gets what the service sends before its answer.

        Raises Refusal with what the service says, or of kind ``error`` when it is gone; a call whose connection breaks is
        never sent again, since it may have been carried out.
        """
        connection = self._connection()
        try:
            request = {"op": op, **self._always, **fields, "token": self._token}
            if on_chunk is not None:
                request["tell"] = True
            connection.sendall(json.dumps(request).encode() + b"\n")
            line = self._lines.readline()
            while on_chunk is not None and line.startswith(b'{"chunk":'):
                on_chunk(json.loads(line)["chunk"])
                line = self._lines.readline()
        except OSError as error:
            self.close()
            raise Refusal("error", f"the lab's process behind {self._file.name} went away: {error}") from error
        if not line.endswith(b"\n"):
            self.close()
            raise Refusal("error", f"the lab's process behind {self._file.name} went away")
        answer = json.loads(line)
        if "error" in answer:
            raise Refusal(answer["error"]["kind"], answer["error"]["message"])
        return answer["value"]

    def close(self) -> None:
        """Hang up."""
        if self._socket is not None:
            self._lines.close()
            self._socket.close()
            self._socket = None

    def _connection(self) -> socket.socket:
        if self._socket is None:
            try:
                address = json.loads(self._file.read_text(encoding="utf-8"))
                self._socket = _connect(address)
            except (OSError, ValueError) as error:
                raise Refusal("error", f"no lab process answers behind {self._file}: {error}") from error
            self._token = address["token"]
            self._lines = self._socket.makefile("rb")
        return self._socket


def _connect(address: dict[str, Any]) -> socket.socket:
    if sys.platform != "win32" and "unix" in address:
        connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            connection.connect(address["unix"])
        except OSError:
            connection.close()
            raise
        return connection
    connection = socket.create_connection(tuple(address["tcp"]))
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def _error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message}}


def write_private(path: Path, text: str) -> None:
    """Replace a file that only its owner can read, as a whole."""
    draft = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}")
    draft.unlink(missing_ok=True)
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(text)
    draft.replace(path)
