"""The contract of all connections: an exchange of calls for replies.

A connection knows nothing about GPUs, Docker or Ollama. It carries five types of calls, several per round trip if the transport
allows it: start a program, run a shipped probe script, make an HTTP request from the host, read a file, write a file. A command is
a list of arguments, never a string; data is passed separately.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias
from urllib.parse import urlsplit

from remediation.model.text.visible import brief


@dataclass(frozen=True, slots=True)
class Run:
    """Start a program with exactly these arguments. ``stdin`` and the output are bytes, ``timeout`` is in seconds.

    ``writes`` marks a call that changes the host: it is refused in check mode and never sent twice.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 30.0
    writes: bool = False
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """Run the shipped script ``name`` (``facets/scripts/<name>.ps1``) with ``data`` as JSON. It answers with JSON."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Http:
    """Make an HTTP request *from the host*: 127.0.0.1 is the host's own loopback address. ``body`` is sent as JSON.

    With ``stream``, the body is NDJSON and ``first_byte`` of the reply is the time of the first line.

    ``on_chunk`` receives each chunk of the body as it arrives, in the thread of the exchange, before the exchange returns. The reply
    still contains the whole body. The callback must not use this connection, and its exceptions are ignored. A read-only request may
    be sent again after a lost connection; the chunks then start from the beginning.

    A request without data for ``silence`` seconds fails with ``timeout``.
    """

    method: str
    url: str
    body: Any = None
    timeout: float = 30.0
    writes: bool = False
    stream: bool = False
    silence: float | None = None
    on_chunk: Callable[[bytes], None] | None = field(default=None, compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class ReadFile:
    """Read a file, at most ``limit`` bytes, from the end with ``tail``."""

    path: str
    limit: int = 4_000_000
    tail: bool = False
    timeout: float = 30.0
    writes: bool = False


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Replace a file atomically: write a temporary file next to it, then rename it. ``backup`` keeps a copy of the old file."""

    path: str
    content: bytes
    backup: str | None = None
    timeout: float = 30.0
    writes: bool = True


Call: TypeAlias = Run | Probe | Http | ReadFile | WriteFile


def name_of(call: Call) -> str:
    """Return the name of `call` for error messages."""
    if isinstance(call, Run):
        return call.argv[0] if call.argv else "a program"
    if isinstance(call, Probe):
        return f"the probe {call.name}"
    return f"{call.method} {call.url}" if isinstance(call, Http) else call.path


def notify_listener(call: Http, piece: bytes) -> None:
    """Pass a chunk of the body to the listener of `call`. Exceptions of the listener are ignored."""
    if call.on_chunk is not None and piece:
        with suppress(Exception):
            call.on_chunk(piece)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended. On Windows, ``rc`` is an unsigned 32-bit number."""

    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as UTF-8, with invalid bytes replaced and a BOM removed."""
        return self.stdout.decode("utf-8-sig", errors="replace")


@dataclass(frozen=True, slots=True)
class HttpReply:
    """An HTTP answer; ``first_byte`` and ``elapsed`` in seconds."""

    status: int
    body: bytes
    elapsed: float = 0.0
    first_byte: float | None = None


@dataclass(frozen=True, slots=True)
class ProbeReply:
    """The answer of a probe, decoded from JSON."""

    value: Any


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file's content, or ``missing``. ``truncated`` means that the file is longer."""

    content: bytes = b""
    missing: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that failed. Other calls of the same exchange are not affected.

    ``kind``: ``not-found`` (no such program or file), ``refused`` (connection refused), ``timeout``, ``denied``, ``uncertain`` (the
    answer of a write was lost), ``redirected`` (an HTTP redirect), ``not-recorded`` (a replay without an answer) or ``error``.
    ``missing`` is the program or folder that does not exist, or the program that the login may not run.
    """

    kind: str
    message: str
    missing: str = ""


REDIRECTS = range(300, 400)
"""HTTP statuses of redirects. They are not followed: a write must not reach another server."""


def redirect_failure(call: Http, status: int, location: str) -> Failed:
    """Return the failure of a request that was redirected."""
    where = named_location(location)
    return Failed("redirected", f"{call.method} {call.url} was redirected to {where} (HTTP {status}); redirects are not followed")


def named_location(location: str) -> str:
    """Return the target of a redirect for error messages."""
    return brief(location) or "an unknown address"


Reply: TypeAlias = Completed | HttpReply | ProbeReply | FileContent | Failed


class Connection(Protocol):
    """A connection to one host. Its first exchange opens it; it belongs to one thread.

    ``platform`` is ``windows`` or ``posix`` and known without contacting the host. ``round_trips`` counts the exchanges with the host.
    """

    host: str
    platform: str
    round_trips: int

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` in order and return one reply for each.

        Raises:
            Unreachable: there is no connection (or a subclass).
            DeadlineExceeded: the host stopped answering.
            WriteRefused: a call is marked as a write in check mode; nothing was sent.
            OutcomeUnknown: the connection was lost during a write.
        """

    def close(self) -> None:
        """End the session and remove what it left on the host. Never raises."""


def engine_of(call: Run) -> str:
    """Return the engine that ``docker`` addresses, or "" for other programs."""
    return " ".join((ENGINE, *(f"{name}={value}" for name, value in call.env.items()))) if call.argv[:1] == ("docker",) else ""


def in_turn(calls: Sequence[Call], carry_out: Callable[[Call], Reply]) -> list[Reply]:
    """Return one reply per call. After a timeout, further read-only requests to the same server are not sent."""
    hung: dict[str, Failed] = {}
    replies: list[Reply] = []
    for call in calls:
        server = server_of(call)
        reply = hung.get(server) or carry_out(call)
        if server and isinstance(reply, Failed) and reply.kind == "timeout":
            hung[server] = reply
        replies.append(reply)
    return replies


ENGINE = "docker-engine"
_QUERIES = frozenset({"info", "inspect", "ps", "version", "volume"})
"""Subcommands of ``docker`` that wait for nothing but the engine."""


def server_of(call: Call) -> str:
    """Return the server that a read-only call waits for, or "" for other calls and invalid URLs.

    It is the host and port of a request, or the engine that a query of ``docker`` addresses.
    """
    if call.writes:
        return ""
    if isinstance(call, Run):
        return engine_of(call) if call.argv[1:2] and call.argv[1] in _QUERIES else ""
    if not isinstance(call, Http):
        return ""
    try:
        return urlsplit(call.url).netloc
    except ValueError:  # the request itself reports the reason
        return ""
