"""A value that must not be shown: it prints as ``***`` wherever it comes by."""

from __future__ import annotations

from typing import NoReturn

HIDDEN = "***"


class Secret:
    """A text that only `reveal` gives away. JSON, pickling and formatting see ``***`` or refuse."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that needs it."""
        return self._text

    def __str__(self) -> str:
        return HIDDEN

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(HIDDEN, spec)

    def __eq__(self, other: object) -> bool:
        return self._text == (other.reveal() if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._text)

    def __len__(self) -> int:
        return len(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


def revealed(value: object) -> object:
    """Return the text of a secret, anything else as it is."""
    return value.reveal() if isinstance(value, Secret) else value
