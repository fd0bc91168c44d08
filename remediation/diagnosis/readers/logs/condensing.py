"""A log of any size in bounded memory and time: its beginning and its end, without the lines that no reader reads."""

from __future__ import annotations

import io
from collections import deque
from collections.abc import Iterable, Iterator
from typing import BinaryIO

HEAD, TAIL = 2_000_000, 6_000_000
_BLOCK = 4_000_000
_LONGEST = 1_000_000
"""Bytes in which a line has to end: of a longer one the rest is not read."""
_INDENTED = (b" ", b"\t")
_SILENT = (b"print_info:   ", b"load: control")


def condense(source: Iterable[str], *, head: int = HEAD, tail: int = TAIL) -> str:
    """Return a long log without the lines that no reader reads, each left empty so that line numbers stay.

    At most `head` characters from the beginning and `tail` from the end of the rest are kept, which bounds the memory for a
    log of any size.
    """
    first: list[str] = []
    last: deque[str] = deque()
    early, late, dropped = head, 0, 0
    for line in source:
        kept = line if says_something(line.encode(errors="replace")) else "\n"
        if early > 0:
            first.append(kept)
            early -= len(kept)
            continue
        last.append(kept)
        late += len(kept)
        while late > tail:
            late -= len(last.popleft())
            dropped += 1
    return "".join((*first, "\n" * dropped, *last))


def condense_file(file: BinaryIO, *, head: int = HEAD, tail: int = TAIL, block: int = _BLOCK) -> str:
    """Return the result of `condense` for the same lines; lines between beginning and end are only counted.

    The end is read backwards, a block at a time, until there is enough of it.
    """
    early, start = [], 0
    for raw, length in _lines(file):
        if head <= 0:
            break
        early.append(_keep_line(raw))
        start += length
        head -= len(early[-1])
    late: list[str] = []
    end, dropped = file.seek(0, io.SEEK_END), 0
    while end > start and not dropped:
        begin, lines = _before(file, start, end, block)
        kept = [_keep_line(raw) for raw in lines]
        while kept and len(kept[-1]) <= tail:
            tail -= len(kept[-1])
            late.append(kept.pop())
        dropped, end = len(kept), begin
    between = dropped + _count(file, start, end, block) if dropped else 0
    return "".join((*early, "\n" * between, *reversed(late)))


def says_something(line: bytes) -> bool:
    """Return whether a reader may read the line."""
    if b"[GIN]" in line:
        return False
    return line.startswith(_INDENTED) or b"msg=" in line or not line.startswith(_SILENT)


def _keep_line(raw: bytes) -> str:
    if not says_something(raw):
        return "\n"
    text = raw.rstrip(b"\r\n").decode("utf-8", errors="replace")
    return f"{text}\n" if raw.endswith((b"\n", b"\r")) else text


def _lines(file: BinaryIO) -> Iterator[tuple[bytes, int]]:
    """Yield the lines from the beginning on, each with its end and its length: CR, LF and both end one, as in a text file.

    Of a line that has no end for a megabyte the rest is left out, and counted in its length.
    """
    file.seek(0)
    while line := file.readline(_LONGEST):
        left_out = 0
        while not line.endswith(b"\n") and (more := file.readline(_LONGEST)):
            left_out += len(more)
            line = line if not more.endswith(b"\n") else line + b"\n"
            left_out -= more.endswith(b"\n")
        *parts, last = line.splitlines(keepends=True)
        yield from ((part, len(part)) for part in parts)
        yield last, len(last) + left_out


def _before(file: BinaryIO, start: int, end: int, block: int) -> tuple[int, list[bytes]]:
    """Return the whole lines that end at `end`, about a block of them, and where they begin; no line before `start`."""
    size = block
    while True:
        begin = max(start, end - size)
        file.seek(begin)
        content = file.read(end - begin)
        # a block begins behind a line's end, unless it begins where the lines begin
        cut = 0 if begin == start else content.find(b"\n", 0, len(content) - 1) + 1
        if cut or begin == start:
            return begin + cut, content[cut:].splitlines(keepends=True)
        if size >= _LONGEST:  # a part of a line that is far too long: only its beginning is worth reading
            return begin, []
        size *= 2


def _count(file: BinaryIO, start: int, end: int, block: int) -> int:
    """Return how many lines end between two places; both lie behind an LF, so that no CRLF is cut but by a block."""
    file.seek(start)
    count, left, before = 0, end - start, b""
    while left > 0:
        content = file.read(min(block, left))
        if not content:
            break
        left -= len(content)
        count += content.count(b"\n") + content.count(b"\r") - (before + content).count(b"\r\n")
        before = content[-1:]
    return count
