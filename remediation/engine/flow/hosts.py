"""The hosts that a run has opened: once each, leased where something may change, looked at as a whole, closed at the end."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from remediation.engine.leases import HostLeases
from remediation.engine.locks import Claim, HostLock
from remediation.model.errors import RemediationError

if TYPE_CHECKING:
    from remediation.engine.flow.request import OpenHost
    from remediation.engine.ports import Ports
    from remediation.facets.access import HostAccess

_CLOSING = 32
"""So many hosts are closed side by side: one that does not answer any more lets the others go."""
_NAMED = ("ansible_connection", "ansible_host", "ansible_port", "ansible_ssh_port", "ansible_winrm_port")


def machine_of(name: str, variables: Mapping[str, Any]) -> str:
    """Return what tells machines apart: several hosts of an inventory may be one, and share its lease."""
    if variables.get("ansible_connection") == "local":
        return "local"
    where = [str(variables[key]) for key in _NAMED if variables.get(key)]
    return "|".join(where) if variables.get("ansible_host") else f"{name}|{'|'.join(where)}"


@dataclass(slots=True)
class SharedLock:
    """The lease of one machine, for all hosts that are that machine."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    lock: HostLock | None = None

    def hold(self, seconds: float) -> None:
        """Renew the lease for as long."""
        with self.guard:
            if self.lock is not None:
                self.lock.hold(seconds)


@dataclass
class Opened:
    """One opened host: its access and the machine it is."""

    name: str
    access: HostAccess
    machine: str


@dataclass
class OpenHosts:
    """Opens hosts and closes them; a host belongs to the thread that works on it, the leases to all."""

    open_host: OpenHost
    claim: Claim
    ports: Ports
    wait: float = 0.0
    _opened: dict[tuple[object, ...], Opened] = field(default_factory=dict)
    _locks: dict[str, SharedLock] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def open(
        self, owner: str, name: str, variables: Callable[[], Mapping[str, Any]], *, check: bool, rights: Mapping[str, Any]
    ) -> Opened:  # fmt: skip
        """Return the host `name` as `owner` works on it: itself, or another one that delegates to it.

        `rights` are variables that hold where the host's own say nothing: other rights are another connection.
        """
        key = (owner, name, check, *sorted(rights.items()))
        found = self._opened.get(key)
        if found is None:
            values = {**rights, **variables()}
            found = Opened(name, self.open_host(name, values, check=check), machine_of(name, values))
            with self._lock:
                self._opened[key] = found
        return found

    def lease(self, opened: Opened, tell: Callable[[str], None]) -> Callable[[float], None]:
        """Take the host's lease where this run does not have it yet, and return what renews it; raises `LockHeld`."""
        with self._lock:
            shared = self._locks.setdefault(opened.machine, SharedLock())
        with shared.guard:
            if shared.lock is None:
                access = opened.access
                lock = HostLock(opened.name, HostLeases(access.connection), access.clock, self.claim)
                lock.take(wait=self.wait, tell=tell, cancelled=self.ports.cancelled)
                shared.lock = lock
        return shared.hold

    def close(self) -> None:
        """Give all leases back and close all hosts, many at once; whatever goes wrong with that changes nothing any more."""
        opened = list(self._opened.values())
        self._opened.clear()
        with ThreadPoolExecutor(max_workers=max(1, min(_CLOSING, len(opened)))) as pool:
            list(pool.map(_given_back, self._locks.values()))  # all of them, before any connection that they need is closed
            list(pool.map(lambda each: each.access.close(), opened))


def _given_back(shared: SharedLock) -> None:
    with shared.guard:
        lock, shared.lock = shared.lock, None
        if lock is not None:
            with suppress(RemediationError):
                lock.give_back()
