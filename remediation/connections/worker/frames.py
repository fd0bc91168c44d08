"""Extracts the worker's lines, ``<nonce> <base64 JSON>``, from a stream with other output."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Iterator
from typing import Any

from remediation.model import limits
from remediation.model.limits import LimitExceeded
from remediation.model.text.json_text import load_json

_KEPT = 16_000
"""Bytes of other output kept for error messages."""


class Garbled(Exception):
    """A line with the nonce that is not a valid frame."""


def line_of(value: object) -> bytes:
    """Encode a JSON value or raw bytes as a line for the worker."""
    content = value if isinstance(value, bytes) else json.dumps(value, separators=(",", ":")).encode()
    return base64.b64encode(content) + b"\n"


class Frames:
    """Accepts chunks of bytes and yields complete frames."""

    def __init__(self, nonce: str) -> None:
        self._mark = nonce.encode("ascii") + b" "
        self._rest = bytearray()
        self._seen = 0
        self._noise = bytearray()

    @property
    def noise(self) -> bytes:
        """Output that is not part of a frame: banners, profiles, progress."""
        return bytes(self._noise) + (b"" if self._mark in self._rest else bytes(self._rest[:_KEPT]))

    def feed(self, data: bytes) -> Iterator[dict[str, Any]]:
        """Add a chunk. Raises `Garbled`, or `LimitExceeded` for a line without end."""
        self._rest += data
        while (end := self._rest.find(b"\n", self._seen)) >= 0:
            line = bytes(self._rest[:end])
            del self._rest[: end + 1]
            self._seen = 0
            frame = self._frame(line)
            if frame is not None:
                yield frame
        self._seen = len(self._rest)
        if self._seen > limits.FRAME:
            raise LimitExceeded(limits.exceeded("a line of the worker", limits.FRAME))

    def _frame(self, line: bytes) -> dict[str, Any] | None:
        # other output without a line end may precede the nonce on the same line
        before, mark, text = line.partition(self._mark)
        if not mark:
            before = line + b"\n"
        if before and len(self._noise) < _KEPT:
            self._noise += before[:_KEPT]
        if not mark:
            return None
        try:
            value = load_json(base64.b64decode(text.strip(), validate=True), limits.FRAME)
        except (binascii.Error, ValueError) as error:
            raise Garbled(f"cannot parse a reply of {len(line)} bytes: {error}") from error
        if not isinstance(value, dict):
            raise Garbled("a reply is not a JSON object")
        return value
