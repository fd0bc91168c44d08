"""Values that know where they stand: what YAML files are read into.

A `Text` may be a template; any other string is data and is never evaluated, whatever it contains. So text that came out of
a command cannot be taken for a template.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from remediation.model.errors import Place

OPENINGS = ("{{", "{%", "{#")


def looks_like_template(text: str) -> bool:
    """Return whether `text` holds an opening of Jinja2's."""
    return "{" in text and any(opening in text for opening in OPENINGS)


class Text(str):
    """A string of a user's file; ``template`` says whether it is to be evaluated."""

    __slots__ = ("place", "template")

    place: Place | None
    template: bool

    def __new__(cls, value: str, place: Place | None = None) -> Text:  # noqa: PYI034 - Self is not in Python 3.10's typing
        """Make a text that stands at `place`."""
        text = super().__new__(cls, value)
        text.place = place
        text.template = looks_like_template(value)
        return text

    def __getnewargs__(self) -> tuple[str, Place | None]:  # type: ignore[override]
        return (str(self), self.place)


class Table(dict[Any, Any]):
    """A mapping of a user's file: where it, its keys and its values stand."""

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
    """A list of a user's file: where it and its items stand."""

    def __init__(self, items: list[Any], place: Place | None = None, places: tuple[Place, ...] = ()) -> None:
        super().__init__(items)
        self.place = place
        self.places = places
        self.template = any(has_template(item) for item in items)


def has_template(value: object) -> bool:
    """Return whether something in `value` is still to be evaluated."""
    return isinstance(value, (Text, Table, Rows)) and value.template


def texts_in(value: object) -> Iterator[Text]:
    """Yield the texts of a value, however deep they lie."""
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
    """Return where a value stands, None when it does not know."""
    return value.place if isinstance(value, (Text, Table, Rows)) else None


def trusted(value: Any, place: Place | None = None) -> Any:
    """Return plain data as if it had been read from a user's file: its strings may be templates (``-e``)."""
    if isinstance(value, (Text, Table, Rows)):
        return value
    if isinstance(value, str):
        return Text(value, place)
    if isinstance(value, Mapping):
        return Table({key: trusted(item, place) for key, item in value.items()}, place)
    if isinstance(value, (list, tuple)):
        return Rows([trusted(item, place) for item in value], place)
    return value


def plain(value: Any) -> Any:
    """Return `value` without its places, as built-in types; templates stay text."""
    if isinstance(value, str):
        return str(value)
    if isinstance(value, Mapping):
        return {plain(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return value
