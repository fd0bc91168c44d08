"""Limits on the size of a template's results: exceeding them is an error instead of exhausted memory or a hang.

`BUDGET` counts the results of all operations of one template, so a list of long texts costs the sum of their lengths.
Operations with large results are checked beforehand (`check_filter`, `check_method`, `multiply`, `power`).
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
"""Maximum number of characters and list items that one template creates, including its variables."""
MOST_TURNS = 500_000
"""Maximum number of iterations of all loops of one template."""
MOST_DIGITS = 4_000
"""Maximum number of digits of an integer; Python converts at most 4,300."""
WIDEST = 10_000
"""Maximum width or count for a filter, a method or a format."""

_MOST_BITS = int(MOST_DIGITS * math.log2(10))


class Budget(threading.local):
    """The remaining budget of the template that a thread evaluates, shared with variables that are templates.

    ``names`` are the variables of the innermost template.
    """

    def __init__(self) -> None:
        self.depth = 0
        self.names: Any = None
        self.left = MOST
        self.turns = MOST_TURNS

    @contextmanager
    def outermost(self, names: Any = None) -> Iterator[None]:
        """Reset the budget for the outermost template."""
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
        """Count a created value and return it. Raises `TemplateError` above the budget."""
        if isinstance(value, (str, bytes, list, tuple, dict, set)):
            self.left -= len(value)
            if self.left < 0:
                raise too_much(what)
        elif isinstance(value, int) and value.bit_length() > _MOST_BITS:
            raise TemplateError(f"{what}: a number has at most {MOST_DIGITS:,} digits")
        return value

    def each(self, items: Iterable[Any]) -> Iterator[Any]:
        """Yield the items of a loop. Raises `TemplateError` above the limit of iterations."""
        for item in items:
            self.turns -= 1
            if self.turns < 0:
                raise TemplateError(f"the loops of a template have at most {MOST_TURNS:,} iterations")
            yield item


BUDGET = Budget()


def too_much(what: str) -> TemplateError:
    """Return the error for a template that exceeds the budget."""
    return TemplateError(f"{what}: result too large: a template may create at most {MOST:,} characters or items")


def affordable(size: int, what: str) -> None:
    """Raise `TemplateError` if one operation would exceed the budget."""
    if size > MOST:
        raise too_much(what)


def multiply(left: Any, right: Any) -> Any:
    """Return ``left * right`` within the budget."""
    for value, times in ((left, right), (right, left)):
        if isinstance(value, (str, bytes, list, tuple)) and isinstance(times, int):
            affordable(len(value) * times, "*")
    return left * right


def power(left: Any, right: Any) -> Any:
    """Return ``left ** right`` within the budget."""
    if isinstance(left, int) and isinstance(right, int) and right > 1 and (left.bit_length() - 1) * right > _MOST_BITS:
        raise TemplateError(f"**: a number has at most {MOST_DIGITS:,} digits")
    return left**right


def remainder(left: Any, right: Any) -> Any:
    """Return ``left % right``, which is string formatting if `left` is text."""
    if isinstance(left, (str, bytes)):
        check_format(str(left), right if isinstance(right, tuple) else (right,))
    return left % right


_NUMBERS = re.compile(r"\d{5,}")


def check_format(text: str, values: Iterable[Any] = ()) -> None:
    """Raise `TemplateError` if a format may use a width above `WIDEST`, directly or by one of its values."""
    if "%" in text or "{" in text:
        nested = "*" in text or re.search(r":[^{}]{0,100}\{", text) is not None
        numbers = [value for value in values if isinstance(value, int)] if nested else []
        if any(len(part) > MOST_DIGITS or int(part) > WIDEST for part in _NUMBERS.findall(text)) or any(
            abs(number) > WIDEST for number in numbers
        ):
            raise TemplateError(f"format: a width is at most {WIDEST:,}")


def check_method(owner: object, name: str, values: tuple[Any, ...]) -> None:
    """Raise `TemplateError` if the result of a string method would exceed the budget."""
    if not isinstance(owner, (str, bytes)):
        return
    if name in {"center", "ljust", "rjust", "zfill", "expandtabs"} and any(_above(value) for value in values):
        raise TemplateError(f"{name}: a width is at most {WIDEST:,}")
    if name == "expandtabs":
        affordable(len(owner) * WIDEST if len(owner) > MOST // WIDEST else 0, name)
    if name == "replace" and len(values) > 1:
        _check_replacement(owner, values[0], values[1])
    if name == "join" and values:
        _check_join(owner, values[0])
    if name == "translate" and values and isinstance(values[0], Mapping):
        affordable(len(owner) * max(map(_length, values[0].values()), default=1), name)


def check_filter(name: str, values: tuple[Any, ...], named: Mapping[str, Any]) -> None:
    """Raise `TemplateError` if the result of a filter would exceed the budget."""
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
        _check_join(given[0], values[0])


def _count(given: tuple[Any, ...], default: int) -> int:
    return next((max(0, value) for value in given if isinstance(value, int)), default)


_SIZES: Mapping[str, Callable[[list[int], tuple[Any, ...]], int]] = {
    "product": lambda sizes, _: math.prod(sizes),
    "combinations": lambda sizes, given: math.comb(sizes[0], _count(given, 0)) if sizes else 0,
    "permutations": lambda sizes, given: math.perm(sizes[0], min(sizes[0], _count(given, sizes[0]), 20)) if sizes else 0,
}
"""Filters whose result is longer than their input."""

_WIDE = frozenset(
    {"batch", "center", "comment", "indent", "slice", "to_json", "to_nice_json", "to_nice_yaml", "to_yaml", "tojson", "wordwrap"}
)
"""Filters that pad to a width or a count."""


def _check_replacement(text: Any, old: Any, new: Any) -> None:
    if all(isinstance(each, str) for each in (text, old, new)) or all(isinstance(each, bytes) for each in (text, old, new)):
        affordable(len(text) + text.count(old) * len(new), "replace")


def _check_join(text: Any, parts: Any) -> None:
    if isinstance(parts, (list, tuple, str)):
        affordable(len(parts) * _length(text) + sum(map(_length, parts)), "join")


def _above(value: object) -> bool:
    return isinstance(value, int) and value > WIDEST


def _length(value: object) -> int:
    return len(value) if isinstance(value, (str, bytes)) else 1
