"""Finds the origin of each variable of a host, and the values that it overrides."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation.inventory.inventory import Inventory, Layer
from remediation.model.errors import Place
from remediation.templating.yaml.located import Table, place_of


@dataclass(frozen=True, slots=True)
class Origin:
    """A value of a variable as written, its place, and the weaker values it overrides, strongest first."""

    name: str
    value: Any
    rank: str
    place: Place | None = None
    overrode: tuple[Origin, ...] = ()

    @property
    def where(self) -> str:
        """The file and line, or the origin if it has no file."""
        return f"{self.place.file}:{self.place.line}" if self.place else self.rank


EXTRA = "-e"


def origins(inventory: Inventory, host: str, extra: Layer | None = None) -> dict[str, Origin]:
    """Return the origin of each variable of `host` by name. ``extra`` are those of the command line, the strongest."""
    found: dict[str, list[Origin]] = {}
    ranked = [(each.rank, each.values) for each in inventory.ranked_variables(host)] + [(EXTRA, extra or {})]
    for rank, values in reversed(ranked):
        for name, value in values.items():
            origin = Origin(str(name), value, rank, place_in(values, name) or place_of(value))
            known = found.setdefault(origin.name, [])
            # a folder next to both the inventory and the playbook is read twice
            if origin.place is None or origin.place not in [each.place for each in known]:
                known.append(origin)
    return {
        name: Origin(first.name, first.value, first.rank, first.place, tuple(weaker))
        for name, (first, *weaker) in sorted(found.items())
    }


def place_in(values: Mapping[Any, Any], name: object) -> Place | None:
    """Return the place of a variable in a mapping, or None if the mapping does not come from a file."""
    return values.key_places.get(name) if isinstance(values, Table) else None
