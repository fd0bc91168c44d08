"""What the programs around a GPU print, and what each message means.

Every project has a file of its own here, one message a line: the text with ``{}`` for what the program fills in, the
releases that print it, the source file, and either what it means or why it means nothing. The texts are the programs'
own; no code of theirs is here.

A line of such a file is JSON behind a dash, which YAML reads as well: `json` takes milliseconds for what YAML takes a second for.
"""

from __future__ import annotations

import functools
import pathlib
import re
from collections.abc import Iterable, Mapping
from typing import Annotated

import yaml
from pydantic import BaseModel, ConfigDict, Field, StringConstraints, TypeAdapter, model_validator

LEAST_LETTERS = 10
"""A message with fewer letters of its own is no sign of anything: other programs print such words too."""

_FOLDER = pathlib.Path(__file__).parent
_WORD = re.compile(r"\w{4,}", re.ASCII)
_QUOTED_BREAK = re.compile(r"\\+[nrt]")
_LETTER = re.compile(r"[A-Za-z]")
_PART_OF_A_WORD = re.compile(r"\w", re.ASCII)

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
    def _one_meaning(self) -> Message:
        if (self.means is None) == (self.benign is None):
            raise ValueError(f"{self.text!r} needs either `means` or `benign`")
        if letters(self.text) < LEAST_LETTERS or not _needle_words(self.text):
            raise ValueError(f"{self.text!r} is too short to be told from other programs' words")
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
    return tuple(part for piece in _plain(text).split("{}") if (part := piece.strip()))


def _plain(text: str) -> str:
    """Return a text without what quoting adds, once or several times: ``\\"`` is a quote again, ``\\n`` parts two words."""
    return _QUOTED_BREAK.sub(" ", text).replace("\\", "") if "\\" in text else text


def _needle_words(text: str) -> list[str]:
    """Return the words that stand in every line with this message: those that no placeholder can lengthen."""
    plain = _plain(text)
    return [
        match[0]
        for match in _WORD.finditer(plain)
        if not plain.startswith("{}", match.end()) and not plain.endswith("{}", 0, match.start())
    ]


class _Needle:
    """One message, ready to be looked for."""

    __slots__ = ("fragments", "message", "whole_end", "whole_start")

    def __init__(self, message: Message) -> None:
        text = _plain(message.text).strip()
        self.message = message
        self.fragments = fragments(message.text)
        self.whole_start = bool(_PART_OF_A_WORD.match(text))
        self.whole_end = bool(_PART_OF_A_WORD.match(text[-1:]))

    def is_in(self, line: str) -> bool:
        """Tell whether the message's words stand in a line, in their order, the first and last of them whole."""
        at, last = 0, len(self.fragments) - 1
        for number, fragment in enumerate(self.fragments):
            while True:
                at = line.find(fragment, at)
                if at < 0:
                    return False
                end = at + len(fragment)
                cut_before = number == 0 and self.whole_start and at > 0 and _PART_OF_A_WORD.match(line, at - 1)
                cut_after = number == last and self.whole_end and _PART_OF_A_WORD.match(line, end)
                if not cut_before and not cut_after:
                    break
                at = end
            at = end
        return True


class Catalogue:
    """All messages, and where they stand in a log.

    Each message is filed under its rarest word. A line is cut into words once; only the messages filed under one of
    them are compared with it. So the work grows with the length of the line and not with the number of messages.
    """

    def __init__(self, messages: Iterable[Message]) -> None:
        self.messages = tuple(messages)
        often: dict[str, int] = {}
        for message in self.messages:
            for word in set(_needle_words(message.text)):
                often[word] = often.get(word, 0) + 1
        index: dict[str, list[_Needle]] = {}
        for message in self.messages:
            word = min(_needle_words(message.text), key=lambda word: (often[word], -len(word), word))
            index.setdefault(word, []).append(_Needle(message))
        self._index = {word: tuple(needles) for word, needles in index.items()}
        self._words = frozenset(self._index)

    def find(self, line: str) -> list[Message]:
        """Return the messages that stand in a line of a log, the one with the most letters first."""
        plain = _plain(line)
        words = self._words.intersection(_WORD.findall(plain))
        if not words:
            return []
        found = [needle.message for word in words for needle in self._index[word] if needle.is_in(plain)]
        return sorted(found, key=lambda message: (-letters(message.text), message.project, message.text))

    def candidates(self, line: str) -> list[Message]:
        """Return the messages that `find` compares with a line: the measure of its work."""
        return [needle.message for word in self._words.intersection(_WORD.findall(_plain(line))) for needle in self._index[word]]


_MESSAGES = TypeAdapter(list[Message])


def of_project(text: str, project: str) -> list[Message]:
    """Return the messages of one file's text."""
    lines = (line for line in text.splitlines() if line and not line.startswith("#"))
    rows = "[" + ",".join(line.removeprefix("- ") for line in lines) + "]"
    try:
        found = _MESSAGES.validate_json(rows)
    except ValueError as error:
        raise ValueError(f"the catalogue of {project} cannot be read: {error}") from error
    return [message.model_copy(update={"project": project}) for message in found]


@functools.cache
def catalogue() -> Catalogue:
    """Return the catalogue that comes with this program; it is read once, when it is first asked for."""
    return Catalogue(
        message
        for path in sorted(_FOLDER.glob("*.yml"))
        if path.name != "facts.yml"
        for message in of_project(path.read_text(encoding="utf-8"), path.stem)
    )


@functools.cache
def facts() -> Mapping[str, str]:
    """Return the facts that messages speak for, each with what it says."""
    found: dict[str, str] = yaml.safe_load((_FOLDER / "facts.yml").read_text(encoding="utf-8"))
    return found
