"""Calls as the worker protocol writes them, and its replies as ours (docs/worker-protocol.md)."""

from __future__ import annotations

import base64
import functools
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.connections.calls import (
    REDIRECTS,
    Call,
    Completed,
    Failed,
    FileContent,
    Http,
    HttpReply,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
    WriteFile,
    name_of,
    notify_listener,
    redirect_failure,
)
from remediation.model.text.shape import ODD

SLICE = 420_000
"""So many bytes of a file travel in one request or reply: a frame stays under 1 MB, and over WinRM its line goes in three Sends."""
LINE = 900_000
"""A request is not packed fuller than this, before encoding."""
TOLD = "told"
"""The stream of an HTTP answer's beginning, told while the rest is still to come."""
UNREAD = "unread"
"""The kind of error of each call of a request that the worker could not read: none of them was carried out."""
LONGEST = 60.0
"""A program that may take longer runs detached and is polled, so that something is heard of it."""
DETACHED = 86_400.0
UNSIGNED = 0xFFFFFFFF
"""Exit codes are 32 bits, unsigned as Windows prints them."""


class Scripts:
    """The shipped probe scripts by name, and which of them one worker has."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._hashes: dict[str, tuple[str, str]] = {}
        self._sent: set[str] = set()

    def forget(self) -> None:
        """Take it that the worker has none: it is a new one."""
        self._sent.clear()

    def probe(self, name: str, data: Mapping[str, Any], timeout: float, server: str = "") -> dict[str, Any]:
        """Return the call for a probe; its text goes along the first time.

        Calls of one request that name the same `server` are not sent to it any more once one of them has timed out.
        """
        if name not in self._hashes:
            content = self._text(name).encode("utf-8")
            self._hashes[name] = (hashlib.sha256(content).hexdigest(), base64.b64encode(content).decode("ascii"))
        digest, script = self._hashes[name]
        call: dict[str, Any] = {"op": "probe", "name": name, "sha256": digest, "data": dict(data), "timeout": timeout}
        if server:
            call["server"] = server
        if digest not in self._sent:
            call["script"] = script
            self._sent.add(digest)
        return call


def run_request(call: Run, stdin: bytes | None = None) -> dict[str, Any]:
    """Return a program start; `stdin` is the first slice of it where the rest follows."""
    return {
        "op": "run", "argv": list(call.argv), "stdin": encoded(call.stdin if stdin is None else stdin), "timeout": call.timeout,
        "cwd": call.cwd, "env": _variables(call.env),
    }  # fmt: skip


def _variables(env: Mapping[str, str]) -> dict[str, str] | list[tuple[str, str]]:
    """Return variables as an object, or as pairs where an object of PowerShell, whose names have no case, could not hold them."""
    return dict(env) if len({name.casefold() for name in env}) == len(env) else list(env.items())


def http(call: Http) -> dict[str, Any]:
    """Return the data of the probe ``http``."""
    body = None if call.body is None else json.dumps(call.body)
    pieces = call.stream or call.on_chunk is not None  # more than a frame holds
    return {
        "method": call.method, "url": call.url, "body": body, "timeout": call.timeout, "stream": call.stream,
        "silence": call.silence, "tell": pieces,
    }  # fmt: skip


def alone(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call for a process that answers this request alone: a file's part has to outlive it."""
    return {**call, "keep": True} if call["op"] == "write" else call


def read_request(call: ReadFile, offset: int = 0, limit: int | None = None, *, tail: bool | None = None) -> dict[str, Any]:
    """Return one slice's read."""
    wanted = min(call.limit if limit is None else limit, SLICE)
    return {"op": "read", "path": call.path, "offset": offset, "limit": wanted, "tail": call.tail if tail is None else tail}


def write_request(path: str, offset: int, content: bytes, whole: str | None, backup: str | None) -> dict[str, Any]:
    """Return one slice's write; `whole` is the SHA-256 of the file, given with the last slice."""
    return {
        "op": "write", "path": path, "offset": offset, "content": encoded(content), "last": whole is not None, "sha256": whole or "",
        "backup": backup,
    }  # fmt: skip


def weight(call: Call) -> int:
    """Return about how many bytes `call` takes in a request's line."""
    if isinstance(call, Run):
        return 2 * len(call.stdin) + sum(len(word) for word in call.argv) + 500
    return 2 * len(call.content) + 500 if isinstance(call, WriteFile) else 30_000


def failed_reply(reply: Mapping[str, Any]) -> Failed | None:
    """Return what went wrong, None where nothing did."""
    error = reply.get("error")
    if not isinstance(error, Mapping):
        return None
    kind = str(error.get("kind", "error"))
    return Failed("error" if kind == UNREAD else kind, str(error.get("message", "")))


def understood(read: Callable[[], Reply], call: Call) -> Reply:
    """Return what `read` makes of the reply to `call`; a `Failed` where a field is missing in it, or of another type."""
    try:
        return read()
    except ODD:
        # a write may have been carried out all the same
        kind = "uncertain" if call.writes else "error"
        return Failed(kind, f"{name_of(call)}: the worker's reply cannot be read: a field is missing, or is not of its type")


def completed(reply: Mapping[str, Any]) -> Reply:
    """Return a program's end."""
    return failed_reply(reply) or Completed(int(reply["rc"]) & UNSIGNED, content(reply, "stdout"), content(reply, "stderr"))


def probe_reply(reply: Mapping[str, Any]) -> Reply:
    """Return a probe's value."""
    return failed_reply(reply) or ProbeReply(reply.get("value"))


def chunk_listeners(calls: Sequence[Call]) -> dict[int, Callable[[bytes], None]]:
    """Return, by a call's place in its request, what hears of its answer before that is whole."""
    return {
        place: functools.partial(notify_listener, call)
        for place, call in enumerate(calls)
        if isinstance(call, Http) and call.on_chunk is not None
    }


def answering(call: Http) -> Callable[[Mapping[str, Any]], Reply]:
    """Return how the reply to `call` is read: whoever listens hears what he has not heard yet."""

    def whole(reply: Mapping[str, Any]) -> Reply:
        found = http_reply(reply)
        if isinstance(found, Failed) and found.kind == "redirected":
            return redirect_failure(call, int(reply["value"]["status"]), found.message)
        if isinstance(found, HttpReply):
            notify_listener(call, found.body[len(content(reply, TOLD)) :])
        return found

    return whole


def http_reply(reply: Mapping[str, Any]) -> Reply:
    """Return an HTTP answer: what was told of it before, and the value of the probe ``http``."""
    value = reply.get("value")
    problem = failed_reply(reply) or (
        failed_reply(value) if isinstance(value, Mapping) else Failed("error", "the probe http said nothing")
    )
    if problem is not None or not isinstance(value, Mapping):
        return problem or Failed("error", "the probe http said nothing")
    if int(value["status"]) in REDIRECTS:
        return Failed("redirected", str(value.get("location") or ""))
    first = value.get("first_byte")
    return HttpReply(
        status=int(value["status"]),
        body=content(reply, TOLD) + content(value, "body"),
        elapsed=float(value.get("elapsed") or 0.0),
        first_byte=None if first is None else float(first),
    )


def wrote(reply: Mapping[str, Any]) -> Reply:
    """Return the end of a file's writing: there is nothing to tell but that it went well."""
    return failed_reply(reply) or FileContent()


def content(reply: Mapping[str, Any], key: str) -> bytes:
    """Return what a field of base64 holds."""
    value = reply.get(key)
    return base64.b64decode(value, validate=True) if value else b""


def encoded(data: bytes) -> str:
    """Return a field of base64."""
    return base64.b64encode(data).decode("ascii")
