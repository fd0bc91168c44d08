"""Reading PowerShell with tree-sitter: the keys of the hash literals in a script."""

from __future__ import annotations

from collections.abc import Iterator

import tree_sitter
import tree_sitter_powershell

from remediation.facets.scripts import FOLDER, SHARED, script

NAMES = sorted(path.stem for path in FOLDER.glob("*.ps1") if path.stem != SHARED)
_LANGUAGE = tree_sitter.Language(tree_sitter_powershell.language())


def parse(code: str) -> tree_sitter.Node:
    return tree_sitter.Parser(_LANGUAGE).parse(code.encode()).root_node


def parsed(name: str) -> tree_sitter.Node:
    return parse(script(name))


def text(node: tree_sitter.Node) -> str:
    return (node.text or b"").decode()


def below(node: tree_sitter.Node, kind: str) -> Iterator[tree_sitter.Node]:
    for child in node.children:
        if child.type == kind:
            yield child
        yield from below(child, kind)


_INTERNAL = {frozenset({"task", "answer", "code", "user"}), frozenset({"id", "parent", "at"})}
"""The keys of hash literals that no answer has."""


def keys(name: str) -> set[frozenset[str]]:
    """Return the key sets of a script's hash literals."""
    found = set()
    for literal in below(parsed(name), "hash_literal_expression"):
        body = next((child for child in literal.children if child.type == "hash_literal_body"), None)
        entries = [child for child in body.children if child.type == "hash_entry"] if body is not None else []
        if entries:
            found.add(frozenset(text(entry.children[0]).strip("'") for entry in entries))
    return found - _INTERNAL


def reads(name: str) -> set[str]:
    """Return the fields of its data that a script reads."""
    found = set()
    for access in below(parsed(name), "member_access"):
        words = text(access).split(".")
        if words[0] == "$Data" and len(words) > 1:
            found.add(words[1])
    return found
