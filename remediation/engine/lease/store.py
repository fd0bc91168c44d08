"""Leases on a host: numbered directories, made by what makes exactly one of two askers succeed (``mkdir``), and what lies in them."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any, Protocol

from remediation.model.errors import CallFailed
from remediation.model.text.shape import ODD

LONGEST = 3600.0
"""Seconds. No run takes a lease for longer than `remediation.engine.lease.lock.TTL`; the rest is for a clock that was set meanwhile."""
MOST = 999_999_999
"""The highest number of a lease directory."""
SIZE = 4096
"""Bytes that a lease may have."""
FILE = "lease.json"
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a host, what for, and until when by the host's clock (seconds since the epoch; 0: given back).

    ``token`` names the controller's process (`remediation.engine.journal.run_lock`), ``key`` the `remediation.engine.lease.lock.HostLock` that
    wrote it, and ``login`` the host's login, where that is another one than ours.
    """

    id: str
    owner: str
    purpose: str
    expires: float
    token: str = ""
    key: str = ""
    login: str = ""

    def to_json(self) -> bytes:
        """Return what the file says; the login is the file's owner."""
        names = ("id", "owner", "purpose", "expires", "token", "key")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


@dataclass(frozen=True, slots=True)
class LeaseSnapshot:
    """The newest lease directory (0: none), what it says (None while it is being written), the host's time, and older ones.

    ``others`` are the newest leases of other logins, which lie in folders of their own.
    """

    number: int
    lease: Lease | None
    now: float
    older: tuple[int, ...] = ()
    others: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What is there after a lease was written: the newest number, what the lease before says now, and those of other logins."""

    newest: int
    before: Lease | None = None
    others: tuple[Lease, ...] = ()


class LeaseStore(Protocol):
    """The lease directories of one host; raises `CallFailed` where the host refuses, or what lies there is no lease.

    ``folder`` is where they lie, empty where that is not known yet.
    """

    folder: str

    def newest(self) -> LeaseSnapshot:
        """Return the newest lease."""

    def make(self, number: int) -> bool:
        """Make the directory; return False where it is there already. Of two askers exactly one succeeds."""

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> Written:
        """Write what the lease says, remove the directories `clear`, and look what is there afterwards."""

    def clear(self, *numbers: int) -> None:
        """Remove directories."""


class NotALeaseError(ValueError):
    """What a file says is no lease; the message completes a sentence that begins with the file's name."""


def parse(content: bytes, now: float) -> Lease:
    """Return what a lease's file says; raises `NotALeaseError`. `now` is the host's time."""
    try:
        value: Any = json.loads(content[:SIZE])
        texts = [value["id"], value["owner"], value["purpose"], value.get("token", ""), value.get("key", "")]
        expires = value["expires"]
    except ODD:
        raise NotALeaseError("is no lease") from None
    fit = all(isinstance(text, str) and len(text) <= _LONGEST_TEXT and text.isprintable() for text in texts)
    if not fit or isinstance(expires, bool) or not isinstance(expires, (int, float)):
        raise NotALeaseError("is no lease")
    try:
        until = float(expires)
    except OverflowError:
        until = math.inf
    if not math.isfinite(until) or until < 0:
        raise NotALeaseError("holds a lease with an expiry that is no time")
    if until > now + LONGEST:
        raise NotALeaseError(f"holds a lease that would end {_when(until)}, and no run takes one for longer than a minute")
    run, owner, purpose, token, key = texts
    return Lease(run, owner, purpose, until, token, key)


def unusable(host: str, path: str, reason: str, removal: str) -> CallFailed:
    """Return the error for something that lies where leases lie and is none. `removal` is the command that takes it away."""
    return CallFailed(
        f"{host}: {path} {reason}; so nobody knows whether another run is at work on the host",
        host=host,
        next_step=f"find out who made it; if no run is at work on the host, remove it there: {removal}",
    )


def full(host: str, folder: str, number: int) -> CallFailed:
    """Return the error for a folder that has no number left."""
    return CallFailed(
        f"{host}: no lease can be taken in {folder}: there is a lease directory {number}, and numbers end there",
        host=host,
        next_step=f"find out who made it, and remove it: no run counts so far ({folder})",
    )


def _when(moment: float) -> str:
    try:
        return f"on {datetime.fromtimestamp(moment, tz=timezone.utc):%Y-%m-%d at %H:%M:%S UTC}"
    except (OverflowError, ValueError, OSError):
        return "after the year 9999"
