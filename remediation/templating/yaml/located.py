"""Values of YAML files with their positions.

A `Text` may be a template; any other string is data and is never evaluated regardless of its content, so that the output of a
command cannot be mistaken for a template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediation.model.errors import Place

OPENINGS = ("{{", "{%", "{#")


def looks_like_template(text: str) -> bool:
    """Return whether `text` contains an opening delimiter of Jinja2."""
    return "{" in text and any(opening in text for opening in OPENINGS)


class Text(str):
    """A string of a user's file; ``template`` is whether it will be evaluated."""

    __slots__ = ("place", "template")

    place: Place | None
    template: bool

    def __new__(cls, value: str, place: Place | None = None) -> Text:  # noqa: PYI034 - Self is not in Python 3.10's typing
        """Create a text at `place`."""
        text = super().__new__(cls, value)
        text.place = place
        text.template = looks_like_template(value)
        return text

    def __getnewargs__(self) -> tuple[str, Place | None]:  # type: ignore[override]
        return (str(self), self.place)


class Table(dict[Any, Any]):
    """A mapping of a user's file, with the positions of itself, its keys and its values."""

    def __init__(
        self,
        items: Mapping[Any, Any],
        place: Place | None = None,
        keys: Mapping[Any, Place] | None = None,
        values: Mapping[Any, Place] | None = None,
    ) -> None:
        super().__init__(items)
        self.place = place
        self.key_places = dict(keys or {})
        self.value_places = dict(values or {})
        self.template = any(has_template(value) for value in items.values())


class Rows(list[Any]):
    """A list of a user's file, with the positions of itself and its items."""

    def __init__(self, items: list[Any], place: Place | None = None, places: tuple[Place, ...] = ()) -> None:
        super().__init__(items)
        self.place = place
        self.places = places
        self.template = any(has_template(item) for item in items)


def has_template(value: object) -> bool:
    """Return whether `value` contains something to evaluate."""
    return isinstance(value, (Text, Table, Rows)) and value.template


def texts_in(value: object) -> Iterator[Text]:
    """Yield the texts in a value, at any depth."""
    if isinstance(value, Text):
        yield value
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from texts_in(key)
            yield from texts_in(item)
    elif isinstance(value, list):
        for item in value:
            yield from texts_in(item)


def place_of(value: object) -> Place | None:
    """Return the position of a value, None if it has none."""
    return value.place if isinstance(value, (Text, Table, Rows)) else None


def mark_trusted(value: Any, place: Place | None = None) -> Any:
    """Return plain data as if it had been read from a user's file: its strings may be templates (``-e``)."""
    if isinstance(value, (Text, Table, Rows)):
        return value
    if isinstance(value, str):
        return Text(value, place)
    if isinstance(value, Mapping):
        return Table({key: mark_trusted(item, place) for key, item in value.items()}, place)
    if isinstance(value, (list, tuple)):
        return Rows([mark_trusted(item, place) for item in value], place)
    return value


def plain(value: Any) -> Any:
    """Return `value` as built-in types without positions; templates stay text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
