"""Executable inventories: a program that prints groups as JSON for ``--list``, and a host's variables for ``--host NAME``."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remediation.model.errors import Place, Problem
from remediation.templating.yaml.loader import problem
from remediation.templating.yaml.located import Rows, Table, Text

TIMEOUT = 120.0
META = "_meta"


def is_program(path: Path) -> bool:
    """Return whether an inventory is a program: executable, with a line that names its interpreter."""
    try:
        with path.open("rb") as file:
            return file.read(2) == b"#!" and os.access(path, os.X_OK)
    except OSError:
        return False


def read_program(path: Path, problems: list[Problem]) -> Table:
    """Return the groups that the program prints. Mistakes are added to `problems`."""
    place = Place(str(path), 1, 1)
    empty = Table({}, place)
    content = _printed(path, ("--list",), problems)
    if not isinstance(content, Mapping):
        return empty
    meta = content.get(META)
    known = meta.get("hostvars") if isinstance(meta, Mapping) else None
    groups: dict[str, Any] = {}
    for name, value in content.items():
        if name == META:
            continue
        given = {"hosts": value} if isinstance(value, list) else value
        if not isinstance(given, Mapping):
            problems.append(problem(f"{path}: group {name}: expected a list of hosts, or a mapping", place))
            continue
        hosts = given.get("hosts") or []
        own = {str(host): _variables(path, str(host), known, problems) for host in hosts}
        parts = {"hosts": _table(own, place), "children": _table(dict.fromkeys(given.get("children") or []), place)}
        if isinstance(given.get("vars"), Mapping):
            parts["vars"] = _data(given["vars"], place)
        groups[str(name)] = _table({key: part for key, part in parts.items() if part}, place)
    return _table(groups, place)


def _variables(path: Path, host: str, known: Any, problems: list[Problem]) -> Table | None:
    found = known.get(host) if isinstance(known, Mapping) else None
    if not isinstance(known, Mapping):
        found = _printed(path, ("--host", host), problems)
    return _data(found, Place(str(path), 1, 1)) if isinstance(found, Mapping) and found else None


def _printed(path: Path, words: tuple[str, ...], problems: list[Problem]) -> Any:
    place = Place(str(path), 1, 1)
    shown = f"{path} {' '.join(words)}"
    try:
        done = subprocess.run(
            [str(path.resolve()), *words], capture_output=True, timeout=TIMEOUT, check=False, stdin=subprocess.DEVNULL
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        reason = "it ran longer than two minutes" if isinstance(error, subprocess.TimeoutExpired) else str(error)
        problems.append(problem(f"{shown} cannot be run: {reason}", place))
        return None
    if done.returncode:
        said = done.stderr.decode(errors="replace").strip().splitlines()
        problems.append(problem(f"{shown} ended with exit code {done.returncode}{f': {said[-1]}' if said else ''}", place))
        return None
    try:
        return json.loads(done.stdout)
    except ValueError as error:
        problems.append(problem(f"{shown} did not print JSON: {error}", place))
        return None


def _table(items: Mapping[str, Any], place: Place) -> Table:
    places = dict.fromkeys(items, place)
    return Table(items, place, places, places)


def _data(value: Any, place: Place) -> Any:
    if isinstance(value, Mapping):
        return _table({str(key): _data(item, place) for key, item in value.items()}, place)
    if isinstance(value, list):
        return Rows([_data(item, place) for item in value], place)
    return Text(value, place) if isinstance(value, str) else value
