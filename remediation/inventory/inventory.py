"""Hosts, groups and their variables from all inventory sources."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

from remediation.inventory.patterns import PatternMatch, match_hosts, split_pattern
from remediation.model.errors import Place, UsageError
from remediation.model.files import read_text
from remediation.templating.yaml.loader import suggestion
from remediation.templating.yaml.located import Table

ALL, UNGROUPED = "all", "ungrouped"
IMPLICIT = ("localhost", "127.0.0.1", "::1")
"""Names of this machine that every inventory knows implicitly, as in Ansible."""

PRIORITY = "ansible_group_priority"

Layer = Mapping[str, Any]


@dataclass(slots=True)
class Group:
    """A group. ``vars`` are the mappings of its ``vars:`` in reading order; later ones override earlier ones."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    vars: list[Table] = field(default_factory=list)
    place: Place | None = None

    @property
    def priority(self) -> int:
        """Precedence among groups of equal depth: the higher one wins. Read only from the inventory files themselves."""
        values = [table[PRIORITY] for table in self.vars if PRIORITY in table]
        return int(values[-1]) if values else 1


@dataclass(slots=True)
class Files:
    """``group_vars`` and ``host_vars`` of one folder: by name, the mappings of its files; later ones override earlier ones."""

    groups: dict[str, list[Table]] = field(default_factory=dict)
    hosts: dict[str, list[Table]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RankedVariables:
    """A mapping of a host's variables, and its origin: ``group windows``, ``host_vars of the inventory``."""

    rank: str
    values: Layer


@dataclass(frozen=True)
class Inventory:
    """The result of all sources.

    ``named`` are all hosts in the order of their first mention, which is the order of globs. ``own`` are the hosts' variables in the
    inventory files, ``files`` the variable files next to each source, and ``play_files`` those next to the playbook. ``lab`` is the
    ``lab:`` section, or None.
    """

    groups_by_name: Mapping[str, Group]
    named: Sequence[str]
    own: Mapping[str, Sequence[Layer]]
    places: Mapping[str, Place]
    files: Sequence[Files] = ()
    play_files: Sequence[Files] = ()
    lab: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()
    listed: Mapping[str, str] = dataclasses.field(default_factory=dict)
    """The host list of the command line that names a host (``-i a,b,``)."""

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """All hosts in the order of the group ``all``."""
        return tuple(self._hosts_of(ALL))

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The hosts of every group including its children. Contains ``all`` and ``ungrouped``."""
        return {name: list(self._hosts_of(name)) for name in self.groups_by_name}

    def groups_of(self, host: str) -> list[str]:
        """Return the groups of a host in name order, without ``all``."""
        return list(self._memberships.get(host, ()))

    def select(self, pattern: str | Sequence[str], limit: str | None = None) -> tuple[str, ...]:
        """Return the hosts that match `pattern`, in its order, restricted by `limit`.

        Empty if nothing matches, as in Ansible. Raises `UsageError` if no part of `limit` matches anything.
        """
        found = self.match(pattern).hosts
        if limit is None:
            return found
        allowed = set(self.limit_hosts(limit))
        return tuple(host for host in found if host in allowed)

    def match(self, pattern: str | Sequence[str]) -> PatternMatch:
        """Return the hosts that match `pattern`, and its parts without matches. Raises `UsageError`."""
        return match_hosts(split_pattern(pattern), self.named, self.groups, IMPLICIT)

    def limit_hosts(self, limit: str) -> tuple[str, ...]:
        """Return the hosts of ``--limit``; ``@FILE`` lists names in a file. Raises `UsageError` with the nearest name."""
        parts = [
            inner for part in split_pattern(limit) for inner in (_read_host_list(part[1:]) if part.startswith("@") else [part])
        ]
        found = match_hosts(parts, self.named, self.groups, IMPLICIT)
        if found.hosts or not found.nothing:
            return found.hosts
        part = found.nothing[0]
        hint = suggestion(part, [*self.hosts, *self.groups])
        raise UsageError(f"--limit {limit}: no host or group matches {part!r}{hint}", next_step="remediate hosts lists them")

    def layers(self, host: str) -> tuple[Layer, ...]:
        """Return a host's variables in Ansible's order, the strongest layer first."""
        return tuple(ranked.values for ranked in reversed(self.ranked_variables(host)))

    def ranked_variables(self, host: str) -> list[RankedVariables]:
        """Return a host's variables with their origins, the weakest first.

        Ansible's order: ``vars:`` of all groups in the inventory files, ``group_vars/all``, ``group_vars`` of the other groups, the host's
        own. Within each kind, files next to the inventory come before files next to the playbook.
        """
        order = self._group_order(host)
        places = [*((files, "the inventory") for files in self.files), *((files, "the playbook") for files in self.play_files)]
        found = [
            RankedVariables(f"group {name}", table)
            for name in (ALL, *order)
            if name in self.groups_by_name
            for table in self.groups_by_name[name].vars
        ]
        for names in ([ALL], order):
            found += [
                RankedVariables(f"group_vars of {source}, group {name}", table)
                for files, source in places
                for name in names
                for table in files.groups.get(name, ())
            ]
        if host in IMPLICIT and host not in self.hosts:
            found.append(RankedVariables("implicit localhost", {"ansible_connection": "local"}))
        found += [RankedVariables("the host", table) for table in self.own.get(host, ())]
        found += [
            RankedVariables(f"host_vars of {source}", table) for files, source in places for table in files.hosts.get(host, ())
        ]
        return found

    def tables(self) -> Iterator[Layer]:
        """Yield every mapping of variables once."""
        for group in self.groups_by_name.values():
            yield from group.vars
        for tables in (*self.own.values(), *(found for files in (*self.files, *self.play_files) for found in _all(files))):
            yield from tables

    def magic(self, host: str) -> dict[str, Any]:
        """Return the magic variables of a host."""
        place = self.places.get(host)
        file = _resolve(place.file) if place else None
        return {
            "ansible_host": host,
            "inventory_hostname": host,
            "inventory_hostname_short": host.partition(".")[0],
            "group_names": self.groups_of(host),
            "groups": self.groups,
            "inventory_file": str(file) if file else self.listed.get(host),
            "inventory_dir": str(file.parent) if file else None,
        }

    def with_host_vars(self, host: str, values: Mapping[str, Any]) -> Inventory:
        """Return the inventory with additional variables of one host, as if they came last in the inventory file."""
        own = {**self.own, host: [*self.own.get(host, ()), Table(values)]}
        return dataclasses.replace(self, own=own)

    def with_host(self, host: str, groups: Sequence[str], values: Mapping[str, Any]) -> Inventory:
        """Return the inventory with a host in these groups and with these variables (``add_host``); itself if it has all of it."""
        known = {name: value for table in self.own.get(host, ()) for name, value in table.items()}
        new = {name: value for name, value in values.items() if name not in known or known[name] != value}
        if host in self.hosts and not new and all(host in self._direct(name) for name in groups):
            return self
        wider = self if host in self.hosts else self._with_new(host)
        for name in groups:
            wider = wider.with_group(host, name, (ALL,))
        return wider.with_host_vars(host, new) if new else wider

    def with_group(self, host: str, group: str, parents: Sequence[str]) -> Inventory:
        """Return the inventory with a host in a group below its parents (``group_by``); itself if that is so already.

        Raises `UsageError` if the group would contain itself.
        """
        inside = {each.name for each in self._descendants(group)} | {group}
        circle = next((parent for parent in parents if parent in inside), None)
        if circle is not None:
            raise UsageError(f"the group {group} would contain itself: its parent {circle} is one of its children or the same")
        groups = dict(self.groups_by_name)
        own = groups.get(group) or Group(group)
        above = [parent for parent in parents if parent not in groups or group not in groups[parent].children]
        if group in groups and tuple(parents) == (ALL,):
            above = []  # it has a place already
        if host in own.hosts and not above:
            return self
        groups[group] = dataclasses.replace(own, hosts={**own.hosts, host: None})
        for parent in above:
            if parent not in groups:
                groups[ALL] = dataclasses.replace(groups[ALL], children={**groups[ALL].children, parent: None})
            higher = groups.get(parent) or Group(parent)
            groups[parent] = dataclasses.replace(higher, children={**higher.children, group: None})
        loose = groups[UNGROUPED]
        if group not in {ALL, UNGROUPED} and host in loose.hosts:
            groups[UNGROUPED] = dataclasses.replace(loose, hosts={each: None for each in loose.hosts if each != host})
        return dataclasses.replace(self, groups_by_name=groups)

    def _direct(self, group: str) -> Mapping[str, None]:
        return self.groups_by_name[group].hosts if group in self.groups_by_name else {}

    def _with_new(self, host: str) -> Inventory:
        groups = dict(self.groups_by_name)
        for name in (ALL, UNGROUPED):
            groups[name] = dataclasses.replace(groups[name], hosts={**groups[name].hosts, host: None})
        named = self.named if host in self.named else (*self.named, host)
        return dataclasses.replace(self, groups_by_name=groups, named=named)

    def _hosts_of(self, name: str) -> Iterator[str]:
        """Yield the hosts of a group, then those of its children, breadth first and without duplicates."""
        yield from dict.fromkeys(host for each in self._descendants(name) for host in each.hosts)

    def _descendants(self, name: str) -> list[Group]:
        start = self.groups_by_name.get(name)
        if start is None:
            return []
        found = {name: start}
        row = [start]
        while row:
            below = dict.fromkeys(child for group in row for child in group.children if child not in found)
            row = [self.groups_by_name[child] for child in below]
            found |= {group.name: group for group in row}
        return list(found.values())

    @cached_property
    def _memberships(self) -> Mapping[str, list[str]]:
        found: dict[str, list[str]] = {}
        for name in sorted(self.groups):
            if name != ALL:
                for host in self.groups[name]:
                    found.setdefault(host, []).append(name)
        return found

    @cached_property
    def _depths(self) -> Mapping[str, int]:
        depths: dict[str, int] = {}

        def sink(name: str, depth: int) -> None:
            if depths.get(name, -1) >= depth:
                return
            depths[name] = depth
            for child in self.groups_by_name[name].children:
                sink(child, depth + 1)

        sink(ALL, 0)
        return depths

    def _group_order(self, host: str) -> list[str]:
        """Return a host's groups, the weakest first: by depth, then ``ansible_group_priority``, then name."""
        groups = self.groups_by_name
        return sorted(self.groups_of(host), key=lambda name: (self._depths[name], groups[name].priority, name))


@lru_cache(maxsize=256)
def _resolve(name: str) -> Path:
    return Path(name).resolve()


def _all(files: Files) -> Iterator[list[Table]]:
    yield from files.groups.values()
    yield from files.hosts.values()


def _read_host_list(name: str) -> list[str]:
    try:
        lines = read_text(Path(name).expanduser()).splitlines()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "not UTF-8 text"
        raise UsageError(
            f"--limit @{name}: cannot read the file: {reason}", next_step="name a file with a host on each line"
        ) from None
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]
