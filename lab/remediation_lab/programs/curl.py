"""curl of a simulated host: one request that its configuration on stdin describes."""

from __future__ import annotations

import base64
import re
from typing import TYPE_CHECKING

from remediation_lab.programs import Call, Done
from remediation_lab.wire import Refusal

if TYPE_CHECKING:
    from remediation_lab.world.machine import Machine

_LINE = re.compile(r'^([\w-]+)(?: = "((?:[^"\\]|\\.)*)")?$')
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t"}
_CODES = {"refused": 7, "timeout": 28}


def curl(machine: Machine, call: Call) -> Done:
    """Make the request, and print head, body and figures as with ``include`` and ``write-out``."""
    given: dict[str, str] = {}
    for line in filter(None, call.stdin.decode().split("\n")):
        found = _LINE.match(line)
        if found is None:
            return Done(2, b"", f"curl: (2) cannot read the configuration: {line}\n".encode())
        given[found[1]] = re.sub(r"\\(.)", lambda each: _ESCAPES.get(each[1], each[1]), found[2] or "")
    method = "HEAD" if "head" in given else given.get("request", "GET")
    if method not in {"GET", "HEAD"}:
        machine.state.wrote(f"http {method} {given['url'].partition('://')[2].partition('/')[2]}")
    began = machine.clock.now()
    try:
        value = machine.network.request(
            method="GET" if method == "HEAD" else method,
            url=given["url"],
            body=given.get("data-binary"),
            timeout=float(given.get("max-time") or 300),
        )
    except Refusal as refusal:
        return Done(_CODES.get(refusal.kind, 56), b"", f"curl: ({_CODES.get(refusal.kind, 56)}) {refusal.message}\n".encode())
    body = b"" if method == "HEAD" else base64.b64decode(value["body"])
    kind = "application/json; charset=utf-8" if body[:1] in {b"{", b"["} else "text/plain; charset=utf-8"
    head = f"HTTP/1.1 {value['status']} \r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    figures = given.get("write-out", "")
    known = {
        "http_code": str(value["status"]), "size_header": str(len(head)), "num_redirects": "0", "url_effective": given["url"],
        "time_total": f"{machine.clock.now() - began:.6f}",
    }  # fmt: skip
    for name, text in known.items():
        figures = figures.replace(f"%{{{name}}}", text)
    return Done(0, (head if "include" in given else b"") + body + figures.encode())
