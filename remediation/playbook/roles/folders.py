"""Finds the folder of a role, and the files in it."""

from __future__ import annotations

import os
from collections.abc import Iterable
from pathlib import Path

from remediation.model.files import shipped_folder

SUFFIXES = (".yml", ".yaml", ".json", "")
SYSTEM = ("~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles")
"""Ansible's folders of installed roles."""

RUNBOOKS = ("remediation.ollama",)
"""Collections of which this project ships the roles: one for each shipped playbook."""


def role_folders(root: Path, around: Iterable[Path], configured: Iterable[Path] | None = None) -> list[Path]:
    """Return the folders that are searched for a role. ``around`` are the roles that name it."""
    given = os.environ.get("ANSIBLE_ROLES_PATH")
    if given is not None:
        installed = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    else:
        installed = list(configured) if configured is not None else [Path(part).expanduser() for part in SYSTEM]
    return list(dict.fromkeys((root / "roles", *installed, *(role.parent for role in around), root)))


def find_role(name: str, folders: Iterable[Path], root: Path) -> Path | None:
    """Return the folder of a role: by a path, or by its name in `folders`."""
    try:
        given = Path(name).expanduser()
        for folder in folders:
            if (folder / given).is_dir():
                return folder / given
        return root / given if (root / given).is_dir() else None
    except (OSError, ValueError, RuntimeError):
        return None


def runbook(name: str) -> str:
    """Return the shipped playbook that a role represents, "" for any other role."""
    collection, _, short = name.rpartition(".")
    return short.replace("_", "-") if collection in RUNBOOKS else ""


def runbooks() -> dict[str, Path]:
    """Return the shipped playbooks by name."""
    folder = shipped_folder("playbooks")
    return {path.stem: path for path in sorted(folder.glob("*.yml"))}


def role_files(role: Path, part: str, name: str) -> list[Path]:
    """Return the files of a part (``tasks``, ``vars`` ...): one, or all files of a folder of that name. Empty if there are none."""
    folder = role / part
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return [path]
        if suffix == "" and path.is_dir() and part in {"defaults", "vars"}:
            return sorted(each for each in path.rglob("*") if each.is_file() and each.suffix in SUFFIXES)
    return []
