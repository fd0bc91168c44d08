"""Calls that hang: one deadline for a look, and no full deadline a second time.

Requests go out one after the other, so three to a silent server would take three deadlines. Of several requests to a server that has
not answered yet the first goes alone; if it times out, the others are not sent. That holds for the rest of the look.

A step, the goal and the diagnosis look one after the other, and each would wait for the same hanging server, nvidia-smi or Docker
command. Looks that follow at once use what is known; a later one asks again, with `BRIEF` seconds instead of the call's own deadline,
until an answer comes, something is changed, or `REMEMBERED` seconds have passed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from remediation.connections.calls import Call, Failed, Http, HttpReply, Reply, server_of

LASTS = 2.0
"""Seconds for which a timeout is used by the looks that follow, without asking."""
BRIEF = 3.0
"""Seconds given to a call that has just timed out."""
REMEMBERED = 60.0
"""Seconds after which a call has its own deadline again."""


@dataclass(frozen=True)
class Hang:
    """A call that timed out: when first, when last, and what the first said (it waited longest)."""

    since: float
    last: float
    failed: Failed


class Silence:
    """Which servers and programs answer, as far as the looks at one host know; `hints` are shared by them."""

    def __init__(self, hints: dict[str, Any], now: Callable[[], float] = time.monotonic) -> None:
        self._heard: set[str] = hints.setdefault("heard", set())
        self._hangs: dict[str, Hang] = hints.setdefault("hangs", {})
        self._now = now
        self._here: set[str] = set()

    def known(self, calls: Mapping[str, Call]) -> dict[str, Reply]:
        """Return the replies that need not be waited for: those of what has just timed out."""
        found: dict[str, Reply] = {}
        for key, call in calls.items():
            hang = self._hangs.get(_name(call))
            if hang is not None and (_name(call) in self._here or self._now() - hang.last < LASTS):
                found[key] = hang.failed
        return found

    def later(self, calls: Mapping[str, Call]) -> set[str]:
        """Return the requests to be sent once the first one to the same server was answered."""
        asked: set[str] = set()
        wait: set[str] = set()
        for key, call in calls.items():
            server = _server(call)
            if server and server not in self._heard:
                (wait if server in asked else asked).add(key if server in asked else server)
        return wait

    def brief(self, call: Call) -> Call:
        """Return `call` with the deadline that it has now."""
        hang = self._hangs.get(_name(call))
        if hang is None or self._now() - hang.since >= REMEMBERED:
            return call
        return replace(call, timeout=min(call.timeout, BRIEF))

    def note(self, call: Call, reply: Reply) -> Reply:
        """Note what came of a call, and return the reply to use: of several timeouts the first one."""
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
            self._heard.discard(server)
            return hang.failed
        if server and not isinstance(reply, HttpReply):
            return reply
        self._heard.update((server,) if server else ())
        self._hangs.pop(name, None)
        self._here.discard(name)
        return reply

    def wrote(self, call: Call, reply: Reply) -> None:
        """Note a request that changes something and was not answered: it may only be slow, so the server is asked, briefly."""
        server = server_of(replace(call, writes=False))
        if server and isinstance(reply, Failed) and reply.kind in {"timeout", "uncertain"}:
            self._hangs[server] = Hang(self._now(), float("-inf"), reply)

    def forget(self) -> None:
        """Ask again: something was changed."""
        self._here.clear()
        self._hangs.clear()


def _server(call: Call) -> str:
    """Return the server that a request which only reads goes to, "" for other calls."""
    return "" if isinstance(call, Http) and call.stream else server_of(call)


def _name(call: Call) -> str:
    """Return what hangs together with `call`: the server, else this one call; "" for calls that write or stream."""
    if call.writes or (isinstance(call, Http) and call.stream):
        return ""
    return _server(call) or repr(call)
