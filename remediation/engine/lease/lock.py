"""One run at a time on a host: a lease with owner, purpose and expiry by the host's own clock.

Lease directories are numbered. Whoever makes number n + 1 holds the host, and may only do so once n has expired or was given
back; ``mkdir`` lets one of two succeed. Whoever writes lease n lists afterwards, and whoever makes n + 1 reads n afterwards: so
of a holder who renews late and a run that takes over at that moment, one sees the other and gives way.

Several logins of a host have lease directories apart from each other, which all of them read: no login can be given a folder in
which another one could put something. Of two that begin at once each sees the other; the one with the lower key goes on.
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
from remediation.engine.journal.history import fate_of
from remediation.engine.journal.run_lock import Fate, unknown_fate
from remediation.engine.lease.store import Lease, LeaseSnapshot, LeaseStore
from remediation.model.clock import Clock
from remediation.model.errors import Blocked, CallFailed, HostError

if TYPE_CHECKING:
    from remediation.engine.context import Ports

_log = logging.getLogger(__name__)

TTL = 60.0
"""Seconds of the host's time for which a lease is taken. It is renewed before each change, and while one is in flight
(`remediation.engine.lease.renewal`), so a host is free a minute after its run has died."""

WRITING = 15.0
"""Seconds that somebody who made a directory is given to write who they are, before they count as gone."""

POLL = 2.0

MOST_FAILURES = 3
"""How often in a row the same directory may fail to be made with nobody there before the folder itself is at fault."""

_YIELDING, _LOOKS = 0.5, 4
"""Seconds between two looks at a run of another login that began at the same moment, and how many it gets to give way."""


class LockHeld(Blocked):
    """Another run works on the host."""


class LockLost(Blocked):
    """The lease expired and another run has taken it."""


class SameMachine(Exception):
    """The lease is held by this very process, for the same machine under another name; `key` is its `HostLock`'s."""

    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


@dataclass(frozen=True, slots=True)
class Claim:
    """Who asks for a host: the run's id, "user@controller", what for, and the run that it takes back, if any.

    What that run left of its lease, cut off as it was, is no hindrance; should it go on after all, it loses the lease.
    ``token`` tells this process of the run from others; ``fate`` says what became of the process that wrote a lease.
    """

    run: str
    owner: str
    purpose: str
    undoes: str = ""
    token: str = ""
    fate: Callable[[str, str, str], Fate] = unknown_fate


def claim(run: str, purpose: str, *, undoes: str = "", token: str = "") -> Claim:
    """Return the claim of this controller's user for a run; `purpose` is what they started."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user without a name
        user = "somebody"
    return Claim(run, f"{user}@{socket.gethostname()}", purpose, undoes, token, fate_of)


def _unheard(text: str) -> None:
    """Drop what nobody wants to be told."""


def _never() -> bool:
    return False


def _at_work(lease: Lease) -> str:
    when = datetime.fromtimestamp(lease.expires, tz=timezone.utc).strftime("%H:%M:%S UTC")
    login = f", login {lease.login}" if lease.login else ""
    return f"{lease.owner} is at work here: {lease.purpose} (run {lease.id}{login}, at most until {when} by the host's clock)"


class HostLock:
    """The lease of one run on one host; belongs to the host's thread. `siblings` are the keys of the locks of the same process."""

    def __init__(self, host: str, store: LeaseStore, clock: Clock, claim: Claim, *, siblings: Container[str] = ()) -> None:
        self.key = secrets.token_hex(8)
        self._siblings = siblings
        self._host = host
        self._store = store
        self._clock = clock
        self._claim = claim
        self._number = 0
        self._former: tuple[int, ...] = ()
        """Directories of leases that are over: removed with the next message about ours."""
        self._lease: Lease | None = None
        self._offset = 0.0

    def take(
        self, *, wait: float = 0.0, tell: Callable[[str], None] = _unheard, ports: Ports | None = None
    ) -> None:  # fmt: skip
        """Take the lease, waiting at most `wait` seconds for its holder; `tell` is told who holds it and of a take-over.

        A run of this machine that is certainly dead holds nothing, unless it died during a change on this host: what it sent may
        still be carried out, so its lease is waited for, a minute at most. Raises `LockHeld` with the holder's name, `SameMachine`
        where this process holds it already.
        """
        cancelled, pause = (ports.cancelled, ports.wait) if ports is not None else (_never, time.sleep)
        until = self._clock.monotonic() + wait
        told, failures, number = "", 0, -1
        while True:
            place = self._newest()
            holder = self._holder(place)
            if holder is None:
                if self._make(place, tell):
                    _log.info("%s: lease %d taken by run %s", self._host, self._number, self._claim.run)
                    return
                # a number that went on is a race that was lost, and no failure
                failures, number = failures + 1 if place.number == number else 1, place.number
                if failures == MOST_FAILURES:
                    raise CallFailed(
                        f"{self._host}: no lease can be taken in the host's lease folder",
                        host=self._host,
                        next_step="see whether the login may write there",
                    )
                continue
            failures = 0
            mid_change = self._fate(holder) is Fate.MID_CHANGE
            if (self._clock.monotonic() >= until and not mid_change) or cancelled():
                sentence = f"{self._host}: {_at_work(holder)}"
                cut_off = f"; if it was cut off: remediate resume {holder.id}, or undo {holder.id}" if self._mine(holder) else ""
                step = f"wait for it to end, or let this run wait with --wait{cut_off}"
                raise LockHeld(sentence, host=self._host, next_step=step)
            if holder.id != told:
                told = holder.id
                died = f"run {holder.id} was cut off during a change; waiting until its lease expires"
                tell(died if mid_change else f"waiting: {_at_work(holder)}")
            left = holder.expires - place.now if mid_change else until - self._clock.monotonic()
            self._clock.sleep(min(POLL, max(0.1, left)), pause)

    @property
    def due(self) -> bool:
        """Whether half of the lease is over."""
        return self._lease is not None and self._lease.expires - self._now() < TTL / 2

    def hold(self, store: LeaseStore | None = None) -> None:
        """Renew the lease where that is due, through `store` where it is given; raises `LockLost`."""
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
        """Give the lease back, for the next run to take at once; a host that is gone lets it expire.

        Where another run has taken over meanwhile, its directory has a higher number and ours says nothing any more.
        """
        lease, self._lease = self._lease, None
        if lease is None:
            return
        try:
            self._store.write(self._number, dataclasses.replace(lease, expires=0.0), clear=self._former)
        except HostError as error:
            _log.info("%s: lease %d was not given back and expires by itself: %s", self._host, self._number, error)
            return  # nobody is there to take it
        _log.debug("%s: lease %d given back", self._host, self._number)

    def give_back_left(self) -> None:
        """Give back the lease that an earlier process of this run left."""
        place = self._newest()
        lease = place.lease
        if lease is not None and self._own(lease) and lease.expires > place.now and lease.key not in self._siblings:
            self._number, self._lease = place.number, lease
            self.give_back()

    def _newest(self) -> LeaseSnapshot:
        place = self._store.newest()
        self._offset = place.now - self._clock.monotonic()
        return place

    def _holder(self, place: LeaseSnapshot) -> Lease | None:
        """Return who holds the host, None when it is free; waits for one who is just writing down who they are."""
        until = self._clock.monotonic() + WRITING
        while place.number and place.lease is None and self._clock.monotonic() < until:
            self._clock.sleep(POLL)
            place = self._newest()
        holders = (lease for lease in (place.lease, *place.others) if lease is not None and self._holds(lease, place.now))
        return next(holders, None)

    def _holds(self, lease: Lease, now: float) -> bool:
        """Whether another run holds the host by this lease; raises `SameMachine` where this process does."""
        if lease.expires <= now:
            return False
        if lease.key in self._siblings and lease.key != self.key:
            raise SameMachine(lease.key)
        return not self._own(lease) and self._fate(lease) is not Fate.GONE

    def _fate(self, lease: Lease) -> Fate:
        return self._claim.fate(self._host, lease.id, lease.token)

    def _mine(self, lease: Lease) -> bool:
        """Whether a run of this very controller and user holds it: its journal is at hand."""
        return lease.owner == self._claim.owner

    def _own(self, lease: Lease) -> bool:
        return lease.id == self._claim.run or (bool(self._claim.undoes) and lease.id == self._claim.undoes)

    def _make(self, place: LeaseSnapshot, tell: Callable[[str], None]) -> bool:
        number = place.number + 1
        if not self._store.make(number):
            return False
        claim = self._claim
        lease = Lease(claim.run, claim.owner, claim.purpose, place.now + TTL, claim.token, self.key)
        written = self._store.write(number, lease, before=place.number)
        old = written.before
        foreign = old is not None and not self._own(old)
        gone = old is not None and self._fate(old) is Fate.GONE
        renewed = old is not None and foreign and not gone and old.expires > place.now
        if written.newest != number or renewed or not self._first_of(written.others, place.now):
            self._store.clear(number)
            return False
        self._number, self._lease = number, lease
        self._former = (place.number, *place.older) if place.number else ()
        if old is not None and foreign and old.expires > 0:
            why = "which was cut off" if gone else "whose lease had expired"
            tell(f"took over from {old.owner} ({old.purpose}, run {old.id}), {why}")
        return True

    def _first_of(self, others: Sequence[Lease], now: float) -> bool:
        """Whether the other logins' runs leave the host to this one: of those that began at the same moment the lowest key goes on."""
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
            written = store.write(self._number, lease, clear=self._former)
            others = tuple(other for other in written.others if self._holds(other, self._now()))
            renewed = written.newest == self._number and not others
        except CallFailed:  # whoever took over has cleared the directory away
            renewed = False
            if store.newest().number == self._number:
                raise
        if renewed:
            self._lease, self._former = lease, ()
            return
        self._lease = None
        other = others[0] if others else store.newest().lease
        who = f" by {other.owner} ({other.purpose}, run {other.id})" if other else ""
        raise LockLost(
            f"{self._host}: the lease expired and was taken{who}", host=self._host, next_step="resume once that run has ended"
        )


def leases_on(connection: Connection) -> LeaseStore:
    """Return the leases of the host behind a connection."""
    if connection.platform == "windows":
        from remediation.engine.lease.windows_store import WindowsLeases

        return WindowsLeases(connection)
    from remediation.engine.lease.posix_store import PosixLeases

    return PosixLeases(connection)
