"""``include_tasks`` and ``include_role``: load tasks when the host reaches them, once per item of a loop."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.play.actions import action_parameters
from remediation.engine.play.context.host_state import TaskResult
from remediation.engine.play.context.results import jsonable, refused_result, to_registered
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.variables import Layer
from remediation.engine.play.loops import items_of, names_of, with_names
from remediation.engine.play.task_runner import UNMET, false_condition, together
from remediation.model.errors import InputError, RemediationError, UsageError
from remediation.model.event_data import TaskResultData, TaskStartData
from remediation.model.outcome import Outcome
from remediation.playbook.load_context import find_file
from remediation.playbook.model import Node, Role
from remediation.playbook.roles import RoleUse
from remediation.playbook.tasks import role_parts

if TYPE_CHECKING:
    from remediation.playbook.flow_actions.includes import IncludeRole


@dataclass(frozen=True, slots=True)
class IncludedFile:
    """The tasks of one include, the variables that only they see, and what it adds to the play."""

    nodes: tuple[Node, ...]
    vars: Layer
    handlers: tuple[Node, ...] = ()
    roles: tuple[Role, ...] = ()
    named: tuple[Role, ...] = ()
    """The roles that belong to the play from now on (``role_names``); of these, ``roles`` are public."""


def include(site: TaskContext) -> tuple[list[IncludedFile], TaskResult]:
    """Return the included files and the include's result, and emit it if it was skipped or failed; never raises."""
    recorded = site.host.recorded_result(site.path) is not None  # by an earlier process of this run
    if not recorded:
        site.emit("task_start", **TaskStartData(path=site.path))
    files: list[IncludedFile] = []
    endings: list[TaskResult] = []
    try:
        if len(site.included) >= DEEPEST:
            raise UsageError(f"{site.task.action}: includes are nested more than {DEEPEST} levels deep", place=site.place)
        found, unmet = _items(dataclasses.replace(site, included=(*site.included, _include_vars(site))))
        for inner in found:
            unmet = false_condition(inner, inner.scope())
            if unmet is None:
                files.append(_file(inner))
            elif site.task.loop is not None and not recorded:
                _emit_skipped(inner, str(inner.loop["ansible_loop_var"]))
            endings.append(_include_result(inner, unmet))
        if endings:
            ending = endings[0] if site.task.loop is None else together(endings)
        else:
            ending = TaskResult(Outcome.SKIPPED, dict(_EMPTY)) if unmet is None else _skipped_include(site, unmet)
    except RemediationError as error:
        failed = refused_result(error)
        ending = TaskResult(Outcome.FAILED, to_registered(failed), failed.reason, failed.next_step)
        ending = dataclasses.replace(ending, ignored=site.switch(site.settings.ignore_errors))
        files = []
    if site.task.register:
        site.host.facts[site.task.register] = dict(ending.result)
    if not recorded:
        _emit_result(site, ending)
    return files, ending


def _emit_result(site: TaskContext, ending: TaskResult) -> None:
    data = TaskResultData(
        path=site.path,
        outcome=str(ending.outcome),
        ignored=ending.ignored,
        msg=ending.reason,
        reason=ending.reason,
        next_step=ending.next_step,
        result={"include": _include_name(site), "changed": False},
        changes=[],
    )
    site.emit("task_result", **data)


def _emit_skipped(site: TaskContext, variable: str) -> None:
    """Emit the result of an item for which nothing is included."""
    data = TaskResultData(
        path=site.path,
        item=None if site.hidden() else jsonable(site.loop[variable]),
        outcome=str(Outcome.SKIPPED),
        ignored=False,
        msg=UNMET,
        reason=UNMET,
        next_step="",
        result={"include": _include_name(site), "changed": False, "skipped": True},
        changes=[],
    )
    site.emit("task_result", **data)


def _include_result(site: TaskContext, unmet: Any) -> TaskResult:
    """Return the result of an include without a loop, or of one item; `unmet` is the condition that is false, or None."""
    if unmet is not None:
        return _skipped_include(site, unmet)
    names = _include_values(site)
    return TaskResult(Outcome.OK, {**names, **site.loop} if site.task.loop is not None else {"changed": False, **names})


def _skipped_include(site: TaskContext, unmet: Any) -> TaskResult:
    skipped = {"skipped": True, "skip_reason": UNMET, "false_condition": jsonable(unmet)}
    return TaskResult(Outcome.SKIPPED, {"changed": False, **skipped, **site.loop}, UNMET)


def _include_values(site: TaskContext) -> dict[str, Any]:
    """Return what a registered include names, as in Ansible."""
    scope = site.scope()
    given = {name: scope.render(value) for name, value in site.task.arguments.items() if name not in {"file", "apply"}}
    if "apply" in site.task.arguments:
        given["apply"] = site.task.arguments["apply"]
    file = site.task.arguments.get("file")
    return {"include_args": jsonable(given), **({"include": str(scope.render(file))} if file is not None else {})}


def _include_name(site: TaskContext) -> str:
    given = site.task.arguments
    return str(next((given[name] for name in ("file", "name", "role") if given.get(name)), ""))


def _items(site: TaskContext) -> tuple[list[TaskContext], Any]:
    """Return the items of an include; none, and the false condition, if an invalid loop is not needed. Raises `RemediationError`."""
    loop = site.task.loop
    if loop is None:
        return [dataclasses.replace(site, path=f"{site.path}/0")], None
    try:
        loop, items = with_names(loop, site.scope()), items_of(loop, site.scope())
    except RemediationError:
        unmet = false_condition(site, site.scope())
        if unmet is not None:
            return [], unmet
        raise
    return [site.item(number, names_of(loop, number, items)) for number in range(len(items))], None


_EMPTY = {"changed": False, "results": [], "skipped": True, "skipped_reason": "No items in the list"}
DEEPEST = 60
"""Maximum depth of nested includes; deeper means that a file includes itself endlessly."""


def _include_vars(site: TaskContext) -> Layer:
    """Return the include's own ``vars``; unlike those of other tasks, they override the vars of the includes around it."""
    return {name: value for level in site.settings.vars[len(site.task.outer.vars) :] for name, value in level.items()}


def _file(site: TaskContext) -> IncludedFile:
    from remediation.playbook.flow_actions.includes import IncludeRole, IncludeTasks

    given = action_parameters(site, site.scope())
    # its own vars may be templates with the loop item, which is only in scope here
    names: Layer = {**site.loop, **_include_vars(site)}
    if isinstance(given, IncludeRole):
        return _role(given, site, names)
    if not isinstance(given, IncludeTasks):
        raise UsageError("include_tasks: expected the name of a file", place=site.place)
    request = site.play.stage.request
    role = site.settings.role
    roots = tuple(root / "tasks" for root in role.roots) if role else ()
    path = find_file(given.file, (site.task.folder, *roots, request.playbook.path.parent), "tasks")
    if path is None:
        raise UsageError(
            f"include_tasks: no file {given.file!r} in {site.task.folder}",
            next_step="correct its name; the search starts in the folder of the file that names it",
            place=site.place,
        )
    try:
        loaded = site.play.stage.tasks_of(path, site.task.inner or site.task.outer, f"{site.path}.", site.play.play.file.parent)
    except InputError as error:
        raise UsageError(str(error), next_step=f"correct {path.name}") from None
    return IncludedFile(loaded.nodes, names, loaded.handlers, loaded.roles, loaded.roles)


def _role(given: IncludeRole, site: TaskContext, names: Layer) -> IncludedFile:
    inside = site.settings.role
    parents = (*inside.parents, inside) if inside else ()
    name = given.name or given.role or ""
    use = RoleUse(
        name, role_parts(given.model_dump(exclude={"apply"})), {}, {}, parents, inside, validate=given.rolespec_validate
    )
    try:
        loaded = site.play.stage.tasks_of(
            site.task.folder / "-", site.task.inner or site.task.outer, f"{site.path}.", site.play.play.file.parent, use
        )
    except InputError as error:
        raise UsageError(str(error), next_step="correct the name of the role, or its files") from None
    own = (loaded.role,) if loaded.role else ()
    public = own if given.public else ()
    return IncludedFile(loaded.nodes, names, loaded.handlers, (*public, *loaded.roles), (*own, *loaded.roles))
