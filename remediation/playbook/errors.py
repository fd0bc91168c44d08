"""Collects the problems of a playbook, so that all are reported at once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from remediation.model.errors import InputError, Place, Problem, RemediationError
from remediation.templating.yaml.loader import excerpt, suggestion
from remediation.templating.yaml.located import place_of

__all__ = ["Problems", "excerpt", "suggestion", "where"]


@dataclass(slots=True)
class Problems:
    """The problems found so far. `check` raises them."""

    found: list[Problem] = field(default_factory=list)

    def add(self, message: str, place: Place | None) -> None:
        """Add a problem at a place."""
        self.found.append(Problem(message, place, excerpt(place)))

    def unknown(self, what: str, name: object, known: Iterable[str], place: Place | None) -> None:
        """Add an unknown name, with the nearest known one."""
        self.add(f"{what} {str(name)!r} is not known{suggestion(name, known)}", place)

    def take(self, error: RemediationError, place: Place | None) -> None:
        """Add the problems of another reader's error. Those without a place get `place`."""
        if isinstance(error, InputError):
            self.found += [
                item
                if item.place
                else Problem(_without(item.message, place), place, excerpt(place))  # its excerpt shows its place
                for item in error.problems
            ]
            return
        self.add(error.message, error.place or place)

    def check(self) -> None:
        """Raise `InputError` with all problems in the order of their places, if there are any."""
        if self.found:
            order = sorted(self.found, key=_position)
            raise InputError(tuple(dict.fromkeys(order)))


def where(value: object, default: Place | None) -> Place | None:
    """Return the place of a value, or `default`."""
    return place_of(value) or default


def _position(problem: Problem) -> tuple[str, int, int]:
    place = problem.place
    return (place.file, place.line, place.column) if place else ("", 0, 0)


def _without(message: str, place: Place | None) -> str:
    """Return a message without the name of the file that its place begins with."""
    return message.removeprefix(f"{place.file}: ") if place else message
