"""What the server sends back, and the errors that become an answer."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

JSON = "application/json; charset=utf-8"
NDJSON = "application/x-ndjson"
TEXT = "text/plain; charset=utf-8"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer; the chunks are made as they are read, so time passes between them. No Content-Length means chunked."""

    status: int
    headers: Mapping[str, str]
    chunks: Iterator[bytes] = field(default_factory=lambda: iter(()))

    def read(self) -> bytes:
        """Return the whole body."""
        return b"".join(self.chunks)

    def close(self) -> None:
        """Give up what has not been read; the request then counts as cancelled."""
        close = getattr(self.chunks, "close", None)
        if close is not None:
            close()


class ApiError(Exception):
    """An error that the server answers with a status and `{"error": text}`."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(text)
        self.status = status
        self.text = text


class NoAnswer(Exception):  # not an error of the lab: the server plays one that hangs
    """The server never answers this request: its scheduler is blocked for good (recordings, surprise 1)."""


def encode(value: object) -> bytes:
    """Write JSON as Go does: no spaces, text unescaped."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()


def of_json(value: object, status: int = 200, kind: str = JSON) -> Answer:
    """Answer with one JSON document."""
    body = encode(value)
    return Answer(status, {"Content-Type": kind, "Content-Length": str(len(body))}, iter((body,)))


def of_text(text: str, status: int = 200, kind: str = TEXT) -> Answer:
    """Answer with plain text."""
    body = text.encode()
    return Answer(status, {"Content-Type": kind, "Content-Length": str(len(body))}, iter((body,)))


def of_lines(lines: Iterable[Mapping[str, Any]]) -> Answer:
    """Answer with a stream of JSON lines."""
    return Answer(200, {"Content-Type": NDJSON, "Transfer-Encoding": "chunked"}, _encoded(lines))


def _encoded(lines: Iterable[Mapping[str, Any]]) -> Iterator[bytes]:
    try:
        for each in lines:
            yield encode(each) + b"\n"
    finally:
        close = getattr(lines, "close", None)
        if close is not None:
            close()


def parse(body: bytes) -> dict[str, Any]:
    """Read a request body; ApiError with the texts of Go's decoder."""
    text = body.decode("utf-8", "replace").strip()
    if not text:
        raise ApiError(400, "missing request body")
    try:
        value = json.loads(text)
    except json.JSONDecodeError as error:
        at = text[error.pos : error.pos + 1]
        raise ApiError(400, f"invalid character '{at}' looking for beginning of value" if at else "unexpected EOF") from error
    if not isinstance(value, dict):
        kind = "array" if isinstance(value, list) else "string" if isinstance(value, str) else "number"
        raise ApiError(400, f"json: cannot unmarshal {kind} into Go value of type api.GenerateRequest")
    return value
