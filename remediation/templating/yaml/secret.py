"""A value that must not be shown: it is printed as ``***``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NoReturn

from remediation.model.secrets.names import MASK, sounds_secret, without_evident_secrets


class Secret:
    """A text that only `reveal` returns. JSON, pickling and formatting produce ``***`` or fail."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        self._text = text

    def reveal(self) -> str:
        """Return the text, for the one call that needs it."""
        return self._text

    def __str__(self) -> str:
        return MASK

    __repr__ = __str__

    def __format__(self, spec: str) -> str:
        return format(MASK, spec)

    def __eq__(self, other: object) -> bool:
        return self._text == (other.reveal() if isinstance(other, Secret) else other)

    def __hash__(self) -> int:
        return hash(self._text)

    def __add__(self, other: object) -> Secret:
        return Secret(f"{self._text}{reveal(other)}")

    def __radd__(self, other: object) -> Secret:
        return Secret(f"{reveal(other)}{self._text}")

    def __contains__(self, part: object) -> bool:
        return str(reveal(part)) in self._text

    def __len__(self) -> int:
        return len(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def reveal(value: object) -> object:
    """Return the text of a secret, any other value unchanged."""
    return value.reveal() if isinstance(value, Secret) else value


def masked(value: Any) -> Any:
    """Return `value` as built-in types, with secrets and values under secret names as ``***``."""
    if isinstance(value, Secret):
        return MASK
    if isinstance(value, Mapping):
        return {str(key): MASK if sounds_secret(str(key)) else masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return without_evident_secrets(str(value)) if isinstance(value, str) else value
