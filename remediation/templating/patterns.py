"""Regular expressions of the user, with a time limit: Python's engine can take years on a short text and cannot be interrupted.

A pattern that could take long on its text runs in a separate process, which is killed after the time limit.
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

from remediation.model.text.words import plural
from remediation.templating.errors import TemplateError

SECONDS = 5.0
"""Time limit of one match in seconds."""

_NESTED_FROM = 20
_ONE_FROM = 20_000
_MANY_FROM = 2_000
"""Text length from which a pattern with nested repetitions, one repetition, or several repetitions may take long."""

_CHILD = """
import json, re, sys
how, pattern, flags, text, replacement, count = json.load(sys.stdin)
found = re.compile(pattern, flags)
if how == "sub":
    json.dump(found.subn(replacement, text, count=count), sys.stdout)
elif how == "findall":
    json.dump(found.findall(text), sys.stdout)
else:
    match = getattr(found, how)(text)
    json.dump(match and list(match.regs), sys.stdout)
"""


def compile_pattern(pattern: str, flags: int = 0) -> re.Pattern[str]:
    """Return the compiled pattern. Raises `TemplateError` if it is invalid."""
    try:
        return re.compile(pattern, flags)
    except (re.error, OverflowError, RecursionError) as error:
        shown = pattern if len(pattern) <= 100 else f"{pattern[:99]}…"
        raise TemplateError(f"{shown!r} is not a regular expression: {error or 'nested too deeply'}") from None


def groups(how: str, pattern: str, flags: int, text: str) -> list[str | None] | None:
    """Return the match (``how`` is search, match or fullmatch) and its groups; None without a match."""
    found = compile_pattern(pattern, flags)
    if not _may_take_long(pattern, text):
        match = getattr(found, how)(text)
        return [match[0], *match.groups()] if match else None
    answer = _in_a_process(how, pattern, flags, text)
    if answer is None:
        return None
    return [text[start:end] if start >= 0 else None for start, end in answer]


def replace_matches(pattern: str, flags: int, text: str, replacement: str, count: int) -> tuple[str, int]:
    """Return the text with its matches replaced, and the number of matches."""
    found = compile_pattern(pattern, flags)
    if not _may_take_long(pattern, text):
        return found.subn(replacement, text, count=count)
    made, times = _in_a_process("sub", pattern, flags, text, (replacement, count))
    return made, times


def all_matches(pattern: str, flags: int, text: str) -> list[Any]:
    """Return all matches: texts, or lists of texts if the pattern has several groups."""
    found = compile_pattern(pattern, flags)
    if not _may_take_long(pattern, text):
        return found.findall(text)
    answer: list[Any] = _in_a_process("findall", pattern, flags, text)
    return answer


def _in_a_process(how: str, pattern: str, flags: int, text: str, replacing: tuple[str, int] = ("", 0)) -> Any:
    request = json.dumps([how, pattern, flags, text, *replacing])
    try:
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", _CHILD], input=request.encode(), capture_output=True, timeout=SECONDS, check=False
        )
    except subprocess.TimeoutExpired:
        raise TemplateError(
            f"the regular expression {pattern!r} took more than {SECONDS:g} s on a text of {plural(len(text), 'character')}",
            next_step="avoid a repetition inside a repetition",
        ) from None
    if done.returncode:
        lines = done.stderr.decode("utf-8", "replace").strip().splitlines()
        raise TemplateError(f"the regular expression {pattern!r} failed: {lines[-1] if lines else 'no reason given'}")
    return json.loads(done.stdout)


def is_nested(pattern: str) -> bool:
    """Return whether a pattern repeats a varying part, so that it could take forever even on a short text."""
    return _repetitions(pattern)[1]


def _may_take_long(pattern: str, text: str) -> bool:
    if len(text) < _NESTED_FROM:
        return False
    repeats, nested = _repetitions(pattern)
    return nested or (repeats > 0 and len(text) >= _ONE_FROM) or (repeats > 1 and len(text) >= _MANY_FROM)


_WIDE = 10
"""Upper bound above which a repetition counts as unlimited."""


def _repetitions(pattern: str) -> tuple[int, bool]:
    """Return the number of long repetitions in a pattern, and whether one of them repeats a varying part."""
    repeats, nested = 0, False
    varies = [False]  # per open group: whether it contains a repetition or an alternative
    closed = False  # whether the group just closed varies
    for mark in _marks(pattern):
        if mark == "(":
            varies.append(False)
        elif mark == ")":
            closed = varies.pop() if len(varies) > 1 else False
            varies[-1] = varies[-1] or closed
            continue
        elif mark in {"|", "?"}:
            varies[-1] = True
        elif mark in {"*", "+"} or (mark[0] == "{" and _is_long(mark)):
            repeats += 1
            nested = nested or closed
            varies[-1] = True
        closed = False
    return repeats, nested


def _marks(pattern: str) -> Iterator[str]:
    """Yield the parts of a pattern relevant to repetition; every other part, such as a letter or a character set, is an ``x``."""
    position = 0
    while position < len(pattern):
        character = pattern[position]
        end = position + 1
        if character == "\\":
            end += 1
        elif pattern.startswith("(?", position):
            yield "("
            position += 2  # its question mark is not a repetition
            continue
        elif character == "[":
            end = _end_of_set(pattern, end)
        elif character == "{" and (closing := pattern.find("}", end, end + _WIDEST)) > 0:
            end = closing + 1
        whole = pattern[position:end]
        yield whole if whole in {"(", ")", "|", "*", "+", "?"} or (character == "{" and end > position + 1) else "x"
        position = end


_WIDEST = 20
"""Maximum length of a repetition count in braces."""


def _end_of_set(pattern: str, position: int) -> int:
    """Return the end of a character set that begins before `position`."""
    position += pattern.startswith("^", position)
    position += pattern.startswith("]", position)  # a leading bracket is a member
    while position < len(pattern) and pattern[position] != "]":
        position += 2 if pattern[position] == "\\" else 1
    return position + 1


def _is_long(mark: str) -> bool:
    least, comma, most = mark[1:-1].partition(",")
    last = most if comma else least
    return (comma != "" and not last) or (last.isdecimal() and int(last[:9]) > _WIDE)
