"""A value that must not be shown: it prints as ``***`` wherever it comes by."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, NoReturn

from remediation.templating.nodes import has_template

HIDDEN = "***"

_ANSIBLES = re.compile(r"^ansible_(\w+_)?(pass|password|passphrase)$")
_SOUNDS = re.compile(r"(?:^|[_-])(pass|password|passwd|passphrase|secret|token|api_?key|private_?key)$", re.IGNORECASE)


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

    def __add__(self, other: object) -> Secret:
        return Secret(f"{self._text}{revealed(other)}")

    def __radd__(self, other: object) -> Secret:
        return Secret(f"{revealed(other)}{self._text}")

    def __contains__(self, part: object) -> bool:
        return str(revealed(part)) in self._text

    def __len__(self) -> int:
        return len(self._text)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret is not written anywhere")


def revealed(value: object) -> object:
    """Return the text of a secret, anything else as it is."""
    return value.reveal() if isinstance(value, Secret) else value


def is_password(name: str) -> bool:
    """Return whether a variable holds a password by Ansible's own naming: it is a `Secret`, whatever it was written as."""
    return _ANSIBLES.search(name) is not None


def sounds_secret(name: str) -> bool:
    """Return whether a variable's name says that its value is nobody's business."""
    return _SOUNDS.search(name) is not None


def secrets_in(value: Any, *, named: bool = False) -> Iterator[str]:  # noqa: ANN401 - any value
    """Yield every text in `value` that is secret, or stands as it is under a name that says so (``named``)."""
    if isinstance(value, Secret):
        yield value.reveal()
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets_in(item, named=sounds_secret(str(key)))
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from secrets_in(item, named=named)
    elif named and isinstance(value, (str, int)) and not isinstance(value, bool) and not has_template(value):
        yield str(value)


def masked(value: Any) -> Any:  # noqa: ANN401 - any value
    """Return `value` as built-in types, with whatever is secret in it, or sounds so, as ``***``."""
    if isinstance(value, Secret):
        return HIDDEN
    if isinstance(value, Mapping):
        return {str(key): HIDDEN if sounds_secret(str(key)) else masked(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [masked(item) for item in value]
    return str(value) if isinstance(value, str) else value
