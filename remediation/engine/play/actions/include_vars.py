"""``include_vars``: loads variables from a file when the host reaches the task."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.variables import variables_of
from remediation.model.errors import InputError, ParameterError, RemediationError
from remediation.modules.paths import not_found_text, searched_paths
from remediation.modules.result import ActionResult
from remediation.playbook.load_context import find_file
from remediation.templating.filters.common import combine
from remediation.templating.patterns import groups
from remediation.templating.templar import Scope
from remediation.templating.template_files import SEARCH_PATH

if TYPE_CHECKING:
    from remediation.playbook.flow_actions.variables import IncludeVars

ENDINGS = frozenset({".yml", ".yaml", ".json"})


def include_vars(given: IncludeVars, site: TaskContext, scope: Scope) -> ActionResult:
    """Load the variables of a file, or of all files in a folder."""
    found: dict[str, Any] = {}
    read: list[str] = []
    try:
        for path in _files(given, site, scope):
            loaded = _load_variables(path, site)
            found = combine(found, loaded, recursive=True) if given.hash_behaviour == "merge" else {**found, **loaded}
            read.append(str(path.absolute()))
    except RemediationError as error:
        refused = refused_result(error)
        none: dict[str, Any] = {given.name: {}} if given.name else {}
        keys = {
            "message": error.ansible_message if isinstance(error, ParameterError) else error.message,
            "ansible_included_var_files": read,
            "ansible_facts": none,
        }
        return dataclasses.replace(refused, values={**refused.values, **keys})
    named: Mapping[str, Any] = {given.name: found} if given.name else found
    if given.hash_behaviour == "merge":
        before = {name: scope[name] for name in named if name in scope}
        named = combine(before, named, recursive=True)
    return ActionResult(values={"ansible_included_var_files": read}, included=named)


def _load_variables(path: Path, site: TaskContext) -> Mapping[str, Any]:
    try:
        return variables_of(path, site.play.stage.request.playbook.decrypt)
    except InputError as error:
        if "expected a mapping of variables" not in error.message:
            raise
        raise ParameterError(error.message, f"{path.absolute()} must be stored as a dictionary/hash") from None


def _files(given: IncludeVars, site: TaskContext, scope: Scope) -> list[Path]:
    role = site.settings.role
    folders = (
        *(role.roots if role else ()),
        site.task.folder,
        site.play.play.file.parent,
        site.play.stage.request.playbook.path.parent,
    )
    if given.file is not None:
        path = find_file(given.file, folders, "vars", subfolder_first=True)
        if path is None:
            roots = [Path(str(each)) for each in scope[SEARCH_PATH]] if SEARCH_PATH in scope else [site.task.folder]
            ansible_message = not_found_text(given.file, searched_paths(given.file, "vars", roots))
            raise ParameterError(f"include_vars: no file {given.file!r} in {folders[0]}", ansible_message, place=site.place)
        return [path]
    own = [root / "vars" / str(given.dir) for root in role.roots] if role else []
    places = [*own, *(folder / str(given.dir) for folder in folders)]
    for there in places:
        if there.is_dir():
            return [path for path in _walk_files(there) if _is_selected(path, there, given, site)]
    ansible_message = f"{(own or [site.task.folder / str(given.dir)])[0].absolute()} directory does not exist"
    raise ParameterError(f"include_vars: no folder {given.dir!r} in {folders[0]}", ansible_message, place=site.place)


def _walk_files(folder: Path) -> Iterator[Path]:
    """Yield the files of a folder, then those of its folders, in the order of their names."""
    inner = sorted(folder.iterdir())
    yield from (path for path in inner if path.is_file())
    for path in inner:
        if path.is_dir():
            yield from _walk_files(path)


def _is_selected(path: Path, folder: Path, given: IncludeVars, site: TaskContext) -> bool:
    if given.depth and len(path.relative_to(folder).parts) > given.depth:
        return False
    if any(groups("search", f"{text}$", 0, path.name) for text in _texts(given.ignore_files)):
        return False
    if given.files_matching is not None and not groups("search", given.files_matching, 0, path.name):
        return False
    endings = {text and f".{text.lstrip('.')}" for text in _texts(given.extensions)} or ENDINGS
    if path.suffix in endings:
        return True
    if given.ignore_unknown_extensions:
        return False
    known = ", ".join(_texts(given.extensions) or ("yaml", "yml", "json"))
    ansible_message = f"{path.absolute()} does not have a valid extension: {known}"
    raise ParameterError(f"include_vars: {path} does not end with one of {known}", ansible_message, place=site.place)


def _texts(value: Any) -> list[str]:
    return [] if value is None else [str(part) for part in (value if isinstance(value, list) else str(value).split())]
