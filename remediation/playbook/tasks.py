"""Reads task lists (tasks, blocks, imports and ladders) and resolves inherited keywords."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from remediation.model.change import Risk
from remediation.model.errors import Place
from remediation.playbook import keywords
from remediation.playbook.actions import action_model, action_names, is_action, plain_name
from remediation.playbook.ansible_names import KEYWORDS, module_instead
from remediation.playbook.errors import suggestion, where
from remediation.playbook.load_context import (
    LoadContext,
    apply_keywords,
    given_name,
    key_place,
    quote_value,
    texts_of,
    value_place,
)
from remediation.playbook.model import Block, Loop, Node, Task, TaskSettings
from remediation.playbook.parameters import DEFAULTS, WHOLE, check_parameters, given_parameters
from remediation.playbook.roles import RoleUse, read_role
from remediation.templating.templar import flaw
from remediation.templating.yaml.located import Rows, Table, Text, has_template, texts_in

IMPORT = "import_tasks"
INCLUDE = "include_tasks"
IMPORT_ROLE = "import_role"
INCLUDE_ROLE = "include_role"
INCLUDES = frozenset({INCLUDE, INCLUDE_ROLE})
STRICT = frozenset({IMPORT_ROLE, INCLUDE, INCLUDE_ROLE, "meta"})
"""Actions whose parameters are checked when a playbook is loaded, also if the task may fail: they decide what is run."""
BLOCK_PARTS = ("block", "rescue", "always")
LADDER = "ladder"
BACKGROUND = frozenset({"command", "script", "shell"})
"""Modules whose program can run in the background (``poll: 0``)."""
CONDITIONS = frozenset({"when", "until", "changed_when", "failed_when"})
"""Keywords whose values are expressions without braces."""


class TaskReader:
    """Reads the tasks of one file in ``folder``. ``names`` are the variables known at load time; ``handlers``: they are handlers."""

    def __init__(
        self, loading: LoadContext, folder: Path, names: Mapping[str, Any] | None = None, *, handlers: bool = False
    ) -> None:
        self._loading = loading
        self._problems = loading.problems
        self._folder = folder
        self._names = names or {}
        self._handlers = handlers

    def within(self, folder: Path, *, handlers: bool = False) -> TaskReader:
        """Return a reader of the files in another folder."""
        return TaskReader(self._loading, folder, self._names, handlers=handlers or self._handlers)

    def nodes(self, raw: Any, outer: TaskSettings, prefix: str, place: Place | None) -> tuple[Node, ...]:
        """Return the nodes of a task list. Their paths begin with `prefix`."""
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self._problems.add(f"expected a list of tasks, got {quote_value(raw)}", where(raw, place))
            return ()
        places = raw.places if isinstance(raw, Rows) and len(raw.places) == len(raw) else [where(raw, place)] * len(raw)
        found = [self.node(item, outer, f"{prefix}{number}", places[number]) for number, item in enumerate(raw)]
        return tuple(node for node in found if node is not None)

    def node(self, raw: Any, outer: TaskSettings, path: str, place: Place | None) -> Node | None:
        """Return a task or block. If it is invalid, adds a problem and returns None."""
        if not isinstance(raw, Mapping):
            self._problems.add(f"expected a task (a mapping), got {quote_value(raw)}", where(raw, place))
            return None
        place = where(raw, place)
        if "block" in raw:
            if self._handlers:
                self._problems.add("a handler cannot be a block; write a handler for each task", key_place(raw, "block"))
            return self._block(raw, outer, path, place)
        for stray in ("rescue", "always"):
            if stray in raw:
                self._problems.add(f"{stray} belongs to a block, and this task has none", key_place(raw, stray))
                return None
        raw = _expand_action(raw)
        action = self._action(raw, place)
        if action is None:
            return None
        if self._handlers and _no_handler(plain_name(action), raw[action]):
            self._problems.add(f"{action} cannot be a handler", key_place(raw, action))
            return None
        if plain_name(action) == IMPORT:
            return self._import(raw, action, outer, path, place)
        if plain_name(action) == IMPORT_ROLE:
            return self._import_role(raw, action, outer, path, place)
        return self._task(raw, action, outer, path, place)

    def _block(self, raw: Mapping[Any, Any], outer: TaskSettings, path: str, place: Place | None) -> Block:
        self._loading.expect(raw, keywords.BLOCK, "a block")
        for part in (name for name in BLOCK_PARTS if raw.get(name, ()) is None):
            self._problems.add(f"{part}: expected a list of tasks, got nothing", key_place(raw, part))
        settings = apply_keywords(outer, raw)
        self._check_templates({name: raw[name] for name in raw if name not in BLOCK_PARTS}, settings)
        guarded = replace(settings, rescued=bool(raw.get("rescue")) or settings.rescued)
        parts = {
            part: self.nodes(raw.get(part), guarded if part == "block" else settings, f"{path}/{part}.", value_place(raw, part))
            for part in BLOCK_PARTS
        }
        return Block(given_name(raw), path, parts["block"], parts["rescue"], parts["always"], settings=settings, place=place)

    def _action(self, raw: Mapping[Any, Any], place: Place | None) -> str | None:
        """Return the key with the task's step or action. Adds a problem for each other unknown key."""
        others = [key for key in raw if key not in keywords.TASK]
        known = [key for key in others if self._is_action(key)]
        strange = [key for key in others if key not in known]
        if len(known) > 1:
            both = " and ".join(map(repr, map(str, known)))
            self._problems.add(f"a task has only one step or action, but this has {both}", key_place(raw, known[1]))
            return None
        if not known and strange:
            # assume that the step is an Ansible module, or a key that is not a misspelled keyword
            near = [key for key in strange if "." not in str(key) and (str(key) in KEYWORDS or suggestion(key, keywords.TASK))]
            modules = [key for key in strange if module_instead(str(key))]
            wrong = next((key for key in (*modules, *strange) if key in modules or key not in near), None)
            if wrong is not None:
                strange.remove(wrong)
                self._no_step(wrong, key_place(raw, wrong))
            elif len(strange) == len(others):
                self._problems.add("this task names no step", place)
        for key in strange:
            self._loading.no_keyword("a task", key, keywords.TASK, key_place(raw, key))
        if not others:
            self._problems.add("this task names no step", place)
        return str(known[0]) if known else None

    def _no_step(self, name: object, place: Place | None) -> None:
        instead = module_instead(str(name))
        if instead:
            self._problems.add(f"{name} is an Ansible module, not a step; {instead}", place)
        elif "{{" in str(name):
            self._problems.add("the name of a module cannot be a template; write a task for each module, with when", place)
        else:
            self._problems.unknown(
                "the step", name, [*action_names(), IMPORT, IMPORT_ROLE, LADDER, *self._loading.steps()], place
            )

    def _is_action(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        short = plain_name(key)
        return short in {IMPORT, IMPORT_ROLE} or key == LADDER or is_action(short) or key in self._loading.steps()

    def _import(self, raw: Mapping[Any, Any], key: str, outer: TaskSettings, path: str, place: Place | None) -> Block | None:
        own = {name: value for name, value in raw.items() if name != key}
        self._loading.expect(_part(raw, own), keywords.IMPORT, IMPORT)
        named = raw[key].get("file") if isinstance(raw[key], Mapping) else raw[key]
        at = value_place(raw, key)
        if not isinstance(named, str) or not named.strip():
            self._problems.add(f"{IMPORT}: expected a file name", at)
            return None
        settings = apply_keywords(outer, raw)
        names = {name: value for level in settings.vars for name, value in level.items()}
        roots = tuple(root / "tasks" for root in settings.role.roots) if settings.role else ()
        file = self._loading.find(named, self._folder, at, names={**self._names, **names}, roots=roots)
        if file is None:
            return None
        nodes = self._load_below(file, settings, path, at)
        return Block(given_name(raw), path, nodes, settings=settings, place=place)

    def _load_below(self, file: Path, settings: TaskSettings, path: str, place: Place | None) -> tuple[Node, ...]:
        with self._loading.within(file, place) as allowed:
            if not allowed:
                return ()
            content = self._loading.read(file, place)
            return self.within(file.parent).nodes(content, settings, f"{path}/block.", Place(str(file), 1, 1))

    def _import_role(self, raw: Mapping[Any, Any], key: str, outer: TaskSettings, path: str, place: Place | None) -> Block | None:
        own = {name: value for name, value in raw.items() if name != key}
        self._loading.expect(_part(raw, own), keywords.IMPORT, IMPORT_ROLE)
        given = self._arguments(raw, key, IMPORT_ROLE, outer)
        name = given.get("name") or given.get("role")
        if not name:
            return None
        settings = apply_keywords(outer, raw)
        names = {known: value for level in settings.vars for known, value in level.items()}
        text = self._loading.early_text(name, {**self._names, **names})
        if has_template(text):
            self._problems.add("import_role: the name of a role cannot depend on host variables; use include_role", place)
            return None
        inside = outer.role
        parents = (*inside.parents, inside) if inside else ()
        validate = keywords.as_switch(given.get("rolespec_validate", True))
        use = RoleUse(str(text), role_parts(given), {}, {}, parents, inside, validate=validate)
        found = read_role(use, self, self._loading, settings, path, value_place(raw, key) or place)
        if found is None:
            return None
        if given.get("public") is not False:
            self._loading.roles.append(found.role)
        self._loading.handlers += found.handlers
        return Block(given_name(raw), path, found.nodes, settings=settings, place=place)

    def _task(self, raw: Mapping[Any, Any], key: str, outer: TaskSettings, path: str, place: Place | None) -> Task:
        action = key if key == LADDER else plain_name(key)
        kinds = keywords.INCLUDE if action in INCLUDES else keywords.TASK
        what = action if action in INCLUDES else "a task"
        own = {name: value for name, value in raw.items() if name in keywords.TASK}
        self._loading.expect(_part(raw, own), kinds, what)
        settings = self._async_settings(raw, action, apply_keywords(outer, own))
        self._check_templates(own, settings)
        self._check_templates(_goal_parameters(raw[key], action), settings, {"that"} if action == "assert" else ())
        task = Task(
            name=given_name(raw),
            action=action,
            spelling=key,
            arguments=raw[key],
            path=path,
            settings=settings,
            outer=outer,
            inner=self._apply_settings(raw, key, outer) if action in INCLUDES else None,
            place=place,
            folder=self._folder,
            loop=self._loop(raw),
            register=str(raw.get("register") or ""),
            until=raw.get("until"),
            retries=raw.get("retries"),
            delay=raw.get("delay"),
            listen=texts_of(raw.get("listen")),
            failed_when=raw.get("failed_when"),
            changed_when=raw.get("changed_when"),
            risk=raw.get("risk"),
            job_seconds=raw.get("async"),
            poll=raw.get("poll"),
        )
        self._check_risk(raw)
        if action == "meta" and "end_role" in str(raw[key]) and settings.role is None:
            self._problems.add("meta: end_role is allowed only in a role", value_place(raw, key))
        if has_template(raw.get("name")):
            task = replace(task, name=raw["name"])
        if action == LADDER:
            from remediation.playbook.ladders import read_ladder

            return replace(task, ladder=read_ladder(raw[key], self, self._loading, task, value_place(raw, key)))
        return replace(task, arguments=self._arguments(raw, key, action, settings))

    def _async_settings(self, raw: Mapping[Any, Any], action: str, settings: TaskSettings) -> TaskSettings:
        """Return the settings of a task with ``async``: its seconds are a time limit, unless it runs in the background (``poll: 0``)."""
        if raw.get("async") is None:
            return settings
        if str(raw.get("poll")) == "0":
            if action not in BACKGROUND:
                self._problems.add(
                    f"poll: 0 runs {', '.join(sorted(BACKGROUND))} in the background, not {action}; leave poll out, and the task waits up to the seconds of async",
                    value_place(raw, "poll"),
                )
            return settings
        return settings if raw.get("timeout") is not None else replace(settings, timeout=raw["async"] or None)

    def _check_templates(self, given: Mapping[Any, Any], settings: TaskSettings, bare: Container[str] = CONDITIONS) -> None:
        """Add a problem for invalid templates. Variables (`vars`) are checked when they are used.

        Tasks with ``ignore_errors`` are not checked: as in Ansible, they fail at run time.
        """
        if settings.ignore_errors not in (None, False):
            return
        for name, value in given.items():
            for text in () if name == "vars" else texts_in(value):
                wrong = flaw(text, bare=name in bare) if text.template or name in bare else ""
                if wrong:
                    self._problems.add(f"{name}: {wrong}", text.place)

    def _apply_settings(self, raw: Mapping[Any, Any], key: str, outer: TaskSettings) -> TaskSettings | None:
        """Return the settings for the tasks of an include with ``apply``."""
        given = [part for part in (raw[key], raw.get("args")) if isinstance(part, Mapping) and part.get("apply") is not None]
        if not given:
            return None
        apply = given[0]["apply"]
        if not isinstance(apply, Mapping):
            self._problems.add(f"apply: expected a mapping of keywords, got {quote_value(apply)}", value_place(given[0], "apply"))
            return None
        self._loading.expect(apply, keywords.APPLY, "apply")
        settings = apply_keywords(outer, apply)
        self._check_templates(apply, settings)
        return settings

    def _check_risk(self, raw: Mapping[Any, Any]) -> None:
        risk = raw.get("risk")
        if isinstance(risk, str) and not has_template(risk):
            try:
                Risk.parse(risk)
            except ValueError as error:
                self._problems.add(f"risk: {error}", value_place(raw, "risk"))

    def _arguments(self, raw: Mapping[Any, Any], key: str, action: str, settings: TaskSettings) -> Mapping[str, Any]:
        place = value_place(raw, key)
        defaults = _defaults(action, settings)
        if is_action(action):
            model = action_model(action)
            known = len(self._problems.found)
            values = given_parameters(model, raw[key], place, self._problems)
            if len(self._problems.found) > known:
                return values
            if isinstance(raw.get("args"), Mapping):
                values = _merge_tables(raw["args"], values)
            elif has_template(raw.get("args")):
                values = _merge_tables(Table({WHOLE: raw["args"]}, place), values)
            values = _over_defaults(defaults, values)
            for internal in (name for name in values if str(name).startswith("_ansible_")):
                self._problems.add(
                    f"{action}: {internal!r}: names that begin with _ansible_ are reserved", key_place(values, internal)
                )
            if WHOLE in values or DEFAULTS in values:
                return values  # checked when the task runs
            expected = raw.get("failed_when") is not None or settings.rescued or settings.ignore_errors not in {None, False}
            if not expected or action in STRICT:  # else the task fails, as in Ansible
                check_parameters(model, action, values, place, self._problems)
            return values
        return _over_defaults(defaults, self.parameters(key, raw[key], place))

    def parameters(self, name: str, raw: Any, place: Place | None) -> Mapping[str, Any]:
        """Return a step's parameters, checked unless they are templates."""
        if raw is not None and not isinstance(raw, Mapping):
            self._problems.add(f"{name}: expected a mapping of parameters, got {quote_value(raw)}", where(raw, place))
            return {}
        values = Table({}, place) if raw is None else raw
        check_parameters(self._loading.steps()[name], name, values, place, self._problems)
        return values

    def _loop(self, raw: Mapping[Any, Any]) -> Loop | None:
        kinds = [key for key in raw if key in keywords.LOOPS and raw[key] is not None]
        if len(kinds) > 1:
            self._problems.add(f"{kinds[0]} and {kinds[1]} are mutually exclusive", key_place(raw, kinds[1]))
        control = raw.get("loop_control")
        if isinstance(control, Mapping):
            self._loading.expect(control, keywords.LOOP_CONTROL, "loop_control")
        else:
            control = {}
        if not kinds:
            return None
        return Loop(
            kinds[0],
            raw[kinds[0]],
            variable=control.get("loop_var") or "item",
            index=control.get("index_var") or "",
            label=control.get("label"),
            pause=control.get("pause"),
            extended=keywords.as_switch(control.get("extended") or False),
            allitems=keywords.as_switch(control.get("extended_allitems", True)),
            break_when=control.get("break_when"),
            place=value_place(raw, kinds[0]),
        )


ACTION, LOCAL_ACTION = "action", "local_action"


def _expand_action(raw: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return a task with ``action: NAME ...`` or ``local_action`` written as ``NAME: ...``."""
    key = next((key for key in (ACTION, LOCAL_ACTION) if key in raw), None)
    if key is None or not isinstance(raw, Table):
        return raw
    value, at = raw[key], value_place(raw, key)
    if isinstance(value, Mapping) and isinstance(value.get("module"), str):
        name: Any = value["module"]
        given = {known: item for known, item in value.items() if known not in {"args", "module"}}
        rest: Any = _part(value, {**given, **(value["args"] if isinstance(value.get("args"), Mapping) else {})})
    elif isinstance(value, str) and value.strip():
        name, _, text = str(value).strip().partition(" ")
        rest = Text(text.strip(), at) if text.strip() else None
    else:
        return raw
    items = {known: item for known, item in raw.items() if known != key}
    if key == LOCAL_ACTION:
        items = {"delegate_to": "localhost", "connection": "local", **items}
    keys = {**raw.key_places, **({name: at} if at else {})}
    values = {**raw.value_places, **({name: at} if at else {})}
    return Table({**items, name: rest}, raw.place, keys, values)


def role_parts(given: Mapping[str, Any]) -> dict[str, str]:
    """Return the files of a role that a task names (``tasks_from`` and others)."""
    parts = ("tasks", "vars", "defaults", "handlers")
    return {part: str(given[f"{part}_from"]) for part in parts if given.get(f"{part}_from")}


def _no_handler(action: str, given: Any) -> bool:
    flushes = "flush_handlers" in (given.values() if isinstance(given, Mapping) else [given])
    return action in {IMPORT_ROLE, "include_role"} or (action == "meta" and flushes)


def _part(raw: Mapping[Any, Any], items: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return `items` with their places in `raw`."""
    return Table(items, raw.place, raw.key_places, raw.value_places) if isinstance(raw, Table) else items


def _goal_parameters(raw: Any, action: str) -> Mapping[Any, Any]:
    if action == LADDER:  # the tasks of rungs are read separately
        return {"goal": raw.get("goal")} if isinstance(raw, Mapping) else {}
    return raw if isinstance(raw, Mapping) else {action: raw}


def _defaults(action: str, settings: TaskSettings) -> Any:
    """Return the parameters that ``module_defaults`` give an action, or a template for them; inner levels replace outer ones."""
    found: Any = {}
    for level in settings.module_defaults:
        for table in level if isinstance(level, list) else [level]:
            for name, values in table.items() if isinstance(table, Mapping) else ():
                if plain_name(str(name)) == action and (isinstance(values, Mapping) or has_template(values)):
                    found = values  # as in Ansible, a level replaces the outer ones
    return found


def _over_defaults(defaults: Any, values: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return parameters with those that ``module_defaults`` give, which rank below a template for all parameters too."""
    if not defaults:
        return values
    if WHOLE in values or not isinstance(defaults, Mapping):
        return _merge_tables(values, Table({DEFAULTS: defaults}))
    return _merge_tables(defaults, values)


def _merge_tables(weak: Mapping[Any, Any], strong: Mapping[Any, Any]) -> Mapping[Any, Any]:
    both = {**weak, **strong}
    tables = [item for item in (weak, strong) if isinstance(item, Table)]
    keys = {key: place for table in tables for key, place in table.key_places.items()}
    values = {key: place for table in tables for key, place in table.value_places.items()}
    return Table(both, tables[-1].place if tables else None, keys, values)
