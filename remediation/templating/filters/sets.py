"""Filters that treat lists as sets: integers in the order of a set, as in Ansible, other items in that of the first list.

Items need not be hashable. The order of a set of texts differs in each process; that of integers does not.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from remediation.templating.errors import TemplateError


def unique(value: Iterable[Any], case_sensitive: bool | None = None, attribute: str | None = None) -> list[Any]:
    """Return the items without duplicates. Without `case_sensitive`, a list of scalars ignores case, as in Ansible."""
    items = list(value)
    keys = [item[attribute] if attribute else item for item in items]
    scalar = all(key is None or isinstance(key, (str, int, float)) for key in keys)
    if case_sensitive is False and not scalar:
        raise TemplateError("unique: case_sensitive=false takes a list of texts")
    if scalar and not case_sensitive:
        keys = [key.lower() if isinstance(key, str) else key for key in keys]
    return [item for number, item in enumerate(items) if keys.index(keys[number]) == number]


Items = Iterable[Any]


def as_sets(
    of_integers: Callable[[Any, Any], Any], of_items: Callable[[list[Any], list[Any]], Items]
) -> Callable[..., list[Any]]:
    """Return a filter of two lists: `of_integers` takes sets, `of_items` lists, whose items keep the order of the first list."""

    def operate(value: Items, other: Items) -> list[Any]:
        first, second = list(value), list(other)
        if _are_integers(first, second):
            return list(of_integers(set(first), set(second)))
        return unique(of_items(first, second), case_sensitive=True)

    return operate


def _without(first: list[Any], second: list[Any]) -> list[Any]:
    return [item for item in first if item not in second]


def _are_integers(*lists: list[Any]) -> bool:
    return all(type(item) is int for each in lists for item in each)


def rekey(value: Any, key: str, duplicates: str = "error") -> dict[Any, Any]:
    """Return mappings keyed by one of their values."""
    if duplicates not in {"error", "overwrite"}:
        raise TemplateError(f"rekey_on_member: duplicates is error or overwrite, not {duplicates!r}")
    if not isinstance(value, (Mapping, list, tuple)):
        raise TemplateError(f"rekey_on_member takes a list or a mapping, not {value!r}")
    keyed: dict[Any, Any] = {}
    for item in value.values() if isinstance(value, Mapping) else value:
        if not isinstance(item, Mapping) or key not in item:
            raise TemplateError(f"rekey_on_member: no {key!r} in {item!r}")
        if item[key] in keyed and duplicates == "error":
            raise TemplateError(f"rekey_on_member: {item[key]!r} occurs twice")
        keyed[item[key]] = item
    return keyed


SETS: Mapping[str, Callable[..., Any]] = {
    "difference": as_sets(operator.sub, _without),
    "intersect": as_sets(operator.and_, lambda first, second: [item for item in first if item in second]),
    "rekey_on_member": rekey,
    "symmetric_difference": as_sets(operator.xor, lambda first, second: [*_without(first, second), *_without(second, first)]),
    "union": as_sets(operator.or_, operator.add),
    "unique": unique,
    "zip": lambda value, *others: [list(items) for items in zip(value, *others, strict=False)],
    "zip_longest": lambda value, *others, fillvalue=None: [
        list(items) for items in itertools.zip_longest(value, *others, fillvalue=fillvalue)
    ],
}
