"""Requests logged by a native server with OLLAMA_DEBUG_LOG_REQUESTS (v0.18.3 and newer).

The server log contains the path of each body (server/inference_request_log.go: ``logged to PATH, replay using curl``), so its
temporary folder need not be known. Only model and layer fields of a body leave the host, never a prompt.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Sequence

from remediation.connections.calls import Completed, Probe, Run
from remediation.facets.machine.rights import problems
from remediation.facets.snapshot import Snapshot
from remediation.model.errors import CallFailed

MOST = 16
"""Number of requests read, the latest ones."""
FRAGMENT = r'"(model|num_gpu)" *: *("[^"]*"|-?[0-9]+)'
WROTE = re.compile(r"^(\S*ollama-request-logs-[^:]*):(.*)$")
_NAMED = re.compile(
    r"\blogged to (\S.{0,1000}?[\\/]ollama-request-logs-\d{1,20}[\\/]{1,4}[\w.-]{1,200}_body\.json), replay using "
)
_DEPTH = "4"
"""A service with PrivateTmp has its folder at ``/tmp/systemd-private-…/tmp``."""
_WHAT = "reading the requests logged by Ollama"
_RIGHTS = "they belong to the server's user: log in as root, or set become: true"


def named_bodies(log: str, *, windows: bool) -> tuple[str, ...]:
    """Return the bodies named in a server's log, the latest last. Go's log escapes backslashes in quoted strings."""
    paths = (match[1].replace("\\\\", "\\") if windows else match[1] for match in _NAMED.finditer(log))
    fit = (path for path in paths if windows or path.startswith("/"))
    return tuple(dict.fromkeys(fit))[-MOST:]


def call(paths: Sequence[str], *, windows: bool) -> Run | Probe | None:
    """Return the call that reads these bodies, or None if there are none."""
    if not paths:
        return None
    if windows:
        return Probe("requests", {"paths": list(paths)}, timeout=30.0)
    folder = posixpath.dirname(paths[-1])
    names: list[str] = []
    for path in paths:
        if posixpath.dirname(path) == folder:  # other folders belong to earlier starts of the server
            names += ["-o", "-name", posixpath.basename(path)]
    find = ("find", posixpath.dirname(folder), "-maxdepth", _DEPTH, "-type", "f", "-size", "-1024k")
    where = ("-path", f"*/{posixpath.basename(folder)}/*", "(", *names[1:], ")")
    grep = ("-exec", "grep", "-HoE", FRAGMENT, "{}", "+")
    return Run((*find, *where, *grep), timeout=20.0, env={"LC_ALL": "C"})


def read_requests(snapshot: Snapshot, paths: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (path, model and layer fields) of each body. Raises `CallFailed` if the login may not read them."""
    windows = snapshot.platform == "windows"
    request = call(paths, windows=windows)
    if request is None:
        return ()
    if isinstance(request, Probe):
        value = snapshot.probe(request, _WHAT)
        found = tuple((str(row["Path"]), str(row["Text"])) for row in value["Rows"] or () if row["Text"])
        refused = bool(value["Refused"])
        reasons = problems(value)
        if reasons and not refused and not found:
            path, reason = next(iter(reasons.items()))
            raise CallFailed(f"{_WHAT} failed: {path}: {reason}", host=snapshot.host)
    else:
        reply = snapshot.fetch(request)[0]
        done = reply if isinstance(reply, Completed) else None
        found = parse_matches(done.text) if done is not None else ()
        refused = done is not None and any(b"denied" in line and b"ollama" in line for line in done.stderr.splitlines())
    if refused and not found:
        raise CallFailed(f"{_WHAT} failed: this login may not read {paths[-1]}", host=snapshot.host, next_step=_RIGHTS)
    return found


def parse_matches(text: str) -> tuple[tuple[str, str], ...]:
    """Parse grep's ``path:match`` lines into (path, fragments), the latest last: a body's name starts with its time."""
    found: dict[str, list[str]] = {}
    for line in text.splitlines():
        if match := WROTE.match(line):
            found.setdefault(match[1], []).append(match[2])
    ordered = sorted(found, key=posixpath.basename)
    return tuple((path, ", ".join(found[path])) for path in ordered)[-MOST:]
