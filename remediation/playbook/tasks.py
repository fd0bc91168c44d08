"""Reads lists of tasks: tasks, blocks, imports and ladders, and what they hand down."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from remediation.model.errors import InputError, Place, RemediationError
from remediation.playbook import keywords
from remediation.playbook.actions import ACTIONS, plain_name
from remediation.playbook.keywords import Kind
from remediation.playbook.model import Block, Loop, Node, Settings, Task
from remediation.playbook.parameters import check, given
from remediation.playbook.problems import Problems, meant, where
from remediation.steps.contract import Step
from remediation.templating.nodes import Table, has_template, plain
from remediation.templating.reading import Decrypt, read_yaml
from remediation.templating.templar import Scope

IMPORT = "import_tasks"
INCLUDE = "include_tasks"
LADDER = "ladder"
DEEPEST = 30
"""How deep imports may lie in one another; more is taken for a file that imports itself."""


@dataclass(slots=True)
class Loading:
    """One reading of a playbook: its mistakes, the files that were read, and what is known before any host is."""

    root: Path
    steps: Callable[[], Mapping[str, type[Step[Any]]]]
    early: Mapping[str, Any] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    files: list[Path] = field(default_factory=list)
    depth: int = 0
    decrypt: Decrypt | None = None

    def read(self, path: Path, place: Place | None) -> Any:  # noqa: ANN401 - whatever the file holds
        """Return what a YAML file holds; None, and a problem, where it cannot be read."""
        try:
            content = read_yaml(path, decrypt=self.decrypt)
        except InputError as error:
            self.problems.take(error, place)
            return None
        if path not in self.files:
            self.files.append(path)
        return content

    def find(self, name: Any, folder: Path, place: Place | None, *, names: Mapping[str, Any] | None = None) -> Path | None:  # noqa: ANN401
        """Return the file that is named: beside the file that names it, then beside the playbook; else note a problem."""
        try:
            text = str(Scope((self.early, names or {})).render(name))
        except RemediationError as error:
            self.problems.add(f"{error.message}; the name of an import must be known before any host is", where(name, place))
            return None
        found = find_file(text, (folder, self.root), "tasks")
        if found is None:
            self.problems.add(f"there is no file {text!r} in {folder}", where(name, place))
        return found

    def expect(self, raw: Mapping[Any, Any], kinds: Mapping[str, Kind], what: str) -> None:
        """Note every key of `raw` that `kinds` does not hold, and every value that is of another kind."""
        for key, value in raw.items():
            if key not in kinds:
                self.problems.add(f"{what} has no keyword {str(key)!r}{meant(key, kinds)}", key_place(raw, key))
                continue
            kind = kinds[key]
            well = kind[1](value) if key in keywords.STATIC else keywords.fits(kind, value)
            if not well:
                self.problems.add(f"{key}: {kind[0]} is wanted, not {shown(value)}", value_place(raw, key))


def find_file(name: str, folders: tuple[Path, ...], subfolder: str) -> Path | None:
    """Return the file `name` in the first of `folders` that has it, or in their `subfolder`."""
    path = Path(name).expanduser()
    if path.is_absolute():
        return path if path.is_file() else None
    for folder in dict.fromkeys(folders):
        for candidate in (folder / path, folder / subfolder / path):
            if candidate.is_file():
                return candidate
    return None


def key_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return where a key stands."""
    return raw.key_places.get(key) or raw.place if isinstance(raw, Table) else None


def value_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return where a key's value stands."""
    return raw.value_places.get(key) or key_place(raw, key) if isinstance(raw, Table) else None


def shown(value: object) -> str:
    """Return a value as it is quoted in a message."""
    kinds = {dict: "a mapping", Table: "a mapping", type(None): "nothing"}
    if type(value) in kinds:
        return kinds[type(value)]
    return "a list" if isinstance(value, list) else repr(plain(value))


def texts_of(value: Any) -> tuple[str, ...]:  # noqa: ANN401 - as it stands in the file
    """Return a text or a list of texts as a tuple."""
    if value is None:
        return ()
    return tuple(item if isinstance(item, str) else str(item) for item in (value if isinstance(value, list) else [value]))


def tags_of(value: Any) -> frozenset[str]:  # noqa: ANN401 - as it stands in the file
    """Return tags: a text separated by commas, or a list of such."""
    return frozenset(tag.strip() for text in texts_of(value) for tag in text.split(",") if tag.strip())


OWN = ("ignore_errors", "ignore_unreachable", "any_errors_fatal", "check_mode", "diff", "no_log", "become", "become_user",
       "delegate_to", "run_once", "throttle", "timeout")  # fmt: skip
"""Keywords of which the innermost counts; `when`, `vars`, `environment`, `tags` and `notify` add up."""


def handed_down(outer: Settings, raw: Mapping[Any, Any]) -> Settings:
    """Return `outer` with the keywords of one block, import or task."""
    return replace(
        outer,
        when=(*outer.when, raw["when"]) if raw.get("when") is not None else outer.when,
        vars=(*outer.vars, raw["vars"]) if isinstance(raw.get("vars"), Mapping) else outer.vars,
        environment=(*outer.environment, raw["environment"]) if raw.get("environment") else outer.environment,
        tags=outer.tags | tags_of(raw.get("tags")),
        notify=(*outer.notify, *texts_of(raw.get("notify"))),
        **{name: raw[name] for name in OWN if raw.get(name) is not None},
    )


class TaskReader:
    """Reads one file's tasks; ``folder`` is the file's own, ``names`` the variables that are known early."""

    def __init__(self, loading: Loading, folder: Path, names: Mapping[str, Any] | None = None) -> None:
        self._loading = loading
        self._problems = loading.problems
        self._folder = folder
        self._names = names or {}

    def nodes(self, raw: Any, outer: Settings, prefix: str, place: Place | None) -> tuple[Node, ...]:  # noqa: ANN401
        """Return the nodes of a list of tasks; their paths begin with `prefix`."""
        if raw is None:
            return ()
        if not isinstance(raw, list):
            self._problems.add(f"a list of tasks is wanted, not {shown(raw)}", where(raw, place))
            return ()
        found = [self.node(item, outer, f"{prefix}{number}", where(raw, place)) for number, item in enumerate(raw)]
        return tuple(node for node in found if node is not None)

    def node(self, raw: Any, outer: Settings, path: str, place: Place | None) -> Node | None:  # noqa: ANN401
        """Return one task or block; None, and a problem, where it is none."""
        if not isinstance(raw, Mapping):
            self._problems.add(f"a task is a mapping, not {shown(raw)}", where(raw, place))
            return None
        place = where(raw, place)
        if "block" in raw:
            return self._block(raw, outer, path, place)
        for stray in ("rescue", "always"):
            if stray in raw:
                self._problems.add(f"{stray} belongs to a block, and this task has none", key_place(raw, stray))
                return None
        action = self._action(raw, place)
        if action is None:
            return None
        if plain_name(action) == IMPORT:
            return self._import(raw, action, outer, path, place)
        return self._task(raw, action, outer, path, place)

    def _block(self, raw: Mapping[Any, Any], outer: Settings, path: str, place: Place | None) -> Block:
        self._loading.expect(raw, keywords.BLOCK, "a block")
        settings = handed_down(outer, raw)
        parts = {
            part: self.nodes(raw.get(part), settings, f"{path}/{part}.", value_place(raw, part))
            for part in ("block", "rescue", "always")
        }
        return Block(str(raw.get("name") or ""), path, **parts, settings=settings, place=place)

    def _action(self, raw: Mapping[Any, Any], place: Place | None) -> str | None:
        """Return the key that names what the task does; notes what else is there."""
        others = [key for key in raw if key not in keywords.TASK]
        known = [key for key in others if self._is_action(key)]
        strange = [key for key in others if key not in known]
        if len(known) > 1:
            both = " and ".join(map(repr, map(str, known)))
            self._problems.add(f"a task does one thing, not {both}", key_place(raw, known[1]))
            return None
        if not known and strange:
            # the likeliest to be the step is what is no misspelt keyword
            near = [key for key in strange if "." not in str(key) and meant(key, keywords.TASK)]
            wrong = next((key for key in strange if key not in near), None)
            if wrong is not None:
                strange.remove(wrong)
                names = [*ACTIONS, IMPORT, LADDER, *self._loading.steps()]
                self._problems.unknown("the step", wrong, names, key_place(raw, wrong))
            elif len(strange) == len(others):
                self._problems.add("this task names no step", place)
        for key in strange:
            self._problems.add(f"a task has no keyword {str(key)!r}{meant(key, keywords.TASK)}", key_place(raw, key))
        if not others:
            self._problems.add("this task names no step", place)
        return str(known[0]) if known else None

    def _is_action(self, key: object) -> bool:
        if not isinstance(key, str):
            return False
        short = plain_name(key)
        return short in ACTIONS or short == IMPORT or key == LADDER or key in self._loading.steps()

    def _import(self, raw: Mapping[Any, Any], key: str, outer: Settings, path: str, place: Place | None) -> Block | None:
        own = {name: value for name, value in raw.items() if name != key}
        self._loading.expect(_part(raw, own), keywords.IMPORT, IMPORT)
        named = raw[key].get("file") if isinstance(raw[key], Mapping) else raw[key]
        at = value_place(raw, key)
        if not isinstance(named, str) or not named.strip():
            self._problems.add(f"{IMPORT}: the name of a file is wanted", at)
            return None
        settings = handed_down(outer, raw)
        names = {name: value for level in settings.vars for name, value in level.items()}
        file = self._loading.find(named, self._folder, at, names={**self._names, **names})
        if file is None:
            return None
        nodes = self._loading_below(file, settings, path, at)
        return Block(str(raw.get("name") or ""), path, nodes, settings=settings, place=place)

    def _loading_below(self, file: Path, settings: Settings, path: str, place: Place | None) -> tuple[Node, ...]:
        if self._loading.depth >= DEEPEST:
            self._problems.add(f"{file.name} is imported within itself", place)
            return ()
        self._loading.depth += 1
        try:
            content = self._loading.read(file, place)
            below = TaskReader(self._loading, file.parent, self._names)
            return below.nodes(content, settings, f"{path}/block.", Place(str(file), 1, 1))
        finally:
            self._loading.depth -= 1

    def _task(self, raw: Mapping[Any, Any], key: str, outer: Settings, path: str, place: Place | None) -> Task:
        action = key if key == LADDER else plain_name(key)
        kinds = keywords.INCLUDE if action == INCLUDE else keywords.TASK
        what = INCLUDE if action == INCLUDE else "a task"
        own = {name: value for name, value in raw.items() if name in keywords.TASK}
        self._loading.expect(_part(raw, own), kinds, what)
        task = Task(
            name=str(raw.get("name") or ""),
            action=action,
            spelling=key,
            arguments=raw[key],
            path=path,
            settings=handed_down(outer, own),
            outer=outer,
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
        )
        if has_template(raw.get("name")):
            task = replace(task, name=raw["name"])
        if action == LADDER:
            from remediation.playbook.ladders import read_ladder  # noqa: PLC0415 - a rung's tasks are read here again

            return replace(task, ladder=read_ladder(raw[key], self, self._loading, task, value_place(raw, key)))
        return replace(task, arguments=self._arguments(raw, key, action))

    def _arguments(self, raw: Mapping[Any, Any], key: str, action: str) -> Mapping[str, Any]:
        place = value_place(raw, key)
        if action in ACTIONS:
            model = ACTIONS[action]
            values = given(model, raw[key], place, self._problems)
            if isinstance(raw.get("args"), Mapping):
                values = _merged(raw["args"], values)
            check(model, action, values, place, self._problems)
            return values
        return self.parameters(key, raw[key], place)

    def parameters(self, name: str, raw: Any, place: Place | None) -> Mapping[str, Any]:  # noqa: ANN401
        """Return a step's parameters, checked as far as they are known."""
        if raw is not None and not isinstance(raw, Mapping):
            self._problems.add(f"{name}: a mapping of parameters is wanted, not {shown(raw)}", where(raw, place))
            return {}
        values = Table({}, place) if raw is None else raw
        check(self._loading.steps()[name], name, values, place, self._problems)
        return values

    def _loop(self, raw: Mapping[Any, Any]) -> Loop | None:
        kinds = [key for key in raw if key in keywords.LOOPS]
        if len(kinds) > 1:
            self._problems.add(f"{kinds[0]} and {kinds[1]} exclude each other", key_place(raw, kinds[1]))
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
            variable=str(control.get("loop_var") or "item"),
            index=str(control.get("index_var") or ""),
            label=control.get("label"),
            pause=control.get("pause"),
            extended=keywords.as_switch(control.get("extended") or False),
            place=value_place(raw, kinds[0]),
        )


def _part(raw: Mapping[Any, Any], items: Mapping[Any, Any]) -> Mapping[Any, Any]:
    """Return `items` with the places that they have in `raw`."""
    return Table(items, raw.place, raw.key_places, raw.value_places) if isinstance(raw, Table) else items


def _merged(weak: Mapping[Any, Any], strong: Mapping[Any, Any]) -> Mapping[Any, Any]:
    both = {**weak, **strong}
    tables = [item for item in (weak, strong) if isinstance(item, Table)]
    keys = {key: place for table in tables for key, place in table.key_places.items()}
    values = {key: place for table in tables for key, place in table.value_places.items()}
    return Table(both, tables[-1].place if tables else None, keys, values)
