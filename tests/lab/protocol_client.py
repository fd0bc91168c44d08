"""The worker protocol as any client would speak it, by bytes in and bytes out."""

from __future__ import annotations

import base64
import hashlib
import io
import json
from collections.abc import Mapping
from typing import Any

from remediation_lab.powershell.worker import Worker
from remediation_lab.wire import World

NONCE = "5a" * 16
SCRIPT = b"param($Data) 'no text of this is ever read'"
HASH = hashlib.sha256(SCRIPT).hexdigest()


def line(value: object) -> bytes:
    return base64.b64encode(value if isinstance(value, bytes) else json.dumps(value).encode()) + b"\n"


def opening() -> bytes:
    return line(b"the worker's text") + line({"nonce": NONCE, "protocol": 1})


def request(*calls: Mapping[str, Any], number: int = 1) -> bytes:
    return line({"id": number, "calls": list(calls)})


def probe(name: str, data: Mapping[str, Any] | None = None, *, script: bytes | None = SCRIPT) -> dict[str, Any]:
    sent = {} if script is None else {"script": base64.b64encode(script).decode()}
    return {"op": "probe", "name": name, "sha256": HASH, "data": dict(data or {}), "timeout": 60, **sent}


def run(*argv: str, stdin: bytes = b"", timeout: float = 60, cwd: str | None = None) -> dict[str, Any]:
    return {"op": "run", "argv": list(argv), "stdin": base64.b64encode(stdin).decode(), "timeout": timeout, "cwd": cwd, "env": {}}


def frames(output: bytes) -> list[dict[str, Any]]:
    found = []
    for each in output.split(b"\r\n")[:-1]:
        nonce, _, text = each.decode("ascii").partition(" ")
        assert nonce == NONCE
        found.append(json.loads(base64.b64decode(text)))
    return found


def converse(world: World, *requests: bytes) -> list[dict[str, Any]]:
    """Let a worker in this process answer; the greeting comes first."""
    out = io.BytesIO()
    assert Worker(world, io.BytesIO(opening() + b"".join(requests)), out).run() == 0
    return frames(out.getvalue())


def replies(world: World, *calls: Mapping[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = converse(world, request(*calls))[-1]["replies"]
    return found


def text(reply: Mapping[str, Any], stream: str = "stdout") -> str:
    return base64.b64decode(reply[stream]).decode()
