"""HTTP from a POSIX host by its curl."""

from __future__ import annotations

import json
import math
from collections.abc import Callable

from remediation.connections.calls import (
    REDIRECTS,
    Completed,
    Failed,
    Http,
    HttpReply,
    Reply,
    Run,
    notify_listener,
    redirect_failure,
)
from remediation.model import limits
from remediation.model.text.visible import brief

_REFUSED, _TIMED_OUT = 7, 28
_MARK = b"\x1e"
"""Separates the body from curl's transfer report. JSON never contains it, so a body can be streamed up to the last separator."""
_TAIL = f"{_MARK.decode()}%{{http_code}} %{{time_total}} %{{time_starttransfer}} %{{redirect_url}}"
Stream = Callable[[Run, Callable[[bytes], None], int], Reply]
"""Runs a program on the host, passes its stdout to the callable as it arrives, and accepts at most the given number of bytes."""


def request_by_curl(call: Http, run: Stream, missing: str = "the host has no curl") -> Reply:
    """Make the request by the host's curl; `missing` is the reason that is given where there is none."""
    body = b"" if call.body is None else json.dumps(call.body).encode()
    # --disable comes first: the login's own .curlrc must neither follow redirects nor add a proxy or headers
    argv = [
        "curl", "--disable", "-sS", "--proto", "=http,https", "--max-redirs", "0", "--noproxy", "*", "--max-time", f"{call.timeout:g}",
        "--header", "Accept-Encoding: identity", "--request", call.method, "--write-out", _TAIL,
    ]  # fmt: skip
    if call.on_chunk is not None:
        argv += ["--no-buffer"]
    if call.silence is not None:
        argv += ["--speed-limit", "1", "--speed-time", str(math.ceil(call.silence))]
    if call.body is not None:
        argv += ["--header", "Content-Type: application/json", "--data-binary", "@-"]
    listener = _BodyListener(call)
    most = limits.STREAM if call.stream else limits.BODY
    done = run(Run((*argv, "--url", call.url), body, call.timeout + 2.0), listener, most + limits.HEAD)
    if isinstance(done, Failed) and done.kind == "not-found":
        return Failed("error", f"{call.method} {call.url}: {missing}")
    if not isinstance(done, Completed):
        return done
    if done.rc == 0:
        content, _, figures = done.stdout.rpartition(_MARK)
        try:
            status, total, first, location = _parse_figures(figures)
        except ValueError:
            return Failed("error", f"{call.method} {call.url}: what the host's curl wrote cannot be read")
        if status in REDIRECTS:
            return redirect_failure(call, status, location)
        listener.rest(content)
        return HttpReply(status, content, total, first if call.stream else None)
    kind = {_REFUSED: "refused", _TIMED_OUT: "timeout"}.get(done.rc, "error")
    return Failed(kind, f"{call.method} {call.url}: {brief(done.stderr.decode('utf-8', 'replace'))}")


def _parse_figures(printed: bytes) -> tuple[int, float, float, str]:
    """Return status, seconds, seconds to the first byte, and where a redirect points, as curl writes them after the body."""
    status, total, first, *location = printed.decode("utf-8", "replace").split(maxsplit=3)
    return int(status), float(total), float(first), "".join(location)


class _BodyListener:
    """Lets a call's listener hear what curl prints of the body, and nothing of what it says after it."""

    def __init__(self, call: Http) -> None:
        self._call, self._delivered, self._partial = call, 0, b""

    def __call__(self, piece: bytes) -> None:
        """Take what came: from the last mark on it may be curl's own words."""
        waiting = self._partial + piece
        at = waiting.rfind(_MARK)
        body, self._partial = (waiting, b"") if at < 0 else (waiting[:at], waiting[at:])
        self._delivered += len(body)
        notify_listener(self._call, body)

    def rest(self, body: bytes) -> None:
        """Pass the rest of the body to the listener."""
        notify_listener(self._call, body[self._delivered :])
