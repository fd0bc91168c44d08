"""What a YAML text may hold: checked on its events, before anything is built of it, so that no text can fill the memory.

Nesting is limited because readers of the values go down by recursion; aliases because nine lines can stand for a billion values.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

DEEPEST = 100
"""How deep values lie in one another."""
MOST_ALIASED = 100_000
"""Values that aliases stand for, beyond those that are written out."""
LONGEST_NUMBER = 4_000
"""Characters of the longest number."""
FASTEST: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml's loader where PyYAML was built with it: eight times as fast, with the same nodes and places."""

_BRACKETS = re.compile(r"[\[\]{}]")
_INDENTED = re.compile(rf"^[ \-?:]{{{DEEPEST}}}", re.MULTILINE)
_NUMBERS = frozenset({"tag:yaml.org,2002:int", "tag:yaml.org,2002:float"})


class TooMuch(yaml.MarkedYAMLError):
    """A text that is YAML, and holds more than is read."""


def check(text: str) -> None:
    """Raise `TooMuch`, with its place, where a text is nested too deep or its aliases stand for too much."""
    if "&" in text or may_be_deep(text):
        _check_events(text)


def refuse_long_number(node: yaml.Node) -> None:
    """Raise ValueError where a scalar is a number that is too long to be one."""
    if node.tag in _NUMBERS and len(node.value) > LONGEST_NUMBER:
        raise ValueError(f"a number has at most {LONGEST_NUMBER:,} digits")


def plain_documents(text: str) -> list[Any]:
    """Return the documents of a YAML text as built-in types; raises `yaml.YAMLError` or ValueError."""
    check(text)
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


def _check_events(text: str) -> None:
    sizes: dict[str, int] = {}
    open_anchors: list[tuple[str | None, int]] = []
    written = total = 0
    for event in yaml.parse(text, Loader=FASTEST):
        if isinstance(event, yaml.AliasEvent):
            total += sizes.get(event.anchor or "", 1)
        elif isinstance(event, yaml.ScalarEvent):
            written += 1
            total += 1
            if event.anchor:
                sizes[event.anchor] = 1
        elif isinstance(event, yaml.CollectionStartEvent):
            written += 1
            total += 1
            open_anchors.append((event.anchor, total))
            if len(open_anchors) > DEEPEST:
                problem = f"values lie more than {DEEPEST} levels deep in one another"
                raise TooMuch(None, None, problem, event.start_mark)  # type: ignore[arg-type] # libyaml's mark
        elif isinstance(event, yaml.CollectionEndEvent):
            anchor, before = open_anchors.pop()
            if anchor:
                sizes[anchor] = total - before + 1
        if total - written > MOST_ALIASED:
            problem = f"its aliases stand for more than {MOST_ALIASED:,} values"
            raise TooMuch(None, None, problem, event.start_mark)  # type: ignore[arg-type] # libyaml's mark
