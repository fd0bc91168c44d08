"""INI inventories, read into the shape of YAML ones, with the place of each name."""

from __future__ import annotations

import ast
import re
import shlex
from pathlib import Path
from typing import Any

from remediation.model.errors import Place, Problem
from remediation.templating.yaml.loader import problem
from remediation.templating.yaml.located import Table, Text

_SECTION = re.compile(r"^\[([^:\]\s]+)(?::(\w+))?\]\s*(?:[#;].*)?$")
_ADDRESS = re.compile(r"\[[0-9a-fA-F:.]+\]:\d+(?:\s|$)")
"""An IPv6 address with a port."""
PARTS = ("vars", "children")
UNGROUPED = "ungrouped"


def looks_like_ini(text: str) -> bool:
    """Return whether a text has a section (``[group]``)."""
    return any(_SECTION.match(line.strip()) for line in text.splitlines())


def read_ini(text: str, path: Path, problems: list[Problem]) -> Table:
    """Return the groups of an INI inventory. Mistakes are added to `problems`."""
    groups = Table({}, Place(str(path), 1, 1))
    name, part = UNGROUPED, ""
    defined: set[str] = {"all", UNGROUPED}
    wanted: dict[str, tuple[str, Place]] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip()
        if not line or line[0] in "#;":
            continue
        place = Place(str(path), number, len(raw) - len(raw.lstrip()) + 1)
        if line.startswith("[") and not _ADDRESS.match(line):
            found = _SECTION.match(line)
            if found is None or (found[2] and found[2] not in PARTS):
                problems.append(problem(f"expected [GROUP], [GROUP:vars] or [GROUP:children], got {line}", place))
                continue
            name, part = found[1], found[2] or ""
            if part == "vars":
                wanted.setdefault(name, (f"[{name}:vars] names a group that this file does not define", place))
            else:
                defined.add(name)
            _group(groups, name, place)
        elif part == "vars":
            key, equals, value = line.partition("=")
            if not equals:
                problems.append(problem(f"expected VARIABLE=VALUE in [{name}:vars], got {line!r}", place))
                continue
            _put(_part(groups, name, "vars", place), key.strip(), _value(value.strip(), place), place)
        elif part == "children":
            child = line.split("#")[0].strip()
            wanted.setdefault(child, (f"[{name}:children] names the group {child!r}, which this file does not define", place))
            _put(_part(groups, name, "children", place), child, None, place)
        else:
            _host(_part(groups, _group(groups, name, place), "hosts", place), line, place, problems)
    problems += [problem(words, place) for group, (words, place) in wanted.items() if group not in defined]
    return groups


def _group(groups: Table, name: str, place: Place) -> str:
    if name not in groups:
        _put(groups, name, Table({}, place), place)
    return name


def _part(groups: Table, name: str, part: str, place: Place) -> Table:
    _group(groups, name, place)
    group: Table = groups[name]
    if part not in group:
        _put(group, part, Table({}, place), place)
    inner: Table = group[part]
    return inner


def _host(hosts: Table, line: str, place: Place, problems: list[Problem]) -> None:
    try:
        words = shlex.split(line, comments=True)
    except ValueError as error:
        problems.append(problem(f"{line!r} cannot be read: {str(error).lower()}", place))
        return
    if not words:
        return
    variables = Table({}, place)
    for word in words[1:]:
        key, equals, value = word.partition("=")
        if not equals:
            problems.append(problem(f"host {words[0]}: expected VARIABLE=VALUE, got {word!r}", place))
            return
        _put(variables, key, _value(value, place), place)
    known = hosts.get(words[0])
    if isinstance(known, Table):
        variables = Table({**known, **variables}, place, known.key_places | variables.key_places, variables.value_places)
    _put(hosts, words[0], variables or None, place)


def _put(table: Table, key: str, value: Any, place: Place) -> None:
    table[key] = value
    table.key_places[key] = table.value_places[key] = place
    table.template = table.template or getattr(value, "template", False)


def _value(text: str, place: Place) -> Any:
    """Return a value as Ansible reads it: a Python literal, or else text."""
    try:
        found = ast.literal_eval(text)
    except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
        return Text(text, place)
    if isinstance(found, (str, bytes)):
        return Text(found if isinstance(found, str) else text, place)
    return list(found) if isinstance(found, (tuple, set)) else found
