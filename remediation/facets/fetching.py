"""What a pull tells line by line, and how a release wants a model made."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import PullProgress

Progress = Callable[[PullProgress], None]
_STRUCTURED = (0, 5, 5)
"""Since this release ``/api/create`` takes fields instead of a Modelfile's text (facts/ollama 3)."""


def follow(body: bytes, progress: Progress | None, what: str, host: str) -> None:
    """Tell the lines of a stream; raises with the server's words where one is an error, or where it broke off."""
    last = None
    for raw in body.splitlines():
        try:
            line = json.loads(raw)
        except ValueError:
            continue
        if not isinstance(line, dict):
            continue
        if line.get("error"):
            said = str(line["error"])
            raise CallFailed(f"{what} failed: {said}", host=host, next_step=advice(said), output=said)
        told = PullProgress(str(line.get("status", "")), str(line.get("digest", "")), line.get("completed"), line.get("total"))
        if progress is not None and told != last:
            progress(told)
        last = told
    if last is None or last.status != "success":
        raise DeadlineExceeded(
            f"{what} broke off{f' at {last.status!r}' if last else ''}",
            host=host,
            next_step="do it again; it goes on where it ended",
        )


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
