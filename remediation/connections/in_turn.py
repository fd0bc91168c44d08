"""Calls carried out one after the other, with one deadline for all requests to a server that hangs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from urllib.parse import urlsplit

from remediation.connections.calls import Call, Failed, Http, Reply


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
