"""``group_vars`` and ``host_vars``: files or folders next to an inventory or a playbook."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from remediation.inventory.inventory import Files
from remediation.model.errors import InputError, Place, Problem, UsageError
from remediation.templating.yaml.loader import Decrypt, problem, read_yaml
from remediation.templating.yaml.located import Table

SUFFIXES = (".yml", ".yaml", ".json")
IGNORED = ("~", ".orig", ".bak", ".ini", ".cfg", ".retry", ".pyc", ".pyo", ".swp", ".md", ".txt")
"""File name endings that Ansible ignores in a folder."""


def read_files(folder: Path, problems: list[Problem], decrypt: Decrypt | None = None) -> Files:
    """Return the variables in a folder's ``group_vars`` and ``host_vars``. Mistakes are added to `problems`."""
    return Files(
        groups=_by_name(folder / "group_vars", problems, decrypt), hosts=_by_name(folder / "host_vars", problems, decrypt)
    )


def folder_entries(folder: Path) -> list[Path]:
    """Return the entries of a folder in name order. Raises `UsageError` if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(f"cannot read folder {folder}: {error.strerror or error}") from None


def _by_name(folder: Path, problems: list[Problem], decrypt: Decrypt | None) -> dict[str, list[Table]]:
    if not folder.is_dir():
        return {}
    found: dict[str, list[Table]] = {}
    taken: dict[str, int] = {}
    for path in folder_entries(folder):
        if path.name.startswith(".") or path.name.endswith(IGNORED):
            continue
        name = path.stem if path.suffix in SUFFIXES and not path.is_dir() else path.name
        rank = 0 if path.is_dir() or path.suffix not in SUFFIXES else 1 + SUFFIXES.index(path.suffix)
        if taken.get(name, rank) < rank:
            continue  # as in Ansible, only the first existing form is used: NAME, NAME.yml, NAME.yaml, NAME.json
        taken[name] = rank
        found[name] = [table for file in _files(path) for table in _table(file, problems, decrypt)]
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for inner in folder_entries(path):
        if inner.name.startswith(".") or inner.name.endswith(IGNORED):
            continue
        if inner.is_dir() or inner.suffix in {*SUFFIXES, ""}:
            yield from _files(inner)


def _table(path: Path, problems: list[Problem], decrypt: Decrypt | None) -> list[Table]:
    try:
        content = read_yaml(path, decrypt=decrypt)
    except InputError as error:
        problems += error.problems
        return []
    if content is None:
        return []
    if not isinstance(content, Table):
        problems.append(problem("expected a mapping of variables", Place(str(path), 1, 1)))
        return []
    return [content]
