"""Limits on YAML texts, checked on parser events before values are built, so that no text can exhaust the memory.

Nesting is limited because readers of the values recurse; aliases because nine lines can represent a billion values; values
because each takes hundreds of times the memory of its source text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

DEEPEST = 100
"""Maximum nesting depth of values."""
MOST_WRITTEN = 500_000
"""Maximum number of values written out; each takes half a kilobyte of memory or more."""
MOST_ALIASED = 100_000
"""Maximum number of additional values that aliases represent."""
LONGEST_NUMBER = 3_000
"""Maximum length of a number. A hexadecimal number has a fifth more digits in decimal, and Python converts at most 4,300."""
FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader if PyYAML was built with it: eight times as fast, with the same nodes and positions."""

_BRACKETS = re.compile(r"[\[\]{}]")
_INDENTED = re.compile(rf"^[ \-?:]{{{DEEPEST}}}", re.MULTILINE)
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class TooMuch(yaml.MarkedYAMLError):
    """A valid YAML text that exceeds the limits."""


UNREADABLE = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""The exceptions that PyYAML raises for a value that contradicts its tag, such as ``!!int ''`` and ``!!timestamp x``."""


def check_limits(text: str, *, circles: bool = True, most: int | None = None) -> None:
    """Raise `TooMuch`, with its position, if a text is nested too deeply, or it or its aliases hold too many values.

    Without `circles`, a value that contains itself is rejected too. `most` limits the total number of values, counting each
    alias repetition.
    """
    if most is not None or "&" in text or may_be_deep(text) or _may_be_many(text):
        counted = _Counted(circles=circles, most=most)
        for event in yaml.parse(text, Loader=FASTEST):
            problem = counted.take(event)
            if problem:
                raise TooMuch(None, None, problem, event.start_mark)  # type: ignore[arg-type] # libyaml's mark


def refuse_long_number(node: yaml.Node) -> None:
    """Raise ValueError if a scalar is a number with too many digits."""
    if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"a number has at most {LONGEST_NUMBER:,} digits")


def plain_documents(text: str) -> list[Any]:
    """Return the documents of a YAML text as built-in types. Raises one of `UNREADABLE`."""
    check_limits(text, circles=False)
    loader = FASTEST(text)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            _refuse_long_numbers(node)
            found.append(loader.construct_document(node))
    finally:
        loader.dispose()
    return found


def _refuse_long_numbers(root: yaml.Node | None) -> None:
    open_nodes, seen = [root], set()
    while open_nodes:
        node = open_nodes.pop()
        if isinstance(node, yaml.ScalarNode):
            refuse_long_number(node)
        elif node is not None and node not in seen:
            seen.add(node)
            for item in node.value:
                open_nodes.extend(item if isinstance(item, tuple) else (item,))


def may_be_deep(text: str) -> bool:
    """Return whether brackets or indentation may exceed the depth limit; brackets inside quotes count too."""
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            return True
    return _INDENTED.search(text) is not None


def _may_be_many(text: str) -> bool:
    """Return whether a text may exceed the value limit: each value follows one of these characters."""
    return len(text) > MOST_WRITTEN and sum(map(text.count, "\n\r,:[{-?")) >= MOST_WRITTEN


class _Counted:
    """Counts the values of the events so far: ``written`` are written out, the others come from aliases."""

    def __init__(self, *, circles: bool, most: int | None) -> None:
        self.circles, self.most = circles, most
        self.sizes: dict[str, int] = {}
        self.open: list[tuple[str | None, int]] = []
        self.written = self.total = 0

    def take(self, event: yaml.Event) -> str:
        """Count one event and return what exceeds a limit, "" if nothing does."""
        if isinstance(event, yaml.AliasEvent):
            if not self.circles and any(anchor == event.anchor for anchor, _ in self.open):
                return "this value contains itself"
            self.total += self.sizes.get(event.anchor or "", 1)
        elif isinstance(event, (yaml.ScalarEvent, yaml.CollectionStartEvent)):
            self.written += 1
            self.total += 1
            if isinstance(event, yaml.CollectionStartEvent):
                self.open.append((event.anchor, self.total))
            elif event.anchor:
                self.sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = self.open.pop()
            if anchor:
                self.sizes[anchor] = self.total - before + 1
        return self.too_much()

    def too_much(self) -> str:
        """Return what exceeds a limit so far, "" if nothing does."""
        if len(self.open) > DEEPEST:
            return f"values are nested more than {DEEPEST} levels deep"
        if self.most is not None and self.total > self.most:
            return f"it holds more than {self.most:,} values, including those of its aliases"
        if self.written > MOST_WRITTEN:
            return f"the file holds more than {MOST_WRITTEN:,} values"
        return f"its aliases represent more than {MOST_ALIASED:,} values" if self.total - self.written > MOST_ALIASED else ""
