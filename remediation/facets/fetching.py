"""What a pull tells line by line, and how a release wants a model made."""

from __future__ import annotations

import http.client
import json
import re
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from remediation.connections.base import Http
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import PullProgress

Progress = Callable[[PullProgress], None]
AGAIN = "do it again; it goes on where it ended"
_SILENCE = 300.0
"""Seconds without a line: the server tells of its progress several times a second, and hashes for minutes at most."""
_STRUCTURED = (0, 5, 5)
"""Since this release ``/api/create`` takes fields instead of a Modelfile's text (facts/ollama 3)."""


class Follower:
    """Follows a pull line by line; raises with the server's words where a line is an error, or where the stream broke off."""

    def __init__(self, what: str, host: str, progress: Progress | None = None) -> None:
        self._what, self._host, self._progress = what, host, progress
        self._last: PullProgress | None = None

    def line(self, raw: bytes) -> None:
        """Take one line."""
        try:
            line = json.loads(raw)
        except ValueError:
            return
        if not isinstance(line, dict):
            return
        if line.get("error"):
            said = str(line["error"])
            raise CallFailed(f"{self._what} failed: {said}", host=self._host, next_step=advice(said), output=said)
        told = PullProgress(str(line.get("status", "")), str(line.get("digest", "")), line.get("completed"), line.get("total"))
        if self._progress is not None and told != self._last:
            self._progress(told)
        self._last = told

    def end(self) -> None:
        """Take the end of the stream."""
        if self._last is None or self._last.status != "success":
            at = f" at {self._last.status!r}" if self._last else ""
            raise DeadlineExceeded(f"{self._what} broke off{at}", host=self._host, next_step=AGAIN)


def stream(call: Http, follower: Follower, what: str, host: str) -> int:
    """Make the request from this machine, tell `follower` each line as it comes, and return the status; for a local host alone.

    A connection carries an answer as a whole; whoever waits for gigabytes wants to see them come.
    """
    parts = urlsplit(call.url)
    until = time.monotonic() + call.timeout
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port or 80, timeout=_SILENCE)
    try:
        connection.request(call.method, parts.path, json.dumps(call.body), {"Content-Type": "application/json"})
        with connection.getresponse() as answer:
            for raw in answer:
                follower.line(raw)
                if time.monotonic() > until:
                    raise DeadlineExceeded(f"{what} took longer than {call.timeout:.0f} s", host=host, next_step=AGAIN)
            return answer.status
    except TimeoutError as error:
        raise DeadlineExceeded(f"{what}: nothing came for {_SILENCE:.0f} s", host=host, next_step=AGAIN) from error
    except (OSError, http.client.HTTPException) as error:
        raise CallFailed(f"{what} failed: {error or type(error).__name__}", host=host, next_step=AGAIN) from error
    finally:
        connection.close()


def advice(said: str) -> str:
    """Return what to do about a pull that failed."""
    low = said.lower()
    if "no space left" in low:
        return "free space on the disk that the models lie on; the pull goes on where it ended"
    if "file does not exist" in low or "not found" in low:
        return "check the model's name and tag"
    if "digest mismatch" in low:
        return "pull again: the broken download was deleted"
    return ""


def create_body(version: str, model: str, source: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the body of ``/api/create`` in the release's own form."""
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
    if numbers >= _STRUCTURED or numbers == (0, 0, 0):
        return {"model": model, "from": source, "parameters": dict(parameters), "stream": False}
    lines = [f"FROM {source}", *(f"PARAMETER {name} {_value(value)}" for name, value in parameters.items())]
    return {"name": model, "modelfile": "\n".join(lines), "stream": False}


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else str(value)
