"""Reads a PO file into the standard library's `gettext` translations, without a compiled file.

Only the catalogue in use is read, in a few milliseconds: an editable install, a wheel and a clone need no step to compile it.
"""

from __future__ import annotations

import io
import json
import struct
from collections.abc import Iterator, Mapping
from gettext import GNUTranslations
from importlib.resources.abc import Traversable

_MAGIC = 0x950412DE
_HEADER = struct.Struct("<7I")
_KEYWORDS = {"msgid": "id", "msgid_plural": "many", "msgstr": "0"}


def translations(messages: Mapping[str, str]) -> GNUTranslations:
    """Return the standard library's translations of `read_po`'s messages."""
    return GNUTranslations(io.BytesIO(_compiled(messages)))


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


def _compiled(messages: Mapping[str, str]) -> bytes:
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
