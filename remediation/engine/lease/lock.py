"""One run at a time on a host: a lease with owner, purpose and expiry by the host's own clock.

Lease directories are numbered. The run that creates number n + 1 holds the host, and may do so only once n has expired or was
returned; ``mkdir`` is atomic, so only one of two runs succeeds. A run that writes lease n lists the directories afterwards,
and a run that creates n + 1 reads n afterwards. If a holder renews late while another run takes over, one of them therefore
sees the other and yields.

Each login of a host has its own lease folder, which all logins can read: no login can place anything in another's folder. If
two logins start at once, each sees the other, and the one with the lower key continues.
"""

from __future__ import annotations

import dataclasses
import getpass
import logging
import secrets
import socket
import time
from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import TYPE_CHECKING

from remediation.connections.calls import Connection
from remediation.engine.journal.history import holder_state
from remediation.engine.journal.run_lock import Fate, unknown_holder_state
from remediation.engine.lease.store import Lease, LeaseSnapshot, LeaseStore
from remediation.model.clock import Clock
from remediation.model.errors import Blocked, CallFailed, HostError

if TYPE_CHECKING:
    from remediation.engine.context import Ports

_log = logging.getLogger(__name__)

TTL = 60.0
"""Duration of a lease in seconds of host time.

It is renewed before each change and while one is in flight (`remediation.engine.lease.renewal`), so a host is free a minute
after its run has died.
"""

WRITING = 15.0
"""Seconds that a run has to write its lease after creating the directory, before it counts as dead."""

POLL = 2.0

MOST_FAILURES = 3
"""How often in a row creating the same directory may fail without a holder before the folder is considered unusable."""

_YIELDING, _LOOKS = 0.5, 4
"""Seconds between two checks of a run of another login that started at the same time, and how many checks it gets to yield."""


class LockHeld(Blocked):
    """Another run is working on the host."""


class LockLost(Blocked):
    """The lease expired and another run took it."""


class SameMachine(Exception):
    """This process already holds the lease, for the same machine under another name; `key` is its `HostLock`'s."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Claim:
    """Who requests a host: the run's id, "user@controller", the purpose, and the run that it undoes, if any.

    The lease that an interrupted run left does not block the run that undoes it; if the interrupted run is resumed after all,
    it loses the lease. ``token`` identifies this process of the run; ``fate`` returns what happened to the process that wrote
    a lease.
    """

    run: str
    owner: str
    purpose: str
    undoes: str = ""
    token: str = ""
    fate: Callable[[str, str, str], Fate] = unknown_holder_state


def claim(run: str, purpose: str, *, undoes: str = "", token: str = "") -> Claim:
    """Return the claim of this controller's user for a run; `purpose` is the command they started."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container user without a name
        user = "unknown"
    return Claim(run, f"{user}@{socket.gethostname()}", purpose, undoes, token, holder_state)


def _ignore(text: str) -> None:
    """Ignore the message."""


def _describe_holder(lease: Lease) -> str:
    when = datetime.fromtimestamp(lease.expires, tz=timezone.utc).strftime("%H:%M:%S UTC")
    login = f", login {lease.login}" if lease.login else ""
    return f"{lease.owner} is working on this host: {lease.purpose} (run {lease.id}{login}, at most until {when} by the host's clock)"


class HostLock:
    """The lease of one run on one host; used only by the host's thread. `siblings` are the keys of this process's other locks."""

    def __init__(self, host: str, store: LeaseStore, clock: Clock, claim: Claim, *, siblings: Container[str] = ()) -> None:
        self.key = secrets.token_hex(8)
        self._siblings = siblings
        self._host = host
        self._store = store
        self._clock = clock
        self._claim = claim
        self._number = 0
        self._obsolete: tuple[int, ...] = ()
        """Directories of ended leases, removed with the next write."""
        self._lease: Lease | None = None
        self._offset = 0.0

    def take(
        self, *, wait: float = 0.0, notify: Callable[[str], None] = _ignore, ports: Ports | None = None
    ) -> None:  # fmt: skip
        """Take the lease, waiting at most `wait` seconds for its holder. `notify` receives the holder and any take-over.

        A run of this machine that is certainly dead holds nothing, unless it died during a change on this host: that change
        may still be running, so its lease is waited for, at most a minute. Raises `LockHeld` with the holder's name, and
        `SameMachine` if this process holds the lease already.
        """
        cancelled, pause = (ports.cancelled, ports.wait) if ports is not None else (lambda: False, time.sleep)
        until = self._clock.monotonic() + wait
        announced, failures, number = "", 0, -1
        while True:
            place = self._newest()
            holder = self._holder(place)
            if holder is None:
                if self._make(place, notify):
                    _log.info("%s: lease %d taken by run %s", self._host, self._number, self._claim.run)
                    return
                # a higher number means a lost race, not a failure
                failures, number = failures + 1 if place.number == number else 1, place.number
                if failures == MOST_FAILURES:
                    raise CallFailed(
                        f"{self._host}: cannot take a lease in the host's lease folder",
                        host=self._host,
                        next_step="check that the login may write there",
                    )
                continue
            failures = 0
            mid_change = self._holder_state(holder) is Fate.MID_CHANGE
            if (self._clock.monotonic() >= until and not mid_change) or cancelled():
                sentence = f"{self._host}: {_describe_holder(holder)}"
                cut_off = (
                    f"; if it was interrupted: remediate resume {holder.id}, or undo {holder.id}"
                    if holder.owner == self._claim.owner
                    else ""
                )
                step = f"wait for it to end, or let this run wait with --wait{cut_off}"
                raise LockHeld(sentence, host=self._host, next_step=step)
            if holder.id != announced:
                announced = holder.id
                died = f"run {holder.id} was interrupted during a change; waiting until its lease expires"
                notify(died if mid_change else f"waiting: {_describe_holder(holder)}")
            left = holder.expires - place.now if mid_change else until - self._clock.monotonic()
            self._clock.sleep(min(POLL, max(0.1, left)), pause)

    @property
    def due(self) -> bool:
        """Whether half of the lease's duration has passed."""
        return self._lease is not None and self._lease.expires - self._now() < TTL / 2

    def hold(self, store: LeaseStore | None = None) -> None:
        """Renew the lease if due, through `store` if given. Raises `LockLost`."""
        if self._lease is None:
            raise LockLost(f"{self._host}: no lease is held", host=self._host)
        if self.due:
            if store is not None:
                store.folder = self._store.folder
            self._renew(self._now() + TTL, store or self._store)
            _log.debug("%s: lease %d renewed for %.0f s", self._host, self._number, TTL)

    def _now(self) -> float:
        return self._clock.monotonic() + self._offset

    def give_back(self) -> None:
        """Return the lease, so that the next run can take it at once. On an unreachable host it expires.

        If another run has taken over, its directory has a higher number and ours is ignored.
        """
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            self._store.write(self._number, dataclasses.replace(lease, expires=0.0), clear=self._obsolete)
        except HostError as error:
            _log.info("%s: lease %d was not given back and will expire: %s", self._host, self._number, error)
            return  # the host is unreachable; the lease expires
        _log.debug("%s: lease %d given back", self._host, self._number)

    def release_stale_leases(self) -> None:
        """Return the lease that an earlier process of this run left behind."""
        place = self._newest()
        lease = place.lease
        if lease is not None and self._is_own(lease) and lease.expires > place.now and lease.key not in self._siblings:
            self._number, self._lease = place.number, lease
            self.give_back()

    def _newest(self) -> LeaseSnapshot:
        place = self._store.newest()
        self._offset = place.now - self._clock.monotonic()
        return place

    def _holder(self, place: LeaseSnapshot) -> Lease | None:
        """Return the holder of the host, None if it is free; waits for a run that is still writing its lease."""
        until = self._clock.monotonic() + WRITING
        while place.number and place.lease is None and self._clock.monotonic() < until:
            self._clock.sleep(POLL)
            place = self._newest()
        holders = (lease for lease in (place.lease, *place.others) if lease is not None and self._holds(lease, place.now))
        return next(holders, None)

    def _holds(self, lease: Lease, now: float) -> bool:
        """Return whether another run holds the host by this lease. Raises `SameMachine` if this process does."""
        if lease.expires <= now:
            return False
        if lease.key in self._siblings and lease.key != self.key:
            raise SameMachine(lease.key)
        return not self._is_own(lease) and self._holder_state(lease) is not Fate.GONE

    def _holder_state(self, lease: Lease) -> Fate:
        return self._claim.fate(self._host, lease.id, lease.token)

    def _is_own(self, lease: Lease) -> bool:
        return lease.id == self._claim.run or (bool(self._claim.undoes) and lease.id == self._claim.undoes)

    def _make(self, place: LeaseSnapshot, notify: Callable[[str], None]) -> bool:
        number = place.number + 1
        if not self._store.make(number):
            return False
        claim = self._claim
        lease = Lease(claim.run, claim.owner, claim.purpose, place.now + TTL, claim.token, self.key)
        written = self._store.write(number, lease, before=place.number)
        old = written.before
        foreign = old is not None and not self._is_own(old)
        dead = old is not None and self._holder_state(old) is Fate.GONE
        renewed = old is not None and foreign and not dead and old.expires > place.now
        if written.newest != number or renewed or not self._wins_tie(written.others, place.now):
            self._store.clear(number)
            return False
        self._number, self._lease = number, lease
        self._obsolete = (place.number, *place.older) if place.number else ()
        if old is not None and foreign and old.expires > 0:
            why = "which was interrupted" if dead else "whose lease had expired"
            notify(f"took over from {old.owner} ({old.purpose}, run {old.id}), {why}")
        return True

    def _wins_tie(self, others: Sequence[Lease], now: float) -> bool:
        """Return whether the runs of other logins leave the host to this one: of simultaneous runs, the lowest key continues."""
        for _ in range(_LOOKS):
            holders = [lease for lease in others if self._holds(lease, now)]
            if not holders:
                return True
            if min(lease.key for lease in holders) <= self.key:
                return False
            self._clock.sleep(_YIELDING)
            others = self._newest().others
        return False

    def _renew(self, expires: float, store: LeaseStore) -> None:
        lease = dataclasses.replace(self._lease or Lease("", "", "", 0.0), expires=expires)
        others: tuple[Lease, ...] = ()
        try:
            written = store.write(self._number, lease, clear=self._obsolete)
            others = tuple(other for other in written.others if self._holds(other, self._now()))
            renewed = written.newest == self._number and not others
        except CallFailed:  # the run that took over has removed the directory
            renewed = False
            if store.newest().number == self._number:
                raise
        if renewed:
            self._lease, self._obsolete = lease, ()
            return
        self._lease = None
        other = others[0] if others else store.newest().lease
        who = f" by {other.owner} ({other.purpose}, run {other.id})" if other else ""
        raise LockLost(
            f"{self._host}: the lease expired and was taken{who}", host=self._host, next_step="resume once that run has ended"
        )


def leases_on(connection: Connection) -> LeaseStore:
    """Return the lease store of the host behind a connection."""
    if connection.platform == "windows":
        from remediation.engine.lease.windows_store import WindowsLeases

        return WindowsLeases(connection)
    from remediation.engine.lease.posix_store import PosixLeases

    return PosixLeases(connection)
