"""Converts calls to requests of the worker protocol and its replies to replies (docs/worker-protocol.md)."""

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
    server_of,
)
from remediation.model.text.shape import ODD

SLICE = 420_000
"""Bytes of a file per request or reply. A frame stays below 1 MB, and its line needs three Sends over WinRM."""
LINE = 900_000
"""Size limit of a request before encoding."""
CHUNK = "chunk"
"""The stream of an HTTP answer's chunks, sent before the answer is complete."""
UNREAD = "unread"
"""The error kind of each call in a request that the worker could not parse. None of them was carried out."""
LONGEST = 60.0
"""Programs with a longer timeout run detached and are polled."""
DETACHED = 86_400.0
UNSIGNED = 0xFFFFFFFF
"""Exit codes are unsigned 32-bit numbers, as on Windows."""


class Scripts:
    """The shipped probe scripts by name, and those that the current worker has."""

    def __init__(self, text: Callable[[str], str]) -> None:
        self._text = text
        self._hashes: dict[str, tuple[str, str]] = {}
        self._sent: set[str] = set()

    def forget(self) -> None:
        """Forget the scripts that were sent, for a new worker."""
        self._sent.clear()

    def probe(self, name: str, data: Mapping[str, Any], timeout: float, server: str = "") -> dict[str, Any]:
        """Return the request for a probe. It includes the script the first time.

        After a timeout, further calls with the same `server` in a request are not sent to that server.
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
    """Return the request for a program. `stdin` is its first chunk if more follow."""
    request = {
        "op": "run", "argv": list(call.argv), "stdin": encode_base64(call.stdin if stdin is None else stdin), "timeout": call.timeout,
        "cwd": call.cwd, "env": _variables(call.env),
    }  # fmt: skip
    return {**request, "server": server} if (server := server_of(call)) else request


def _variables(env: Mapping[str, str]) -> dict[str, str] | list[tuple[str, str]]:
    """Return variables as an object, or as pairs if names differ only in case: PowerShell's objects ignore case."""
    return dict(env) if len({name.casefold() for name in env}) == len(env) else list(env.items())


def http(call: Http) -> dict[str, Any]:
    """Return the data of the ``http`` probe."""
    body = None if call.body is None else json.dumps(call.body)
    pieces = call.stream or call.on_chunk is not None  # may exceed a frame
    return {
        "method": call.method, "url": call.url, "body": body, "timeout": call.timeout, "stream": call.stream,
        "silence": call.silence, "tell": pieces,
    }  # fmt: skip


def alone(call: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a call for a single-request process. Partial files must outlive it."""
    return {**call, "keep": True} if call["op"] == "write" else call


def read_request(call: ReadFile, offset: int = 0, limit: int | None = None, *, tail: bool | None = None) -> dict[str, Any]:
    """Return the request for a chunk of a file."""
    wanted = min(call.limit if limit is None else limit, SLICE)
    return {"op": "read", "path": call.path, "offset": offset, "limit": wanted, "tail": call.tail if tail is None else tail}


def write_request(path: str, offset: int, content: bytes, whole: str | None, backup: str | None) -> dict[str, Any]:
    """Return the request that writes a chunk. `whole` is the file's SHA-256, sent with the last chunk."""
    return {
        "op": "write", "path": path, "offset": offset, "content": encode_base64(content), "last": whole is not None, "sha256": whole or "",
        "backup": backup,
    }  # fmt: skip


def weight(call: Call) -> int:
    """Return the approximate size of `call` in a request."""
    if isinstance(call, Run):
        return 2 * len(call.stdin) + sum(len(word) for word in call.argv) + 500
    return 2 * len(call.content) + 500 if isinstance(call, WriteFile) else 30_000


def failed_reply(reply: Mapping[str, Any]) -> Failed | None:
    """Return the failure in a reply, or None."""
    error = reply.get("error")
    if not isinstance(error, Mapping):
        return None
    kind = str(error.get("kind", "error"))
    return Failed("error" if kind == UNREAD else kind, str(error.get("message", "")))


def understood(read: Callable[[], Reply], call: Call) -> Reply:
    """Return the result of `read`, or a `Failed` if the reply has missing or invalid fields."""
    try:
        return read()
    except ODD:
        # a write may have been carried out
        kind = "uncertain" if call.writes else "error"
        return Failed(kind, f"{name_of(call)}: cannot parse the worker's reply: a field is missing or has the wrong type")


def parse_completed(reply: Mapping[str, Any]) -> Reply:
    """Return a program's result."""
    return failed_reply(reply) or Completed(
        int(reply["rc"]) & UNSIGNED, decode_base64(reply, "stdout"), decode_base64(reply, "stderr")
    )


def probe_reply(reply: Mapping[str, Any]) -> Reply:
    """Return a probe's value."""
    return failed_reply(reply) or ProbeReply(reply.get("value"))


def chunk_listeners(calls: Sequence[Call]) -> dict[int, Callable[[bytes], None]]:
    """Return the listeners of streamed answers, by the index of their call."""
    return {
        place: functools.partial(notify_listener, call)
        for place, call in enumerate(calls)
        if isinstance(call, Http) and call.on_chunk is not None
    }


def reply_reader(call: Http) -> Callable[[Mapping[str, Any]], Reply]:
    """Return a reader of the reply to `call`. The listener receives the rest of the body."""

    def whole(reply: Mapping[str, Any]) -> Reply:
        found = http_reply(reply)
        if isinstance(found, Failed) and found.kind == "redirected":
            return redirect_failure(call, int(reply["value"]["status"]), found.message)
        if isinstance(found, HttpReply):
            notify_listener(call, found.body[len(decode_base64(reply, CHUNK)) :])
        return found

    return whole


def http_reply(reply: Mapping[str, Any]) -> Reply:
    """Return an HTTP answer from the streamed chunks and the value of the ``http`` probe."""
    value = reply.get("value")
    problem = failed_reply(reply) or (
        failed_reply(value) if isinstance(value, Mapping) else Failed("error", "the probe http returned nothing")
    )
    if problem is not None or not isinstance(value, Mapping):
        return problem or Failed("error", "the probe http returned nothing")
    if int(value["status"]) in REDIRECTS:
        return Failed("redirected", str(value.get("location") or ""))
    first = value.get("first_byte")
    return HttpReply(
        status=int(value["status"]),
        body=decode_base64(reply, CHUNK) + decode_base64(value, "body"),
        elapsed=float(value.get("elapsed") or 0.0),
        first_byte=None if first is None else float(first),
    )


def wrote(reply: Mapping[str, Any]) -> Reply:
    """Return the result of writing a file."""
    return failed_reply(reply) or FileContent()


def decode_base64(reply: Mapping[str, Any], key: str) -> bytes:
    """Decode a base64 field."""
    value = reply.get(key)
    return base64.b64decode(value, validate=True) if value else b""


def encode_base64(data: bytes) -> str:
    """Encode a base64 field."""
    return base64.b64encode(data).decode("ascii")
