"""Seeded mutation of texts and of JSON values: a typo, a damaged disk, a new release, an attack."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

TOKENS = (
    "\x00", "\x1b[31m\x1b]0;title\x07", "\x9b2J", "\u2028", "\u202e", "\ud800", "\ufeff", "\t", "\r", "\n\n", "💥" * 50,
    "9" * 5_000, "-1", "1e999", "NaN", "-Infinity", "0x", "2024-02-30", "99999999999999999999", "1e-400", "٣",
    "[" * 3_000, "{" * 3_000, '{"a":' * 2_000, "- " * 2_000, "(" * 500, "}", "]", '"', "'", ": ", "#", "|", "&a [*a]", "*nobody", "<<: *a",
    "!vault ''", "!vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00", "!!python/object/apply:os.abort []", "!unsafe x",
    "{{ nope }}", "{{ 'a' * 10 ** 9 }}", "{% for x in range(10 ** 9) %}x{% endfor %}", "{{", "{% if", "{{ lookup('pipe', 'true') }}",
    "x" * 100_000, "a b " * 20_000, "%s%n", "../" * 50, "C:\\Users\\x", "$(true)", "[red]", "<script>", "&amp;",
)  # fmt: skip
VALUES: tuple[Any, ...] = (
    None, True, False, 0, -1, 2**63, 10**400, 1.5, 1e308, float("inf"), float("nan"), "", " ", "0", "x", "\x1b[2J", "\x00", "\u2028", "\ud800",
    "9" * 5_000, "x" * 100_000, [], {}, [None], [[]], {"": None}, {"a": {"b": {"c": []}}}, "2024-02-30", "1 GiB", "-5", "{{ x }}",
)  # fmt: skip
_NUMBER = re.compile(r"\d+(?:\.\d+)?")


class Mutator:
    """Makes inputs from valid ones; the same seed makes the same."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)

    def text(self, text: str) -> bytes:
        """Return the text with one to three mutations, in one of the encodings in which people save files."""
        for _ in range(self.random.choice((1, 1, 2, 3))):
            text = self.random.choice(self._texts)(self, text)
        encoding = self.random.choice(("utf-8",) * 12 + ("utf-16", "utf-8-sig", "cp1252"))
        data = text.encode(encoding, "surrogatepass" if encoding.startswith("utf") else "replace")
        return self._damaged(data) if self.random.random() < 0.1 else data

    def value(self, value: Any) -> Any:
        """Return a JSON value with one to three of its parts replaced, removed, renamed, repeated or nested."""
        value = json.loads(json.dumps(value))
        for _ in range(self.random.choice((1, 1, 2, 3))):
            places = list(_places(value))
            if not places:
                return self.random.choice(VALUES)
            self._change(*self.random.choice(places))
        return value

    def _change(self, holder: Any, key: Any) -> None:
        action = self.random.randrange(6)
        if action == 0:
            del holder[key]
        elif action == 1 and isinstance(holder, dict):
            holder[str(key)[::-1]] = holder.pop(key)
        elif action == 2:
            holder[key] = [holder[key]] * self.random.choice((1, 2, 50))
        elif action == 3:
            for _ in range(self.random.choice((1, 3, 200))):
                holder[key] = {"x": holder[key]} if self.random.random() < 0.5 else [holder[key]]
        elif action == 4 and isinstance(holder[key], str):
            holder[key] = self.text(holder[key]).decode("utf-8", "replace")
        else:
            holder[key] = self.random.choice(VALUES)

    def _span(self, text: str) -> tuple[int, int]:
        start = self.random.randint(0, len(text))
        return start, min(len(text), start + self.random.choice((1, 2, 8, 40, 400)))

    def _cut(self, text: str) -> str:
        start, end = self._span(text)
        return text[:start] + text[end:]

    def _repeat(self, text: str) -> str:
        start, end = self._span(text)
        return text[:end] + text[start:end] * self.random.choice((1, 2, 200)) + text[end:]

    def _insert(self, text: str) -> str:
        start, _ = self._span(text)
        return text[:start] + self.random.choice(TOKENS) + text[start:]

    def _replace(self, text: str) -> str:
        start, end = self._span(text)
        return text[:start] + self.random.choice(TOKENS) + text[end:]

    def _number(self, text: str) -> str:
        found = list(_NUMBER.finditer(text))
        if not found:
            return self._insert(text)
        number = self.random.choice(found)
        other = self.random.choice(("0", "-1", "", "9" * 30, "9" * 5_000, "1e999", "NaN", "x"))
        return text[: number.start()] + other + text[number.end() :]

    def _lines(self, text: str) -> str:
        lines = text.splitlines(keepends=True)
        self.random.shuffle(lines)
        return "".join(lines)

    def _indent(self, text: str) -> str:
        lines = text.split("\n")
        number = self.random.randrange(len(lines))
        lines[number] = self.random.choice(("  ", "\t", "    - ")) + lines[number]
        return "\n".join(lines)

    def _end(self, text: str) -> str:
        return text[: self._span(text)[0]]

    def _damaged(self, data: bytes) -> bytes:
        changed = bytearray(data)
        for _ in range(min(len(changed), 8)):
            changed[self.random.randrange(len(changed))] = self.random.randrange(256)
        return bytes(changed)

    _texts: Sequence[Callable[[Mutator, str], str]] = (
        _cut, _repeat, _insert, _insert, _replace, _number, _number, _lines, _indent, _end,
    )  # fmt: skip


def _places(value: Any, deeper: int = 300) -> Any:
    """Yield each part of a JSON value with what holds it; of one that was nested by hundreds, the upper levels."""
    if not deeper:
        return
    if isinstance(value, Mapping):
        for key, each in value.items():
            yield value, key
            yield from _places(each, deeper - 1)
    elif isinstance(value, list):
        for index, each in enumerate(value):
            yield value, index
            yield from _places(each, deeper - 1)
