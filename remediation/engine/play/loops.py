"""Loop items: ``loop`` and Ansible's older ``with_...`` forms."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.model.errors import RemediationError, UsageError
from remediation.playbook.keywords import is_variable
from remediation.playbook.model import Loop
from remediation.templating.lookups.single import LOOKUPS, query
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import has_template, place_of


def items_of(loop: Loop, scope: Scope) -> list[Any]:
    """Return the items. Raises `RemediationError` if the value is not iterable."""
    value = scope.render(loop.over)
    if loop.kind == "loop":
        if isinstance(value, (list, tuple)):
            return list(value)
        kind = "a mapping" if isinstance(value, Mapping) else repr(value)
        raise UsageError(f"loop: expected a list, got {kind}", place=place_of(loop.over) or loop.place)
    terms = value if isinstance(value, (list, tuple)) else [value]
    try:
        found: list[Any] = query(LOOKUPS, scope, wantlist=True)(loop.kind.removeprefix("with_"), *terms)
    except RemediationError as error:
        error.place = error.place or place_of(loop.over) or loop.place
        raise
    return found


def with_names(loop: Loop, scope: Scope) -> Loop:
    """Return the loop with the names of its variables, which may be templates. Raises `RemediationError`."""
    if not has_template(loop.variable) and not has_template(loop.index):
        return loop
    variable, index = (str(scope.render(name)) for name in (loop.variable, loop.index))
    for name in (variable, *([index] if index else [])):
        if not is_variable(name):
            raise UsageError(f"loop_control: expected the name of a variable, got {name!r}", place=loop.place)
    return replace(loop, variable=variable, index=index)


def names_of(loop: Loop, number: int, items: Sequence[Any]) -> dict[str, Any]:
    """Return the variables of one loop item."""
    names: dict[str, Any] = {loop.variable: items[number], "ansible_loop_var": loop.variable}
    if loop.index:
        names |= {loop.index: number, "ansible_index_var": loop.index}
    if loop.extended:
        last = len(items) - 1
        names["ansible_loop"] = {
            **({"allitems": items} if loop.allitems else {}),
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
