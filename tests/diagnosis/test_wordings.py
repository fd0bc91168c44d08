"""Each wording of a known message is reached: an example of every alternative of every pattern is found in a line."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from remediation.diagnosis.catalogue import catalogue, context
from remediation.diagnosis.readers.logs.scan import SEEN, Scanner, sign, signs

PARSER = importlib.import_module("re._parser" if sys.version_info >= (3, 11) else "sre_parse")
LETTERS = "x1 ay.-_/:=,\"'()[]bB7GAe\\|" + "".join(map(chr, range(33, 127)))
"""Candidates for an example of a character class; the first member is used."""
FILLS = ("", " ", "x", " x ")
"""What stands where a pattern allows any text, as a word may have to begin or end there."""
CLASSES = {"ANY", "IN", "NOT_LITERAL"}
CATEGORIES = {"DIGIT": r"\d", "NOT_DIGIT": r"\D", "SPACE": r"\s", "NOT_SPACE": r"\S", "WORD": r"\w", "NOT_WORD": r"\W"}


def examples(pattern: str) -> list[list[str]]:
    """Return texts for each alternative of a pattern, with what is optional left out and once with it."""
    tree = PARSER.parse(pattern, re.IGNORECASE)
    return [list(each) for each in zip(*([*_of_sequence(tree, fill)] for fill in FILLS), strict=True)]


def _of_sequence(tree: Iterable[tuple[Any, Any]], fill: str) -> Iterator[str]:
    parts = [list(_of_part(str(code), value, fill)) for code, value in tree]
    usual = [each[0] for each in parts]
    yield "".join(usual)
    for at, each in enumerate(parts):
        for other in each[1:]:
            yield "".join([*usual[:at], other, *usual[at + 1 :]])


def _of_part(code: str, value: Any, fill: str) -> Iterator[str]:
    if code == "LITERAL":
        yield chr(value)
    elif code in CLASSES:
        yield _member(code, value)
    elif code == "BRANCH":
        for one in value[1]:
            yield from _of_sequence(one, fill)
    elif code == "SUBPATTERN":
        yield from _of_sequence(value[-1], fill)
    elif code in {"MAX_REPEAT", "MIN_REPEAT"}:
        least, most, body = value
        if least == 0 and len(body) == 1 and str(body[0][0]) in CLASSES:
            allowed = _class(str(body[0][0]), body[0][1])
            yield "".join(letter for letter in fill if allowed.fullmatch(letter))[: int(most)]
            return
        for one in _of_sequence(body, fill):
            yield one * int(least)
        if least == 0:
            yield from _of_sequence(body, fill)
    else:  # a place or a look around it; an example that it rejects is no example
        yield ""


def _member(code: str, value: Any) -> str:
    allowed = _class(code, value)
    return next(letter for letter in LETTERS if allowed.fullmatch(letter))


def _class(code: str, value: Any) -> re.Pattern[str]:
    if code == "ANY":
        return re.compile(".")
    if code == "NOT_LITERAL":
        return re.compile(f"[^{re.escape(chr(value))}]", re.IGNORECASE)
    inside = ""
    for kind, one in ((str(kind), one) for kind, one in value):
        if kind == "NEGATE":
            inside = "^"
        elif kind == "LITERAL":
            inside += re.escape(chr(one))
        elif kind == "RANGE":
            inside += "-".join(re.escape(chr(end)) for end in one)
        else:
            inside += CATEGORIES[str(one).removeprefix("CATEGORY_")]
    return re.compile(f"[{inside}]", re.IGNORECASE)


def keys(line: str) -> set[str]:
    scanner = Scanner()
    scanner.scan("log", 1, line)
    return {hit.key for hit in scanner.hits}


def reached(key: str, pattern: re.Pattern[str], texts: list[str]) -> bool:
    """Whether an example that the pattern matches is found; the words of some patterns must not end the line."""
    return any(pattern.search(text) and key in keys(text) for text in (*texts, *(f"{text} x" for text in texts)))


def test_the_examples_take_each_alternative() -> None:
    assert {texts[0] for texts in examples(r"(?:one|two) (?:t[h]ree|f\dur)?x{2}")} == {
        "one xx",
        "two xx",
        "one threexx",
        "one f1urxx",
    }
    assert examples(r"a[^\n]{0,9}b") == [["ab", "a b", "axb", "a x b"]]
    lost = sign("key", "one", "one|two")
    assert [reached("key", lost.pattern, texts) for texts in examples("one|two")] == [False, False]


def test_an_example_of_every_alternative_of_every_sign_is_found() -> None:
    # by its own needle and a trigger, or by those of another sign with its key
    lost = [
        (one.key, one.needle, texts[1])
        for one in signs()
        for texts in examples(one.pattern.pattern)
        if not reached(one.key, one.pattern, texts)
    ]
    assert lost == []


def test_every_message_of_the_catalogue_that_speaks_for_a_mechanism_is_found() -> None:
    speaking = [one for one in catalogue().messages if one.means is not None and one.means not in context()]
    assert len(speaking) > 100
    lost = [one.text for one in speaking if SEEN + str(one.means) not in keys(one.text.replace("{}", "7"))]
    assert lost == []
