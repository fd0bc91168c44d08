"""``include_vars``: loads variables from a file when the host reaches the task."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.variables import variables_of
from remediation.model.errors import UsageError
from remediation.modules.result import ActionResult
from remediation.playbook.actions import IncludeVars
from remediation.playbook.load_context import find_file
from remediation.templating.templar import Scope

ENDINGS = frozenset({".yml", ".yaml", ".json"})


def include_vars(given: IncludeVars, site: TaskContext, scope: Scope) -> ActionResult:
    """Load the variables of a file, or of all files in a folder."""
    found: dict[str, Any] = {}
    paths = _files(given, site)
    for path in paths:
        found.update(variables_of(path, site.play.stage.request.playbook.decrypt))
    named: Mapping[str, Any] = {given.name: found} if given.name else found
    return ActionResult(values={"ansible_included_var_files": [str(path.absolute()) for path in paths]}, included=named)


def _files(given: IncludeVars, site: TaskContext) -> list[Path]:
    folders = (site.task.folder, site.play.play.file.parent, site.play.stage.request.playbook.path.parent)
    if given.file is not None:
        path = find_file(given.file, folders, "vars", subfolder_first=True)
        if path is None:
            raise UsageError(f"include_vars: no file {given.file!r} in {folders[0]}", place=site.place)
        return [path]
    for folder in folders:
        there = folder / str(given.dir)
        if there.is_dir():
            return sorted(path for path in there.rglob("*") if path.is_file() and path.suffix in ENDINGS)
    raise UsageError(f"include_vars: no folder {given.dir!r} in {folders[0]}", place=site.place)
