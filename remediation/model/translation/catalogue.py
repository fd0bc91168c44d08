"""A language's messages, and the search for the message that an English text was made from.

A message with placeholders is a template: ``close {program}`` matches ``close chrome.exe``. The value is translated in the same
way, because it may be a sentence. Of several ways to read a text, the one that understands most of it decides. Matching compares the
text between placeholders from left to right, so its time is linear in the text, even for hostile text.
"""

from __future__ import annotations

import io
import json
import re
import struct
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from gettext import GNUTranslations
from importlib import resources
from importlib.resources.abc import Traversable
from typing import NamedTuple

_MAGIC = 0x950412DE
_HEADER = struct.Struct("<7I")
_KEYWORDS = {"msgid": "id", "msgid_plural": "many", "msgstr": "0"}


def translations(messages: Mapping[str, str]) -> GNUTranslations:
    """Return the standard library's translations of `read_po`'s messages."""
    return GNUTranslations(io.BytesIO(_compile_messages(messages)))


def read_po(file: Traversable) -> dict[str, str]:
    """Return the messages of a PO file with their translations, both in the form of compiled catalogues: plural forms are separated by a null character.

    Messages that are fuzzy or without a translation are left out.
    """
    return dict(_messages(file.read_text(encoding="utf-8")))


def _messages(text: str) -> Iterator[tuple[str, str]]:
    """Yield pairs of a message and its translation, in the form that compiled catalogues have."""
    for block in text.split("\n\n"):
        fields: dict[str, str] = {}
        current = ""
        for line in block.splitlines():
            value = line
            if line.startswith("#, ") and "fuzzy" in line:
                break
            if line.startswith("#"):
                continue
            if not line.startswith('"'):
                word, _, value = line.partition(" ")
                current = _KEYWORDS.get(word) or word.removeprefix("msgstr[").removesuffix("]")
            fields[current] = fields.get(current, "") + json.loads(value)
        else:
            forms = [fields[key] for key in sorted(fields) if key.isdecimal()]
            if "id" in fields and all(forms):
                yield "\0".join(filter(None, (fields["id"], fields.get("many")))), "\0".join(forms)


def _compile_messages(messages: Mapping[str, str]) -> bytes:
    """Return the messages as a MO file (GNU gettext, "The Format of GNU MO Files")."""
    count = len(messages)
    start = _HEADER.size + 16 * count
    tables: list[list[bytes]] = [[], []]
    texts = bytearray()
    for message in sorted(messages, key=str.encode):
        for table, text in zip(tables, (message, messages[message]), strict=True):
            encoded = text.encode()
            table.append(struct.pack("<2I", len(encoded), start + len(texts)))
            texts += encoded + b"\0"
    head = _HEADER.pack(_MAGIC, 0, count, _HEADER.size, _HEADER.size + 8 * count, 0, start)
    return head + b"".join(tables[0]) + b"".join(tables[1]) + bytes(texts)


_PLACEHOLDER = re.compile(r"\{(\w{1,40})\}")
_COUNT = "count"
"""The placeholder that holds only a number: ``{count} layers`` is not the message of ``all layers``."""
_VERBS = ("is", "are", "was", "were")
"""What a placeholder for a verb may hold; a translation may leave it out."""
_DEPTH = 8
_LONGEST = 4000
_LEAST_TEXT = 2
_FAINT = 4
"""Letters below which a message that begins and ends with a value (``{files} in {folder}``) is found in most sentences."""
_FEW = 3
"""Words that a value of such a message may have."""
_WORDS = {"not", "all"}
"""Single words that are translated inside a sentence: others may be names of parameters, options or values."""
_PARTS = 8
"""Letters that a message needs to be preferred to reading a text as a list of parts, where both understand as much."""
_KEPT = 8192
_CLAUSES = ("\n", "; ", ": ")
_LISTS = (" · ", ", ", " and ", " or ")
_JOINTS = {" and ", " or "}
"""Separators that are words: they are translated between names only."""
_EDGES = " .,;:()"


def _split_outside_brackets(text: str, separator: str) -> list[str]:
    """Split a text at the separators outside brackets, or at each separator if its brackets are not balanced."""
    if not _is_balanced(text):
        return text.split(separator)
    parts, at, level = [], 0, 0
    for found in re.finditer(rf"[()]|{re.escape(separator)}", text):
        level += {"(": 1, ")": -1}.get(found[0], 0)
        if not level and found[0] == separator:
            parts.append(text[at : found.start()])
            at = found.end()
    return [*parts, text[at:]]


def _is_balanced(text: str) -> bool:
    """Return whether each closing bracket has its opening one before it, and the reverse."""
    level = 0
    for bracket in re.findall("[()]", text):
        level += 1 if bracket == "(" else -1
        if level < 0:
            return False
    return not level


class TextReading(NamedTuple):
    """A translation, how many letters of the English text belong to messages, and how many of them to the outermost one."""

    text: str
    understood: int
    outer: int = 0


class MessageTemplate(NamedTuple):
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
        faint = self.length < _FAINT and not at and end == len(text)
        values: dict[str, str] = {}
        for name, following in zip(self.names, (*self.texts[1:-1], None), strict=True):
            stop = end if following is None else text.find(following, at, end)
            if stop < at:
                return None
            value = text[at:stop]
            if (
                (name == _COUNT and not value.isdecimal())
                or (name == "verb" and value not in _VERBS)
                or (faint and len(value.split()) > _FEW)
                or values.setdefault(name, value) != value
            ):
                return None
            at = stop + len(following or "")
        return values


def _is_typed(before: str) -> bool:
    """Return whether the text before a value shows that the value is typed as it is: ``--option `` or ``NAME=``."""
    return before.endswith("=") or (before.endswith(" ") and before[:-1].rpartition(" ")[2].startswith("--"))


def templates(message: str) -> tuple[MessageTemplate, ...]:
    """Return the templates of a message, one for each value that ``{verb}`` may have.

    A message without a placeholder, or with too little text to be found, has none.
    """
    if "{verb}" in message:
        return tuple(each._replace(message=message) for verb in _VERBS for each in templates(message.replace("{verb}", verb)))
    parts = _PLACEHOLDER.split(message)
    texts = tuple(part.replace("{{", "{").replace("}}", "}") for part in parts[::2])
    length = sum(letter.isalpha() for text in texts for letter in text)
    return (
        (MessageTemplate(message, texts, tuple(parts[1::2]), length),)
        if len(parts) > 1 and (length >= _LEAST_TEXT or _COUNT in parts[1::2])
        else ()
    )


class MessageCatalogue:
    """The messages of a language."""

    def __init__(self, language: str) -> None:
        folder = resources.files("remediation") / "locale" / language / "LC_MESSAGES"
        messages = read_po(folder / "remediation.po")
        self._translations = translations(messages)
        self._forms: dict[str, str] = {}
        self._counted: dict[str, tuple[str, str]] = {}
        self._templates: dict[str, list[MessageTemplate]] = defaultdict(list)
        for message, found in messages.items():
            one, _, many = message.partition("\0")
            for each in filter(None, (one, many)):
                self._forms.setdefault(each, found.split("\0")[0])
                if many:
                    self._counted[each] = (one, many)
                for template in templates(each):
                    self._templates[max(template.texts, key=len)].append(template)
        self._forms.pop("", None)
        self._read = lru_cache(_KEPT)(self._read_text)

    def message(self, message: str) -> str:
        """Return the translation of a message, or the message."""
        return self._translations.gettext(message) if message else ""

    def translate_count(self, one: str, many: str, count: int) -> str:
        """Return the translation for a count."""
        return self._translations.ngettext(one, many, count)

    def text(self, text: str) -> str:
        """Return the translation of a text that was made from a message; other text stays as it is."""
        return self._read(text, _DEPTH).text if len(text) <= _LONGEST else text

    def _read_text(self, text: str, depth: int) -> TextReading:
        """Return the translation that understands most of a text: as a message, or as parts that are messages."""
        bare = text.strip(_EDGES)
        if not depth or not any(letter.isalpha() for letter in bare):
            return TextReading(text, 0)
        return max(self._readings(text, bare, depth), key=lambda reading: reading[1:], default=TextReading(text, 0))

    def _readings(self, text: str, bare: str, depth: int) -> Iterator[TextReading]:
        yield from self._as_parts(text, _CLAUSES, depth)
        for one in dict.fromkeys((text, text.strip(), bare)):
            start = text.index(one)
            for found in self._as_message(one, depth):
                yield TextReading(f"{text[:start]}{found.text}{text[start + len(one) :]}", *found[1:])
        yield from self._as_parts(text, _LISTS, depth)
        yield from self._with_remark(text, depth)

    def _with_remark(self, text: str, depth: int) -> Iterator[TextReading]:
        """Read ``message (remark)`` as two texts."""
        head, bracket, remark = text.partition(" (")
        if bracket and remark.endswith(")") and _is_balanced(remark[:-1]):
            parts = self._read(head, depth - 1), self._read(remark[:-1], depth - 1)
            yield TextReading(f"{parts[0].text} ({parts[1].text})", sum(part.understood for part in parts), _PARTS)

    def _as_parts(self, text: str, separators: Sequence[str], depth: int) -> Iterator[TextReading]:
        for separator in separators:
            if separator not in text:
                continue
            parts = _split_outside_brackets(text, separator)
            if separator == ": ":
                parts = [parts[0], separator.join(parts[1:])] if len(parts) > 1 else parts
            if len(parts) == 1:
                continue
            joint = separator
            if separator in _JOINTS:
                if any(" " in part for part in parts):
                    continue
                joint = f" {self._forms.get(separator.strip(), separator.strip())} "
            read = [self._read(part, depth - 1) for part in parts]
            yield TextReading(joint.join(part.text for part in read), sum(part.understood for part in read), _PARTS)

    def _as_message(self, text: str, depth: int) -> Iterator[TextReading]:
        if text in self._forms and (" " in text or text in _WORDS):
            letters = sum(letter.isalpha() for letter in text)
            yield TextReading(self._forms[text], letters, letters)
            return
        for anchor in self._templates:
            if anchor in text:
                for template in self._templates[anchor]:
                    values = template.match(text)
                    if values is not None:
                        yield self._fill(template, values, depth)

    def _fill(self, template: MessageTemplate, values: dict[str, str], depth: int) -> TextReading:
        shown = {
            name: TextReading(values[name], 0) if _is_typed(before) else self._read(values[name], depth - 1)
            for name, before in zip(template.names, template.texts, strict=False)
        }
        text = self._forms[template.message]
        if template.message in self._counted:
            count = int(values.get(_COUNT, 1))
            text = self._translations.ngettext(*self._counted[template.message], count)
        understood = template.length + sum(value.understood for value in shown.values())
        first = "" if template.texts[0] else values[template.names[0]]
        # a value that begins the text and has two clauses is rather the clause before the message
        outer = 0 if ": " in first or " - " in first else template.length
        return TextReading(text.format(verb="", **{name: value.text for name, value in shown.items()}), understood, outer)


@lru_cache(maxsize=1)
def load_catalogue(language: str) -> MessageCatalogue:
    """Return the catalogue of a language."""
    return MessageCatalogue(language)
