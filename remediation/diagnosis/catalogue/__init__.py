"""What the programs around a GPU print, and what each message means.

Each project has one file here, with one message a line: the text with ``{}`` for what the program fills in, the releases
that print it, the source file, and either what it means or why it means nothing. Only texts are listed; no code is copied.

A line of such a file is JSON behind a dash. YAML reads it as well, but many times more slowly.
"""

from __future__ import annotations

import collections
import functools
import json
import re
from collections.abc import Iterable, Mapping
from importlib import resources
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

LEAST_LETTERS = 9
"""The fewest letters of a message, without what is filled in. Other programs print shorter texts too."""

_FACTS, _CONTEXT = "facts.yml", "context.yml"
_WORD = re.compile(r"\w{4,}", re.ASCII)
_QUOTED_BREAK = re.compile(r"\\[nrt]")
_LETTER = re.compile(r"[A-Za-z]")
_BLANKS = re.compile(r"\s{2,}")
_PART_OF_A_WORD = re.compile(r"\w", re.ASCII)
_DIGIT = re.compile(r"\d", re.ASCII)
_NEVER = re.compile(r"(?!)")

_EVERYDAY = frozenset(
    _WORD.findall(
        """
        apply arch architecture attention auto available backend bool buffer cache compute config create_tensor data default
        device devices error false file format free from full general generate ggml GGUF graph info INFO keys layer layers
        length level library llama llama_context llama_kv_cache llama_model_loader load load_backend load_tensors loaded
        loading memory meta metadata model models name ollama output pairs params port POST print_info request responding
        routes runner runners sched seconds server size source start started starting system tensor tensors time token
        tokenizer tokens total true type unknown using value values version vocab vulkan Vulkan waiting warning WARN weight
        weights with
        """
    )
)
"""Words of ordinary log lines: a message is filed under one of them only if it has no other. Nothing but speed depends on it."""

Release = Annotated[str, StringConstraints(pattern=r"^\d+(?:\.\d+)+(?:-[a-z]+\d*)?$")]
Meaning = Annotated[str, StringConstraints(pattern=r"^[a-z0-9]+(?:[-.][a-z0-9_]+)+$")]


class Message(BaseModel):
    """One message of one project."""

    model_config = ConfigDict(frozen=True, extra="forbid", str_strip_whitespace=False)

    text: Annotated[str, StringConstraints(min_length=8)]
    """The words as they are printed, ``{}`` where the program fills something in."""
    first: Release | None = Field(None, alias="from")
    """The first release that prints it; None where that is not known."""
    last: Release | None = Field(None, alias="to")
    """The last release that prints it; None while it is still there."""
    source: Annotated[str, StringConstraints(min_length=3)]
    """The file of the project that prints it, or the function whose text it is."""
    means: Meaning | None = None
    """The mechanism (``uvm-lost-after-suspend``) or fact (``gpu.backend_absent``) that the message speaks for."""
    benign: Annotated[str, StringConstraints(min_length=8)] | None = None
    """Why the message says nothing about a fault."""
    project: str = ""

    @model_validator(mode="after")
    def _check_meaning(self) -> Message:
        if (self.means is None) == (self.benign is None):
            raise ValueError(f"{self.text!r} needs either `means` or `benign`")
        return self

    @property
    def is_fact(self) -> bool:
        """Whether the message means a fact; a mechanism has no dot in its name."""
        return self.means is not None and "." in self.means


def letters(text: str) -> int:
    """Return how many letters of a message are its own."""
    return len(_LETTER.findall(text.replace("{}", "")))


def fragments(text: str) -> tuple[str, ...]:
    """Return what a line must contain, in this order, for the message to be in it."""
    return tuple(part for piece in text.split("{}") if (part := piece.strip()))


def _plain(text: str) -> str:
    r"""Return a text without what quoting adds, once or several times: ``\"`` is a quote again, ``\n`` parts two words."""
    return _QUOTED_BREAK.sub(" ", text).replace("\\", "")


def _needle_words(text: str) -> list[str]:
    """Return the words that stand in every line with this message: those that no placeholder can lengthen."""
    return [
        match[0]
        for match in _WORD.finditer(text)
        if not text.startswith("{}", match.end()) and not text.endswith("{}", 0, match.start())
    ]


def _more_of(character: str) -> re.Pattern[str]:
    """Return what must not be next to a message: more of its first or last word, more digits of its number.

    A library's message without a line end touches the next line, so that letters may follow a number.
    """
    if character.isdigit():
        return _DIGIT
    return _PART_OF_A_WORD if _PART_OF_A_WORD.match(character) else _NEVER


class _Needle:
    """One message, ready to be looked for."""

    __slots__ = ("fragments", "goes_on", "message", "size", "went_before", "words")

    def __init__(self, message: Message) -> None:
        text = _plain(message.text).strip()
        self.message = message
        self.words = frozenset(_needle_words(text))
        if letters(text) < LEAST_LETTERS or not self.words:
            raise ValueError(f"{message.text!r} is too short to be distinguished from other programs' words")
        self.fragments = fragments(text)
        self.size = sum(map(len, self.fragments))
        self.went_before = _more_of(text[0])
        self.goes_on = _more_of(text[-1])

    def places(self, line: str) -> list[tuple[int, int]]:
        """Return where each fragment stands in a line, in their order, the first and last of them whole; nothing where one is missing."""
        found: list[tuple[int, int]] = []
        at, last = 0, len(self.fragments) - 1
        for number, fragment in enumerate(self.fragments):
            while True:
                at = line.find(fragment, at)
                if at < 0:
                    return []
                end = at + len(fragment)
                cut_before = number == 0 and at > 0 and self.went_before.match(line, at - 1)
                cut_after = number == last and self.goes_on.match(line, end)
                if not cut_before and not cut_after:
                    break
                at = end
            found.append((at, end))
            at = end
        return found


def _outermost(found: list[tuple[list[tuple[int, int]], _Needle]], length: int) -> list[tuple[list[tuple[int, int]], _Needle]]:
    """Return the messages that have at least one word outside the words of longer ones, in the order of the line."""
    seen = bytearray(length)
    shown = []
    for places, needle in sorted(found, key=lambda each: (-each[1].size, each[1].message.text)):
        if any(0 in seen[start:end] for start, end in places):
            shown.append((places, needle))
            for start, end in places:
                seen[start:end] = b"\1" * (end - start)
    return sorted(shown, key=lambda each: each[0])


class Catalogue:
    """All messages, and where they stand in a log.

    Each message is filed under its rarest word. A line is cut into words once; only a message filed under one of them
    whose other words are there as well is looked for in it. So the work grows with the length of the line and not with
    the number of messages.
    """

    def __init__(self, messages: Iterable[Message]) -> None:
        needles = [_Needle(message) for message in messages]
        self.messages = tuple(needle.message for needle in needles)
        often = collections.Counter(word for needle in needles for word in needle.words)
        index: dict[str, list[_Needle]] = {}
        for needle in needles:
            index.setdefault(min(needle.words, key=lambda word: (word in _EVERYDAY, often[word], -len(word), word)), []).append(
                needle
            )
        self._index = index
        self._filed = frozenset(index)

    def find(self, line: str) -> list[Message]:
        """Return the messages that stand in a line of a log, in their order.

        Of two messages in the same words only the longer one is returned: ``failed to allocate graph, reserving`` is no
        ``failed to allocate graph``.
        """
        plain = _plain(line) if "\\" in line else line
        possible = self._possible(plain)
        if not possible:
            return []
        plain = _BLANKS.sub(" ", plain)
        found = [(places, needle) for needle in possible if (places := needle.places(plain))]
        if len(found) > 1:
            found = _outermost(found, len(plain))
        return [needle.message for _, needle in found]

    def possible(self, line: str) -> list[Message]:
        """Return the messages all of whose words are in a line: those that `find` looks for, the measure of its work."""
        return [needle.message for needle in self._possible(_plain(line))]

    def _possible(self, plain: str) -> list[_Needle]:
        words = _WORD.findall(plain)
        if self._filed.isdisjoint(words):
            return []
        there = set(words)
        return [needle for word in self._filed & there for needle in self._index[word] if needle.words <= there]


_MESSAGES = TypeAdapter(list[Message])


def of_project(text: str, project: str) -> list[Message]:
    """Return the messages of one file's text."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    end = f',"project":{json.dumps(project)}}}'
    rows = ",".join(line.removeprefix("- ").removesuffix("}") + end for line in lines)
    try:
        return _MESSAGES.validate_json(f"[{rows}]")
    except ValueError as error:
        raise ValueError(f"the catalogue of {project} cannot be read: {error}") from error


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue that comes with this program; it is read once, at the first call."""
    return Catalogue(
        message
        for file in sorted(resources.files(__name__).iterdir(), key=lambda file: file.name)
        if file.name.endswith(".yml") and file.name not in {_FACTS, _CONTEXT}
        for message in of_project(file.read_text(encoding="utf-8"), file.name.removesuffix(".yml"))
    )


@functools.cache
def facts() -> Mapping[str, str]:
    """Return the facts that messages speak for, each with what it says."""
    found: dict[str, str] = yaml.safe_load((resources.files(__name__) / _FACTS).read_text(encoding="utf-8"))
    return found


@functools.cache
def context() -> Mapping[str, str]:
    """Return the facts that speak for no mechanism, each with the reason."""
    groups: dict[str, list[str]] = yaml.safe_load((resources.files(__name__) / _CONTEXT).read_text(encoding="utf-8"))
    return {fact: reason for reason, group in groups.items() for fact in group}
