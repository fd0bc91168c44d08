"""Filters that treat lists as sets, in the order of the first list; items need not be hashable."""

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
    others = list(other)
    return unique(item for item in value if item in others)


def difference(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items that are not in the other list."""
    others = list(other)
    return unique(item for item in value if item not in others)


def symmetric_difference(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items that are in exactly one of the lists."""
    first, second = list(value), list(other)
    return unique([*difference(first, second), *difference(second, first)])


def union(value: Iterable[Any], other: Iterable[Any]) -> list[Any]:
    """Return the items of both lists."""
    return unique([*value, *other])


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
