"""The inventory as a worker knows it: the names of all hosts, and the variables of those that the controller sent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from remediation.engine.executors.messages import Know, KnownHost
from remediation.engine.executors.refusals import reads_controller
from remediation.engine.play.context.run_request import InventoryView
from remediation.inventory.inventory import IMPLICIT
from remediation.inventory.patterns import match_hosts, split_pattern
from remediation.model.errors import RemediationError, UsageError
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import has_template, texts_in

GROUPS = "groups"
"""The magic variable with all groups: sent once, not with each host."""


class KnownFleet:
    """See `remediation.engine.play.context.run_request.InventoryView`."""

    def __init__(self, names: Sequence[str], groups: Mapping[str, Sequence[str]]) -> None:
        self._names = tuple(names)
        self._groups = {name: list(hosts) for name, hosts in groups.items()}
        self._hosts: dict[str, KnownHost] = {}
        self._tables: dict[int, Mapping[str, Any]] = {}

    def know(self, message: Know) -> None:
        """Add hosts."""
        self._tables.update(message.tables)
        self._hosts.update(message.hosts)

    def select(self, pattern: str | Sequence[str], limit: str | None = None) -> tuple[str, ...]:
        """Return the hosts that a pattern selects; only the controller knows the limit."""
        return match_hosts(split_pattern(pattern), self._names, self._groups, IMPLICIT).hosts

    def layers(self, host: str) -> Sequence[Mapping[str, Any]]:
        """Return a host's variables, highest precedence first."""
        known = self._hosts.get(host)
        return [self._tables[number] for number in known.layers] if known else []

    def magic(self, host: str) -> Mapping[str, Any]:
        """Return a host's magic variables."""
        known = self._hosts.get(host)
        return {**known.magic, GROUPS: self._groups} if known else {}

    def with_host(self, host: str, groups: Sequence[str], values: Mapping[str, Any]) -> InventoryView:
        """Raise `UsageError`: a worker cannot change the inventory of the others."""
        raise UsageError("add_host changes the inventory of all workers", next_step="run it without --executor")

    def with_group(self, host: str, group: str, parents: Sequence[str]) -> InventoryView:
        """Raise `UsageError`: a worker cannot change the inventory of the others."""
        raise UsageError("group_by changes the inventory of all workers", next_step="run it without --executor")


class SentHosts:
    """What one worker knows of the inventory: each table is sent to it once."""

    def __init__(self, inventory: InventoryView, extra: Mapping[str, Any]) -> None:
        self._inventory, self._extra = inventory, extra
        self._numbers: dict[int, int] = {}
        self._kept: list[Mapping[str, Any]] = []
        self._hosts: set[str] = set()

    def missing(self, names: Sequence[str]) -> Know | None:
        """Return what the worker has to know of these hosts, None if it knows them."""
        hosts: dict[str, KnownHost] = {}
        tables: dict[int, Mapping[str, Any]] = {}
        for name in names:
            if name in self._hosts:
                continue
            self._hosts.add(name)
            numbers = []
            for layer in self._inventory.layers(name):
                number = self._numbers.get(id(layer))
                if number is None:
                    self._kept.append(layer)  # an id is unique only while its object exists
                    number = self._numbers[id(layer)] = len(self._kept)
                    tables[number] = layer
                numbers.append(number)
            read = self._read_here(name)
            if read:
                numbers.insert(0, len(self._kept) + 1)
                self._kept.append(read)
                tables[len(self._kept)] = read
            magic = {key: value for key, value in self._inventory.magic(name).items() if key != GROUPS}
            hosts[name] = KnownHost(tuple(numbers), magic)
        return Know(hosts, tables) if hosts else None

    def _read_here(self, name: str) -> Mapping[str, Any]:
        """Return the values of a host's variables that read the controller: its environment, its files, its key ring."""
        layers = self._inventory.layers(name)
        named = {key for layer in layers for key, value in layer.items() if self._reads_here(value)}
        if not named:
            return {}
        scope = Scope((self._extra, *layers, self._inventory.magic(name)))
        found: dict[str, Any] = {}
        for key in sorted(named):
            with suppress(RemediationError):  # the host's own walk reports it
                found[key] = scope.render(scope[key])
        return found

    def _reads_here(self, value: Any) -> bool:
        return has_template(value) and any(reads_controller(text) for text in texts_in(value))
