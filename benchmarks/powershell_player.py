"""Plays powershell.exe for the benchmarks, as cheaply as Python can: what is measured is the way there."""

from __future__ import annotations

import base64
import json
import sys
import time

HOSTNAME = "BENCHMARK"


def say(nonce: str, value: object) -> None:
    """Write one frame."""
    sys.stdout.write(f"{nonce} {base64.b64encode(json.dumps(value).encode()).decode()}\r\n")
    sys.stdout.flush()


def work() -> None:
    """Answer by the worker protocol: each program says the host's name."""
    sys.stdin.buffer.readline()
    nonce = json.loads(base64.b64decode(sys.stdin.buffer.readline()))["nonce"]
    say(nonce, {"hello": 1, "ps_version": "5.1", "language_mode": "FullLanguage", "pid": 1})
    reply = {"job": "1", "done": True, "rc": 0, "stdout": base64.b64encode(f"{HOSTNAME}\r\n".encode()).decode(), "stderr": ""}
    for line in sys.stdin.buffer:
        request = json.loads(base64.b64decode(line))
        replies = [_written(call) if call["op"] == "write" else reply for call in request["calls"]]
        say(nonce, {"id": request["id"], "replies": replies})


def _written(call: dict[str, object]) -> dict[str, object]:
    content = base64.b64decode(str(call["content"]))
    mode = "r+b" if call["offset"] else "wb"
    with open(str(call["path"]), mode) as file:
        file.seek(int(str(call["offset"])))
        file.write(content)
    return {"size": int(str(call["offset"])) + len(content)}


time.sleep(float(sys.argv[1]))
TEXT = base64.b64decode(sys.argv[-1]).decode("utf-16-le")
if "ReadLine" in TEXT:
    work()
elif "hostname" in TEXT:
    sys.stdout.write(f"{HOSTNAME}\r\n")
else:
    sys.exit(f"no benchmark asks for this: {TEXT[:200]}")
