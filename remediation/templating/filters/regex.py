"""Filters with regular expressions."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from remediation.model.text.words import plural
from remediation.templating import patterns
from remediation.templating.errors import TemplateError
from remediation.templating.limits import affordable

_GROUP = re.compile(r"\\(?:g<\w+>|\d+)")
_POSIX_BASIC = re.compile(r"([].[^$*\\])")


def _flags(ignorecase: bool = False, multiline: bool = False) -> int:
    return (re.IGNORECASE if ignorecase else 0) | (re.MULTILINE if multiline else 0)


def replace(
    value: Any,
    pattern: str = "",
    replacement: str = "",
    ignorecase: bool = False,
    multiline: bool = False,
    count: int = 0,
    mandatory_count: int = 0,
) -> str:
    """Return the text with all matches replaced."""
    text = str(value)
    flags, replacement = _flags(ignorecase, multiline), str(replacement)
    if len(text) * len(replacement) > len(text) + 1_000_000:  # the result may be much larger than the text
        matches = len(patterns.all_matches(pattern, flags, text))
        affordable(matches * len(replacement) + (1 + len(_GROUP.findall(replacement))) * len(text), "regex_replace")
    made, replaced = patterns.replace_matches(pattern, flags, text, replacement, count)
    if mandatory_count and replaced != mandatory_count:
        raise TemplateError(f"regex_replace: {plural(replaced, 'match', 'matches')} of {pattern!r}, not {mandatory_count}")
    return made


def search(value: Any, regex: str, *groups: str, ignorecase: bool = False, multiline: bool = False) -> Any:
    r"""Return the first match, or the given groups of it (``\\1``, ``\\g<name>``); None without a match."""
    flags = _flags(ignorecase, multiline)
    wanted = [_group(name, patterns.compile_pattern(regex, flags)) for name in groups]
    found = patterns.groups("search", regex, flags, str(value))
    if found is None:
        return None
    return [found[number] for number in wanted] if groups else found[0]


def _group(name: str, pattern: re.Pattern[str]) -> int:
    r"""Return the number of the group ``\\1`` or ``\\g<name>``."""
    named = re.fullmatch(r"\\g<(\S+)>", name)
    numbered = re.fullmatch(r"\\(\d{1,3})", name)
    known = pattern.groupindex.get(named[1]) if named else int(numbered[1]) if numbered else None
    if known is None or known > pattern.groups:
        raise TemplateError(f"regex_search: {name!r} is not a group of the pattern; write \\\\1 or \\\\g<name>")
    return known


def find_all(value: Any, regex: str, multiline: bool = False, ignorecase: bool = False) -> list[Any]:
    """Return all matches."""
    return patterns.all_matches(regex, _flags(ignorecase, multiline), str(value))


def escape(value: Any, re_type: str = "python") -> str:
    """Return the text escaped for use in a pattern."""
    if re_type == "python":
        return re.escape(str(value))
    if re_type == "posix_basic":
        return _POSIX_BASIC.sub(r"\\\1", str(value))
    raise TemplateError(f"regex_escape: re_type must be python or posix_basic, got {re_type!r}")


REGEX: Mapping[str, Callable[..., Any]] = {
    "regex_escape": escape,
    "regex_findall": find_all,
    "regex_replace": replace,
    "regex_search": search,
}
