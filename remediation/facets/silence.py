"""Servers that accept connections and never answer: one deadline for all requests of a look.

Requests go out one after the other, so three to a silent server would take three deadlines. Of several requests to a server that was
not heard yet the first goes alone; if it is not answered in time, the others are not sent. That holds for the rest of the look, and
for the looks that follow at once: a step that looks, the goal and the diagnosis wait once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from remediation.connections.base import Call, Failed, Http, HttpReply, Reply

LASTS = 2.0
"""Seconds for which a silence is believed by the looks that follow."""


class Silence:
    """Which servers answer, as far as the looks at one host know; `hints` are shared by them."""

    def __init__(self, hints: dict[str, Any], now: Callable[[], float] = time.monotonic) -> None:
        self._heard: set[str] = hints.setdefault("heard", set())
        self._since: dict[str, tuple[float, Failed]] = hints.setdefault("silent", {})
        self._now = now
        self._here: dict[str, Failed] = {}

    def known(self, calls: Mapping[str, Call]) -> dict[str, Reply]:
        """Return the replies that need not be waited for: those of a server that has just not answered."""
        found: dict[str, Reply] = {}
        for key, call in calls.items():
            failed = self._failed(call)
            if failed is not None:
                found[key] = failed
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

    def note(self, call: Call, reply: Reply) -> None:
        """Note what came of a call."""
        server = _server(call)
        if not server:
            return
        if isinstance(reply, HttpReply):
            self._heard.add(server)
            self._here.pop(server, None)
            self._since.pop(server, None)
        elif isinstance(reply, Failed) and reply.kind == "timeout":
            self._heard.discard(server)
            self._here[server] = reply
            self._since[server] = (self._now(), reply)

    def forget(self) -> None:
        """Ask again: something was changed."""
        self._here.clear()
        self._since.clear()

    def _failed(self, call: Call) -> Failed | None:
        server = _server(call)
        if not server or server in self._here:
            return self._here.get(server)
        since, failed = self._since.get(server, (float("-inf"), None))
        return failed if self._now() - since < LASTS else None


def _server(call: Call) -> str:
    """Return the server that a request which only reads goes to, "" for other calls."""
    return urlsplit(call.url).netloc if isinstance(call, Http) and not call.writes and not call.stream else ""
