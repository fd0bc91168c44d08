"""Hosts, groups and their variables, as all sources together say them."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from remediation.inventory.patterns import Matched, match
from remediation.model.errors import Place, UsageError
from remediation.templating.nodes import Table

ALL, UNGROUPED = "all", "ungrouped"
IMPLICIT = ("localhost", "127.0.0.1", "::1")
"""Names that are this machine in every inventory, as in Ansible."""

Layer = Mapping[str, Any]


@dataclass(slots=True)
class Group:
    """One group: ``vars`` are the mappings of its ``vars:`` in the order they were read, the later ones stronger."""

    name: str
    hosts: dict[str, None] = field(default_factory=dict)
    children: dict[str, None] = field(default_factory=dict)
    vars: list[Table] = field(default_factory=list)
    place: Place | None = None


@dataclass(slots=True)
class Files:
    """``group_vars`` and ``host_vars`` of one folder: by name, the mappings of its files, the later ones stronger."""

    groups: dict[str, list[Table]] = field(default_factory=dict)
    hosts: dict[str, list[Table]] = field(default_factory=dict)


@dataclass(frozen=True)
class Inventory:
    """What an inventory says. ``own`` are the hosts' variables of the inventory file itself, ``files`` those beside it,
    ``play_files`` those beside the playbook; ``lab`` is what a file asks the lab for, None where none does."""

    groups_by_name: Mapping[str, Group]
    own: Mapping[str, Sequence[Table]]
    places: Mapping[str, Place]
    files: Files = field(default_factory=Files)
    play_files: Files = field(default_factory=Files)
    lab: Mapping[str, Any] | None = None
    sources: tuple[str, ...] = ()

    @cached_property
    def hosts(self) -> tuple[str, ...]:
        """All hosts, in the order in which ``all`` lists them."""
        return tuple(self._hosts_of(ALL))

    @cached_property
    def groups(self) -> dict[str, list[str]]:
        """The hosts of every group, those of its children included; ``all`` and ``ungrouped`` among them."""
        found = {name: list(self._hosts_of(name)) for name in self.groups_by_name}
        grouped = {host for name, hosts in found.items() if name not in {ALL, UNGROUPED} for host in hosts}
        found[ALL] = list(self.hosts)
        found[UNGROUPED] = [host for host in self.hosts if host not in grouped]
        return found

    def groups_of(self, host: str) -> list[str]:
        """Return the groups a host is in, without ``all``, in name order."""
        return self._membership.get(host, [])

    def select(self, pattern: str, limit: str | None = None) -> tuple[str, ...]:
        """Return the hosts that `pattern` names, in its order, as far as `limit` allows; empty where there are none."""
        found = self.match(pattern).hosts
        if limit is None:
            return found
        allowed = set(self.match(limit).hosts)
        return tuple(host for host in found if host in allowed)

    def match(self, pattern: str) -> Matched:
        """Return the hosts that `pattern` names, and which of its parts name none; raises `UsageError`."""
        hosts: Sequence[str] = self.hosts
        if pattern in IMPLICIT and pattern not in hosts:
            return Matched((pattern,))
        return match(pattern, hosts, self.groups)

    def check_limit(self, limit: str) -> None:
        """Raise `UsageError`, naming the nearest, where `limit` names no host at all."""
        found = self.match(limit)
        if found.hosts:
            return
        part = next(iter(found.nothing), limit)
        known = [*self.hosts, *self.groups]
        near = difflib.get_close_matches(part, known, n=1)
        hint = f"; did you mean {near[0]!r}?" if near else ""
        raise UsageError(f"--limit {limit}: no host or group is called {part!r}{hint}", next_step="remediate hosts lists them")

    def layers(self, host: str) -> tuple[Layer, ...]:
        """Return a host's variables, the strongest layer first (Ansible's order; design 5)."""
        order = self._group_order(host)
        weakest_first: list[Layer] = []
        shared = self.groups_by_name.get(ALL, Group(ALL))
        weakest_first += [*shared.vars, *self.files.groups.get(ALL, ()), *self.play_files.groups.get(ALL, ())]
        weakest_first += [table for name in order if name in self.groups_by_name for table in self.groups_by_name[name].vars]
        for files in (self.files, self.play_files):
            weakest_first += [table for name in order for table in files.groups.get(name, ())]
        weakest_first += self.own.get(host, ())
        weakest_first += [*self.files.hosts.get(host, ()), *self.play_files.hosts.get(host, ())]
        if host in IMPLICIT and host not in self.hosts:
            weakest_first.insert(0, {"ansible_connection": "local"})
        return tuple(reversed(weakest_first))

    def magic(self, host: str) -> dict[str, Any]:
        """Return what is known of a host without any variable file."""
        return {
            "inventory_hostname": host,
            "inventory_hostname_short": host.partition(".")[0],
            "group_names": self.groups_of(host) if host in self.hosts else [],
            "groups": self.groups,
        }

    def with_host_vars(self, host: str, values: Mapping[str, Any]) -> Inventory:
        """Return the inventory with more variables of one host, as if they stood last in the inventory's own file."""
        own = {**self.own, host: [*self.own.get(host, ()), Table(values)]}
        return dataclasses.replace(self, own=own)

    def place_of(self, host: str) -> Place | None:
        """Return where a host is named first."""
        return self.places.get(host)

    def _hosts_of(self, name: str) -> Iterator[str]:
        """Yield the hosts of a group, then those of its children, breadth first, each once."""
        seen: set[str] = set()
        for each in self._descendants(name):
            for host in each.hosts:
                if host not in seen:
                    seen.add(host)
                    yield host

    def _descendants(self, name: str) -> list[Group]:
        start = self.groups_by_name.get(name)
        if start is None:
            return []
        found = {name: start}
        row = [start]
        while row:
            below = [self.groups_by_name[child] for group in row for child in group.children if child not in found]
            row = [group for group in below if found.setdefault(group.name, group) is group]
        return list(found.values())

    @cached_property
    def _membership(self) -> Mapping[str, list[str]]:
        groups: dict[str, list[str]] = {}
        for name in sorted(self.groups):
            for host in self.groups[name] if name != ALL else ():
                groups.setdefault(host, []).append(name)
        return groups

    @cached_property
    def _depths(self) -> Mapping[str, int]:
        depths: dict[str, int] = {}

        def sink(name: str, depth: int) -> None:
            if depths.get(name, -1) >= depth:
                return
            depths[name] = depth
            for child in self.groups_by_name[name].children:
                sink(child, depth + 1)

        for name in self.groups_by_name:
            sink(name, 0 if name == ALL else 1)
        return depths

    def _group_order(self, host: str) -> list[str]:
        """Return a host's groups, the weakest first: by depth, then ``ansible_group_priority``, then name."""
        return sorted(self.groups_of(host), key=lambda name: (self._depths.get(name, 1), self._priority(name), name))

    def _priority(self, name: str) -> int:
        group = self.groups_by_name.get(name)
        values = [table["ansible_group_priority"] for table in (group.vars if group else ()) if "ansible_group_priority" in table]
        try:
            return int(values[-1]) if values else 1
        except (TypeError, ValueError):
            return 1
