"""Ansible's ``sequence``: numbers as texts, from ``4``, ``2-6/2``, ``4:host%02d`` or ``start=1 end=4 stride=2 format=host%02d``."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from remediation.templating.errors import TemplateError
from remediation.templating.limits import affordable, check_format

SHORT = re.compile(r"^(?:(\d+)-)?(\d+)(?:/(\d+))?(?::(.+))?$")
FIELDS = ("start", "end", "count", "stride", "format")


def sequence(terms: Sequence[Any], names: object, options: Mapping[str, Any]) -> list[Any]:
    """Return the numbers of all `terms`. Raises `TemplateError` for an invalid term."""
    values: list[str] = []
    for term in map(str, terms) if terms else [""]:
        known = dict(options)
        short = SHORT.match(term.strip())
        if short is not None:
            known |= {name: part for name, part in zip(("start", "end", "stride", "format"), short.groups(), strict=True) if part}
        else:
            known |= dict(_pair(word, term) for word in term.split())
        strange = [name for name in known if name not in FIELDS]
        if strange:
            raise TemplateError(f"sequence: unknown option {strange[0]!r}; use {', '.join(FIELDS)}")
        values += _counted(known, term)
    return values


def _pair(word: str, term: str) -> tuple[str, str]:
    name, equals, value = word.partition("=")
    if not equals:
        raise TemplateError(f"sequence: {term!r} is not a sequence; write 4, 2-6/2, 4:host%02d or start=1 end=4")
    return name, value


def _counted(known: Mapping[str, Any], term: str) -> Iterator[str]:
    try:
        start, stride = int(known.get("start", 1)), int(known.get("stride", 1))
        end, count = known.get("end"), known.get("count")
        if (end is None) is (count is None):
            raise TemplateError("sequence: give either end or count")
        if count is not None and not int(count):
            return
        end = int(end) if end is not None else start + int(count or 0) * stride - 1
    except (TypeError, ValueError):
        raise TemplateError(f"sequence: {term!r}: start, end, count and stride must be whole numbers") from None
    if (stride > 0 and end < start) or (stride < 0 and end > start):
        raise TemplateError(f"sequence: the stride {stride} does not lead from {start} to {end}")
    if not stride:
        return
    shape = str(known.get("format", "%d"))
    if shape.count("%") != 1:
        raise TemplateError(f"sequence: the format {shape!r} must contain one number, such as %d or %02x")
    check_format(shape)
    numbers = range(start, end + (1 if stride > 0 else -1), stride)
    affordable(len(numbers) * len(shape), "sequence")
    try:
        yield from (shape % number for number in numbers)
    except (TypeError, ValueError) as error:
        raise TemplateError(f"sequence: the format {shape!r} does not accept a number: {error}") from None
