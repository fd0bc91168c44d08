"""Finds the variables that a playbook sets and uses, from its templates and conditions without evaluating them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jinja2 import TemplateError, nodes

from remediation.model.errors import Place
from remediation.playbook.errors import where
from remediation.playbook.load_context import find_file
from remediation.playbook.model import Playbook, Task, TaskSettings
from remediation.templating.environment import ENVIRONMENT
from remediation.templating.templar import only_template
from remediation.templating.yaml.located import Table, Text, has_template

MAGIC = frozenset(
    {
        "ansible_failed_result", "ansible_failed_task", "group_names", "groups", "hostvars", "inventory_dir", "inventory_file",
        "inventory_hostname", "inventory_hostname_short", "item", "lookup", "omit", "play_hosts", "playbook_dir", "q", "query",
    }
)  # fmt: skip
GUARDS = frozenset({"default", "d", "defined", "undefined"})
"""Filters and tests that accept undefined variables."""
TEMPLATES = frozenset({"template", "win_template"})


@dataclass(slots=True)
class UsedNames:
    """The variables that are set and used.

    ``defined`` are variables with the place that sets them, ``needed`` those that must be defined where they are used, ``used`` all
    that occur, and ``given`` those that always exist. ``open_ended`` means that files read at run time may set more, ``hidden`` that
    they may use more.
    """

    defined: dict[str, Place | None] = field(default_factory=dict)
    needed: dict[str, Place | None] = field(default_factory=dict)
    used: set[str] = field(default_factory=set)
    given: set[str] = field(default_factory=lambda: set(MAGIC))
    open_ended: bool = False
    hidden: bool = False


def names_in(playbook: Playbook) -> UsedNames:
    """Return the variables of a playbook and its imports."""
    names = UsedNames()
    for play in playbook.plays:
        _define(names, play.vars)
        names.open_ended = names.open_ended or bool(play.vars_files)
        for value in (play.hosts, play.serial, play.max_fail_percentage, play.vars_files, play.name):
            _use(names, value)
        for task in play.all_tasks():
            _task(names, task)
            if task.action in TEMPLATES:
                _template(names, task, (play.file.parent, playbook.path.parent))
    return names


def _task(names: UsedNames, task: Task) -> None:
    _settings(names, task.settings)
    if task.register:
        names.given.add(task.register)  # registered results are also kept for the run's record
    if task.action == "set_fact":
        _define(names, task.arguments)
    names.open_ended = names.open_ended or task.action in {"include_vars", "include_tasks", "include_role"}
    names.hidden = names.hidden or task.action in {"include_tasks", "include_role"}
    if task.loop is not None:
        names.given |= {task.loop.variable, task.loop.index, "ansible_loop"}
        names.open_ended = names.open_ended or has_template(task.loop.variable) or has_template(task.loop.index)
        _use(names, [task.loop.over, task.loop.label, task.loop.pause, task.loop.variable, task.loop.index])
    for value in (task.arguments, task.name, task.retries, task.delay, task.risk):
        _use(names, value)
    for condition in (task.until, task.failed_when, task.changed_when):
        _condition(names, condition, task.place)
    if task.action == "assert":
        _condition(names, task.arguments.get("that"), task.place)
    if task.action == "debug" and isinstance(task.arguments.get("var"), str):
        _condition(names, task.arguments["var"], task.place)
    for call in task.ladder.goal if task.ladder else ():
        _use(names, call.parameters)


def _template(names: UsedNames, task: Task, folders: tuple[Path, ...]) -> None:
    """Add the variables of a template file."""
    source = task.arguments.get("src")
    roots = task.settings.role.roots if task.settings.role else ()
    path = find_file(source, (*roots, task.folder, *folders), "templates") if isinstance(source, str) else None
    if path is None or has_template(source) or any(str(name).endswith("_string") for name in task.arguments):
        names.hidden = True
        return
    try:
        tree = ENVIRONMENT.parse(path.read_text(encoding="utf-8"))
    except (TemplateError, RecursionError, OSError, ValueError):  # reported at run time
        names.hidden = True
        return
    names.hidden = (
        names.hidden or next(tree.find_all((nodes.Include, nodes.Import, nodes.FromImport, nodes.Extends)), None) is not None
    )
    names.used |= {node.name for node in tree.find_all(nodes.Name)}


def _settings(names: UsedNames, settings: TaskSettings) -> None:
    for level in settings.vars:
        _define(names, level)
    for condition in settings.when:
        _condition(names, condition, None)
    others = (settings.environment, settings.delegate_to, settings.run_once, settings.ignore_errors, settings.throttle,
              settings.timeout, settings.notify, settings.become_user, settings.no_log, settings.check_mode)  # fmt: skip
    for value in others:
        _use(names, value)


def _define(names: UsedNames, table: Mapping[Any, Any]) -> None:
    places = table.key_places if isinstance(table, Table) else {}
    for name, value in table.items():
        names.defined.setdefault(str(name), places.get(name))
        _use(names, value)


def _use(names: UsedNames, value: Any) -> None:
    if isinstance(value, Text):
        if has_template(value):
            _read(names, str(value), value.place)
    elif isinstance(value, Mapping):
        for item in value.values():
            _use(names, item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            _use(names, item)


def _condition(names: UsedNames, value: Any, place: Place | None) -> None:
    for part in value if isinstance(value, list) else [value]:
        if isinstance(part, str):
            text = str(part) if has_template(part) and only_template(part) else "{{ " + str(part) + " }}"
            _read(names, text, where(part, place))


def _read(names: UsedNames, text: str, place: Place | None) -> None:
    try:
        _read_tree(names, ENVIRONMENT.parse(text), place)
    except (TemplateError, RecursionError):
        return  # reported at run time


def _read_tree(names: UsedNames, tree: nodes.Template, place: Place | None) -> None:
    own = {node.name for node in tree.find_all(nodes.Name) if node.ctx in {"store", "param"}}
    guarded = {
        name for node in tree.find_all((nodes.Filter, nodes.Test)) if node.name in GUARDS for name in node.find_all(nodes.Name)
    }
    mentioned = {node.name for node in tree.find_all(nodes.Name) if node.ctx == "load"} - own
    maybe = {node.name for node in tree.find_all(nodes.Name) if node in guarded}
    # `x is defined and x.y > 1`: a guard applies to the whole expression
    names.used |= mentioned
    for name in sorted(mentioned - maybe):
        if name not in ENVIRONMENT.globals:
            names.needed.setdefault(name, place)
