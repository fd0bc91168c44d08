"""Translations of what people read. Events, journals, JSON and logs are English; a report translates while it writes.

A report writes its own sentences with `gettext` and `ngettext`. Sentences that come from events and errors are English texts:
`translated` finds the message that such a text was made from, and fills its translation with the same values.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from remediation.model.translation.language import ENGLISH, SPOKEN

if TYPE_CHECKING:
    from remediation.model.translation.catalogue import MessageCatalogue

__all__ = ["ENGLISH", "SPOKEN", "gettext", "language", "ngettext", "speak", "speaking", "translatable", "translated"]


class _Speech:
    """The language of the process: its output goes to one reader."""

    language = ENGLISH
    catalogue: MessageCatalogue | None = None


def speak(language: str) -> None:
    """Write in this language from now on."""
    if language == ENGLISH:
        _Speech.catalogue = None
    else:
        from remediation.model.translation.catalogue import load_catalogue

        _Speech.catalogue = load_catalogue(language)
    _Speech.language = language


@contextmanager
def use_language(language: str) -> Iterator[None]:
    """Write in this language within the block."""
    before = _Speech.language
    speak(language)
    try:
        yield
    finally:
        speak(before)


def language() -> str:
    """Return the code of the language, such as ``en``."""
    return _Speech.language


def gettext(message: str, **values: Any) -> str:
    """Return a message in the language, with its named placeholders filled."""
    found = _Speech.catalogue.message(message) if _Speech.catalogue is not None else message
    return found.format(**values) if values else found


def translatable(text: str) -> str:
    """Mark a text as a message that is translated where it is shown."""
    return text


def ngettext(one: str, many: str, count: int, **values: Any) -> str:
    """Return the message for a count, which fills ``{count}``."""
    catalogue = _Speech.catalogue
    found = catalogue.translate_count(one, many, count) if catalogue is not None else one if count == 1 else many
    return found.format(count=count, **values)


def translated(text: str) -> str:
    """Return an English text in the language; a text that no message matches stays as it is."""
    return _Speech.catalogue.text(text) if _Speech.catalogue is not None and text else text
