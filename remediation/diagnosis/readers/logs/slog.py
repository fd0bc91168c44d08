"""Ollama's own log lines: ``time=… level=… source=… msg=… key=value``."""

from __future__ import annotations

import re
from collections.abc import Mapping

_FIELD = re.compile(r'(?:^|\s)("(?:[^"\\]|\\.){0,400}"|[\w.\-]{1,100})=("(?:[^"\\]|\\.)*"?|\[[^\]]*\]?|\S*)')
_MESSAGE = re.compile(r'msg=("(?:[^"\\]|\\.)*"?|\S*)')


def message(line: str) -> str:
    """Return the ``msg`` of a line without its quotes, "" when it has none."""
    match = _MESSAGE.search(line)
    return match[1].strip('"') if match else ""


def fields(line: str) -> Mapping[str, str]:
    """Return key -> value of one line, quotes taken off; a truncated value gives its readable part."""
    return {match[1].strip('"'): _unquote(match[2]) for match in _FIELD.finditer(line)}


def _unquote(value: str) -> str:
    if value.startswith('"'):
        return value.strip('"').replace('\\"', '"').replace("\\\\", "\\")
    return value


def integer(values: Mapping[str, str], key: str) -> int | None:
    """Return a field as a number, None when it is missing or no number."""
    try:
        return int(values[key])
    except (KeyError, ValueError):
        return None


# keys are upper case with digits and underscores, or the lower-case proxy names; a value ends before the next key
_ENV_KEY = re.compile(r"(?:^|\s)([A-Za-z][A-Z0-9a-z_]{0,100}_[A-Za-z0-9_]{1,100}):")


def environment(text: str) -> dict[str, str]:
    """Return the settings in ``map[K:V K2:V2]`` as the server prints them; a truncated map gives its readable part."""
    body = text.strip().strip('"')
    body = body.removeprefix("map[")
    body = body.split(']"')[0]
    marks = list(_ENV_KEY.finditer(body))
    found = {}
    for number, mark in enumerate(marks):
        end = marks[number + 1].start() if number + 1 < len(marks) else len(body)
        value = body[mark.end() : end].strip()
        if number + 1 == len(marks) and value.endswith("]") and not value.startswith("["):
            value = value[:-1]
        found[mark[1]] = value
    return found
