"""The forms in which programs write a text: quoted, escaped or encoded. A secret is recognized in each of them."""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
from collections.abc import Iterable, Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus

SHORTEST = 4
"""Minimum length of a secret to search for: masking every "a" would hide the message, not the secret."""

SHORTEST_LINE = 8
"""Minimum length of a line of a multi-line secret to be masked separately."""

_GO_ESCAPES = {"<": "\\u003c", ">": "\\u003e", "&": "\\u0026", "'": "\\u0027"}
"""Characters that Go's and PowerShell's JSON, and Jinja's ``tojson``, escape beyond the standard."""

_YAML_ESCAPES = {"\0": "0", "\x07": "a", "\x08": "b", "\t": "t", "\n": "n", "\x0b": "v", "\x0c": "f", "\r": "r", "\x1b": "e",
                 '"': '"', "\\": "\\", "\x85": "N", "\xa0": "_", "\u2028": "L", "\u2029": "P"}  # fmt: skip

LONGEST = 16_384
"""Of longer texts (a whole encrypted file), only the text itself and its lines are searched for."""

# base64 encodes three bytes as four characters: a secret inside a text starts at one of three offsets
_OFFSETS = ((0, 0), (1, 2), (2, 3))


@lru_cache(maxsize=4096)
def forms_of(secret: str) -> frozenset[str]:
    """Return every form of `secret` that is long enough to search for."""
    written = {secret, *secret.splitlines()} if "\n" in secret else {secret}
    whole = {text.strip() if text != secret else text for text in written}
    whole = {text for text in whole if len(text) >= (SHORTEST if text == secret else SHORTEST_LINE)}
    if len(secret) > LONGEST:
        return frozenset(whole)
    found: set[str] = set()
    for text in whole:
        escaped = _escaped(text)
        found |= escaped
        for form in tuple(escaped):
            found |= set(_encoded(form))
            if form != text:
                found |= {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], *_represented(form)}
    return frozenset(form for form in found if len(form) >= SHORTEST)


def _escaped(text: str) -> set[str]:
    """Return the escaped forms of `text` in the languages that the program writes or passes on."""
    as_json = json.dumps(text)[1:-1]
    readable = json.dumps(text, ensure_ascii=False)[1:-1]
    found = {text, as_json, readable, *_represented(text)}
    for form in (as_json, readable):
        found |= {form.replace("/", "\\/"), _replaced(form, _GO_ESCAPES), _replaced(form, _GO_ESCAPES).replace('\\"', "\\u0022")}
    found |= {
        text.replace("'", "''"),  # YAML, PowerShell, SQL
        "".join(f"\\{_YAML_ESCAPES[each]}" if each in _YAML_ESCAPES else each for each in text),
        "".join(map(_yaml_ascii, text)),
        text.replace("'", "'\"'\"'"),  # shlex
        text.replace("'", "'\\''"),
        shlex.quote(text).strip("'"),
        re.sub(r"([^\w@%+=:,./-])", r"\\\1", text),  # a shell's %q
        re.sub(r'(["\\$`])', r"\\\1", text),
        re.sub(r'(["$`])', r"`\1", text),  # PowerShell
        text.replace('"', '""'),  # CSV
        text.replace("$", "$$"),  # Compose
        re.escape(text),
        subprocess.list2cmdline([text]).strip('"'),
        html.escape(text),
        html.escape(text, quote=False),
        html.escape(text).replace("&quot;", "&#34;").replace("&#x27;", "&#39;"),  # markupsafe
        html.escape(text, quote=False).replace('"', "&quot;"),
        html.escape(text).replace("&#x27;", "&apos;"),
        html.escape(text, quote=False).replace('"', "&quot;").replace("\n", "&#10;").replace("\r", "&#13;").replace("\t", "&#9;"),
    }
    for safe in ("", "/", "/~", "!#$%&'()*+,/:;=?@[]~", "!'()*~"):
        for form in (_quoted(quote, text, safe), _quoted(quote_plus, text, safe)):
            found |= {form, re.sub(r"%[0-9A-F]{2}", lambda match: match[0].lower(), form)}
    return found


def _yaml_ascii(character: str) -> str:
    """Return a character as PyYAML writes it in double quotes, ASCII only."""
    if character in _YAML_ESCAPES or " " <= character <= "~":
        return f"\\{_YAML_ESCAPES[character]}" if character in _YAML_ESCAPES else character
    code = ord(character)
    return f"\\x{code:02X}" if code <= _LAST_BYTE else f"\\u{code:04X}" if code <= _LAST_SHORT else f"\\U{code:08X}"


_LAST_BYTE, _LAST_SHORT = 0xFF, 0xFFFF


def across_lines(secret: str) -> re.Pattern[str] | None:
    """Return a pattern for a secret of several words across line breaks and indentation; None for one word."""
    if len(secret.split()) < _WORDS:
        return None
    broken = {
        r"\s{1,200}".join(re.escape(word) for word in form.split()) for form in _escaped(secret) if len(form.split()) >= _WORDS
    }
    return re.compile("|".join(sorted(broken, key=len, reverse=True)))


_WORDS = 2


def _represented(text: str) -> Iterator[str]:
    """Yield Python's representations of `text`; which quotes are escaped depends on the rest of the value."""
    for form in (repr(f"{text}'\"")[1:-4], ascii(f"{text}'\"")[1:-4]):  # with both kinds of quotes, the single ones are escaped
        plain = form.replace("\\'", "'")
        yield from (form, plain, plain.replace('"', '\\"'), form.replace('"', '\\"'))


def _quoted(function: object, text: str, safe: str) -> str:
    return function(text.encode("utf-8", "surrogatepass"), safe=safe) if callable(function) else text


def _replaced(text: str, table: dict[str, str]) -> str:
    for plain, escaped in table.items():
        text = text.replace(plain, escaped)
    return text


def _encoded(text: str) -> Iterator[str]:
    """Yield `text` in base64, alone and inside a longer text, as UTF-8 and as PowerShell's UTF-16."""
    for encoding in ("utf-8", "utf-16-le"):
        yield from _base64(text.encode(encoding, "surrogatepass"))


def _base64(content: bytes) -> Iterable[str]:
    whole = base64.b64encode(content).decode("ascii")
    yield from (whole, whole.replace("+", "-").replace("/", "_"))
    yield from (whole.replace("=", "%3D").replace("+", "%2B").replace("/", "%2F"),)
    for padding, first in _OFFSETS:
        last = 8 * (padding + len(content)) // 6
        core = base64.b64encode(b"\0" * padding + content).decode("ascii")[first:last]
        if len(core) >= SHORTEST:
            yield from (core, core.replace("+", "-").replace("/", "_"), core.replace("+", "%2B").replace("/", "%2F"))
