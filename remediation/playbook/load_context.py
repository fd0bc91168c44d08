"""Shared state of the readers of one playbook: problems, files, and helpers for raw values."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from remediation.model.errors import InputError, Place, RemediationError
from remediation.playbook import keywords
from remediation.playbook.ansible_names import KEYWORDS
from remediation.playbook.errors import Problems, suggestion, where
from remediation.playbook.keywords import Kind
from remediation.playbook.model import Node, Role, TaskSettings
from remediation.templating.templar import Scope
from remediation.templating.yaml.loader import Decrypt, read_yaml
from remediation.templating.yaml.located import Table, has_template, plain

if TYPE_CHECKING:
    from remediation.steps.contract import Step

DEEPEST = 60
"""Highest depth of nested imports."""


@dataclass(slots=True)
class LoadContext:
    """The state of reading a playbook: its problems, the files read, and the variables known before any host."""

    root: Path
    steps: Callable[[], Mapping[str, type[Step[Any]]]]
    early: Mapping[str, Any] = field(default_factory=dict)
    problems: Problems = field(default_factory=Problems)
    files: list[Path] = field(default_factory=list)
    open_imports: list[Path] = field(default_factory=list)
    decrypt: Decrypt | None = None
    roles_path: tuple[Path, ...] | None = None
    runbooks: Callable[[], Mapping[str, Path]] = dict
    used_roles: set[tuple[str, ...]] = field(default_factory=set)
    roles: list[Role] = field(default_factory=list)
    handlers: list[Node] = field(default_factory=list)
    near: Path | None = None

    @property
    def roots(self) -> tuple[Path, ...]:
        """The folders with ``roles/``: that of the imported playbook being read, and that of the playbook itself."""
        return tuple(dict.fromkeys((self.near or self.root, self.root)))

    def new_play(self) -> None:
        """Forget the roles of the play before."""
        self.used_roles, self.roles, self.handlers = set(), [], []

    def early_text(self, name: Any, names: Mapping[str, Any] | None = None) -> Any:
        """Return a name with the variables of the command line and `names` filled in, or as written if it needs others."""
        try:
            return Scope((self.early, names or {})).render(name)
        except RemediationError:
            return name

    def runbook(self, name: str) -> Path | None:
        """Return a shipped playbook by its name."""
        return self.runbooks().get(name)

    def runbook_names(self) -> str:
        """Return a sentence with the names of the shipped roles."""
        return f"shipped roles: {', '.join(name.replace('-', '_') for name in self.runbooks()) or 'none'}"

    def read(self, path: Path, place: Place | None) -> Any:
        """Return the content of a YAML file. On failure, adds a problem and returns None."""
        try:
            content = read_yaml(path, decrypt=self.decrypt)
        except InputError as error:
            self.problems.take(error, place)
            return None
        if path not in self.files:
            self.files.append(path)
        return content

    def find(
        self, name: Any, folder: Path, place: Place | None, *, names: Mapping[str, Any] | None = None, roots: tuple[Path, ...] = ()
    ) -> Path | None:  # fmt: skip
        """Return a named file: next to the file that names it, else next to the playbook. Adds a problem if there is none."""
        try:
            text = str(Scope((self.early, names or {})).render(name))
        except RemediationError as error:
            self.problems.add(f"{error.message}; the name of an import cannot depend on host variables", where(name, place))
            return None
        found = find_file(text, (folder, *roots, self.root), "tasks")
        if found is None:
            hint = "; the variables of an import stand under vars:" if re.search(r"\s\w+=", text) else ""
            self.problems.add(f"there is no file {text!r} in {folder}{hint}", where(name, place))
        return found

    @contextmanager
    def within(self, file: Path, place: Place | None) -> Iterator[bool]:
        """Enter an import, and yield whether it is allowed: not recursive and not too deep."""
        known = file.resolve()
        if known in self.open_imports:
            circle = " -> ".join(path.name for path in (*self.open_imports[self.open_imports.index(known) :], known))
            self.problems.add(f"{file.name} is imported within itself: {circle}", place)
            yield False
            return
        if len(self.open_imports) > DEEPEST:
            self.problems.add(f"imports are nested more than {DEEPEST} files deep", place)
            yield False
            return
        self.open_imports.append(known)
        try:
            yield True
        finally:
            self.open_imports.pop()

    def no_keyword(self, what: str, key: object, kinds: Iterable[str], place: Place | None) -> None:
        """Add an unknown keyword, with the alternative if it is one of Ansible's, else with the nearest known one."""
        instead = KEYWORDS.get(str(key))
        hint = f", which is Ansible's; {instead}" if instead else suggestion(key, kinds)
        self.problems.add(f"{what} has no keyword {str(key)!r}{hint}", place)

    def expect(self, raw: Mapping[Any, Any], kinds: Mapping[str, Kind], what: str) -> None:
        """Add a problem for every unknown key of `raw` and for every value of the wrong type."""
        for key, value in raw.items():
            if key not in kinds:
                self.no_keyword(what, key, kinds, key_place(raw, key))
                continue
            kind = kinds[key]
            if value is None and key in keywords.EMPTY:
                continue
            well = kind[1](value) if key in keywords.STATIC else keywords.fits(kind, value)
            if not well:
                self.problems.add(f"{key}: expected {kind[0]}, got {quote_value(value)}", value_place(raw, key))
        method = raw.get("become_method")
        given = isinstance(method, str) and not has_template(method) and method not in keywords.BECOME_METHODS
        if given and keywords.as_switch(raw.get("become", False)):
            hint = "use sudo, or leave become out on Windows, where the rights of the login apply"
            self.problems.add(f"become_method: {method} is not available; {hint}", value_place(raw, "become_method"))


def find_file(name: str, folders: tuple[Path, ...], subfolder: str, *, subfolder_first: bool = False) -> Path | None:
    """Return the file `name` in the first of `folders` that has it, or in their `subfolder`.

    As in Ansible, variables are searched in ``vars/`` first, and tasks next to the file that names them.
    """
    try:
        path = Path(name).expanduser()
        if path.is_absolute():
            return path if path.exists() and not path.is_dir() else None
        for folder in dict.fromkeys(folders):
            inner = [] if path.parts[:1] == (subfolder,) else [folder / subfolder / path]
            for candidate in (*inner, folder / path) if subfolder_first else (folder / path, *inner):
                if candidate.exists() and not candidate.is_dir():
                    return candidate
    except (OSError, ValueError, RuntimeError):  # not a possible file name: a NUL, too long, or ~ of an unknown user
        return None
    return None


def given_name(raw: Mapping[Any, Any]) -> str:
    """Return the name of a play, block or task, "" if it has none; ``name: no`` is ``False``, as in Ansible."""
    name = raw.get("name")
    return "" if name is None else str(name)


def key_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return the place of a key."""
    return raw.key_places.get(key) or raw.place if isinstance(raw, Table) else None


def value_place(raw: Mapping[Any, Any], key: object) -> Place | None:
    """Return the place of a key's value."""
    return raw.value_places.get(key) or key_place(raw, key) if isinstance(raw, Table) else None


def quote_value(value: object) -> str:
    """Return a value as quoted in messages."""
    kinds = {dict: "a mapping", Table: "a mapping", type(None): "nothing"}
    if type(value) in kinds:
        return kinds[type(value)]
    return "a list" if isinstance(value, list) else repr(plain(value))


def texts_of(value: Any) -> tuple[str, ...]:
    """Return a string or a list of strings as a tuple."""
    if value is None:
        return ()
    return tuple(item if isinstance(item, str) else str(item) for item in (value if isinstance(value, list) else [value]))


def tags_of(value: Any) -> frozenset[str]:
    """Return tags: a comma-separated string, or a list of such strings. A tag with a template is whole."""
    found: set[str] = set()
    for text in texts_of(value):
        found |= {text} if has_template(text) else {tag.strip() for tag in text.split(",") if tag.strip()}
    return frozenset(found)


OWN = ("ignore_errors", "ignore_unreachable", "any_errors_fatal", "check_mode", "diff", "no_log", "become", "become_user",
       "delegate_to", "delegate_facts", "run_once", "throttle", "timeout", "connection", "remote_user", "port", "become_method")  # fmt: skip
"""Keywords for which the innermost value applies; `when`, `vars`, `environment`, `tags` and `notify` accumulate."""


def _environments(given: Any) -> list[Any]:
    """Return the value of ``environment``, a mapping or a list of mappings, as a list."""
    return given if isinstance(given, list) else [given] if given else []


def apply_keywords(outer: TaskSettings, raw: Mapping[Any, Any]) -> TaskSettings:
    """Return `outer` with the keywords of a block, import or task applied."""
    return replace(
        outer,
        when=(*outer.when, raw["when"]) if raw.get("when") is not None else outer.when,
        vars=(*outer.vars, raw["vars"]) if isinstance(raw.get("vars"), Mapping) else outer.vars,
        environment=(*outer.environment, *_environments(raw.get("environment"))),
        tags=outer.tags | tags_of(raw.get("tags")),
        module_defaults=(*outer.module_defaults, raw["module_defaults"]) if raw.get("module_defaults") else outer.module_defaults,
        notify=(*outer.notify, *texts_of(raw.get("notify"))),
        **{name: raw[name] for name in OWN if raw.get(name) is not None},
    )
