"""The one contract of all connections: an exchange of calls for replies.

A connection knows nothing of GPUs, Docker or Ollama. It carries five kinds of calls, several in one round trip where
the transport allows it: start a program, run a shipped probe script, make an HTTP request from the host, read a file,
write a file. A command is a list of arguments, never a string; data travels beside it.
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
    """Start a program with exactly these arguments; ``stdin`` and the output are bytes. ``timeout`` in seconds.

    ``writes`` marks a call that changes the host: refused in check mode, never sent twice.
    """

    argv: tuple[str, ...]
    stdin: bytes = b""
    timeout: float = 30.0
    writes: bool = False
    cwd: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Probe:
    """Run the shipped script ``name`` (``facets/scripts/<name>.ps1``) with ``data`` as JSON; it answers with JSON."""

    name: str
    data: Mapping[str, Any] = field(default_factory=dict)
    timeout: float = 30.0
    writes: bool = False


@dataclass(frozen=True, slots=True)
class Http:
    """Make an HTTP request *from the host* (its own loopback is meant by 127.0.0.1). ``body`` is sent as JSON.

    With ``stream`` the body is NDJSON and ``first_byte`` of the reply stamps the first line.

    ``on_chunk`` is told each piece of the body as it comes, in the exchange's own thread and to the last byte before the exchange
    returns; the reply holds the whole body all the same. It asks nothing of this connection, and what it raises is nobody's.
    A request that only reads may go out again after a loss: it is then heard from its beginning. After ``silence`` seconds
    without a byte the request is given up: ``timeout``.
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
    """Read a file, at most ``limit`` bytes of it, from the end when ``tail``."""

    path: str
    limit: int = 4_000_000
    tail: bool = False
    timeout: float = 30.0
    writes: bool = False


@dataclass(frozen=True, slots=True)
class WriteFile:
    """Write a file as a whole: to a temporary name beside it, then renamed into place; ``backup`` keeps a copy there."""

    path: str
    content: bytes
    backup: str | None = None
    timeout: float = 30.0
    writes: bool = True


Call: TypeAlias = Run | Probe | Http | ReadFile | WriteFile


def name_of(call: Call) -> str:
    """Return what a sentence calls `call`."""
    if isinstance(call, Run):
        return call.argv[0] if call.argv else "a program"
    if isinstance(call, Probe):
        return f"the probe {call.name}"
    return f"{call.method} {call.url}" if isinstance(call, Http) else call.path


def notify_listener(call: Http, piece: bytes) -> None:
    """Let whoever listens to `call` hear a piece of the body; for what he makes of it no reply is lost."""
    if call.on_chunk is not None and piece:
        with suppress(Exception):
            call.on_chunk(piece)


@dataclass(frozen=True, slots=True)
class Completed:
    """A program that ended; ``rc`` as an unsigned 32-bit number on Windows (facts/windows 1.2)."""

    rc: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as UTF-8, broken bytes replaced, a leading BOM dropped."""
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
    """What a probe answered, already decoded from JSON."""

    value: Any


@dataclass(frozen=True, slots=True)
class FileContent:
    """A file's bytes, or ``missing``; ``truncated`` when there is more than was asked for."""

    content: bytes = b""
    missing: bool = False
    truncated: bool = False


@dataclass(frozen=True, slots=True)
class Failed:
    """A call that got no proper answer; the others of the same exchange are not harmed.

    ``kind``: ``not-found`` (no such program or file), ``refused`` (nothing listens), ``timeout``, ``denied``,
    ``uncertain`` (a write whose answer was lost), ``redirected`` (an HTTP answer that points elsewhere),
    ``not-recorded`` (a replay without an answer) or ``error``.
    ``missing`` is the program or folder that was not found.
    """

    kind: str
    message: str
    missing: str = ""


REDIRECTS = range(300, 400)
"""HTTP statuses of answers that point elsewhere. None is followed: a write must not reach another server."""


def redirect_failure(call: Http, status: int, location: str) -> Failed:
    """Return the failure of a request that was answered with a redirect."""
    where = named_location(location)
    return Failed("redirected", f"{call.method} {call.url} was redirected to {where} (HTTP {status}); redirects are not followed")


def named_location(location: str) -> str:
    """Return where a redirect points, in words."""
    return brief(location) or "an address that it does not name"


Reply: TypeAlias = Completed | HttpReply | ProbeReply | FileContent | Failed


class Connection(Protocol):
    """A way to one host. Opened by its first exchange; belongs to one thread.

    ``platform`` is ``windows`` or ``posix`` and known without asking the host. ``round_trips`` counts exchanges that
    went over the wire.
    """

    host: str
    platform: str
    round_trips: int

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` in order and return one reply each.

        Raises `Unreachable` (and its kinds) when there is no connection, `DeadlineExceeded` when the host went silent,
        `WriteRefused` in check mode, before anything is sent, when one of the calls is marked as a write, `Uncertain`
        when a write was in flight as the connection was lost.
        """

    def close(self) -> None:
        """End the session and what it left on the host; never raises."""


def in_turn(calls: Sequence[Call], carry_out: Callable[[Call], Reply]) -> list[Reply]:
    """Return one reply per call. A request that only reads is not sent to a server that has just let another one time out."""
    hung: dict[str, Failed] = {}
    replies: list[Reply] = []
    for call in calls:
        server = server_of(call)
        reply = hung.get(server) or carry_out(call)
        if server and isinstance(reply, Failed) and reply.kind == "timeout":
            hung[server] = reply
        replies.append(reply)
    return replies


def server_of(call: Call) -> str:
    """Return host and port that a request which only reads goes to, "" for other calls and for a URL that names none."""
    if not isinstance(call, Http) or call.writes:
        return ""
    try:
        return urlsplit(call.url).netloc
    except ValueError:  # the request fails with the reason
        return ""
