"""Filters on regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from remediation.model.words import plural
from remediation.templating.errors import TemplateError


def _flags(ignorecase: bool = False, multiline: bool = False) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def _pattern(pattern: str, flags: int) -> re.Pattern[str]:
    try:
        return re.compile(pattern, flags)
    except re.error as error:
        raise TemplateError(f"{pattern!r} is no regular expression: {error}") from None


def replace(  # noqa: PLR0913, PLR0917 - Ansible's parameters
    value: Any,  # noqa: ANN401 - any value, taken as text
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
    mandatory_count: int = 0,
) -> str:
    """Return the text with what matches replaced."""
    text, replaced = _pattern(pattern, _flags(ignorecase, multiline)).subn(replacement, str(value), count=count)
    if mandatory_count and replaced != mandatory_count:
        raise TemplateError(f"regex_replace: {plural(replaced, 'match', 'matches')} of {pattern!r}, not {mandatory_count}")
    return text


def search(value: Any, pattern: str, *groups: str, ignorecase: bool = False, multiline: bool = False) -> Any:  # noqa: ANN401
    r"""Return the first match, or the named groups of it (``\1``, ``\g<name>``); None where nothing matches."""
    match = _pattern(pattern, _flags(ignorecase, multiline)).search(str(value))
    if match is None:
        return None
    return [match.group(_group(name)) for name in groups] if groups else match.group()


def _group(name: str) -> str | int:
    named = re.match(r"\\g<(\S+)>", name)
    if named:
        return named[1]
    numbered = re.match(r"\\(\d+)", name)
    if numbered is None:
        raise TemplateError(f"regex_search: {name!r} names no group; write \\\\1 or \\\\g<name>")
    return int(numbered[1])


def find_all(value: Any, pattern: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:  # noqa: ANN401
    """Return all matches."""
    return _pattern(pattern, _flags(ignorecase, multiline)).findall(str(value))


REGEX: Mapping[str, Callable[..., Any]] = {
    "regex_escape": lambda value: re.escape(str(value)),
    "regex_findall": find_all,
    "regex_replace": replace,
    "regex_search": search,
}
