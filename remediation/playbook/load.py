"""Reads a playbook and its imports. All mistakes are reported at once with their places, before any host is contacted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from remediation.inventory.patterns import match_hosts, split_pattern
from remediation.model.errors import InputError, Place, Problem, RemediationError, UsageError
from remediation.playbook import keywords
from remediation.playbook.actions import plain_name
from remediation.playbook.ansible_names import REQUIREMENTS
from remediation.playbook.errors import Problems, where
from remediation.playbook.keywords import as_switch
from remediation.playbook.load_context import (
    LoadContext,
    apply_keywords,
    find_file,
    given_name,
    key_place,
    quote_value,
    value_place,
)
from remediation.playbook.model import GatherFacts, LoadedTasks, Play, Playbook, TaskSettings
from remediation.playbook.roles import LoadedRole, RoleUse, read_entry, read_role, runbooks
from remediation.playbook.tasks import TaskReader
from remediation.steps.registry import registry
from remediation.templating.templar import Scope
from remediation.templating.yaml.loader import Decrypt
from remediation.templating.yaml.located import has_template

if TYPE_CHECKING:
    from remediation.steps.contract import Step

Steps: TypeAlias = "Callable[[], Mapping[str, type[Step[Any]]]]"

IMPORT = "import_playbook"


def load_playbook(
    path: Path,
    steps: Steps = registry,
    extra: Mapping[str, Any] | None = None,
    *,
    decrypt: Decrypt | None = None,
    roles_path: tuple[Path, ...] | None = None,
    also: tuple[Path, ...] = (),
) -> Playbook:
    """Return the playbook in `path`. Raises `InputError` with all mistakes in it and its imports.

    The plays of `also` follow. `extra` are the variables of the command line, which may occur in the names of imports. `decrypt` opens vaults.
    """
    loading = LoadContext(path.parent, steps, extra or {}, decrypt=decrypt, roles_path=roles_path, runbooks=runbooks)
    if not path.exists() or path.is_dir():
        raise InputError((Problem(f"there is no playbook {path}"),))
    with loading.within(path, None):
        plays = _Plays(loading, path).read(Place(str(path), 1, 1))
    for other in also:
        loading.root = other.parent
        with loading.within(other, None):
            plays += _Plays(loading, other, first=len(plays)).read(Place(str(other), 1, 1))
    loading.problems.check()
    return Playbook(path, tuple(plays), tuple(loading.files), decrypt, roles_path)


def load_tasks(
    path: Path,
    *,
    root: Path,
    outer: TaskSettings,
    prefix: str,
    steps: Steps = registry,
    extra: Mapping[str, Any] | None = None,
    decrypt: Decrypt | None = None,
    roles_path: tuple[Path, ...] | None = None,
    use: RoleUse | None = None,
    near: Path | None = None,
) -> LoadedTasks:
    """Return the tasks of a file that is included at run time. Their paths begin with `prefix`. Raises `InputError`.

    With `use`, they are those of a role, and `path` is the file that names it. `near` is the folder of the play's file.
    """
    loading = LoadContext(
        root, steps, extra or {}, Problems(), decrypt=decrypt, roles_path=roles_path, runbooks=runbooks, near=near
    )
    place = Place(str(path), 1, 1)
    reader = TaskReader(loading, path.parent)
    if use is not None:
        role = read_role(use, reader, loading, outer, prefix, None)
        loading.problems.check()
        known = role or None
        return LoadedTasks(
            known.nodes if known else (), (*(known.handlers if known else ()), *loading.handlers), tuple(loading.roles),
            known.role if known else None,
        )  # fmt: skip
    content = loading.read(path, place)
    nodes = reader.nodes(content, outer, prefix, place)
    loading.problems.check()
    return LoadedTasks(nodes, tuple(loading.handlers), tuple(loading.roles))


@dataclass(slots=True)
class _Plays:
    """Reads one file of plays. An import passes its when and tags (``outer``), vars (``given``) and first play index (``first``)."""

    loading: LoadContext
    path: Path
    outer: TaskSettings = field(default_factory=TaskSettings)
    given: Mapping[str, Any] = field(default_factory=dict)
    first: int = 0

    def read(self, place: Place) -> list[Play]:
        problems = self.loading.problems
        before = len(problems.found)
        content = self.loading.read(self.path, place)
        top = where(content, Place(str(self.path), 1, 1))
        if _is_requirements(content):
            problems.add(REQUIREMENTS, top)
            return []
        if not isinstance(content, list):
            if len(problems.found) == before:
                problems.add(f"expected a list of plays, got {quote_value(content)}", top)
            return []
        if not content:
            problems.add("this playbook has no plays", top)
        plays: list[Play] = []
        for raw in content:
            index = self.first + len(plays)
            if not isinstance(raw, Mapping):
                problems.add(f"expected a play (a mapping), got {quote_value(raw)}", where(raw, top))
                continue
            key = next((key for key in raw if isinstance(key, str) and plain_name(key) == IMPORT), None)
            plays += [self._play(raw, index)] if key is None else self._import_plays(raw, key, index)
        return plays

    def _import_plays(self, raw: Mapping[Any, Any], key: str, index: int) -> list[Play]:
        loading, at = self.loading, value_place(raw, key) or Place(str(self.path), 1, 1)
        for name in raw:
            if name != key and name not in keywords.IMPORT_PLAYBOOK:
                loading.problems.unknown(f"{IMPORT}: the keyword", name, keywords.IMPORT_PLAYBOOK, key_place(raw, name))
        own = raw.get("vars")
        variables = {**self.given, **own} if isinstance(own, Mapping) else dict(self.given)
        if not isinstance(raw[key], str):
            loading.problems.add(f"{IMPORT}: expected a file name", at)
            return []
        file = loading.find(raw[key], self.path.parent, at, names=variables)
        if file is None:
            return []
        before, loading.near = loading.near, file.parent
        try:
            with loading.within(file, at) as allowed:
                handed = apply_keywords(self.outer, {name: value for name, value in raw.items() if name in {"when", "tags"}})
                return _Plays(loading, file, handed, variables, index).read(at) if allowed else []
        finally:
            loading.near = before

    def _play(self, raw: Mapping[Any, Any], index: int) -> Play:
        loading, path = self.loading, self.path
        place = where(raw, Place(str(path), 1, 1))
        loading.expect(raw, keywords.PLAY, "a play")
        if "hosts" not in raw:
            loading.problems.add("this play has no hosts", place)
        elif not raw["hosts"]:
            loading.problems.add("hosts: expected a host pattern, got nothing", value_place(raw, "hosts"))
        else:
            self._check_hosts(raw["hosts"], value_place(raw, "hosts"))
        own = raw.get("vars")
        variables: Mapping[str, Any] = own if isinstance(own, Mapping) else {}
        if self.given:
            variables = {**variables, **self.given}
        # a play's own vars rank below its vars_files, so they are not passed to the tasks
        settings = apply_keywords(self.outer, {name: value for name, value in raw.items() if name not in {"vars", "when"}})
        reader = TaskReader(loading, path.parent, variables)
        loading.new_play()
        parts = self._roles(raw, reader, settings, index)
        lists = {
            name: reader.within(path.parent, handlers=name == "handlers").nodes(
                raw.get(name), settings, f"{index}.{prefix}.", value_place(raw, name)
            )
            for name, prefix in (("pre_tasks", "pre"), ("tasks", "tasks"), ("post_tasks", "post"), ("handlers", "handlers"))
        }
        lists["tasks"] = (*(node for part in parts for node in part.nodes), *lists["tasks"])
        lists["handlers"] = (*(node for part in parts for node in part.handlers), *lists["handlers"], *loading.handlers)
        serial, files = raw.get("serial"), raw.get("vars_files")
        play = Play(
            name=given_name(raw),
            index=index,
            hosts=raw.get("hosts", ""),
            file=path,
            place=place,
            vars=variables,
            vars_files=tuple(files if isinstance(files, list) else filter(None, [files])),
            settings=settings,
            serial=() if serial is None else tuple(serial if isinstance(serial, list) else [serial]),
            max_fail_percentage=raw.get("max_fail_percentage"),
            force_handlers=None if raw.get("force_handlers") is None else as_switch(raw["force_handlers"]),
            roles=(*(part.role for part in parts), *loading.roles),
            gather=GatherFacts(raw.get("gather_facts"), raw.get("gather_subset"), raw.get("gather_timeout")),
            order=raw.get("order"),
            prompts=self._prompts(raw),
            **lists,
        )
        self._check_vars_files(play)
        return replace(play, name=raw["name"]) if has_template(raw.get("name")) else play

    def _check_hosts(self, hosts: Any, place: Place | None) -> None:
        """Check the form of host patterns without a template."""
        for pattern in hosts if isinstance(hosts, list) else [hosts]:
            if isinstance(pattern, str) and not has_template(pattern):
                try:
                    match_hosts(split_pattern(pattern), (), {})
                except UsageError as error:
                    self.loading.problems.add(f"hosts: {error.message}; {error.next_step}", where(pattern, place))

    def _roles(self, raw: Mapping[Any, Any], reader: TaskReader, settings: TaskSettings, index: int) -> list[LoadedRole]:
        entries = raw.get("roles")
        found: list[LoadedRole] = []
        for number, entry in enumerate(entries if isinstance(entries, list) else ()):
            place = where(entry, value_place(raw, "roles"))
            part = read_entry(entry, reader, self.loading, settings, f"{index}.roles.{number}", place)
            found += [part] if part else []
        return found

    def _prompts(self, raw: Mapping[Any, Any]) -> tuple[Mapping[str, Any], ...]:
        found: list[Mapping[str, Any]] = []
        given = raw.get("vars_prompt")
        for entry in given if isinstance(given, list) else ():
            place = where(entry, value_place(raw, "vars_prompt"))
            if not isinstance(entry, Mapping) or not entry.get("name"):
                self.loading.problems.add("vars_prompt: expected a mapping with name: VARIABLE", place)
                continue
            for key in entry:
                if key not in keywords.PROMPT:
                    self.loading.problems.unknown("vars_prompt: the keyword", key, keywords.PROMPT, key_place(entry, key))
            found.append(entry)
        return tuple(found)

    def _check_vars_files(self, play: Play) -> None:
        """Read the ``vars_files`` with static names, so that mistakes in them are found before a host is contacted."""
        scope = Scope((self.loading.early, play.vars))
        for entry in play.vars_files:
            names = entry if isinstance(entry, list) else [entry]
            try:
                texts = [str(scope.render(name)) for name in names]
            except RemediationError:
                continue  # the name contains a host variable and is evaluated at run time
            files = [find_file(text, (play.file.parent,), "vars", subfolder_first=True) for text in texts]
            file = next((file for file in files if file), None)
            place = where(names[0], play.place)
            if file is None:
                named = " or ".join(map(repr, texts))
                self.loading.problems.add(f"vars_files: there is no file {named} in {play.file.parent}", place)
                continue
            content = self.loading.read(file, place)
            if content is not None and not isinstance(content, Mapping):
                at = where(content, Place(str(file), 1, 1))
                self.loading.problems.add(f"expected a mapping of variables, got {quote_value(content)}", at)


def _is_requirements(content: Any) -> bool:
    """Return whether a file is a list of requirements (``requirements.yml``)."""
    if isinstance(content, Mapping):
        return bool(content) and set(content) <= {"collections", "roles"}
    entries = content if isinstance(content, list) else []
    return bool(entries) and all(isinstance(entry, Mapping) and "src" in entry and "hosts" not in entry for entry in entries)
