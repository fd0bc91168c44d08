"""Host names with ranges in Ansible's notation: ``dev-[01:64].example``, ``gpu-[a:f]``, ``n[0:10:2]``."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator

RANGE = re.compile(r"\[([^\[\]:]*):([^\[\]:]*)(?::([^\[\]:]*))?\]")
WITH_PORT = re.compile(r"^(\[[0-9a-fA-F:.]+\]|.*[^:]):(\d+)$")
MOST = 100_000
"""Highest number of hosts of a name with ranges. More indicate a typing error."""
LONGEST = 20
"""Highest number of digits of a range's ends."""


def expand_range(name: str) -> Iterator[str]:
    """Yield the names that `name` expands to; without a range, itself. Raises ValueError with the reason."""
    count = math.prod(_length(part[1], part[2]) for part in RANGE.finditer(name))
    if count > MOST:
        raise ValueError(f"its ranges expand to {count:,} hosts; the limit is {MOST:,}")
    yield from _expand(name)


def _length(first: str, last: str) -> int:
    """Return the approximate number of values of a range, 1 if it is invalid."""
    plain = all(part.isdecimal() and len(part) <= LONGEST for part in (first or "0", last))
    return max(1, int(last) - int(first or "0") + 1) if plain else 1


def _expand(name: str) -> Iterator[str]:
    found = RANGE.search(name)
    if found is None:
        if ("[" in name) != ("]" in name) or ("[" in name and ":" not in name):
            raise ValueError("the range is incomplete: write it as [01:64]")
        yield name
        return
    for value in _values(found[1], found[2], found[3]):
        yield from _expand(f"{name[: found.start()]}{value}{name[found.end() :]}")


def without_port(name: str) -> tuple[str, int | None]:
    """Split off the port after the last colon, None if there is none: ``dev-1:2222``, ``[::1]:22``."""
    found = WITH_PORT.match(name)
    if found is None or (":" in RANGE.sub("", found[1]) and not found[1].startswith("[")):
        return name, None  # an IPv6 address without brackets
    return found[1].strip("[]") if found[1].startswith("[") and ":" in found[1] else found[1], int(found[2])


def _values(first: str, last: str, step: str | None) -> Iterator[str]:
    if step is not None and (not step.isdecimal() or int(step) == 0):
        raise ValueError(f"the step of the range is {step!r}, not a number of at least 1")
    by = int(step) if step else 1
    first = first or "0"
    if not last:
        raise ValueError("the range has no end")
    if len(first) > LONGEST or len(last) > LONGEST:
        raise ValueError("the ends of the range are too long")
    if first.isdecimal() and last.isdecimal():
        width = len(first) if first.startswith("0") and len(first) > 1 else 0
        if width and len(last) != len(first):
            raise ValueError(f"the range {first}:{last} begins with zeros, so both ends must have the same length")
        numbers = range(int(first), int(last) + 1, by)
        if not numbers or len(numbers) > MOST:
            raise ValueError(f"the range {first}:{last} {'is too long' if numbers else 'ends before it begins'}")
        yield from (f"{number:0{width}d}" for number in numbers)
        return
    if len(first) == len(last) == 1 and first.isalpha() and last.isalpha():
        letters = range(ord(first), ord(last) + 1, by)
        if not letters:
            raise ValueError(f"the range {first}:{last} ends before it begins")
        yield from map(chr, letters)
        return
    raise ValueError(f"the range {first}:{last} consists neither of numbers nor of single letters")
