"""Handles calls that time out, so that one hanging server delays a snapshot only once.

Calls are sent one after the other, so three requests to a silent server would take three timeouts. Of several requests to a
server that has not answered yet, only the first is sent; if it times out, the others fail at once for the rest of the snapshot.
The Docker engine is such a server for the queries of ``docker``; other commands of ``docker`` get a short timeout then.

A step, its goal and the diagnosis observe the host one after the other, and each would wait for the same hanging server,
nvidia-smi or Docker command. Snapshots that follow within `LASTS` seconds reuse the timeout. Later ones send the call again, with
a timeout of `BRIEF` seconds, until an answer arrives, something is changed, or `REMEMBERED` seconds have passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from remediation.connections.calls import Call, Completed, Failed, Http, HttpReply, Reply, Run, engine_of, server_of

LASTS = 2.0
"""Seconds during which the following snapshots reuse a timeout."""
BRIEF = 3.0
"""Timeout in seconds for a call that has recently timed out."""
REMEMBERED = 60.0
"""Seconds after which a call gets its own timeout again."""


@dataclass(frozen=True)
class Hang:
    """A call that timed out: the times of the first and last timeout, and the first one's reply (it waited longest)."""

    since: float
    last: float
    failed: Failed


class Silence:
    """Tracks which servers and programs of a host answer. All snapshots of the host share it through `hints`."""

    def __init__(self, hints: dict[str, Any], now: Callable[[], float] = time.monotonic) -> None:
        self._answering: set[str] = hints.setdefault("answering", set())
        self._hangs: dict[str, Hang] = hints.setdefault("hangs", {})
        self._now = now
        self._here: set[str] = set()

    def known_replies(self, calls: Mapping[str, Call]) -> dict[str, Reply]:
        """Return the replies of calls that have recently timed out."""
        found: dict[str, Reply] = {}
        for key, call in calls.items():
            hang = self._hangs.get(_name(call))
            if hang is not None and (_name(call) in self._here or self._now() - hang.last < LASTS):
                found[key] = hang.failed
        return found

    def later(self, calls: Mapping[str, Call]) -> set[str]:
        """Return the requests to send only after the first request to the same server has been answered."""
        servers: set[str] = set()
        wait: set[str] = set()
        for key, call in calls.items():
            server = _server(call) if isinstance(call, Http) else ""  # a connection does not send an engine's further queries
            if server and server not in self._answering:
                (wait if server in servers else servers).add(key if server in servers else server)
        return wait

    def brief(self, call: Call) -> Call:
        """Return `call` with the timeout that currently applies."""
        hang = self._hangs.get(_name(call)) or self._hangs.get(_engine(call))
        if hang is None or self._now() - hang.since >= REMEMBERED:
            return call
        return replace(call, timeout=min(call.timeout, BRIEF))

    def note(self, call: Call, reply: Reply) -> Reply:
        """Record a reply, and return the reply to use: for repeated timeouts, the first one."""
        name, server = _name(call), _server(call)
        if not name:
            return reply
        if isinstance(reply, Failed) and reply.kind == "timeout":
            now = self._now()
            hang = self._hangs.get(name)
            if hang is None or now - hang.since >= REMEMBERED:
                hang = Hang(now, now, reply)
            self._hangs[name] = replace(hang, last=now)
            self._here.add(name)
            self._answering.discard(server)
            return hang.failed
        if server and not isinstance(reply, HttpReply | Completed):
            return reply
        self._answering.update((server,) if server else ())
        self._hangs.pop(name, None)
        self._here.discard(name)
        return reply

    def wrote(self, call: Call, reply: Reply) -> None:
        """Record an unanswered request that changes something: the server may be slow, so the next read has a short timeout."""
        server = server_of(replace(call, writes=False))
        if server and isinstance(reply, Failed) and reply.kind in {"timeout", "uncertain"}:
            self._hangs[server] = Hang(self._now(), float("-inf"), reply)

    def forget(self) -> None:
        """Forget all timeouts, because something was changed."""
        self._here.clear()
        self._hangs.clear()


def _server(call: Call) -> str:
    """Return the server of a read-only request, or "" for other calls."""
    return "" if isinstance(call, Http) and call.stream else server_of(call)


def _engine(call: Call) -> str:
    """Return the engine that a read-only call of ``docker`` addresses, or "" for other calls."""
    return engine_of(call) if isinstance(call, Run) and not call.writes else ""


def _name(call: Call) -> str:
    """Return the name under which timeouts are recorded: the server, else the call itself; "" for calls that write or stream."""
    if call.writes or (isinstance(call, Http) and call.stream):
        return ""
    return _server(call) or repr(call)
