"""The masker: the only place that removes secrets from the program's output.

It learns secrets (`Masker.learn`) and replaces them, in every form in which a program may write them, in texts and JSON
values. Connections, journal, plans, reports, recordings and the terminal share one masker per command.

A secret of fewer than four characters is not searched for in texts, because that would mask half of every message. It is
masked where a name marks it as secret: under such a key, after ``password=``, in the login of a URL.
"""

from __future__ import annotations

import base64
import html
import json
import re
import shlex
import subprocess
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import lru_cache
from typing import Any
from urllib.parse import quote, quote_plus

from remediation.model.errors import InputError, RemediationError
from remediation.model.secrets.names import (
    MASK,
    header_tokens,
    sounds_secret,
    url_passwords,
    without_evident_secrets,
    without_private_keys,
)

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
        escaped = _escaped_forms(text)
        found |= escaped
        for form in tuple(escaped):
            found |= set(_base64_forms(form))
            if form != text:
                found |= {json.dumps(form)[1:-1], json.dumps(form, ensure_ascii=False)[1:-1], *_representations(form)}
    return frozenset(form for form in found if len(form) >= SHORTEST)


def _escaped_forms(text: str) -> set[str]:
    """Return the escaped forms of `text` in the languages that the program writes or passes on."""
    as_json = json.dumps(text)[1:-1]
    readable = json.dumps(text, ensure_ascii=False)[1:-1]
    found = {text, as_json, readable, *_representations(text)}
    for form in (as_json, readable):
        found |= {
            form.replace("/", "\\/"),
            _replace_all(form, _GO_ESCAPES),
            _replace_all(form, _GO_ESCAPES).replace('\\"', "\\u0022"),
        }
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
        for form in (_quote(quote, text, safe), _quote(quote_plus, text, safe)):
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
        r"\s{1,200}".join(re.escape(word) for word in form.split())
        for form in _escaped_forms(secret)
        if len(form.split()) >= _WORDS
    }
    return re.compile("|".join(sorted(broken, key=len, reverse=True)))


_WORDS = 2


def _representations(text: str) -> Iterator[str]:
    """Yield Python's representations of `text`; which quotes are escaped depends on the rest of the value."""
    for form in (repr(f"{text}'\"")[1:-4], ascii(f"{text}'\"")[1:-4]):  # with both kinds of quotes, the single ones are escaped
        plain = form.replace("\\'", "'")
        yield from (form, plain, plain.replace('"', '\\"'), form.replace('"', '\\"'))


def _quote(function: object, text: str, safe: str) -> str:
    return function(text.encode("utf-8", "surrogatepass"), safe=safe) if callable(function) else text


def _replace_all(text: str, table: dict[str, str]) -> str:
    for plain, escaped in table.items():
        text = text.replace(plain, escaped)
    return text


def _base64_forms(text: str) -> Iterator[str]:
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


__all__ = ["MASK", "SHORTEST", "Masker", "secrets_in"]

_FEW = 64
"""Up to this many distinct prefixes of secrets, a regular expression finds them faster than a loop."""

_MOST_FOUND = 1000
"""Known secrets from which on no more are learned from texts: a host may print any number of keys."""

_FOLD = re.compile(r"\\\n[ \t]{0,200}(?:\\(?= ))?")
"""Where YAML folds a long double-quoted text."""

WORDS = frozenset(
    """
    ok changed would-change unverified blocked skipped failed timed-out unreachable met unmet unknown observe safe
    disruptive destructive info warning true false yes no none null posix windows linux local command check max_risk
    playbook inventory hosts resumed undoes facts target round_trips seconds path item state text values diagnosis
    findings settings predicted need collect notes rung treats reason risk stops outcome index change changes step summary
    subject before after needs diff undo asks data params deadline rights status completed total applied error effect
    level label figures layers result results value source name started folder asked version
    """.split()
)
"""Values and keys that consumers of events rely on. They are never masked, even if one of them is a password."""


_no_log: ContextVar[bool] = ContextVar("no_log", default=False)


def secrets_in(value: Any, *, named: bool = False) -> Iterator[str]:
    """Yield every secret in `value`: hidden values, values under a secret name (``named``), and passwords in URLs."""
    reveal = getattr(value, "reveal", None)
    if callable(reveal):
        yield str(reveal())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from secrets_in(item, named=named or sounds_secret(str(key)))
    elif isinstance(value, (list, tuple, set, frozenset)):
        for item in value:
            yield from secrets_in(item, named=named)
    elif isinstance(value, str):
        yield from url_passwords(value)
        if named and not getattr(value, "template", False):  # user texts carry a template flag
            yield str(value)
    elif named and isinstance(value, (int, float)) and not isinstance(value, bool):
        yield str(value)


class Masker:
    """Replaces secrets in texts and JSON values; thread-safe."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        self._lock = threading.Lock()
        self._known: frozenset[str] = frozenset()
        self._heads: dict[str, tuple[str, ...]] = {}
        self._spaced: tuple[re.Pattern[str], ...] = ()
        self._start: re.Pattern[str] | None = None
        self.add(*secrets)

    def add(self, *secrets: str) -> None:
        """Learn secrets; those too short to search for are ignored."""
        with self._lock:
            stripped = (secret.strip("\r\n") for secret in secrets)
            new = {secret for secret in stripped if len(secret.strip()) >= SHORTEST} - self._known
            if not new:
                return
            heads = {head: set(forms) for head, forms in self._heads.items()}
            for form in set().union(*(forms_of(secret) for secret in new)):
                heads.setdefault(form[:SHORTEST], set()).add(form)
            self._spaced += tuple(pattern for secret in sorted(new) if (pattern := across_lines(secret)) is not None)
            self._known |= new
            # replaced atomically: a thread that is masking keeps using the old table
            self._heads = {head: tuple(sorted(forms, key=len, reverse=True)) for head, forms in heads.items()}
            self._start = re.compile("|".join(map(re.escape, self._heads))) if len(self._heads) <= _FEW else None

    def learn(self, value: Any) -> None:
        """Learn every secret in a value (`secrets_in`)."""
        self.add(*secrets_in(value))

    def __call__(self, value: Any) -> Any:
        """Return `value` with every secret masked, including in keys."""
        if isinstance(value, str):
            return self.text(value)
        if isinstance(value, Mapping):
            return {self.text(key) if isinstance(key, str) else key: self._under(key, item) for key, item in value.items()}
        if isinstance(value, (list, tuple)):
            return [self(item) for item in value]
        return value

    def text(self, text: str) -> str:
        """Return `text` with every secret masked."""
        if len(text) < SHORTEST or text in WORDS:
            return text
        if "PRIVATE KEY-----" in text:
            text, lines = without_private_keys(text)
            self._found(lines)
        self._found(header_tokens(text))
        return without_evident_secrets(self.mask_known(text))

    def _found(self, secrets: Iterable[str]) -> None:
        """Learn secrets that a text shows by their form: the same output is often repeated word by word, or line by line."""
        new = [secret for secret in secrets if secret not in self._known]
        if new and len(self._known) < _MOST_FOUND:
            self.add(*new[:_MOST_FOUND])

    def mask_known(self, text: str) -> str:
        """Return `text` with only the learned secrets masked, not texts that merely look like secrets."""
        if not self._heads or len(text) < SHORTEST:
            return text
        if "\\\n" in text and (unfolded := _FOLD.sub("", text)) != text:
            masked = self._replace_matches(unfolded)
            text = masked if masked != unfolded else text
        for pattern in self._spaced:
            text = pattern.sub(MASK, text)
        return self._replace_matches(text)

    def error(self, error: RemediationError) -> RemediationError:
        """Mask the texts of an error in place, and return it."""
        error.message = self.text(error.message)
        error.next_step = self.text(error.next_step)
        error.args = tuple(self.text(each) if isinstance(each, str) else each for each in error.args)
        if isinstance(error, InputError):
            error.mask(self.text)
        return error

    def _under(self, key: object, item: Any) -> Any:
        return _hide(item) if isinstance(key, str) and sounds_secret(key) else self(item)

    def _replace_matches(self, text: str) -> str:
        kept: list[str] = []
        end, heads = 0, self._heads
        for start in self._candidates(text, heads):
            if start < end:
                continue
            form = next((each for each in heads[text[start : start + SHORTEST]] if text.startswith(each, start)), None)
            if form is not None:
                kept += (text[end:start], MASK)
                end = start + len(form)
        return "".join((*kept, text[end:])) if kept else text

    def _candidates(self, text: str, heads: Mapping[str, tuple[str, ...]]) -> Iterator[int]:
        pattern = self._start
        if pattern is None or len(heads) > _FEW:
            yield from (start for start in range(len(text) - SHORTEST + 1) if text[start : start + SHORTEST] in heads)
            return
        found = pattern.search(text)
        while found:
            if found[0] in heads:
                yield found.start()
            found = pattern.search(text, found.start() + 1)


def _hide(value: Any) -> Any:
    """Mask the values under a secret name; templates are kept."""
    if isinstance(value, Mapping):
        return {key: _hide(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_hide(item) for item in value]
    plain = value is None or value == "" or isinstance(value, bool) or (isinstance(value, str) and "{{" in value)
    return value if plain else MASK


def no_log_is_active() -> bool:
    """Return whether a task with ``no_log`` is being carried out."""
    return _no_log.get()


@contextmanager
def no_log(*, active: bool) -> Iterator[None]:
    """Carry out a task within the context. Tasks inside a task with ``no_log`` are hidden too."""
    token = _no_log.set(active or _no_log.get())
    try:
        yield
    finally:
        _no_log.reset(token)
