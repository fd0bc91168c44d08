"""Parses the progress of a pull, and builds the ``/api/create`` body for a release."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from remediation.model import limits
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import PullProgress
from remediation.model.text.json_text import load_json

Progress = Callable[[PullProgress], None]
AGAIN = "try again; it continues where it stopped"
SILENCE = 900.0
"""Seconds without data before a pull times out. The server reports progress several times a second but is silent while hashing."""
_STRUCTURED = (0, 5, 5)
"""Since v0.5.5, ``/api/create`` takes fields instead of a Modelfile (Ollama's server/create.go)."""


class Follower:
    """Reports the progress of a pull line by line as it arrives, and checks the complete answer."""

    def __init__(self, what: str, host: str, progress: Progress | None = None) -> None:
        self._what, self._host, self._progress = what, host, progress
        self._rest = b""
        self._reported: PullProgress | None = None

    def on_chunk(self, piece: bytes) -> None:
        """Add a chunk. Complete lines are reported."""
        *lines, rest = piece.split(b"\n")
        if lines:
            lines[0], self._rest = self._rest + lines[0], b""
        self._rest = (self._rest + rest)[: limits.FOLLOWED]  # longer lines are not reported
        for state in _progress(lines):
            if self._progress is not None and state != self._reported:
                self._reported = state
                self._progress(state)

    def judge(self, body: bytes) -> None:
        """Raise the error of a stream that does not end with success."""
        for line in _objects(each for each in io.BytesIO(body) if b'"error"' in each):
            if line.get("error"):
                message = str(line["error"])
                raise CallFailed(
                    f"{self._what} failed: {message}", host=self._host, next_step=pull_advice(message), output=message
                )
        last = next(_progress(backwards(body)), None)
        if last is None or last.status != "success":
            at = f" at {last.status!r}" if last else ""
            raise DeadlineExceeded(f"{self._what} broke off{at}", host=self._host, next_step=AGAIN)


def backwards(body: bytes) -> Iterator[bytes]:
    """Yield the lines of a body in reverse order, without copying it."""
    end = len(body)
    while end > 0:
        start = body.rfind(b"\n", 0, end) + 1
        if start < end:
            yield body[start:end]
        end = start - 1


def _progress(lines: Iterable[bytes]) -> Iterator[PullProgress]:
    for line in _objects(lines):
        if not line.get("error"):
            completed, total = (_amount(line.get(name)) for name in ("completed", "total"))
            yield PullProgress(str(line.get("status", "")), str(line.get("digest", "")), completed, total)


def _amount(value: object) -> int | None:
    """Return a number of bytes, or None for any other type."""
    return int(value) if isinstance(value, int | float) else None


def _objects(lines: Iterable[bytes]) -> Iterator[dict[str, Any]]:
    for line in lines:
        with suppress(ValueError):
            value = load_json(line)
            if isinstance(value, dict):
                yield value


def pull_advice(message: str) -> str:
    """Return the next step for a failed pull."""
    low = message.lower()
    if "no space left" in low:
        return "free space on the disk with the models; the pull continues where it stopped"
    if "file does not exist" in low or "not found" in low:
        return "check the model's name and tag"
    if "digest mismatch" in low:
        return "pull again: the broken download was deleted"
    return "look at what keeps the server from the model's registry (network, proxy, name resolution), then run this again"


def create_body(version: str, model: str, source: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``/api/create`` body in the format of the release."""
    numbers = tuple(int(each) for each in re.findall(r"\d+", version)[:3])
    if numbers >= _STRUCTURED or numbers == (0, 0, 0):
        return {"model": model, "from": source, "parameters": dict(parameters), "stream": False}
    lines = [f"FROM {source}", *(f"PARAMETER {name} {_value(value)}" for name, value in parameters.items())]
    return {"name": model, "modelfile": "\n".join(lines), "stream": False}


def _value(value: object) -> str:
    return json.dumps(value) if isinstance(value, str | bool) else str(value)
