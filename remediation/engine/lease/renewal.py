"""Renews leases while a change is in flight, so that a lease can be shorter than a change.

A lease lasts a minute (`remediation.engine.lease.lock.TTL`). The host's own connection is busy during a change, so the lease
is renewed through a second connection, which is opened only for changes that take long enough to need it.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from remediation.engine.lease.lock import leases_on
from remediation.model.errors import Blocked, RemediationError

if TYPE_CHECKING:
    from remediation.engine.internal_errors import Crashed
    from remediation.engine.lease.lock import HostLock
    from remediation.facets.access import HostAccess

POLL = 0.25
"""Seconds between two checks of the leases to renew."""


@dataclass(slots=True, eq=False)
class SharedLock:
    """The lease of one machine, shared by all hosts that are that machine. ``reopen`` opens a second connection to it."""

    guard: threading.Lock = field(default_factory=threading.Lock)
    lock: HostLock | None = None
    reopen: Callable[[], HostAccess] | None = None
    keeper: Keeper | None = None
    second: HostAccess | None = None
    in_flight: int = 0
    renewing: bool = False

    def hold(self, seconds: float) -> None:
        """Renew the lease before a change that may take `seconds`, and keep it until `hold(0)` reports the end of the change.

        Raises `LockLost`.
        """
        if not seconds:
            with self.guard:
                self.in_flight = max(0, self.in_flight - 1)
            return
        with self.guard:
            if self.lock is None:
                return
            self.lock.hold()
            self.in_flight += 1
        if self.keeper is not None:
            self.keeper.keep(self)

    def renew(self) -> None:
        """Renew the lease through the second connection if a change is in flight and half of the lease has passed.

        A failed renewal is retried; if the lease is lost, the next `hold` raises.
        """
        with self.guard:
            if self.lock is None or not self.in_flight or not self.lock.due or self.reopen is None:
                return
            try:
                self.second = self.second or self.reopen()
                self.lock.hold(leases_on(self.second.connection))
            except Blocked:
                self.in_flight = 0
            except RemediationError:
                self._close_second()

    def give_back(self) -> None:
        """Return the lease."""
        with self.guard:
            lock, self.lock = self.lock, None
            try:
                if lock is not None:
                    lock.give_back()
            finally:
                self._close_second()

    def _close_second(self) -> None:
        second, self.second = self.second, None
        if second is not None:
            second.close()


class Keeper:
    """One thread that renews the leases of all hosts of a run. Each renewal has its own thread, since a host may hang."""

    def __init__(self, crashed: Crashed) -> None:
        self._crashed = crashed
        self._kept: set[SharedLock] = set()
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None

    def keep(self, shared: SharedLock) -> None:
        """Renew a lease for as long as a change is in flight under it."""
        with self._changed:
            self._kept.add(shared)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="leases", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def stop(self) -> None:
        """Stop renewing."""
        with self._changed:
            self._kept.clear()
            self._thread = None
            self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                self._kept = {each for each in self._kept if each.in_flight}
                if not self._kept:
                    self._changed.wait()
                if self._thread is not threading.current_thread():
                    return
                due = [each for each in self._kept if not each.renewing and (lock := each.lock) is not None and lock.due]
                for each in due:
                    each.renewing = True
                self._changed.wait(POLL)
            for each in due:
                threading.Thread(target=self._renew, args=(each,), name="lease", daemon=True).start()

    def _renew(self, shared: SharedLock) -> None:
        try:
            shared.renew()
        except Exception as error:  # noqa: BLE001 - the lease may expire; the host's next change detects it
            self._crashed("lease", error)
        finally:
            shared.renewing = False
