"""Filters that treat lists as sets: integers in the order of a set, as in Ansible, other items in that of the first list.

Items need not be hashable. The order of a set of texts differs in each process; that of integers does not.
"""

from __future__ import annotations

import itertools
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


def intersect(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items that are in both lists."""
    first, second = list(value), list(other)
    if _are_integers(first, second):
        return list(set(first) & set(second))
    return unique((item for item in first if item in second), case_sensitive=True)


def difference(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items that are not in the other list."""
    first, second = list(value), list(other)
    if _are_integers(first, second):
        return list(set(first) - set(second))
    return unique((item for item in first if item not in second), case_sensitive=True)


def symmetric_difference(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items that are in exactly one of the lists."""
    first, second = list(value), list(other)
    if _are_integers(first, second):
        return list(set(first) ^ set(second))
    return unique([*difference(first, second), *difference(second, first)], case_sensitive=True)


def union(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items of both lists."""
    first, second = list(value), list(other)
    if _are_integers(first, second):
        return list(set(first) | set(second))
    return unique([*first, *second], case_sensitive=True)


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
    "difference": difference,
    "intersect": intersect,
    "rekey_on_member": rekey,
    "symmetric_difference": symmetric_difference,
    "union": union,
    "unique": unique,
    "zip": lambda value, *others: [list(items) for items in zip(value, *others, strict=False)],
    "zip_longest": lambda value, *others, fillvalue=None: [
        list(items) for items in itertools.zip_longest(value, *others, fillvalue=fillvalue)
    ],
}
