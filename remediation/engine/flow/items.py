"""What a loop goes over: ``loop`` and Ansible's older ``with_...`` forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from itertools import zip_longest
from typing import Any

from remediation.model.errors import UsageError
from remediation.playbook.model import Loop
from remediation.templating.nodes import place_of
from remediation.templating.templar import Scope


def items_of(loop: Loop, scope: Scope) -> list[Any]:
    """Return the items; raises `RemediationError` where there is nothing to go over."""
    value = scope.render(loop.over)
    if loop.kind == "loop":
        if isinstance(value, (list, tuple)):
            return list(value)
        kind = "a mapping" if isinstance(value, Mapping) else repr(value)
        raise UsageError(f"loop: a list is wanted, not {kind}", place=place_of(loop.over) or loop.place)
    return _FORMS[loop.kind](value, loop)


def names_of(loop: Loop, number: int, items: Sequence[Any]) -> dict[str, Any]:
    """Return the variables that one item of a loop has."""
    names: dict[str, Any] = {loop.variable: items[number], "ansible_loop_var": loop.variable}
    if loop.index:
        names |= {loop.index: number, "ansible_index_var": loop.index}
    if loop.extended:
        last = len(items) - 1
        names["ansible_loop"] = {
            "allitems": list(items),
            "first": number == 0,
            "index": number + 1,
            "index0": number,
            "last": number == last,
            "length": len(items),
            "revindex": last - number + 1,
            "revindex0": last - number,
            **({"previtem": items[number - 1]} if number else {}),
            **({"nextitem": items[number + 1]} if number < last else {}),
        }
    return names


def _listed(value: Any) -> list[Any]:  # noqa: ANN401 - a rendered value
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _flat(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401, ARG001 - a form's signature
    """Return the items of `value`, one level of lists taken away."""
    return [item for part in _listed(value) for item in _listed(part)]


def _plain(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401, ARG001 - a form's signature
    return _listed(value)


def _indexed(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401 - a form's signature
    return [[number, item] for number, item in enumerate(_flat(value, loop))]


def _pairs(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401 - a form's signature
    if not isinstance(value, Mapping):
        raise UsageError(f"{loop.kind}: a mapping is wanted, not {value!r}", place=place_of(loop.over) or loop.place)
    return [{"key": key, "value": item} for key, item in value.items()]


def _together(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401, ARG001 - a form's signature
    return [list(row) for row in zip_longest(*(_listed(part) for part in _listed(value)))]


def _sequence(value: Any, loop: Loop) -> list[Any]:  # noqa: ANN401 - a form's signature
    """Return the texts of ``start=1 end=4 stride=2 format=host%02d``."""
    given = {"start": "1", "stride": "1", "format": "%d"}
    words = [word.partition("=") for word in str(value).split()]
    given |= {name: text for name, equals, text in words if equals}
    try:
        start, stride = int(given["start"], 0), int(given["stride"], 0)
        end = start + (int(given["count"], 0) - 1) * stride if "count" in given else int(given["end"], 0)
        numbers = range(start, end + (1 if stride > 0 else -1), stride)
        return [given["format"] % number for number in numbers]
    except (KeyError, TypeError, ValueError):
        raise UsageError(
            f"{loop.kind}: start, end or count, stride and format are wanted, not {value!r}", place=loop.place
        ) from None


_FORMS: Mapping[str, Callable[[Any, Loop], list[Any]]] = {
    "with_dict": _pairs,
    "with_indexed_items": _indexed,
    "with_items": _flat,
    "with_list": _plain,
    "with_sequence": _sequence,
    "with_together": _together,
}
