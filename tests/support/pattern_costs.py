"""Finds what makes a regular expression worse than linear, by its parsed form: no text and no clock is needed.

A repeat without a bound costs more than its text is long where

- another one stands in it, or next to it with nothing certain between, and both may match the same characters; or
- a search tries it again at each character of its run: the pattern begins with it (after what may match nothing), or what stands before it
  may match within its run; and something behind it may fail.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

if sys.version_info >= (3, 11):
    from re import _constants as constants
    from re import _parser as parser
else:
    import sre_constants as constants
    import sre_parse as parser

ENOUGH = 4096
"""A repeat up to so many is taken for bounded: it costs a constant for each character."""

ALPHABET = "".join(map(chr, range(0x20, 0x7F))) + "\n\t\u00e9"
REPEATS = {"MAX_REPEAT", "MIN_REPEAT"}
Item = tuple[Any, Any]


def faults(pattern: re.Pattern[str]) -> list[str]:
    """Return what is worse than linear in a pattern; empty where nothing is."""
    tree = parser.parse(pattern.pattern, pattern.flags & ~re.DEBUG)
    return list(dict.fromkeys(_Check(pattern.flags).sequence(list(tree), at_start=True)))


@dataclass
class _State:
    """The state where the next item of a sequence begins: ``unguarded`` says that a search may begin again at each character
    of a run that begins here, ``prefix`` what has been matched since the start, ``before`` what the repeat just before it matches.
    """

    unguarded: bool
    prefix: frozenset[str] = frozenset()
    before: frozenset[str] = frozenset()


class _Check:
    def __init__(self, flags: int) -> None:
        self.flags = flags
        self._known: dict[tuple[str, int], frozenset[str]] = {}
        """What an item matches, by its code and the identity of its value, which the parsed tree keeps."""

    def sequence(
        self, items: Sequence[Item], *, at_start: bool, before: frozenset[str] = frozenset(), within: bool = False
    ) -> Iterator[str]:
        """Yield the faults of items that follow each other; ``within`` an endless repeat."""
        state = _State(at_start, before=before)
        for index, (code, value) in enumerate(items):
            name = str(code)
            if name == "AT" and str(value) in {"AT_BEGINNING", "AT_BEGINNING_STRING"}:
                yield from self.anchored(list(items[index + 1 :]), within=within)
                return
            if name in REPEATS:
                yield from self.repeat((code, value), state, items[index + 1 :], within=within)
            elif name in {"AT", "ASSERT", "ASSERT_NOT"}:
                # (?<!x)x+ is tried at the beginning of a run only, and so is \bx+
                guards = str(value) == "AT_BOUNDARY" if name == "AT" else name == "ASSERT_NOT" and value[0] < 0
                state.unguarded = state.unguarded and not guards
            else:
                for branch in [value[-1]] if name == "SUBPATTERN" else value[1] if name == "BRANCH" else []:
                    yield from self.sequence(list(branch), at_start=state.unguarded, before=state.before, within=within)
                self.passed((code, value), state)

    def repeat(self, item: Item, state: _State, rest: Sequence[Item], *, within: bool) -> Iterator[str]:
        low, high, inner = item[1]
        own = self.characters([item])
        endless = high == constants.MAXREPEAT or high > ENOUGH
        if endless:
            if within:
                yield f"a repeat in a repeat: {_shown(own)}"
            if state.before & own:
                yield f"two repeats of {_shown(state.before & own)} in sequence"
            if self.can_fail(rest) and state.unguarded:
                yield f"begins with a repeat of {_shown(own)}"
            elif self.can_fail(rest) and state.prefix and state.prefix <= own:
                yield f"a repeat of {_shown(own)} that its own beginning stands in"
        yield from self.sequence(
            list(inner), at_start=state.unguarded and not endless, within=within or (endless and len(inner) > 1)
        )
        if endless:
            state.before = own
        elif low > 0:
            state.before = frozenset()
        if low > 0:
            state.unguarded, state.prefix = False, state.prefix | own

    def passed(self, item: Item, state: _State) -> None:
        """Go on behind an item that is no repeat."""
        if self.least([item]) > 0:
            state.unguarded = False
            state.prefix |= self.characters([item])
            state.before = self.trailing([item])
        else:
            state.before |= self.trailing([item])

    def anchored(self, items: list[Item], *, within: bool) -> Iterator[str]:
        """Yield the faults of what is tried once for each line: only repeats that compete with each other count."""
        for fault in self.sequence(items, at_start=False, within=within):
            if not fault.startswith(("begins", "a repeat of")):
                yield fault

    def can_fail(self, items: Sequence[Item]) -> bool:
        return any(self.least([item]) > 0 or str(item[0]) in {"AT", "ASSERT", "ASSERT_NOT"} for item in items)

    def least(self, items: Sequence[Item]) -> int:
        total = 0
        for code, value in items:
            name = str(code)
            if name in REPEATS or name == "POSSESSIVE_REPEAT":
                total += value[0] * self.least(list(value[2]))
            elif name == "SUBPATTERN":
                total += self.least(list(value[-1]))
            elif name == "BRANCH":
                total += min(self.least(list(branch)) for branch in value[1])
            elif name not in {"AT", "ASSERT", "ASSERT_NOT"}:
                total += 1
        return total

    def trailing(self, items: Sequence[Item]) -> frozenset[str]:
        """Return what an endless repeat at the end of these items matches."""
        for code, value in reversed(list(items)):
            name = str(code)
            if name in REPEATS:
                if value[1] == constants.MAXREPEAT or value[1] > ENOUGH:
                    return self.characters([(code, value)])
                if value[0] > 0:
                    return frozenset()
            elif name == "SUBPATTERN":
                inner = self.trailing(list(value[-1]))
                if inner or self.least(list(value[-1])):
                    return inner
            elif name == "BRANCH":
                return frozenset().union(*(self.trailing(list(branch)) for branch in value[1]))
            elif name not in {"AT", "ASSERT", "ASSERT_NOT"}:
                return frozenset()
        return frozenset()

    def characters(self, items: Sequence[Item]) -> frozenset[str]:
        """Return which characters of a small alphabet these items may match."""
        return frozenset().union(*(self._item(str(code), value) for code, value in items))

    def _item(self, name: str, value: Any) -> frozenset[str]:
        key = name, id(value)
        if key not in self._known:
            if name in REPEATS or name == "POSSESSIVE_REPEAT":
                found = self.characters(list(value[2]))
            elif name == "SUBPATTERN":
                found = self.characters(list(value[-1]))
            elif name == "BRANCH":
                found = frozenset().union(*(self.characters(list(branch)) for branch in value[1]))
            elif name in {"LITERAL", "NOT_LITERAL", "ANY", "IN"}:
                found = frozenset(each for each in ALPHABET if self._one(name, value, each))
            else:
                found = frozenset()
            self._known[key] = found
        return self._known[key]

    def _one(self, name: str, value: Any, character: str) -> bool:
        if name == "LITERAL":
            return ord(character) == value or (bool(self.flags & re.IGNORECASE) and character.lower() == chr(value).lower())
        if name == "NOT_LITERAL":
            return ord(character) != value
        if name == "ANY":
            return character != "\n" or bool(self.flags & re.DOTALL)
        negated, matches = False, False
        for kind, detail in value:
            word = str(kind)
            if word == "NEGATE":
                negated = True
            elif word == "LITERAL":
                matches |= ord(character) == detail or (
                    bool(self.flags & re.IGNORECASE) and character.lower() == chr(detail).lower()
                )
            elif word == "RANGE":
                both = {character, character.lower(), character.upper()} if self.flags & re.IGNORECASE else {character}
                matches |= any(len(each) == 1 and detail[0] <= ord(each) <= detail[1] for each in both)
            elif word == "CATEGORY":
                matches |= re.match(_CATEGORIES[str(detail)], character) is not None
        return matches != negated


_CATEGORIES = {
    "CATEGORY_DIGIT": r"\d", "CATEGORY_NOT_DIGIT": r"\D", "CATEGORY_SPACE": r"\s", "CATEGORY_NOT_SPACE": r"\S",
    "CATEGORY_WORD": r"\w", "CATEGORY_NOT_WORD": r"\W",
}  # fmt: skip


def _shown(characters: frozenset[str]) -> str:
    few = "".join(sorted(characters))
    return repr(few if len(few) <= 12 else f"{few[:12]}...")
