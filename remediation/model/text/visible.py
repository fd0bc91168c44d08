r"""Text that is safe to display: control characters and bidirectional marks are escaped.

A host, a log or a file may contain an escape that clears the screen, or a mark that reverses a line. Such a character is
shown as its escape (``\\x1b``, ``\\u202e``), so that it has no effect and nothing is hidden.
"""

from __future__ import annotations

import json
import re
from typing import Any

_STEERING = (
    "\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 except tab and newline, DEL, C1
    "\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb"  # invisible, line ends, direction
    "\ud800-\udfff"  # surrogates, which no stream can encode
    "\U000e0000-\U000e0fff"
)
_PATTERN = re.compile(f"[{_STEERING}]")
_IN_ONE_LINE = re.compile(f"[\t\n{_STEERING}]")
_LAST_BYTE, _LAST_SHORT = 0xFF, 0xFFFF


def visible(text: str) -> str:
    """Return `text` with every control character except tab and newline escaped; Windows line ends become newlines."""
    return text if text.isprintable() else _PATTERN.sub(_escape, text.replace("\r\n", "\n"))


def visible_line(text: str) -> str:
    """Return `text` in one line: tabs and newlines are escaped as well, so that it cannot look like several lines."""
    return text if text.isprintable() else _IN_ONE_LINE.sub(_escape, text)


def brief(text: str, most: int = 400) -> str:
    """Return the beginning of an untrusted text for use in a message: one line of at most `most` characters."""
    line = visible_line(" ".join(text[: 2 * most].split()))
    return line if len(line) <= most else f"{line[: most - 1]}…"


def visible_json(value: Any, *, indent: int | None = None, compact: bool = False) -> str:
    """Return `value` as readable JSON with control characters escaped."""
    separators = (",", ":") if compact else None
    text = json.dumps(value, ensure_ascii=False, indent=indent, separators=separators, default=str)
    return text if text.isprintable() else _PATTERN.sub(_as_json, text)


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if match[0] in "\t\n":
        return "\\t" if match[0] == "\t" else "\\n"
    if code <= _LAST_BYTE:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code <= _LAST_SHORT else f"\\U{code:08x}"


def _as_json(match: re.Match[str]) -> str:
    return json.dumps(match[0])[1:-1]  # in JSON, such characters occur only in strings
