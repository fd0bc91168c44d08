"""Ansible's host patterns: unions, intersections, exclusions, globs, regular expressions and slices."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from remediation.model.errors import UsageError
from remediation.templating.patterns import is_nested

SLICE = re.compile(r"^(.+)\[(?:(-?\d+)|(\d+)[:-](\d*))\]$")
ALONE = re.compile(r"^[^\s:,!&~]+:\d+$|^\[[0-9a-fA-F.:]+\](?::\d+)?$")
"""A name with a port, or an IPv6 address in brackets, whose colons are not separators."""
PART = re.compile(r"(?:[^\s:\[\]]|\[[^\]]{0,1000}\])+")
"""A part between colons. Colons inside brackets belong to a slice or a character set."""
SIGNS = ("!", "&", "~")
NEXT = "write names, groups, group[0:3], web*, ~regex, with : or , between them, ! to leave out and & to restrict"


@dataclass(frozen=True, slots=True)
class PatternMatch:
    """The hosts that match a pattern, in its order. ``nothing`` are the parts without a match."""

    hosts: tuple[str, ...]
    nothing: tuple[str, ...] = ()


def split_pattern(pattern: str | Sequence[str]) -> list[str]:
    """Split a pattern into its parts. A pattern with a comma is split only at commas, as in Ansible.

    Raises `UsageError` for an unclosed bracket and for a sign without a name: read leniently, both would select other hosts.
    """
    if not isinstance(pattern, str):
        return [part for each in pattern for part in split_pattern(str(each))]
    if "," in pattern:
        parts = pattern.split(",")
    elif ALONE.match(pattern) or _is_ipv6(pattern):
        parts = [pattern]
    else:
        _refuse_brackets(pattern)
        parts = PART.findall(pattern)
    found = [part.strip() for part in parts if part.strip()]
    empty = next((part for part in found if part in SIGNS), None)
    if empty is not None or (not found and pattern.strip()):
        raise UsageError(f"the pattern {pattern!r} names no host after {(empty or pattern.strip()[-1])!r}", next_step=NEXT)
    return found


def match_hosts(
    parts: Sequence[str], hosts: Sequence[str], groups: Mapping[str, Sequence[str]], implicit: Collection[str] = ()
) -> PatternMatch:
    """Return the hosts that match `parts` together. Raises `UsageError` for an invalid regular expression.

    ``implicit`` hosts match only by their exact name.
    """
    unions = [part for part in parts if part[0] not in "!&"] or ["all"]
    found: dict[str, None] = {}
    nothing: list[str] = []
    for part in unions:
        named = _match_part(part, hosts, groups) or [part for name in implicit if name == part]
        if not named:
            nothing.append(part)
        found.update(dict.fromkeys(named))
    for sign, kept in (("&", True), ("!", False)):
        for part in (part for part in parts if part[0] == sign):
            those = {*_match_part(part[1:], hosts, groups), *(name for name in implicit if name == part[1:])}
            found = {host: None for host in found if (host in those) is kept}
    return PatternMatch(tuple(found), tuple(nothing))


def _refuse_brackets(pattern: str) -> None:
    """Raise `UsageError` for a bracket without its partner, which `PART` would leave out."""
    outside = re.sub(r"\[[^\]]{0,1000}\]", "", pattern)
    stray = next((character for character in outside if character in "[]"), None)
    if stray is not None:
        raise UsageError(f"the pattern {pattern!r} has a {stray!r} without its partner", next_step=NEXT)


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True


def _match_part(part: str, hosts: Sequence[str], groups: Mapping[str, Sequence[str]]) -> Sequence[str]:
    if part in hosts:
        return [part]
    whole, first, last = _split_slice(part)
    found: dict[str, None] = {}
    fits = _fits(whole)
    matching = [name for name in groups if fits(name)]
    for name in matching:
        found.update(dict.fromkeys(groups[name]))
    if not matching or whole.startswith("~") or any(character in whole for character in ".?*["):
        found.update(dict.fromkeys(host for host in hosts if fits(host)))
    listed = list(found)
    if first is None:
        return listed
    if last is None:
        return listed[first : first + 1 or None]
    return listed[first : last + 1 if last >= 0 else None]


def _fits(pattern: str) -> Callable[[str], object]:
    if pattern.startswith("~"):
        if is_nested(pattern[1:]):
            raise UsageError(
                f"the pattern {pattern!r} has nested repetitions and could take forever",
                next_step="write it without a repetition inside a repetition",
            )
        try:
            return re.compile(pattern[1:]).match
        except re.error as error:
            raise UsageError(
                f"the pattern {pattern!r} is not a valid regular expression: {error}",
                next_step="correct the pattern; a literal name needs no ~",
            ) from None
    if pattern == "*":
        return bool
    return re.compile(fnmatch.translate(pattern)).match


def _split_slice(part: str) -> tuple[str, int | None, int | None]:
    """Return the name, and the first and last index of its slice (inclusive), or (name, None, None) without a slice."""
    found = None if part.startswith("~") else SLICE.match(part)
    if found is None:
        return part, None, None
    if found[2] is not None:
        return found[1], int(found[2]), None
    return found[1], int(found[3]), int(found[4]) if found[4] else -1
