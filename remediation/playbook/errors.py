"""Collects the mistakes of a playbook, so that all of them are told at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from remediation.model.errors import InputError, Place, Problem, RemediationError
from remediation.templating.yaml.loader import excerpt, meant
from remediation.templating.yaml.located import place_of

__all__ = ["Problems", "excerpt", "meant", "where"]


@dataclass(slots=True)
class Problems:
    """The mistakes so far; `check` raises them."""

    found: list[Problem] = field(default_factory=list)

    def add(self, message: str, place: Place | None) -> None:
        """Note a mistake at a place."""
        self.found.append(Problem(message, place, excerpt(place)))

    def unknown(self, what: str, name: object, known: Iterable[str], place: Place | None) -> None:
        """Note a name that nobody knows, with the nearest right one."""
        self.add(f"{what} {str(name)!r} is not known{meant(name, known)}", place)

    def take(self, error: RemediationError, place: Place | None) -> None:
        """Note what another reader found; what it cannot place stands at `place`."""
        if isinstance(error, InputError):
            self.found += [
                item if item.place else Problem(item.message, place, excerpt(place))  # its own excerpt fits its own place
                for item in error.problems
            ]
            return
        self.add(error.message, error.place or place)

    def check(self) -> None:
        """Raise `InputError` with all mistakes, in the order of their places; nothing where there is none."""
        if self.found:
            order = sorted(self.found, key=_position)
            raise InputError(tuple(dict.fromkeys(order)))


def where(value: object, default: Place | None) -> Place | None:
    """Return where a value stands, or `default`."""
    return place_of(value) or default


def _position(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.file, place.line, place.column) if place else ("", 0, 0)
