"""Roles: found on a search path, and read into variables, the roles they depend on, tasks and handlers."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

from remediation.model.errors import Place
from remediation.model.files import shipped_folder
from remediation.playbook import keywords
from remediation.playbook.errors import where
from remediation.playbook.load_context import LoadContext, apply_keywords, quote_value, value_place
from remediation.playbook.model import Block, Node, Role, TaskSettings
from remediation.templating.yaml.located import Table, plain

NAMES = ("role", "name")
VALIDATE = "ansible.builtin.validate_argument_spec"
GALAXY = frozenset({"src", "scm", "version"})
"""Keys of a dependency that tell Ansible's installer where a role comes from."""


SUFFIXES = (".yml", ".yaml", ".json", "")
SYSTEM = ("~/.ansible/roles", "/usr/share/ansible/roles", "/etc/ansible/roles")
"""Ansible's folders of installed roles."""
RUNBOOKS = ("remediation.ollama",)
"""Collections of which this project ships the roles: one for each shipped playbook."""


class FolderReader(Protocol):
    """Reads the tasks of the files in one folder."""

    def nodes(self, raw: Any, outer: TaskSettings, prefix: str, place: Place | None) -> tuple[Node, ...]:
        """Return the nodes of a task list."""

    def parameters(self, name: str, raw: Any, place: Place | None) -> Mapping[str, Any]:
        """Return the parameters of a step."""

    def within(self, folder: Path, *, handlers: bool = False) -> FolderReader:
        """Return a reader of the files in another folder."""


@dataclass(frozen=True)
class RoleUse:
    """How a role is used: its name, which of its files, and the variables of the entry."""

    name: str
    files: Mapping[str, str] = field(default_factory=dict)
    given: Mapping[str, Any] = field(default_factory=dict)
    params: Mapping[str, Any] = field(default_factory=dict)
    parents: tuple[Role, ...] = ()
    inside: Role | None = None
    public: bool = True
    validate: bool = True

    def file(self, part: str) -> str:
        """Return the file of a part (``tasks``, ``vars`` ...), without its suffix."""
        name = self.files.get(part) or "main"
        return name.rpartition(".")[0] if name.endswith((".yml", ".yaml", ".json")) else name


@dataclass(frozen=True)
class LoadedRole:
    """A role with its tasks (those of its dependencies first) and handlers."""

    role: Role
    nodes: tuple[Node, ...]
    handlers: tuple[Node, ...]


def read_entry(
    raw: Any,
    reader: FolderReader,
    loading: LoadContext,
    outer: TaskSettings,
    path: str,
    place: Place | None,
    parents: tuple[Role, ...] = (),
) -> LoadedRole | None:
    """Return a role of ``roles:`` or of another role's dependencies; None if it is invalid."""
    place = where(raw, place)
    name = next((raw[key] for key in NAMES if raw.get(key)), None) if isinstance(raw, Mapping) else raw
    if not isinstance(name, (str, int)):
        loading.problems.add(f"expected a role (its name, or a mapping with role: NAME), got {quote_value(raw)}", place)
        return None
    entry = raw if isinstance(raw, Mapping) else {}
    kept = {key: value for key, value in entry.items() if key in keywords.ROLE}
    loading.expect(
        Table(kept, place, entry.key_places, entry.value_places) if isinstance(entry, Table) else kept, keywords.ROLE, "a role"
    )
    given = kept.pop("vars", None) or {}
    params = {key: value for key, value in entry.items() if key not in {*keywords.ROLE, *NAMES, *(GALAXY if parents else ())}}
    use = RoleUse(str(loading.early_text(name)), given=given, params=params, parents=parents)
    folder = _folder(use, loading, place)
    if folder is None:
        return None
    if any(folder == parent.path for parent in parents):
        circle = " -> ".join(role.name for role in parents)
        loading.problems.add(f"the role {use.name!r} depends on itself: {circle} -> {use.name}", place)
        return None
    deciding = {name: kept[name] for name in ("when", "tags") if name in kept}  # other keywords make no other role, as in Ansible
    key = (str(folder), repr(plain(deciding)), repr(plain(given)), repr(plain(params)))
    repeatable = _repeatable(folder, loading)
    again = key in loading.used_roles
    loading.used_roles.add(key)
    loaded = _read(use, folder, reader, loading, apply_keywords(outer, kept), path, place)
    if loaded is None or repeatable:
        return loaded
    *needed, own = loaded.nodes
    nodes = (*needed, replace(own, once=repr(key)) if isinstance(own, Block) else own)
    return replace(loaded, nodes=nodes, handlers=() if again else loaded.handlers)


def read_role(
    use: RoleUse, reader: FolderReader, loading: LoadContext, outer: TaskSettings, path: str, place: Place | None
) -> LoadedRole | None:
    """Return a role that a task imports or includes; None if it cannot be read."""
    folder = _folder(use, loading, place)
    return None if folder is None else _read(use, folder, reader, loading, outer, path, place)


def _folder(use: RoleUse, loading: LoadContext, place: Place | None) -> Path | None:
    shipped = runbook(use.name)
    if shipped:
        file = loading.runbook(shipped)
        if file is None:
            loading.problems.add(f"there is no role {use.name!r}; {loading.runbook_names()}", place)
        return file
    around = [role.path for role in (*use.parents, *([use.inside] if use.inside else []))]
    folders = role_folders(loading.roots, around, loading.roles_path)
    found = find_role(use.name, folders)
    if found is None:
        shown = ", ".join(str(folder) for folder in folders[:-1])
        hint = (
            "roles of collections are not installed here; copy the role's folder into roles/"
            if use.name.count(".") > 1
            else f"searched in {shown}"
        )
        loading.problems.add(f"there is no role {use.name!r}; {hint}", place)
    return found


def _repeatable(folder: Path, loading: LoadContext) -> bool:
    meta = _content(folder, "meta", "main", loading, None)
    return isinstance(meta, Mapping) and keywords.as_switch(meta.get("allow_duplicates") or False)


def _read(
    use: RoleUse, folder: Path, reader: FolderReader, loading: LoadContext, settings: TaskSettings, path: str, place: Place | None
) -> LoadedRole | None:
    if folder.is_file():
        return _shipped_role(use, folder, reader, loading, settings, path)
    role = Role(
        use.name, folder, _variables(folder, "defaults", use, loading, place), _variables(folder, "vars", use, loading, place),
        use.given, use.params, use.parents, inside=use.inside,
    )  # fmt: skip
    meta = _content(folder, "meta", "main", loading, place)
    entries = meta.get("dependencies") if isinstance(meta, Mapping) else None
    before: list[LoadedRole] = []
    if entries is not None and not isinstance(entries, list):
        loading.problems.add(f"dependencies: expected a list of roles, got {quote_value(entries)}", where(entries, place))
    elif isinstance(entries, list):
        for number, entry in enumerate(entries):
            at = f"{path}/needs{number}"
            found = read_entry(entry, reader, loading, settings, at, where(entry, place), (*use.parents, role))
            before += [found] if found else []
    role = replace(role, dependencies=tuple(item.role for item in before))
    inner = replace(settings, role=role)
    needed = [node for item in before for node in item.nodes]
    nodes: list[Node] = []
    handlers = [node for item in before for node in item.handlers]
    nodes += _validation(folder, use, reader, loading, inner, path, place)
    nodes += _nodes(folder, "tasks", use, reader, loading, inner, path, place)
    handlers += _nodes(folder, "handlers", use, reader, loading, inner, path, place)
    block = Block("", path, tuple(nodes), settings=settings, place=place, role=role)
    return LoadedRole(role, (*needed, block), tuple(handlers))


def _validation(
    folder: Path, use: RoleUse, reader: FolderReader, loading: LoadContext, settings: TaskSettings, path: str, place: Place | None
) -> tuple[Node, ...]:  # fmt: skip
    """Return the task that compares the role's variables with its ``argument_specs``, if it has them for its tasks."""
    entry = use.file("tasks")
    specs = _content(folder, "meta", "argument_specs", loading, place)
    for found in (specs, _content(folder, "meta", "main", loading, place)):
        table = found.get("argument_specs") if isinstance(found, Mapping) else None
        if table is not None:
            break
    if not use.validate or not isinstance(table, Mapping) or table.get(entry) is None:
        return ()
    spec = table[entry]
    options = spec.get("options") or {} if isinstance(spec, Mapping) else None
    if not isinstance(options, Mapping):
        loading.problems.add(f"argument_specs: {entry}: expected a mapping with options", where(spec, place))
        return ()
    short = f" - {spec['short_description']}" if spec.get("short_description") else ""
    context = {"type": "role", "name": use.name, "argument_spec_name": entry, "path": str(folder.absolute())}
    task = {
        "name": f"Validating arguments against arg spec '{entry}'{short}",
        VALIDATE: {"argument_spec": options, "provided_arguments": dict(use.params), "validate_args_context": context},
        "tags": ["always"],
    }
    return reader.nodes([task], settings, f"{path}/spec.", where(spec, place))


def _shipped_role(
    use: RoleUse, file: Path, reader: FolderReader, loading: LoadContext, settings: TaskSettings, path: str
) -> LoadedRole | None:
    """Return a shipped playbook as a role: the variables of its plays are defaults."""
    place = Place(str(file), 1, 1)
    plays = loading.read(file, place)
    if not isinstance(plays, list):
        return None
    first: dict[str, Any] = {}
    for play in plays:
        first |= play.get("vars") or {}
    role = Role(use.name, file.parent, first, {}, use.given, use.params, use.parents, inside=use.inside)
    inner = replace(settings, role=role)
    nodes: list[Node] = []
    handlers: list[Node] = []
    for number, play in enumerate(plays):
        kept = apply_keywords(inner, {key: value for key, value in play.items() if key in keywords.ROLE and key != "vars"})
        for part in ("pre_tasks", "tasks", "post_tasks"):
            nodes += reader.within(file.parent).nodes(play.get(part), kept, f"{path}/{number}{part}.", value_place(play, part))
        handlers += reader.within(file.parent, handlers=True).nodes(
            play.get("handlers"), kept, f"{path}/{number}h.", value_place(play, "handlers")
        )
    return LoadedRole(role, (Block("", path, tuple(nodes), settings=settings, place=place, role=role),), tuple(handlers))


def _nodes(
    folder: Path, part: str, use: RoleUse, reader: FolderReader, loading: LoadContext, settings: TaskSettings, path: str, place: Place | None
) -> tuple[Node, ...]:  # fmt: skip
    files = role_files(folder, part, use.file(part))
    if not files:
        _refuse_missing(folder, part, use, loading, place)
        return ()
    with loading.within(files[0], place) as allowed:
        if not allowed:
            return ()
        content = loading.read(files[0], place)
        return reader.within(files[0].parent, handlers=part == "handlers").nodes(
            content, settings, f"{path}/{part}.", Place(str(files[0]), 1, 1)
        )


def _variables(folder: Path, part: str, use: RoleUse, loading: LoadContext, place: Place | None) -> Mapping[str, Any]:
    files = role_files(folder, part, use.file(part))
    if not files:
        _refuse_missing(folder, part, use, loading, place)
    found: list[Mapping[Any, Any]] = []
    for file in files:
        content = loading.read(file, place)
        if isinstance(content, Mapping):
            found.append(content)
        elif content is not None:
            at = where(content, Place(str(file), 1, 1))
            loading.problems.add(f"expected a mapping of variables, got {quote_value(content)}", at)
    if len(found) == 1:
        return found[0]
    return {name: value for table in found for name, value in table.items()}


def _refuse_missing(folder: Path, part: str, use: RoleUse, loading: LoadContext, place: Place | None) -> None:
    if part in use.files:
        loading.problems.add(f"the role {use.name!r} has no file {use.files[part]!r} in {folder / part}", place)


def _content(folder: Path, part: str, name: str, loading: LoadContext, place: Place | None) -> Any:
    files = role_files(folder, part, name)
    return loading.read(files[0], place) if files else None


def role_folders(roots: Sequence[Path], around: Iterable[Path], configured: Iterable[Path] | None = None) -> list[Path]:
    """Return the folders that are searched for a role. ``roots`` are those of its playbooks, ``around`` the roles that name it."""
    given = os.environ.get("ANSIBLE_ROLES_PATH")
    if given is not None:
        installed = [Path(part).expanduser() for part in given.split(os.pathsep) if part]
    else:
        installed = list(configured) if configured is not None else [Path(part).expanduser() for part in SYSTEM]
    return list(dict.fromkeys((*(root / "roles" for root in roots), *installed, *(role.parent for role in around), *roots)))


def find_role(name: str, folders: Iterable[Path]) -> Path | None:
    """Return the folder of a role: by a path, or by its name in `folders`."""
    try:
        given = Path(name).expanduser()
        for folder in folders:
            if (folder / given).is_dir():
                return folder / given
    except (OSError, ValueError, RuntimeError):
        pass  # no name of a folder
    return None


def runbook(name: str) -> str:
    """Return the shipped playbook that a role represents, "" for any other role."""
    collection, _, short = name.rpartition(".")
    return short.replace("_", "-") if collection in RUNBOOKS else ""


def runbooks() -> dict[str, Path]:
    """Return the shipped playbooks by name."""
    folder = shipped_folder("playbooks")
    return {path.stem: path for path in sorted(folder.glob("*.yml"))}


def role_files(role: Path, part: str, name: str) -> list[Path]:
    """Return the files of a part (``tasks``, ``vars`` ...): one, or all files of a folder of that name. Empty if there are none."""
    folder = role / part
    for suffix in SUFFIXES:
        path = folder / f"{name}{suffix}"
        if path.is_file():
            return [path]
        if suffix == "" and path.is_dir() and part in {"defaults", "vars"}:
            return sorted(each for each in path.rglob("*") if each.is_file() and each.suffix in SUFFIXES)
    return []
