"""What a YAML text may hold: checked on its events, before anything is built of it, so that no text can fill the memory.

Nesting is limited because readers of the values go down by recursion; aliases because nine lines can stand for a billion values,
and values because each takes hundreds of times the memory of the character that it may be.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

DEEPEST = 100
"""How deep values lie in one another."""
MOST_WRITTEN = 500_000
"""Values that are written out; each takes half a kilobyte of memory or more."""
MOST_ALIASED = 100_000
"""Values that aliases stand for, beyond those that are written out."""
LONGEST_NUMBER = 3_000
"""Characters of the longest number: written in hexadecimal it has a fifth more digits, and Python writes none of more than 4,300."""
FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where PyYAML was built with it: eight times as fast, with the same nodes and places."""

_BRACKETS = re.compile(r"[\[\]{}]")
_INDENTED = re.compile(rf"^[ \-?:]{{{DEEPEST}}}", re.MULTILINE)
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class TooMuch(yaml.MarkedYAMLError):
    """A text that is YAML, and holds more than is read."""


UNREADABLE = (yaml.YAMLError, ValueError, ArithmeticError, LookupError, TypeError, AttributeError)
"""What PyYAML raises for a value that is not what its tag says, such as ``!!int ''`` and ``!!timestamp x``."""


def check_limits(text: str, *, circles: bool = True, most: int | None = None) -> None:
    """Raise `TooMuch`, with its place, where a text is nested too deep, or it or its aliases hold too much.

    Without `circles` a value that contains itself is refused as well. `most` is how many values the text may hold at all, each
    counted as often as an alias repeats it.
    """
    if most is not None or "&" in text or may_be_deep(text) or _may_be_many(text):
        counted = _Counted(circles=circles, most=most)
        for event in yaml.parse(text, Loader=FASTEST):
            problem = counted.take(event)
            if problem:
                raise TooMuch(None, None, problem, event.start_mark)  # type: ignore[arg-type] # libyaml's mark


def refuse_long_number(node: yaml.Node) -> None:
    """Raise ValueError where a scalar is a number that is too long to be one."""
    if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"a number has at most {LONGEST_NUMBER:,} digits")


def plain_documents(text: str) -> list[Any]:
    """Return the documents of a YAML text as built-in types; raises one of `UNREADABLE`."""
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
    """Return whether brackets or indentation could lie deeper than allowed; brackets inside of quotes count as well."""
    depth = 0
    for bracket in _BRACKETS.finditer(text):
        depth = depth + 1 if bracket[0] in "[{" else max(0, depth - 1)
        if depth > DEEPEST:
            return True
    return _INDENTED.search(text) is not None


def _may_be_many(text: str) -> bool:
    """Return whether a text could hold more values than allowed: each stands behind one of these characters."""
    return len(text) > MOST_WRITTEN and sum(map(text.count, "\n\r,:[{-?")) >= MOST_WRITTEN


class _Counted:
    """How many values the events so far stand for, ``written`` of them by themselves and the others by aliases."""

    def __init__(self, *, circles: bool, most: int | None) -> None:
        self.circles, self.most = circles, most
        self.sizes: dict[str, int] = {}
        self.open: list[tuple[str | None, int]] = []
        self.written = self.total = 0

    def take(self, event: yaml.Event) -> str:
        """Count one event and return what is too much, empty where nothing is."""
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
        """Return what is too much so far, empty where nothing is."""
        if len(self.open) > DEEPEST:
            return f"values lie more than {DEEPEST} levels deep in one another"
        if self.most is not None and self.total > self.most:
            return f"it holds more than {self.most:,} values, with those that its aliases stand for"
        if self.written > MOST_WRITTEN:
            return f"the file holds more than {MOST_WRITTEN:,} values"
        return f"its aliases stand for more than {MOST_ALIASED:,} values" if self.total - self.written > MOST_ALIASED else ""
