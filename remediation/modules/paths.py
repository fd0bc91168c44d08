"""Paths on a host, in the host's notation."""

from __future__ import annotations

import fnmatch
import ntpath
import os
import posixpath
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Reply, Run
from remediation.model.errors import ParameterError

if TYPE_CHECKING:
    from remediation.modules.contract import ModuleTask

_GLOB = 'IFS=; cd "$1" || exit 1; for each in $2; do if [ -e "$each" ] || [ -L "$each" ]; then exit 0; fi; done; exit 1'
"""Expands a pattern without splitting it at spaces."""


def exists(reply: Reply) -> bool:
    """Return whether a path exists, from the reply to reading it; a folder exists although it cannot be read."""
    if isinstance(reply, FileContent):
        return not reply.missing
    return not (isinstance(reply, Failed) and reply.kind == "not-found")


def path_exists(task: ModuleTask, path: str, folder: str | None = None) -> bool:
    """Return whether a path, or any path that matches a pattern, exists. Relative paths begin in `folder`."""
    if any(character in path for character in "*?["):
        return _any_matches(task, path, folder)
    return exists(task.read(ReadFile(joined_path(folder, path, windows=task.windows), limit=1))[0])


def _any_matches(task: ModuleTask, pattern: str, folder: str | None) -> bool:
    if not task.windows:
        reply = task.read(Run(("sh", "-c", _GLOB, "glob", folder or ".", pattern)))[0]
        return isinstance(reply, Completed) and reply.rc == 0
    where, name = ntpath.split(joined_path(folder, pattern, windows=True))
    entries = task.reader().files.list(where) or ()
    return any(fnmatch.fnmatch(entry.name.lower(), name.lower()) for entry in entries)


def is_absolute(path: str, *, windows: bool) -> bool:
    """Return whether a path is absolute on its host."""
    return path.startswith(("/", "\\")) or path[1:2] == ":" if windows else path.startswith("/")


def joined_path(folder: str | None, name: str, *, windows: bool) -> str:
    """Return the path of `name` in `folder`; an absolute name stays."""
    if not folder or is_absolute(name, windows=windows):
        return name
    return ntpath.join(folder, name) if windows else posixpath.join(folder, name)


def searched_paths(name: str, folder: str, roots: Sequence[Path]) -> Sequence[Path]:
    """Return the paths of a file in each root, in `folder` there first; none for an absolute name."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return ()
    parts: Sequence[tuple[str, ...]] = [()] if path.parts[:1] == (folder,) else [(folder,), ()]
    places = roots if len(roots) > 1 else [*roots, *roots]  # the playbook's folder comes last in any case, as in Ansible
    return [Path(os.path.normpath(root.absolute().joinpath(*part, path))) for root in places for part in parts]


def not_found_text(name: str, places: Sequence[Path]) -> str:
    """Return Ansible's message for a file that the playbook lacks."""
    hint = "If you are using a module and expect the file to exist on the remote, see the remote_src option"
    where = "".join(f"\n\t{path}" for path in places)
    return (
        f"Could not find or access '{name}'{f'{chr(10)}Searched in:' if where else ''}{where} on the Ansible Controller.\n{hint}"
    )


def not_found(task: ModuleTask, name: str, folder: str, prefix: str = "") -> ParameterError:
    """Return the error for a file that the playbook lacks, with Ansible's message for the result, which begins with `prefix`."""
    kind = {"templates": "template"}.get(folder, "file")
    ansible_message = prefix + not_found_text(name, task.search_paths(name, folder))
    return ParameterError(f"no {kind} {name!r}", ansible_message, next_step=f"put it in {folder}/ next to the playbook")


def base_name(path: str, *, windows: bool) -> str:
    """Return the last part of a path."""
    return ntpath.basename(path.rstrip("/\\")) if windows else posixpath.basename(path.rstrip("/"))
