"""A worker by docs/worker-protocol.md that nothing of `remediation` had a hand in, for programs and files of this machine.

The environment makes it a bad one: PEER_NOISE (text that is not ours around every line), PEER_DIES=n (at the n-th request, before
it is carried out; PEER_DIES_AFTER: after; PEER_DIES_TELLING: after a part of an answer was sent), PEER_DEAF (no greeting before stdin ends), PEER_MODE (a language mode).
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

SLICE = 300_000
NOISE = os.environ.get("PEER_NOISE", "")
CLIXML = (
    '#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04"><Obj S="progress" RefId="0">'
    '<MS><PR N="Record"><AV>Preparing modules for first use.</AV></PR></MS></Obj><S S="Error">profile: no such drive_x000D__x000A_</S></Objs>'
)
out = sys.stdout.buffer
nonce = ""
scripts: dict[str, bytes] = {}
jobs: dict[str, subprocess.Popen[bytes]] = {}


def say(value: object) -> None:
    line = f"{nonce} {base64.b64encode(json.dumps(value).encode()).decode()}\r\n".encode()
    if NOISE:
        out.write(f"{NOISE} ünten\r\nno line end ".encode())
        sys.stderr.write(CLIXML)
        sys.stderr.flush()
    out.write(line)
    out.flush()


def b64(content: bytes) -> str:
    return base64.b64encode(content).decode()


def error(kind: str, message: str) -> dict[str, Any]:
    return {"error": {"kind": kind, "message": message}}


def started(call: dict[str, Any]) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        call["argv"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=call["cwd"],
        env={**os.environ, **dict(call["env"])}, start_new_session=True,
    )  # fmt: skip


def run(call: dict[str, Any]) -> dict[str, Any]:
    process = started(call)
    try:
        stdout, stderr = process.communicate(base64.b64decode(call["stdin"]), timeout=call["timeout"])
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        process.communicate()
        return error("timeout", f"{call['argv'][0]} did not end")
    # a signal's number, as the contract has it for hosts that know signals
    code = 128 - process.returncode if process.returncode < 0 else process.returncode
    return {"rc": code & 0xFFFFFFFF, "stdout": stdout, "stderr": stderr}


def start(call: dict[str, Any]) -> dict[str, Any]:
    name = uuid.uuid4().hex
    jobs[name] = started(call)
    return poll({**call, "job": name})


def poll(call: dict[str, Any]) -> dict[str, Any]:
    name, process = call["job"], jobs.get(call["job"])
    if process is None:
        return error("not-found", "no such job")
    said: dict[str, Any] = {"job": name, "done": False, "rc": None, "stdout": b"", "stderr": b""}
    if "stdin" in call:
        feed(process, base64.b64decode(call["stdin"]), more=call["more"])
        said["fed"] = True
        if call["more"]:
            return said
    try:
        out, err = process.communicate(timeout=call["wait"])
        del jobs[name]
        return {**said, "done": True, "rc": process.returncode & 0xFFFFFFFF, "stdout": out, "stderr": err}
    except subprocess.TimeoutExpired:
        if call.get("last"):
            stop(call)
        return said


def feed(process: subprocess.Popen[bytes], content: bytes, *, more: bool) -> None:
    """Write a slice of stdin; what is written must fit the pipe, or the program read while it is fed."""
    assert process.stdin is not None
    try:
        process.stdin.write(content)
        if more:
            return
        process.stdin.close()
    except BrokenPipeError:
        pass  # a program may end without having read it
    process.stdin = None


def stop(call: dict[str, Any]) -> dict[str, Any]:
    process = jobs.pop(call["job"])
    if process.poll() is None:
        os.killpg(process.pid, 9)
        process.communicate()
    return {}


def probe(call: dict[str, Any]) -> dict[str, Any]:
    if "script" in call:
        content = base64.b64decode(call["script"])
        assert hashlib.sha256(content).hexdigest() == call["sha256"]
        scripts[call["sha256"]] = content
    if call["sha256"] not in scripts:
        return error("need-script", "not sent")
    if call["name"] == "http":
        return {"value": http(call)}
    return {"value": {"name": call["name"], "script": scripts[call["sha256"]].decode(), "data": call["data"]}}


def http(call: dict[str, Any]) -> dict[str, Any]:
    """Make the request; where it is streamed, all but the last piece leaves before the answer."""
    data = call["data"]
    request = urllib.request.Request(
        data["url"], data["body"].encode() if data["body"] else None, {"Content-Type": "application/json"}, method=data["method"]
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    waiting = b""
    try:
        with opener.open(request, timeout=data["silence"] or data["timeout"]) as answer:
            while piece := answer.read1(65536):
                waiting += piece
                if data["tell"]:
                    say({"id": call["id"], "call": call["index"], "stream": "chunk", "data": b64(waiting)})
                    waiting = b""
                    die("PEER_DIES_TELLING", call["id"])
            return {"status": answer.status, "body": b64(waiting), "elapsed": 0.1, "first_byte": 0.1}
    except TimeoutError:
        return error("timeout", f"nothing came for {data['silence']} s")
    except urllib.error.URLError as problem:
        return error("error", str(problem))


def read(call: dict[str, Any]) -> dict[str, Any]:
    path = Path(call["path"])
    if not path.exists():
        return {"missing": True}
    content = path.read_bytes()
    at = max(0, len(content) - call["limit"]) if call["tail"] else call["offset"]
    return {"size": len(content), "offset": at, "content": b64(content[at : at + call["limit"]])}


def write(call: dict[str, Any]) -> dict[str, Any]:
    path = Path(call["path"])
    part = Path(f"{path}.remediation-part")
    before = part.read_bytes() if call["offset"] else b""
    whole = before[: call["offset"]] + base64.b64decode(call["content"])
    part.write_bytes(whole)
    if call["last"]:
        if hashlib.sha256(whole).hexdigest() != call["sha256"]:
            return error("error", "another hash")
        if call["backup"] and path.exists():
            Path(call["backup"]).write_bytes(path.read_bytes())
        part.replace(path)
    return {"size": len(whole)}


OPS: dict[str, Callable[[dict[str, Any]], dict[str, Any]]] = {
    "run": run, "start": start, "poll": poll, "stop": stop, "probe": probe, "read": read, "write": write
}  # fmt: skip


def answer(number: int, index: int, call: dict[str, Any]) -> dict[str, Any]:
    try:
        reply = OPS[call["op"]]({**call, "id": number, "index": index})
    except FileNotFoundError as missing:
        return error("not-found", str(missing))
    except PermissionError as denied:
        return error("denied", str(denied))
    for stream in ("stdout", "stderr"):
        if stream in reply:
            content = reply[stream]
            while len(content) > SLICE:
                say({"id": number, "call": index, "stream": stream, "data": b64(content[:SLICE])})
                content = content[SLICE:]
            reply[stream] = b64(content)
    return reply


def die(variable: str, number: int) -> None:
    if os.environ.get(variable) == str(number) and not Path(os.environ["PEER_ONCE"]).exists():
        Path(os.environ["PEER_ONCE"]).touch()
        sys.stderr.write("Out of memory.")
        sys.stderr.flush()
        os._exit(134)


def main() -> None:
    global nonce  # noqa: PLW0603  # a worker is one process and says so
    mode = os.environ.get("PEER_MODE", "FullLanguage")
    if mode != "FullLanguage":
        out.write(f"remediation-language-mode {mode}\r\n".encode())
        out.flush()
        sys.exit(3)
    lines = iter(sys.stdin.buffer.readlines() if os.environ.get("PEER_DEAF") else sys.stdin.buffer)
    assert base64.b64decode(next(lines)).startswith(b"#")
    greeting = json.loads(base64.b64decode(next(lines)))
    nonce = greeting["nonce"]
    assert greeting["protocol"] == 1
    say({"hello": 1, "ps_version": "5.1.0", "language_mode": mode, "pid": os.getpid()})
    for line in lines:
        request = json.loads(base64.b64decode(line))
        die("PEER_DIES", request["id"])
        replies = [answer(request["id"], index, call) for index, call in enumerate(request["calls"])]
        die("PEER_DIES_AFTER", request["id"])
        say({"id": request["id"], "replies": replies})


main()
