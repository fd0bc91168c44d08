"""Reads inventories: Ansible's YAML and INI formats, programs, folders, and host lists from the command line (``a,b,``)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from remediation.inventory.check import check_inventory
from remediation.inventory.ini import looks_like_ini, read_ini
from remediation.inventory.inventory import ALL, PRIORITY, UNGROUPED, Files, Group, Inventory
from remediation.inventory.ranges import expand_range, without_port
from remediation.inventory.script import is_program, read_program
from remediation.model.errors import InputError, Place, Problem, UsageError
from remediation.model.translation import translatable
from remediation.templating.yaml.loader import Decrypt, problem, read_content, read_yaml, suggestion, yaml_text
from remediation.templating.yaml.located import Table, Text

SUFFIXES = (".yml", ".yaml", ".json")
_NO_SOURCES = ("~", ".orig", ".bak", ".cfg", ".retry", ".pyc", ".pyo", ".swp", ".md", ".txt", ".rst", ".rpm")
"""File name endings that Ansible ignores in a folder of inventories."""
IGNORED = (*_NO_SOURCES, ".ini")
"""File name endings that are ignored in ``group_vars`` and ``host_vars``."""


def read_files(folder: Path, problems: list[Problem], decrypt: Decrypt | None = None) -> Files:
    """Return the variables in a folder's ``group_vars`` and ``host_vars``. Mistakes are added to `problems`."""
    return Files(
        groups=_by_name(folder / "group_vars", problems, decrypt), hosts=_by_name(folder / "host_vars", problems, decrypt)
    )


def folder_entries(folder: Path) -> list[Path]:
    """Return the entries of a folder in name order. Raises `UsageError` if it cannot be read."""
    try:
        return sorted(folder.iterdir())
    except OSError as error:
        raise UsageError(
            f"cannot read folder {folder}: {error.strerror or error}", next_step="name a folder that you may read"
        ) from None


def _by_name(folder: Path, problems: list[Problem], decrypt: Decrypt | None) -> dict[str, list[Table]]:
    if not folder.is_dir():
        return {}
    found: dict[str, list[Table]] = {}
    taken: dict[str, int] = {}
    for path in folder_entries(folder):
        if path.name.startswith(".") or path.name.endswith(IGNORED):
            continue
        name = path.stem if path.suffix in SUFFIXES and not path.is_dir() else path.name
        rank = 0 if path.is_dir() or path.suffix not in SUFFIXES else 1 + SUFFIXES.index(path.suffix)
        if taken.get(name, rank) < rank:
            continue  # as in Ansible, only the first existing form is used: NAME, NAME.yml, NAME.yaml, NAME.json
        taken[name] = rank
        found[name] = [table for file in _files(path) for table in _table(file, problems, decrypt)]
    return found


def _files(path: Path) -> Iterator[Path]:
    if not path.is_dir():
        yield path
        return
    for inner in folder_entries(path):
        if inner.name.startswith(".") or inner.name.endswith(IGNORED):
            continue
        if inner.is_dir() or inner.suffix in {*SUFFIXES, ""}:
            yield from _files(inner)


def _table(path: Path, problems: list[Problem], decrypt: Decrypt | None) -> list[Table]:
    try:
        content = read_yaml(path, decrypt=decrypt)
    except InputError as error:
        problems += error.problems
        return []
    if content is None:
        return []
    if not isinstance(content, Table):
        problems.append(problem("expected a mapping of variables", Place(str(path), 1, 1)))
        return []
    return [content]


__all__ = ["Inventory", "check_inventory", "load_inventory"]

PARTS = ("hosts", "vars", "children")
LAB = "lab"
_OF_LAB = ("hosts", "world")
NEXT = "set one with --inventory, such as inventory/lab.yml or a host list: web1,web2,"
DEEPEST_GROUPS = 100
"""Highest depth of nested groups."""
MOST_FILES = 1000
"""Highest number of files in an inventory folder. More indicate the wrong folder."""
APART = frozenset({"group_vars", "host_vars", "vars_plugins"})


def load_inventory(
    sources: Sequence[Path | str],
    *,
    playbook_dir: Path | None = None,
    decrypt: Decrypt | None = None,
    defaults: Table | None = None,
) -> Inventory:
    """Return the inventory of all `sources`; later ones override earlier ones. `defaults` are variables of all hosts. Raises `InputError` with all mistakes, or `UsageError`."""
    reading = _InventoryReader(decrypt=decrypt)
    if defaults:
        reading.groups[ALL].vars.append(defaults)
    for source in sources:
        reading.take(source)
    play_files = [] if playbook_dir is None else [read_files(playbook_dir, reading.problems, decrypt)]
    reading.complete()
    if reading.problems:
        raise InputError(tuple(dict.fromkeys(reading.problems)))
    if not any(group.hosts for group in reading.groups.values()):
        raise UsageError(f"the inventory {', '.join(map(str, sources))} has no hosts", next_step=NEXT)
    return Inventory(
        reading.groups,
        tuple(reading.seen),
        reading.own,
        reading.places,
        tuple(reading.files),
        tuple(play_files),
        reading.lab,
        tuple(map(str, sources)),
        reading.listed_in,
    )


@dataclass(slots=True)
class _InventoryReader:
    """The state of reading inventories."""

    decrypt: Decrypt | None = None
    groups: dict[str, Group] = field(default_factory=lambda: {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)})
    seen: dict[str, None] = field(default_factory=dict)
    own: dict[str, list[Table]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    listed_in: dict[str, str] = field(default_factory=dict)
    files: list[Files] = field(default_factory=list)
    lab: Any = None
    problems: list[Problem] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.groups[ALL].children[UNGROUPED] = None  # ungrouped is the first child of all, so its hosts come first

    def take(self, source: Path | str) -> None:
        if isinstance(source, str) and "," in source:
            for part in filter(None, (part.strip() for part in source.split(","))):
                self.listed(part, source)
            return
        path = Path(source)
        if path.is_dir():
            inner = list(islice(_files_in(path), MOST_FILES + 1))
            if len(inner) > MOST_FILES:
                raise UsageError(
                    f"the inventory folder {path} has more than {MOST_FILES} files",
                    next_step="choose a folder that contains only the inventory",
                )
            if not inner:
                raise UsageError(f"the inventory folder {path} has no inventory files", next_step=NEXT)
            for each in inner:
                self.file(each)
            self.variable_files(path)
            return
        if not path.exists():
            raise UsageError(f"there is no inventory {path}", next_step=NEXT)
        self.file(path)
        self.variable_files(path.parent)

    def listed(self, part: str, source: str) -> None:
        try:
            name, port = without_port(part)
            for each in expand_range(name):
                self.named(self.groups[UNGROUPED], each, _with_port(None, port), None)
                self.listed_in.setdefault(each, source)
        except ValueError as error:
            raise UsageError(f"--inventory {part}: {error}", next_step="write hosts as web1,web[02:20],") from None

    def variable_files(self, folder: Path) -> None:
        if folder.resolve() not in self.folders:
            self.folders.add(folder.resolve())
            self.files.append(read_files(folder, self.problems, self.decrypt))

    def file(self, path: Path) -> None:
        content = self.content(path)
        if content is None:
            return
        for name, value in content.items():
            if name == LAB and _asks_for_lab(value):
                self.laboratory(value or Table({}))
                continue
            self.group(None, name, value, content.key_places.get(name))

    def content(self, path: Path) -> Table | None:
        """Return the groups of a file: YAML, INI, or what a program prints."""
        if is_program(path):
            return read_program(path, self.problems)
        before = len(self.problems)
        try:
            text = yaml_text(path)  # once: a pipe cannot be read again
        except InputError as error:
            self.problems += error.problems
            return None
        try:
            content = read_content(text, path, decrypt=self.decrypt)
        except InputError as error:
            self.problems += error.problems
            content = ""
        if content is None or isinstance(content, Table):
            return content
        if looks_like_ini(text) or (path.suffix not in SUFFIXES and isinstance(content, str)):
            del self.problems[before:]
            groups = read_ini(text, path, self.problems)
            if len(self.problems) > before and text.startswith("#!"):
                hint = f"begins with #! and is not executable; make it a program with chmod +x {path.name}"
                self.problems[before:] = [problem(f"{path.name} {hint}", Place(str(path), 1, 1))]
            return groups
        if len(self.problems) == before:
            self.problems.append(problem("expected a mapping of groups", Place(str(path), 1, 1)))
        return None

    def laboratory(self, value: Table) -> None:
        for key in value:
            if key not in _OF_LAB:
                hint = suggestion(key, _OF_LAB) or f"; its keys are {' and '.join(_OF_LAB)}"
                self.refuse(f"lab: {key!r} is not known{hint}", value.key_places.get(key))
        count = value.get("hosts", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            self.refuse("lab: hosts must be a number of at least 1", value.value_places.get("hosts"))
            return
        world = value.get("world", "")
        if not isinstance(world, str):
            self.refuse("lab: world must be the name of a kind of host", value.value_places.get("world"))
            return
        self.lab = {"hosts": count, **({"world": str(world)} if world else {})}

    def group(self, parent: Group | None, name: object, value: Any, place: Place | None) -> None:
        if not isinstance(name, str):
            self.refuse(f"a group name must be a string, got {name!r}; quote it", place)
            return
        group = self.groups.setdefault(str(name), Group(str(name)))
        group.place = group.place or place
        if parent is not None:
            parent.children.setdefault(group.name)
        if value is None:
            return
        if not isinstance(value, Table):
            self.refuse(f"group {name}: expected a mapping with {', '.join(PARTS)}, got {_kind(value)}", place)
            return
        for key in value:  # in file order, which determines the order of hosts
            if key not in PARTS:
                self.refuse(f"group {name}: {key!r} is not known{suggestion(key, PARTS)}", value.key_places.get(key))
                continue
            inner = self.part(group, value, key)
            if inner is not None:
                self.take_part(group, key, inner)

    def take_part(self, group: Group, key: str, inner: Table) -> None:
        if key == "vars":
            self.variables(group, inner)
        elif key == "hosts":
            self.hosts(group, inner)
        else:
            for child, content in inner.items():
                self.group(group, child, content, inner.key_places.get(child))

    def part(self, group: Group, value: Table, key: str) -> Table | None:
        inner = value.get(key)
        if inner is None:
            return None
        if isinstance(inner, Text) and key != "vars":
            return Table({inner: None}, inner.place, {inner: inner.place} if inner.place else {})
        if not isinstance(inner, Table):
            self.refuse(f"group {group.name}: {key} must be a mapping, got {_kind(inner)}", value.value_places.get(key))
            return None
        return inner

    def variables(self, group: Group, found: Table) -> None:
        group.vars.append(found)
        priority = found.get(PRIORITY, 1)
        try:
            int(priority)
        except (TypeError, ValueError):
            self.refuse(f"{PRIORITY} must be a number, got {_kind(priority)}", found.value_places.get(PRIORITY))

    def hosts(self, group: Group, found: Table) -> None:
        for name, variables in found.items():
            place = found.key_places.get(name)
            if not isinstance(name, str):
                self.refuse(f"a host name must be a string, got {name!r}; quote it", place)
                continue
            if variables is not None and not isinstance(variables, Table):
                self.refuse(f"host {name}: expected a mapping of variables, got {_kind(variables)}", place)
                continue
            whole, port = without_port(str(name))
            try:
                for each in expand_range(whole):
                    self.named(group, each, _with_port(variables, port), place)
            except ValueError as error:
                self.refuse(f"host {name}: {error}", place)

    def named(self, group: Group, name: str, variables: Table | None, place: Place | None) -> None:
        group.hosts.setdefault(name)
        self.seen.setdefault(name)
        if place is not None:
            self.places.setdefault(name, place)
        if variables:
            self.own.setdefault(name, []).append(variables)

    def complete(self) -> None:
        """Add groups without a parent to ``all``, and hosts without a group to ``ungrouped``. Rejects recursive groups."""
        grouped = {child for group in self.groups.values() for child in group.children}
        for name in self.groups:
            if name != ALL and name not in grouped:
                self.groups[ALL].children.setdefault(name)
        held = {host for name, group in self.groups.items() if name not in {ALL, UNGROUPED} for host in group.hosts}
        loose = self.groups[UNGROUPED].hosts
        self.groups[UNGROUPED].hosts = {host: None for host in (*loose, *self.groups[ALL].hosts) if host not in held}
        if not self.problems:
            self.check_circles()

    def check_circles(self) -> None:
        done: set[str] = set()
        too_deep: list[str] = []

        def descend(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                circle = " -> ".join([*above[above.index(name) :], name])
                self.refuse(f"the group {name} contains itself: {circle}", self.groups[name].place)
            elif too_deep:
                return
            elif len(above) > DEEPEST_GROUPS:
                too_deep.append(name)
                self.refuse(f"groups are nested more than {DEEPEST_GROUPS} deep, down to {name}", self.groups[name].place)
            elif name not in done:
                for child in self.groups[name].children:
                    descend(child, (*above, name))
                done.add(name)

        for name in list(self.groups):
            descend(name, ())

    def refuse(self, message: str, place: Place | None) -> None:
        self.problems.append(problem(message, place))


def holds_files(folder: Path) -> bool:
    """Return whether a folder has a file that is read as an inventory."""
    return next(_files_in(folder), None) is not None


def _files_in(folder: Path, above: tuple[Path, ...] = ()) -> Iterator[Path]:
    """Yield the inventory files of a folder and its subfolders in name order, except those that Ansible ignores.

    Links back to a parent folder are not followed.
    """
    for path in folder_entries(folder):
        if path.name.startswith(".") or path.name.endswith(_NO_SOURCES) or path.name in APART:
            continue
        if path.is_dir():
            known = path.resolve()
            if known not in above:
                yield from _files_in(path, (*above, known))
        elif path.suffix in {*SUFFIXES, "", ".ini"} or is_program(path):
            yield path


def _asks_for_lab(value: object) -> bool:
    """Return whether ``lab:`` is the lab section. A group of that name has hosts by name."""
    if not isinstance(value, Table):
        return value is None
    return not (
        {"vars", "children"} & set(value) or isinstance(value.get("hosts"), (Table, str)) or value.get("hosts", 1) is None
    )


def _with_port(variables: Table | None, port: int | None) -> Table | None:
    if port is None:
        return variables
    known = variables or Table({})
    return Table({"ansible_port": port, **known}, known.place, known.key_places, known.value_places)


def _kind(value: object) -> str:
    number = translatable("a number")
    kinds = {
        list: translatable("a list"), dict: translatable("a mapping"), bool: translatable("a boolean"), int: number, float: number,
        type(None): "nothing",
    }  # fmt: skip
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), f"the string {value!r}")
