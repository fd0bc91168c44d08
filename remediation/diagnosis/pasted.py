"""Take apart a text into which a person pasted the output of several programs."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

_LARGEST = 4_000_000
"""Characters up to which a text is taken apart; a larger one is a log."""
_PROMPT = re.compile(
    r"^\s{0,4}(?:\$|#|>|PS [^>\n]{0,200}>|[A-Z]:\\[^>\n]{0,200}>|[\w.-]{1,64}@[\w.-]{1,64}[: ~][^\n$#]{0,200}[$#]|\[[^\]\n]{1,100}\][$#])\s?"
    r"(?:sudo )?(?:docker|podman|kubectl|nvidia-smi|ollama|journalctl|systemctl|cat|type|curl|dmesg|env|printenv|echo|ls|grep|Get-)\b"
)
"""A shell's prompt and a command whose output follows."""
_FENCE = re.compile(r"^\s{0,4}(?:```|~~~)")
_TABLE = re.compile(r"^(?:\+[-=+]{20,}|\|[ =-]|[A-Z][a-z]{2} [A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d \d{4}\s*$)")
"""The frames that nvidia-smi draws, and the date above them."""
_LOG = re.compile(
    r"^\W{0,4}(?:time=|\[GIN\]|\d{4}[/-]\d\d[/-]\d\d|[A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d|(?:llama|ggml|llm|load|print_info)\w*:|[\w.-]{1,60} +\| )"
)
_RECORD = re.compile(r'"(?:HostConfig|DeviceRequests|OOMKilled)"')
"""Only a container's record is cut out of its surroundings; a log may consist of JSON lines."""


def parts(text: str) -> list[str]:
    """Return the outputs in a text, each with its lines where they stand in the whole; the others' lines are empty.

    The first part may be what the person wrote. A text that is the output of one program is returned as it is.
    """
    if len(text) > _LARGEST:
        return [text]
    lines = text.split("\n")
    starts = sorted({0, *_starts(text, lines)})
    ends = [*starts[1:], len(lines)]
    found = [(start, end) for start, end in zip(starts, ends, strict=True) if any(line.strip() for line in lines[start:end])]
    return [text] if len(found) < 2 else ["\n" * start + "\n".join(lines[start:end]) for start, end in found]


def _starts(text: str, lines: list[str]) -> Iterator[int]:
    """Yield the numbers of the lines at which another output begins."""
    offset, until, current = 0, 0, "prose"
    for number, line in enumerate(lines):
        at, offset = offset, offset + len(line) + 1
        if at < until or not line.strip():
            continue
        if line.startswith(("{", "[")) and (end := _record(text, at)) is not None:
            until, current = end, "record"
            yield number
            continue
        kind = _kind(line)
        if kind == "command" or (kind in {"table", "log"} and kind != current and not (kind == "log" and current == "command")):
            yield number
            current = kind
        elif not kind and current in {"table", "record"}:
            yield number
            current = "prose"


def _kind(line: str) -> str:
    if _PROMPT.match(line) or _FENCE.match(line):
        return "command"
    return "table" if _TABLE.match(line) else "log" if _LOG.match(line) else ""


def _record(text: str, at: int) -> int | None:
    """Return where the container's record ends that begins at an offset, None where none begins there."""
    try:
        _, end = json.JSONDecoder().raw_decode(text, at)
    except (ValueError, RecursionError):
        return None
    return end if _RECORD.search(text, at, end) else None
