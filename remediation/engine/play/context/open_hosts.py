"""The open hosts of a run: opened once each, leased where something may change, closed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from remediation.engine.internal_errors import contain_errors
from remediation.engine.lease.lock import Claim, HostLock, SameMachine, leases_on
from remediation.engine.lease.renewal import Keeper, SharedLock
from remediation.engine.workers import CLOSING, HASTE, PARTING, finish, gather
from remediation.model.errors import Blocked, RemediationError

if TYPE_CHECKING:
    from remediation.engine.context import Ports
    from remediation.engine.play.context.run_request import OpenHost
    from remediation.facets.access import HostAccess

MACHINE = ("ansible_connection", "ansible_host", "ansible_port", "ansible_ssh_port", "ansible_winrm_port")
"""The variables that tell which machine a host is."""


def machine_of(name: str, variables: Mapping[str, Any]) -> str:
    """Return the identity of a machine: several hosts of an inventory may be the same machine and share its lease."""
    if variables.get("ansible_connection") == "local":
        return "local"
    where = [str(variables[key]) for key in MACHINE if variables.get(key)]
    return "|".join(where) if variables.get("ansible_host") else f"{name}|{'|'.join(where)}"


@dataclass
class OpenedHost:
    """One opened host: its access, the machine's identity, and a function that opens a second connection."""

    name: str
    access: HostAccess
    machine: str
    reopen: Callable[[], HostAccess]


@dataclass
class OpenHosts:
    """Opens and closes hosts. A host belongs to the thread that works on it; the leases are shared."""

    open_host: OpenHost
    claim: Claim
    ports: Ports
    wait: float = 0.0
    _opened: dict[tuple[object, ...], OpenedHost] = field(default_factory=dict)
    _locks: dict[str, SharedLock] = field(default_factory=dict)
    _by_key: dict[str, SharedLock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    _announced: set[tuple[str, str]] = field(default_factory=set)
    _ended: bool = False

    def __post_init__(self) -> None:
        self._keeper = Keeper(self.ports.crashed)

    def open(
        self,
        owner: str,
        name: str,
        variables: Callable[[], Mapping[str, Any]],
        *,
        check: bool,
        rights: Mapping[str, Any],
        chosen: Sequence[tuple[str, Any]] = (),
    ) -> OpenedHost:
        """Return the host `name` for the work of `owner`: `owner` itself, or a host that it delegates to.

        `rights` are variables used where the host defines none, and `chosen` those that the play or the task sets. With others it
        is another connection.
        """
        key = (owner, name, check, *sorted(rights.items()), *chosen)
        found = self._opened.get(key)
        if found is None:
            self._refuse_late(name)
            values = {**rights, **variables()}
            access = self.open_host(name, values, check=check)
            found = OpenedHost(name, access, machine_of(name, values), partial(self.open_host, name, values, check=False))
            with self._lock:
                self._opened[key] = found
        return found

    def news(self, opened: OpenedHost) -> list[str]:
        """Return the connection's notes that were not reported yet in this run."""
        with self._lock:
            new = [note for note in dict.fromkeys(opened.access.notes) if (opened.name, note) not in self._announced]
            self._announced.update((opened.name, note) for note in new)
        return new

    def lease(self, opened: OpenedHost, notify: Callable[[str], None]) -> Callable[[float], None]:
        """Take the host's lease unless this run holds it, and return the function that renews it. Raises `LockHeld`."""
        with self._lock:
            shared = self._locks.setdefault(opened.machine, SharedLock())
        with shared.guard:
            self._refuse_late(opened.name)
            if shared.lock is not None:
                return shared.hold
            access = opened.access
            lock = HostLock(opened.name, leases_on(access.connection), access.clock, self.claim, siblings=self._by_key)
            self._by_key[lock.key] = shared
            try:
                lock.take(wait=self.wait, notify=notify, ports=self.ports)
            except SameMachine as same:
                # another host of the inventory is the same machine, and a lease belongs to a machine
                del self._by_key[lock.key]
                other = self._by_key.get(same.key, shared)  # unless it was just released
            except BaseException:
                del self._by_key[lock.key]
                raise
            else:
                shared.lock, shared.reopen, shared.keeper = lock, opened.reopen, self._keeper
                return shared.hold
        with self._lock:
            self._locks[opened.machine] = other
        return self.lease(opened, notify)

    def release_stale_leases(self, names: Iterable[str], variables: Callable[[str], Mapping[str, Any]]) -> None:
        """Return the leases that an earlier process of this run left on hosts whose lease this process has not taken."""

        def one(name: str) -> None:
            opened = self.open(name, name, partial(variables, name), check=False, rights={})
            if opened.machine not in self._locks:
                connection = opened.access.connection
                HostLock(
                    name, leases_on(connection), opened.access.clock, self.claim, siblings=self._by_key
                ).release_stale_leases()

        gather(lambda name: self._quietly(partial(one, name)), names, CLOSING)

    def close(self, *, hasty: bool = False) -> None:
        """Return all leases and close all hosts, in parallel; errors are logged and otherwise ignored.

        If `hasty`, each of the two phases has a few seconds: a host may be in the middle of a call.
        """
        self._ended = True
        opened = list(self._opened.values())
        self._opened.clear()
        self._keeper.stop()
        # all leases first: they need open connections
        try:
            finish((partial(self._quietly, shared.give_back) for shared in set(self._locks.values())), HASTE if hasty else None)
        except KeyboardInterrupt:
            hasty = True
            raise
        finally:
            finish((partial(self._quietly, each.access.close) for each in opened), PARTING if hasty else None)

    def _refuse_late(self, name: str) -> None:
        """Refuse to open a host or take a lease once the run is ending: nothing would close or return it."""
        if self._ended:
            raise Blocked(f"{name}: the run is ending", host=name, next_step="resume the run")

    def _quietly(self, work: Callable[[], None]) -> None:
        with suppress(RemediationError), contain_errors("closing", self.ports.crashed):
            work()
