"""``include_tasks`` and ``include_role``: load tasks when the host reaches them, once per item of a loop."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.engine.play.actions import action_parameters
from remediation.engine.play.context.host_state import TaskResult
from remediation.engine.play.context.results import jsonable, refused_result, to_registered
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.task_events import displayed_item
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


def include(context: TaskContext) -> tuple[list[IncludedFile], TaskResult]:
    """Return the included files and the include's result, and emit it if it was skipped or failed; never raises."""
    recorded = context.host.recorded_result(context.path) is not None  # by an earlier process of this run
    if not recorded:
        context.emit("task_start", **TaskStartData(path=context.path))
    files: list[IncludedFile] = []
    endings: list[TaskResult] = []
    try:
        if len(context.included) >= DEEPEST:
            raise UsageError(f"{context.task.action}: includes are nested more than {DEEPEST} levels deep", place=context.place)
        found, unmet = _items(dataclasses.replace(context, included=(*context.included, _include_vars(context))))
        for inner in found:
            unmet = false_condition(inner, inner.scope())
            if unmet is None:
                files.append(_file(inner))
            endings.append(_include_result(inner, unmet))
            if unmet is not None and context.task.loop is not None and not recorded:
                _emit_result(inner, endings[-1])
        if endings:
            task_result = endings[0] if context.task.loop is None else together(endings)
        else:
            task_result = TaskResult(Outcome.SKIPPED, dict(_EMPTY)) if unmet is None else _skipped_include(context, unmet)
    except RemediationError as error:
        failed = refused_result(error)
        task_result = TaskResult(Outcome.FAILED, to_registered(failed), failed.reason, failed.next_step)
        task_result = dataclasses.replace(task_result, ignored=context.switch(context.settings.ignore_errors))
        files = []
    if context.task.register:
        context.host.facts[context.task.register] = dict(task_result.result)
    if not recorded:
        _emit_result(context, task_result)
    return files, task_result


def _emit_result(context: TaskContext, task_result: TaskResult) -> None:
    skipped = {} if task_result.outcome is not Outcome.SKIPPED or "ansible_loop_var" not in context.loop else {"skipped": True}
    data = TaskResultData(
        path=context.path,
        outcome=str(task_result.outcome),
        ignored=task_result.ignored,
        msg=task_result.reason,
        reason=task_result.reason,
        next_step=task_result.next_step,
        result={"include": _include_name(context), "changed": False, **skipped},
        changes=[],
    )
    if skipped:
        data["item"] = displayed_item(context, context.loop[context.loop["ansible_loop_var"]])
    context.emit("task_result", **data)


def _include_result(context: TaskContext, unmet: Any) -> TaskResult:
    """Return the result of an include without a loop, or of one item; `unmet` is the condition that is false, or None."""
    if unmet is not None:
        return _skipped_include(context, unmet)
    names = _include_values(context)
    return TaskResult(Outcome.OK, {**names, **context.loop} if context.task.loop is not None else {"changed": False, **names})


def _skipped_include(context: TaskContext, unmet: Any) -> TaskResult:
    skipped = {"skipped": True, "skip_reason": UNMET, "false_condition": jsonable(unmet)}
    return TaskResult(Outcome.SKIPPED, {"changed": False, **skipped, **context.loop}, UNMET)


def _include_values(context: TaskContext) -> dict[str, Any]:
    """Return what a registered include names, as in Ansible."""
    scope = context.scope()
    given = {name: scope.render(value) for name, value in context.task.arguments.items() if name not in {"file", "apply"}}
    if "apply" in context.task.arguments:
        given["apply"] = context.task.arguments["apply"]
    file = context.task.arguments.get("file")
    return {"include_args": jsonable(given), **({"include": str(scope.render(file))} if file is not None else {})}


def _include_name(context: TaskContext) -> str:
    given = context.task.arguments
    return str(next((given[name] for name in ("file", "name", "role") if given.get(name)), ""))


def _items(context: TaskContext) -> tuple[list[TaskContext], Any]:
    """Return the items of an include; none, and the false condition, if an invalid loop is not needed. Raises `RemediationError`."""
    loop = context.task.loop
    if loop is None:
        return [dataclasses.replace(context, path=f"{context.path}/0")], None
    try:
        loop, items = with_names(loop, context.scope()), items_of(loop, context.scope())
    except RemediationError:
        unmet = false_condition(context, context.scope())
        if unmet is not None:
            return [], unmet
        raise
    return [context.item(number, names_of(loop, number, items)) for number in range(len(items))], None


_EMPTY = {"changed": False, "results": [], "skipped": True, "skipped_reason": "No items in the list"}
DEEPEST = 60
"""Maximum depth of nested includes; deeper means that a file includes itself endlessly."""


def _include_vars(context: TaskContext) -> Layer:
    """Return the include's own ``vars``; unlike those of other tasks, they override the vars of the includes around it."""
    return {name: value for level in context.settings.vars[len(context.task.outer.vars) :] for name, value in level.items()}


def _file(context: TaskContext) -> IncludedFile:
    from remediation.playbook.flow_actions.includes import IncludeRole, IncludeTasks

    given = action_parameters(context, context.scope())
    # its own vars may be templates with the loop item, which is only in scope here
    names: Layer = {**context.loop, **_include_vars(context)}
    if isinstance(given, IncludeRole):
        return _role(given, context, names)
    if not isinstance(given, IncludeTasks):
        raise UsageError("include_tasks: expected the name of a file", place=context.place)
    request = context.play.stage.request
    role = context.settings.role
    roots = tuple(root / "tasks" for root in role.roots) if role else ()
    path = find_file(given.file, (context.task.folder, *roots, request.playbook.path.parent), "tasks")
    if path is None:
        raise UsageError(
            f"include_tasks: no file {given.file!r} in {context.task.folder}",
            next_step="correct its name; the search starts in the folder of the file that names it",
            place=context.place,
        )
    try:
        loaded = context.play.stage.tasks_of(
            path, context.task.inner or context.task.outer, f"{context.path}.", context.play.play.file.parent
        )
    except InputError as error:
        raise UsageError(str(error), next_step=f"correct {path.name}") from None
    return IncludedFile(loaded.nodes, names, loaded.handlers, loaded.roles, loaded.roles)


def _role(given: IncludeRole, context: TaskContext, names: Layer) -> IncludedFile:
    inside = context.settings.role
    parents = (*inside.parents, inside) if inside else ()
    name = given.name or given.role or ""
    use = RoleUse(
        name, role_parts(given.model_dump(exclude={"apply"})), {}, {}, parents, inside, validate=given.rolespec_validate
    )
    try:
        loaded = context.play.stage.tasks_of(
            context.task.folder / "-",
            context.task.inner or context.task.outer,
            f"{context.path}.",
            context.play.play.file.parent,
            use,
        )
    except InputError as error:
        raise UsageError(str(error), next_step="correct the name of the role, or its files") from None
    own = (loaded.role,) if loaded.role else ()
    public = own if given.public else ()
    return IncludedFile(loaded.nodes, names, loaded.handlers, (*public, *loaded.roles), (*own, *loaded.roles))
