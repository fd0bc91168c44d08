"""How much a template may make: one that asks for more ends in an error, not in a full memory or a hang.

`BUDGET` counts what all operations of one template make together, so a list of long texts costs what they all cost. What one
operation could make is checked before it is carried out (`check_filter`, `check_method`, `multiplied`, `raised`).
"""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping, Sized
from contextlib import contextmanager
from typing import Any

from remediation.templating.errors import TemplateError

MOST = 20_000_000
"""Characters of texts and items of lists that one template makes, its variables included."""
MOST_TURNS = 500_000
"""Turns of all loops of one template."""
MOST_DIGITS = 4_000
"""Digits of a whole number: Python writes none of more than 4,300."""
WIDEST = 10_000
"""The largest width or count that a filter, a method or a format takes."""

_MOST_BITS = int(MOST_DIGITS * math.log2(10))


class Budget(threading.local):
    """What the template that a thread evaluates may still make; a variable that is a template draws on the same budget.

    ``names`` are the variables of the innermost template.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.names: Any = None
        self.left = MOST
        self.turns = MOST_TURNS

    @contextmanager
    def opened(self, names: Any = None) -> Iterator[None]:
        """Begin anew with the outermost template."""
        if not self.depth:
            self.left, self.turns = MOST, MOST_TURNS
        before, self.names = self.names, names
        self.depth += 1
        try:
            yield
        finally:
            self.depth -= 1
            self.names = before

    def spend(self, value: Any, what: str) -> Any:
        """Return a value that was made; raises `TemplateError` where all together are too much."""
        if isinstance(value, (str, bytes, list, tuple, dict, set)):
            self.left -= len(value)
            if self.left < 0:
                raise too_much(what)
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise TemplateError(f"{what}: a number has at most {MOST_DIGITS:,} digits")
        return value

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items of a loop; raises `TemplateError` once the template's loops have turned too often."""
        for item in items:
            self.turns -= 1
            if self.turns < 0:
                raise TemplateError(f"the loops of a template turn at most {MOST_TURNS:,} times")
            yield item


BUDGET = Budget()


def too_much(what: str) -> TemplateError:
    """Return the error of a template that makes too much."""
    return TemplateError(f"{what} makes too much: a template makes at most {MOST:,} characters or items")


def affordable(size: int, what: str) -> None:
    """Raise `TemplateError` where one operation would make more than a template may."""
    if size > MOST:
        raise too_much(what)


def multiplied(left: Any, right: Any) -> Any:
    """Return ``left * right`` where that is not too much."""
    for value, times in ((left, right), (right, left)):
        if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
            affordable(len(value) * times, "*")
    return left * right


def raised(left: Any, right: Any) -> Any:
    """Return ``left ** right`` where that is not too much."""
    if isinstance(left, int) and isinstance(right, int) and right > 1 and (left.bit_length() - 1) * right > _MOST_BITS:
        raise TemplateError(f"**: a number has at most {MOST_DIGITS:,} digits")
    return left**right


def remainder(left: Any, right: Any) -> Any:
    """Return ``left % right``, which fills in a text where the left one is a text."""
    if isinstance(left, (str, bytes)):
        check_format(str(left), right if isinstance(right, tuple) else (right,))
    return left % right


_NUMBERS = re.compile(r"\d{5,}")


def check_format(text: str, values: Iterable[Any] = ()) -> None:
    """Raise `TemplateError` where a format may name a width above `WIDEST`, itself or by one of its values."""
    if "%" in text or "{" in text:
        nested = "*" in text or re.search(r":[^{}]{0,100}\{", text) is not None
        numbers = [value for value in values if isinstance(value, int)] if nested else []
        if any(len(part) > MOST_DIGITS or int(part) > WIDEST for part in _NUMBERS.findall(text)) or any(
            abs(number) > WIDEST for number in numbers
        ):
            raise TemplateError(f"format: a width is at most {WIDEST:,}")


def check_method(owner: object, name: str, values: tuple[Any, ...]) -> None:
    """Raise `TemplateError` where a text's method would make too much of it."""
    if not isinstance(owner, (str, bytes)):
        return
    if name in {"center", "ljust", "rjust", "zfill", "expandtabs"} and any(_above(value) for value in values):
        raise TemplateError(f"{name}: a width is at most {WIDEST:,}")
    if name == "expandtabs":
        affordable(len(owner) * WIDEST if len(owner) > MOST // WIDEST else 0, name)
    if name == "replace" and len(values) > 1:
        _check_replacement(owner, values[0], values[1])
    if name == "join" and values:
        _check_joined(owner, values[0])
    if name == "translate" and values and isinstance(values[0], Mapping):
        affordable(len(owner) * max(map(_length, values[0].values()), default=1), name)


def check_filter(name: str, values: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Raise `TemplateError` where a filter would make too much of what it is given."""
    given = (*values[1:], *named.values())
    if name in _SIZES:
        affordable(_SIZES[name]([len(value) for value in values if isinstance(value, Sized)], given), name)
    elif name in _WIDE:
        if any(_above(value) for value in given):
            raise TemplateError(f"{name}: a width or a count is at most {WIDEST:,}")
        if isinstance(values[0], str):
            widest = max((value if isinstance(value, int) else _length(value) for value in given), default=0)
            affordable((values[0].count("\n") + 1) * widest * (len(values[0]) if name == "wordwrap" else 1), name)
    elif name == "format":
        check_format(str(values[0]), given)
    elif name == "replace" and len(values) > 2:
        _check_replacement(values[0], values[1], values[2])
    elif name == "join" and given:
        _check_joined(given[0], values[0])


def _count(given: tuple[Any, ...], default: int) -> int:
    return next((max(0, value) for value in given if isinstance(value, int)), default)


_SIZES: Mapping[str, Callable[[list[int], tuple[Any, ...]], int]] = {
    "product": lambda sizes, _: math.prod(sizes),
    "combinations": lambda sizes, given: math.comb(sizes[0], _count(given, 0)) if sizes else 0,
    "permutations": lambda sizes, given: math.perm(sizes[0], min(sizes[0], _count(given, sizes[0]), 20)) if sizes else 0,
}
"""Filters whose lists are longer than what they are made of."""

_WIDE = frozenset(
    {"batch", "center", "comment", "indent", "slice", "to_json", "to_nice_json", "to_nice_yaml", "to_yaml", "tojson", "wordwrap"}
)
"""Filters that fill up to a width or a count."""


def _check_replacement(text: Any, old: Any, new: Any) -> None:
    if all(isinstance(each, str) for each in (text, old, new)) or all(isinstance(each, bytes) for each in (text, old, new)):
        affordable(len(text) + text.count(old) * len(new), "replace")


def _check_joined(text: Any, parts: Any) -> None:
    if isinstance(parts, (list, tuple, str)):
        affordable(len(parts) * _length(text) + sum(map(_length, parts)), "join")


def _above(value: object) -> bool:
    return isinstance(value, int) and value > WIDEST


def _length(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else 1
