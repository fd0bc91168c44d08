"""Finds questionable parts of a valid playbook: surprising, irreversible or unused ones."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.inventory.inventory import Inventory
from remediation.inventory.patterns import SIGNS, split_pattern
from remediation.model.change import Risk
from remediation.model.errors import Place
from remediation.playbook.actions import GROWING
from remediation.playbook.errors import excerpt, suggestion, where
from remediation.playbook.model import Play, Playbook, Task, tasks_of
from remediation.playbook.roles import find_role, role_folders, runbook, runbooks
from remediation.playbook.variable_usage import UsedNames, names_in
from remediation.steps.registry import registry
from remediation.templating.yaml.located import has_template

KEEPING = ("backup", "save", "keep")
"""Parameters with which a destructive step keeps a copy first."""

FOR_HOSTS = frozenset({"close_programs", "compose_files", "endpoint", "max_risk", "model", "registry", "warn_seconds"})
"""Variables that the engine and the facets read."""

DELETES: Mapping[tuple[str, ...], str] = {
    ("docker", "volume", "rm"): "deletes a volume and its content",
    ("docker", "volume", "prune"): "deletes volumes and their content",
    ("docker", "system", "prune"): "deletes everything that no container uses",
    ("ollama", "rm"): "deletes a model",
    ("rm", "-rf"): "deletes a folder and its content",
    ("rm", "-r"): "deletes a folder and its content",
}


SOURCES: Mapping[str, tuple[str, str]] = {
    "copy": ("src", "files"),
    "win_copy": ("src", "files"),
    "template": ("src", "templates"),
    "win_template": ("src", "templates"),
    "script": ("cmd", "files"),
    "win_powershell": ("path", "files"),
    "uri": ("src", "files"),
    "win_uri": ("src", "files"),
    "include_vars": ("file", "vars"),
    "include_tasks": ("file", "tasks"),
}
"""Parameters that name a file of the playbook, with the folder in which it is searched for."""


@dataclass(frozen=True, slots=True)
class LintWarning:
    """A lint warning: the rule, the message, and its place."""

    rule: str
    message: str
    place: Place | None = None

    def __str__(self) -> str:
        head = f"{self.place}: {self.message} [{self.rule}]" if self.place else f"{self.message} [{self.rule}]"
        shown = excerpt(self.place)
        return f"{head}\n{shown}" if shown else head


def lint_playbook(
    playbook: Playbook,
    *,
    known: Iterable[str] = (),
    inventory: Inventory | None = None,
) -> list[LintWarning]:
    """Return the warnings about a loaded playbook in the order of their places. `known` are variables of the inventory and ``-e``.

    The hosts of plays are looked up in `inventory`; another one may have other groups.
    """
    names = names_in(playbook)
    found: list[LintWarning] = []
    for play in playbook.plays:
        for task in play.all_tasks():
            found += _of_task(task)
            found += _handlers(task, play)
            found += _missing_file(task, play, playbook)
            found += _missing_role(task, playbook)
    found += _unknown_hosts(playbook, inventory) if inventory is not None else ()
    found += _unused_names(names)
    found += _undefined_names(names, known)
    unique = dict.fromkeys(found)
    return sorted(unique, key=lambda item: (item.place.file, item.place.line) if item.place else ("", 0))


def _of_task(task: Task) -> Iterator[LintWarning]:
    if task.action == "command":
        yield from _command(task)
    cls = registry().get(task.action)
    if cls is not None and cls.risk is Risk.DESTRUCTIVE:
        without = [name for name in KEEPING if name in cls.model_fields and task.arguments.get(name) is False]
        if without:
            yield LintWarning("destructive-without-backup", f"{task.action} deletes data, and {without[0]} is off", task.place)


def _command(task: Task) -> Iterator[LintWarning]:
    given = task.arguments
    words = _words(given)
    says = task.changed_when is not None or given.get("creates") or given.get("removes")
    if not says:
        yield LintWarning(
            "command-without-changed-when",
            "a command always counts as changed; set changed_when, creates or removes",
            task.place,
        )
    for beginning, does in DELETES.items():
        if tuple(words[: len(beginning)]) == beginning and task.risk is None:
            yield LintWarning(
                "destructive-without-backup",
                f"{' '.join(beginning)} {does}, and no copy is saved first; set risk: destructive, and save a copy in an earlier task",
                task.place,
            )
    if "down" in words and {"-v", "--volumes"} & set(words) and {"compose", "docker-compose"} & set(words):
        yield LintWarning(
            "bare-down-v",
            "down -v deletes the project's volumes, and the models in them; use stack.stopped to stop a stack without data loss",
            task.place,
        )


def _words(given: Mapping[str, Any]) -> list[str]:
    argv = given.get("argv")
    if isinstance(argv, list):
        return [str(word) for word in argv]
    try:
        return shlex.split(str(given.get("cmd") or ""))
    except ValueError:
        return str(given.get("cmd")).split()


def _handlers(task: Task, play: Play) -> Iterator[LintWarning]:
    known = {name for handler in tasks_of(play.handlers) for name in (str(handler.name), *handler.listen)}
    open_names = any(has_template(handler.name) or handler.action == "include_tasks" for handler in tasks_of(play.handlers))
    for name in task.settings.notify:
        if not has_template(name) and not open_names and str(name) not in known:
            yield LintWarning(
                "unknown-handler",
                f"no handler is called {str(name)!r}{suggestion(name, known)}; the run would fail as soon as this task changes something",
                where(name, task.place),
            )


def _missing_file(task: Task, play: Play, playbook: Playbook) -> Iterator[LintWarning]:
    """Yield a warning if a file that the task names is not there. Full paths may be those of another controller."""
    key, folder = SOURCES.get(task.action, ("", ""))
    given = task.arguments if isinstance(task.arguments, Mapping) else {}
    value = given.get(key)
    if not isinstance(value, str) or not value or has_template(value) or given.get("remote_src"):
        return
    words = _words({"cmd": value}) if key == "cmd" else [value]
    name = str(words[0]) if words else ""
    if not name or name.startswith(("~", "/", "\\")) or name[1:2] == ":":
        return
    role = task.settings.role
    roots = (*(role.roots if role else ()), task.folder, play.file.parent, playbook.path.parent)
    there = [*roots, *(root / folder for root in roots)]
    try:
        exists = any((root / name).exists() for root in there)
    except (OSError, ValueError):  # no possible name: a NUL, too long
        exists = False
    if not exists:
        yield LintWarning(
            "missing-file",
            f"{task.spelling or task.action}: there is no file {name!r} in {folder}/ or next to the playbook",
            where(value, task.place),
        )


def _missing_role(task: Task, playbook: Playbook) -> Iterator[LintWarning]:
    """Yield a warning if the role of an ``include_role``, which is read at run time, is not there."""
    given = task.arguments if task.action == "include_role" and isinstance(task.arguments, Mapping) else {}
    value = given.get("name") or given.get("role")
    if not isinstance(value, str) or has_template(value):
        return
    role, roots = task.settings.role, tuple(dict.fromkeys((playbook.path.parent, *(play.file.parent for play in playbook.plays))))
    folders = role_folders(roots, role.roots if role else (), playbook.roles_path)
    shipped = runbook(value)
    if not (shipped in runbooks() if shipped else find_role(value, folders)):
        known = f"shipped roles: {', '.join(name.replace('-', '_') for name in runbooks())}"
        hint = known if shipped else f"searched in {', '.join(str(folder) for folder in folders[:-1])}"
        yield LintWarning("missing-role", f"there is no role {str(value)!r}; {hint}", where(value, task.place))


def _unknown_hosts(playbook: Playbook, inventory: Inventory) -> Iterator[LintWarning]:
    """Yield a warning for each part of a play's ``hosts`` that matches nothing, exclusions included."""
    for play in playbook.plays:
        for pattern in play.hosts if isinstance(play.hosts, list) else [play.hosts]:
            if has_template(pattern):
                continue
            for part in split_pattern(str(pattern)):
                name = part.lstrip("".join(SIGNS[:2]))
                if inventory.match(name).nothing:
                    near = suggestion(name, [*inventory.groups, *inventory.hosts])
                    yield LintWarning(
                        "unknown-hosts", f"no host or group of the inventory matches {name!r}{near}", where(pattern, play.place)
                    )
        if any(task.action in GROWING for task in play.all_tasks()):
            return  # later plays may run on hosts and groups that this one adds


def _unused_names(names: UsedNames) -> Iterator[LintWarning]:
    if names.hidden:  # files whose names are not known yet may use them
        return
    for name, place in names.defined.items():
        if name not in names.used and name not in FOR_HOSTS and not name.startswith("ansible_"):
            yield LintWarning("unused-variable", f"the variable {name!r} is not used in this playbook", place)


def _undefined_names(names: UsedNames, known: Iterable[str]) -> Iterator[LintWarning]:
    there = {*names.defined, *names.given, *known, *FOR_HOSTS}
    if names.open_ended:  # more variables come from files whose names are not known yet
        return
    for name, place in names.needed.items():
        if name not in there and not name.startswith("ansible_"):
            near = suggestion(name, there)
            yield LintWarning("undefined-variable", f"the variable {name!r} is not defined{near}", place)


def warnings_to_json(advice: LintWarning) -> dict[str, Any]:
    """Return a warning as JSON data."""
    place = advice.place
    at = {"file": place.file, "line": place.line, "column": place.column} if place else {}
    return {"rule": advice.rule, "message": advice.message, **at}
