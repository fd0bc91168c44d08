"""A language's messages, and the search for the message that an English text was made from.

A message with placeholders is a template: ``close {program}`` matches ``close chrome.exe``. The value is translated in the same
way, because it may be a sentence. Of several templates that match, the one with the most text decides. Matching compares the
text between placeholders from left to right, so its time is linear in the text, whatever a host may have put into it.
"""

from __future__ import annotations

import re
from collections import defaultdict
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from remediation.model.translation.po import read_po, translations

_PLACEHOLDER = re.compile(r"\{(\w{1,40})\}")
_COUNTS = {"count", "number"}
"""Placeholders that hold only a number: ``{count} layers`` is not the message of ``all layers``."""
_DEPTH = 6
_LONGEST = 4000
_LEAST_TEXT = 4
_KEPT = 8192
_SEPARATORS = ("\n", "; ", " · ", ", ", " and ", " or ", ": ")
_JOINTS = {" and ": " y ", " or ": " o "}
_EDGES = " .,;:()"


class Template(NamedTuple):
    """A message with placeholders: the text between them, their names, and how much text there is."""

    message: str
    texts: tuple[str, ...]
    names: tuple[str, ...]
    length: int

    def match(self, text: str) -> dict[str, str] | None:
        """Return the values of the placeholders, None if `text` was not made from this message."""
        if not (text.startswith(self.texts[0]) and text.endswith(self.texts[-1])):
            return None
        at, end = len(self.texts[0]), len(text) - len(self.texts[-1])
        values: dict[str, str] = {}
        for name, following in zip(self.names, (*self.texts[1:-1], None), strict=True):
            stop = end if following is None else text.find(following, at, end)
            if stop < at:
                return None
            value = text[at:stop]
            if (name in _COUNTS and not value.isdecimal()) or values.setdefault(name, value) != value:
                return None
            at = stop + len(following or "")
        return values


def as_template(message: str) -> Template | None:
    """Return a message as a template, None if it has no placeholder or too little text to be found."""
    parts = _PLACEHOLDER.split(message)
    texts = tuple(part.replace("{{", "{").replace("}}", "}") for part in parts[::2])
    length = sum(letter.isalpha() for text in texts for letter in text)
    if len(parts) == 1 or length < _LEAST_TEXT:
        return None
    return Template(message, texts, tuple(parts[1::2]), length)


class Catalogue:
    """The messages of a language."""

    def __init__(self, language: str) -> None:
        folder = resources.files("remediation") / "locale" / language / "LC_MESSAGES"
        messages = read_po(folder / "remediation.po")
        self._translations = translations(messages)
        self._forms: dict[str, tuple[str, ...]] = {}
        self._templates: dict[str, list[Template]] = defaultdict(list)
        for message, found in messages.items():
            forms = tuple(found.split("\0"))
            for one in message.split("\0"):
                self._forms.setdefault(one, forms)
                template = as_template(one)
                if template is not None:
                    self._templates[max(template.texts, key=len)].append(template)
        self._forms.pop("", None)
        self.text = lru_cache(_KEPT)(self._text)

    def message(self, message: str) -> str:
        """Return the translation of a message, or the message."""
        return self._translations.gettext(message) if message else ""

    def counted(self, one: str, many: str, count: int) -> str:
        """Return the translation for a count."""
        return self._translations.ngettext(one, many, count)

    def _text(self, text: str) -> str:
        return self._whole(text, _DEPTH) if len(text) <= _LONGEST else text

    def _whole(self, text: str, depth: int) -> str:
        """Return the translation of a text, else of its parts."""
        bare = text.strip(_EDGES)
        if not depth or not any(letter.isalpha() for letter in bare):
            return text
        for one in dict.fromkeys((text, text.strip(), bare)):
            found = self._found(one, depth)
            if found is not None:
                start = text.index(one)
                return f"{text[:start]}{found}{text[start + len(one) :]}"
        for separator in _SEPARATORS:
            if separator in text:
                parts = text.split(separator)
                if separator not in _JOINTS:
                    return separator.join(self._whole(part, depth - 1) for part in parts)
                if all(" " not in part.strip() for part in parts):
                    return _JOINTS[separator].join(parts)
        return text

    def _found(self, text: str, depth: int) -> str | None:
        if text in self._forms:
            return self._forms[text][0]
        best: tuple[Template, dict[str, str]] | None = None
        for anchor, templates in self._templates.items():
            if anchor not in text:
                continue
            for template in templates:
                if best is not None and template.length <= best[0].length:
                    continue
                values = template.match(text)
                if values is not None:
                    best = template, values
        if best is None:
            return None
        return self._filled(best[0], best[1], depth)

    def _filled(self, template: Template, values: dict[str, str], depth: int) -> str:
        shown = {name: self._whole(value, depth - 1) for name, value in values.items()}
        forms = self._forms[template.message]
        count = next((int(values[name]) for name in template.names if name in _COUNTS), 1)
        return forms[self._translations.plural(count) if len(forms) > 1 else 0].format(**shown)


@lru_cache(maxsize=1)
def load_catalogue(language: str) -> Catalogue:
    """Return the catalogue of a language."""
    return Catalogue(language)
