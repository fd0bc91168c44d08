"""Reads inventories: Ansible's YAML layout as it is, folders, and host lists from the command line (``a,b,``)."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.inventory.files import IGNORED, read_files
from remediation.inventory.inventory import ALL, UNGROUPED, Files, Group, Inventory
from remediation.inventory.ranges import expanded
from remediation.model.errors import InputError, Place, Problem, UsageError
from remediation.templating.nodes import Table, Text, has_template, plain
from remediation.templating.reading import Decrypt, meant, problem, read_yaml

__all__ = ["Inventory", "check", "load"]

PARTS = ("hosts", "vars", "children")
LAB = "lab"
NEXT = "name one with --inventory, such as inventory/lab.yml or a host list: web1,web2,"


def load(sources: Sequence[Path | str], *, playbook_dir: Path | None = None, decrypt: Decrypt | None = None) -> Inventory:
    """Return what `sources` say together, the later ones stronger; raises `InputError` with all mistakes, `UsageError`."""
    reading = _Reading(decrypt=decrypt)
    for source in sources:
        reading.take(source)
    play_files = read_files(playbook_dir, reading.problems, decrypt) if playbook_dir is not None else Files()
    reading.check_circles()
    if reading.problems:
        raise InputError(tuple(dict.fromkeys(reading.problems)))
    named = ", ".join(map(str, sources))
    if not any(group.hosts for group in reading.groups.values()):
        raise UsageError(f"the inventory {named} holds no host", next_step=NEXT)
    return Inventory(
        reading.groups, reading.own, reading.places, reading.files, play_files, reading.lab, tuple(map(str, sources))
    )


def check(inventory: Inventory, given: Collection[str] = ()) -> None:
    """Raise `InputError` where a host's variables cannot be a connection; `given` are the names of variables from ``-e``."""
    problems = []
    for host in inventory.hosts:
        layers = inventory.layers(host)
        known = {*given, *(name for layer in layers for name in layer)}
        connection = next((layer["ansible_connection"] for layer in layers if "ansible_connection" in layer), None)
        kind = str(connection) if isinstance(connection, str) and not has_template(connection) else ""
        transport = next((str(layer["ansible_winrm_transport"]) for layer in layers if "ansible_winrm_transport" in layer), "")
        if kind == "winrm" and not {"ansible_user", "ansible_winrm_user"} & known and transport != "certificate":
            problems.append(
                problem(
                    f"host {host} has connection winrm but no user; set ansible_user here or in group_vars/",
                    inventory.place_of(host),
                )
            )
    if problems:
        raise InputError(tuple(problems))


@dataclass(slots=True)
class _Reading:
    """What has been read so far."""

    decrypt: Decrypt | None = None
    groups: dict[str, Group] = field(default_factory=lambda: {ALL: Group(ALL), UNGROUPED: Group(UNGROUPED)})
    own: dict[str, list[Table]] = field(default_factory=dict)
    places: dict[str, Place] = field(default_factory=dict)
    files: Files = field(default_factory=Files)
    lab: Any = None
    problems: list[Problem] = field(default_factory=list)
    folders: set[Path] = field(default_factory=set)

    def take(self, source: Path | str) -> None:
        if isinstance(source, str) and "," in source:
            for name in (part.strip() for part in source.split(",")):
                if name:
                    self.named(self.groups[ALL], name, None, None)
            return
        path = Path(source)
        if path.is_dir():
            inner = [each for each in sorted(path.iterdir()) if each.is_file() and not each.name.startswith(".")]
            inner = [each for each in inner if not each.name.endswith(IGNORED)]
            if not inner:
                raise UsageError(f"the inventory folder {path} holds no file", next_step=NEXT)
            for each in inner:
                self.file(each)
            self.beside(path)
            return
        if not path.exists():
            raise UsageError(f"there is no inventory {path}", next_step=NEXT)
        self.file(path)
        self.beside(path.parent)

    def beside(self, folder: Path) -> None:
        if folder.resolve() in self.folders:
            return
        self.folders.add(folder.resolve())
        found = read_files(folder, self.problems, self.decrypt)
        for name, tables in found.groups.items():
            self.files.groups.setdefault(name, []).extend(tables)
        for name, tables in found.hosts.items():
            self.files.hosts.setdefault(name, []).extend(tables)

    def file(self, path: Path) -> None:
        try:
            content = read_yaml(path, decrypt=self.decrypt)
        except InputError as error:
            self.problems += error.problems
            return
        if content is None:
            return
        if not isinstance(content, Table):
            self.refuse("an inventory is a mapping of groups", Place(str(path), 1, 1))
            return
        for name, value in content.items():
            if name == LAB and isinstance(value, Table) and not isinstance(value.get("hosts"), Table) and value:
                self.laboratory(value)
                continue
            self.group(None, name, value, content.key_places.get(name))

    def laboratory(self, value: Table) -> None:
        for key in value:
            if key != "hosts":
                self.refuse(f"lab: {key!r} is not known{meant(key, ['hosts'])}", value.key_places.get(key))
        count = value.get("hosts", 1)
        if not isinstance(count, int) or isinstance(count, bool) or count < 1:
            self.refuse("lab: hosts is a number from 1", value.value_places.get("hosts"))
            return
        self.lab = {"hosts": count}

    def group(self, parent: Group | None, name: object, value: Any, place: Place | None) -> None:  # noqa: ANN401 - any value
        if not isinstance(name, str):
            self.refuse(f"a group's name is a text, not {name!r}", place)
            return
        group = self.groups.setdefault(str(name), Group(str(name), place=place))
        if parent is not None:
            parent.children.setdefault(group.name)
        if value is None:
            return
        if not isinstance(value, Table):
            self.refuse(f"group {name}: a mapping with {', '.join(PARTS)} is wanted, not {_kind(value)}", place)
            return
        for key in value:
            if key not in PARTS:
                self.refuse(f"group {name}: {key!r} is not known{meant(key, PARTS)}", value.key_places.get(key))
        self.hosts(group, value)
        self.variables(group, value)
        children = self.part(group, value, "children")
        for child, inner in children.items() if children is not None else ():
            self.group(group, child, inner, children.key_places.get(child))

    def part(self, group: Group, value: Table, key: str) -> Table | None:
        inner = value.get(key)
        if inner is None:
            return None
        if isinstance(inner, Text) and key != "vars":
            return Table({inner: None}, inner.place, {inner: inner.place} if inner.place else {})
        if not isinstance(inner, Table):
            self.refuse(f"group {group.name}: {key} is a mapping, not {_kind(inner)}", value.value_places.get(key))
            return None
        return inner

    def variables(self, group: Group, value: Table) -> None:
        found = self.part(group, value, "vars")
        if found is not None:
            group.vars.append(found)

    def hosts(self, group: Group, value: Table) -> None:
        found = self.part(group, value, "hosts")
        for name, variables in found.items() if found is not None else ():
            place = found.key_places.get(name)
            if variables is not None and not isinstance(variables, Table):
                self.refuse(f"host {name}: a mapping of variables is wanted, not {_kind(variables)}", place)
                continue
            try:
                names = list(expanded(str(plain(name))))
            except ValueError as error:
                self.refuse(f"host {name}: {error}", place)
                continue
            for each in names:
                self.named(group, each, variables, place)

    def named(self, group: Group, name: str, variables: Table | None, place: Place | None) -> None:
        group.hosts.setdefault(name)
        if group.name != ALL:
            self.groups[ALL].children.setdefault(group.name)
        if place is not None:
            self.places.setdefault(name, place)
        if variables:
            self.own.setdefault(name, []).append(variables)

    def check_circles(self) -> None:
        """Hang every group below ``all``, and refuse one that contains itself."""
        for name in self.groups:
            if name != ALL:
                self.groups[ALL].children.setdefault(name)
        done: set[str] = set()

        def descend(name: str, above: tuple[str, ...]) -> None:
            if name in above:
                circle = " -> ".join([*above[above.index(name) :], name])
                self.refuse(f"the group {name} contains itself: {circle}", self.groups[name].place)
                return
            if name in done:
                return
            for child in self.groups[name].children:
                descend(child, (*above, name))
            done.add(name)

        for name in list(self.groups):
            descend(name, ())

    def refuse(self, message: str, place: Place | None) -> None:
        self.problems.append(problem(message, place))


def _kind(value: object) -> str:
    kinds = {list: "a list", bool: "a truth value", int: "a number", float: "a number"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), f"the text {value!r}")
