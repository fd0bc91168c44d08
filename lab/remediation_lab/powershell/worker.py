"""The worker's side of docs/worker-protocol.md: lines of base64 JSON in, framed lines out."""

from __future__ import annotations

import base64
import binascii
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Mapping
from typing import Any, BinaryIO

from remediation_lab.wire import Refusal, World

SLICE = 300_000
"""More than so many bytes of one stream leave in frames of their own."""
_FULL = 200_000
_EVERY = 1.0
"""A frame of a streamed answer leaves so many seconds after the last one, or when so many bytes wait."""
_FRAMED = {"run", "start", "poll"}
_NAMED = {"not-found", "denied", "error"}
"""Kinds of errors whose message begins with the program or the file."""
_PLAIN = ("start", "poll", "stop", "read", "write", "run")


class Worker:
    """One worker process: reads requests until stdin ends."""

    def __init__(self, world: World, stdin: BinaryIO, stdout: BinaryIO) -> None:
        self._world, self._stdin, self._stdout = world, stdin, stdout
        self._nonce = ""
        self._scripts: set[str] = set()
        self._hung: dict[str, Any] = {}
        """Servers that let a request of the present line time out, with the value or the refusal it got."""

    def run(self) -> int:
        """Greet and answer; returns the exit code. Raises Refusal when there is no machine."""
        text = _decoded(self._stdin.readline())
        if text is None:
            raise Refusal("error", 'Exception calling "FromBase64String" with "1" argument(s): the first line is no base64 text')
        hello = _json(self._stdin.readline())
        if hello is None or not hello.get("nonce") or hello.get("protocol") != 1:
            raise Refusal("error", "the second line is no greeting of protocol 1")
        self._nonce = str(hello["nonce"])
        about = self._world.call("attach")
        self._say({"hello": 1, **about, "pid": os.getpid()})
        for line in self._stdin:
            request = _json(line)
            if request is None:
                self._say({"id": _number(line), "error": {"kind": "error", "message": "the request cannot be read"}})
                continue
            number = request.get("id")
            self._hung.clear()
            replies = [self._answer(number, index, call) for index, call in enumerate(request.get("calls") or ())]
            self._say({"id": number, "replies": replies})
        return 0

    def _answer(self, number: object, index: int, call: Mapping[str, Any]) -> dict[str, Any]:
        try:
            op = call.get("op")
            if op == "probe":
                return self._probe(number, index, call)
            if op not in _PLAIN:
                return {"error": {"kind": "error", "message": f"unknown op {op!r}"}}
            words = {key: value for key, value in call.items() if value is not None and key != "server"}
            server = call.get("server")
            if server in self._hung:
                raise self._hung[server]
            try:
                reply: dict[str, Any] = self._world.call(**words)
            except Refusal as refusal:
                if server and refusal.kind == "timeout":
                    self._hung[server] = refusal
                raise
            return self._framed(number, index, reply) if op in _FRAMED else reply
        except Refusal as refusal:
            if refusal.kind == "rebooted":
                raise  # the machine on which this program ran is gone, and so is the program
            what = (call.get("argv") or [call.get("path", "")])[0] if refusal.kind in _NAMED else ""
            return {"error": {"kind": refusal.kind, "message": f"{what}: {refusal.message}" if what else refusal.message}}

    def _probe(self, number: object, index: int, call: Mapping[str, Any]) -> dict[str, Any]:
        wanted = str(call.get("sha256", "")).lower()
        script = call.get("script")
        if script is not None:
            if hashlib.sha256(base64.b64decode(script)).hexdigest() != wanted:
                raise Refusal("error", f"the script of probe {call.get('name')!r} is not the one its hash announces")
            self._scripts.add(wanted)
        elif wanted not in self._scripts:
            raise Refusal("need-script", f"probe {call.get('name')!r} has not been sent yet")
        data, server = call.get("data") or {}, call.get("server")
        if server in self._hung:
            return {"value": self._hung[server]}
        value = self._value(number, index, call, data)
        if server and isinstance(value, dict) and (value.get("error") or {}).get("kind") == "timeout":
            self._hung[server] = value
        return {"value": value}

    def _value(self, number: object, index: int, call: Mapping[str, Any], data: Mapping[str, Any]) -> Any:
        if not data.get("tell"):
            return self._world.call("probe", name=call.get("name"), data=data, timeout=call.get("timeout", 30.0))
        sender = _ChunkSender(lambda piece: self._say({"id": number, "call": index, "stream": "chunk", "data": _b64(piece)}))
        value: Any = self._world.call(
            "probe", on_chunk=sender, name=call.get("name"), data=data, timeout=call.get("timeout", 30.0)
        )
        if "body" in value:
            value["body"] = _b64(base64.b64decode(value["body"])[sender.size :])
        return value

    def _framed(self, number: object, index: int, reply: dict[str, Any]) -> dict[str, Any]:
        for stream in ("stdout", "stderr"):
            if len(reply[stream]) * 3 // 4 <= SLICE:
                continue
            content = base64.b64decode(reply[stream])
            while len(content) > SLICE:
                self._say({"id": number, "call": index, "stream": stream, "data": base64.b64encode(content[:SLICE]).decode()})
                content = content[SLICE:]
            reply[stream] = base64.b64encode(content).decode()
        return reply

    def _say(self, value: Mapping[str, Any]) -> None:
        line = f"{self._nonce} {base64.b64encode(json.dumps(value).encode()).decode()}\r\n"
        self._stdout.write(line.encode("ascii"))
        self._stdout.flush()


class _ChunkSender:
    """What leaves of an answer before it is whole."""

    def __init__(self, say: Callable[[bytes], None]) -> None:
        self._say, self._waiting, self._last = say, b"", float("-inf")
        self.size = 0

    def __call__(self, piece: str) -> None:
        """Take a piece, and let go what waits when it is time."""
        self._waiting += base64.b64decode(piece)
        now = time.monotonic()
        if self._waiting and (now - self._last >= _EVERY or len(self._waiting) >= _FULL):
            self._say(self._waiting)
            self.size += len(self._waiting)
            self._waiting, self._last = b"", now


def _b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def _number(line: bytes) -> int | None:
    """Return the id of a request that cannot be read, None where not even that can."""
    found = re.match(r'\s*\{\s*"id"\s*:\s*([0-9]+)', _decoded(line) or "")
    return None if found is None else int(found[1])


def _decoded(line: bytes) -> str | None:
    try:
        return base64.b64decode(line.strip(), validate=True).decode("utf-8")
    except (binascii.Error, ValueError):
        return None


def _json(line: bytes) -> dict[str, Any] | None:
    text = _decoded(line)
    try:
        value = json.loads(text) if text else None
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
