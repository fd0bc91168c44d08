"""Parameters of flow actions: names, types and defaults, checked when a playbook is loaded and again at run time.

An action is not a step: it has no state. `remediation.engine.play` carries actions out.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from typing import Any

from remediation.modules.catalogue import WINDOWS, is_module, module_class, module_names, short_name
from remediation.modules.contract import Action

COLLECTION = "ansible.builtin."
LEGACY = "ansible.legacy."
"""Ansible's name for its own modules and those next to a playbook; here it means the former."""


ACTIONS: Mapping[str, str] = {
    "add_host": "hosts:AddHost",
    "assert": "output:Assert",
    "debug": "output:Debug",
    "fail": "output:Fail",
    "import_role": "includes:ImportRole",
    "gather_facts": "reading:SetupFacts",
    "group_by": "hosts:GroupBy",
    "include_role": "includes:IncludeRole",
    "include_tasks": "includes:IncludeTasks",
    "include_vars": "variables:IncludeVars",
    "measure": "reading:Measure",
    "meta": "control:Meta",
    "set_fact": "variables:SetFact",
    "setup": "reading:SetupFacts",
    "wait_for": "waiting:WaitFor",
}
"""Module and class of each flow action below `remediation.playbook.flow_actions`. Ansible's actions are also available as ``ansible.builtin.*``."""

GROWING = frozenset({"add_host", "group_by"})
"""Actions that add hosts and groups to the inventory of the run."""

STATIC_IMPORTS = frozenset({"import_playbook", "import_tasks"})
"""Imports, which are no actions: they are carried out when a playbook is loaded."""

OURS = frozenset({"measure"})
"""Actions that Ansible does not have, which therefore have no ``ansible.builtin`` name."""


def plain_name(name: str) -> str:
    """Return an action's short name: ``ansible.builtin.debug`` becomes ``debug``, ``ansible.windows.win_shell`` ``win_shell``."""
    if name == f"{WINDOWS}setup":
        return "setup"
    short = name.removeprefix(COLLECTION).removeprefix(LEGACY)
    return name if short in OURS else short_name(name) if short not in {*ACTIONS, *STATIC_IMPORTS} else short


def is_action(name: str) -> bool:
    """Return whether a short name is that of a flow action or a module."""
    return name in ACTIONS or is_module(name)


def action_model(name: str) -> type[Action]:
    """Return the parameters of an action. Its code is imported now."""
    return _flow_action(name) if name in ACTIONS else module_class(name)


@cache
def _flow_action(name: str) -> type[Action]:
    module, _, cls = ACTIONS[name].partition(":")
    found: type[Action] = getattr(import_module(f"remediation.playbook.flow_actions.{module}"), cls)
    return found


def action_names() -> tuple[str, ...]:
    """Return the short names of all actions, modules included."""
    return (*ACTIONS, *module_names())


def from_text(action: type[Action], text: str) -> dict[str, Any]:
    """Parse a bare string: the free parameter with words such as ``chdir=/tmp`` extracted, or ``name=value`` pairs.

    Raises ValueError if it is neither.
    """
    if not action.free:
        return _pairs(text)
    if not action.words:
        text = text.strip()  # a block scalar ends with a newline
        return {action.free: text} if "=" not in text.split(" ", maxsplit=1)[0] else _pairs(text)
    found: dict[str, Any] = {}
    rest, end = "", 0
    for start, word in word_spans(text):
        name, equals, value = word.partition("=")  # as it is: backslashes of Windows paths stay
        if equals and name in action.words:
            found[name] = _unquote(value)
            rest, end = rest + text[end:start].rstrip(" "), start + len(word)
            if text[end : end + 1] == "\n":  # as in Ansible, the end of the line goes with the word
                rest, end = rest + (" " if rest and not rest.endswith("\n") else ""), end + 1
    rest = (rest + text[end:]).strip(" ")
    return {action.free: rest, **found} if rest else found


def _pairs(text: str) -> dict[str, Any]:
    pairs = [_pair(_decode_escapes(word)) for _, word in word_spans(text)]
    if not pairs or any(pair is None for pair in pairs):
        msg = f"expected a mapping of parameters, got {text!r}"
        raise ValueError(msg)
    return {name: _unquote(value) for name, value in filter(None, pairs)}


def _pair(word: str) -> tuple[str, str] | None:
    """Return the name and the value of a ``name=value``, whose name may hold templates; None for another word."""
    depth = 0
    for index, character in enumerate(word):
        depth = max(0, depth + _deeper(word, index))
        if character == "=" and index and not depth:
            return word[:index], word[index + 1 :]
    return None


def _deeper(text: str, index: int) -> int:
    """Return 1 where a template begins, -1 where one ends."""
    return (text[index : index + 2] in {"{{", "{%"}) - (text[max(0, index - 1) : index + 1] in {"}}", "%}"})


def is_pairs(text: str) -> bool:
    """Return whether a text consists of ``name=value`` words; a template for all parameters does not."""
    try:
        return all(_pair(word) for _, word in word_spans(text))
    except ValueError:
        return False


def _unquote(value: str) -> str:
    quoted = len(value) > 1 and value[0] == value[-1] and value[0] in "'\""
    return value[1:-1] if quoted else value


_ESCAPE = re.compile(r"""\\(?:U[0-9A-Fa-f]{8}|u[0-9A-Fa-f]{4}|x[0-9A-Fa-f]{2}|N\{[^}]{1,100}\}|[\\'"abfnrtv])""")


def _decode_escapes(word: str) -> str:
    """Return a ``name=value`` with its escapes decoded as in Python, as Ansible does."""
    return _ESCAPE.sub(lambda found: found[0].encode().decode("unicode_escape"), word)


def word_spans(text: str) -> list[tuple[int, str]]:
    """Split a command line into words with their positions, keeping quotes, and templates in one piece.

    Raises ValueError for a quote that is not closed, as Ansible refuses it.
    """
    words: list[tuple[int, str]] = []
    word, quote, depth = "", "", 0
    for index, character in enumerate(text):
        depth = max(0, depth + _deeper(text, index))
        if character in "'\"" and not depth and not word.endswith("\\"):
            quote = "" if quote == character else (quote or character)
        if character.isspace() and not quote and not depth:
            if word:
                words.append((index - len(word), word))
            word = ""
        else:
            word += character
    if quote:
        msg = f"the quote {quote} is not closed; write it as \\{quote}, or the command as cmd: or argv:"
        raise ValueError(msg)
    return [*words, (len(text) - len(word), word)] if word else words
