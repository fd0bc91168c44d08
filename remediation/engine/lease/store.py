"""Leases on a host: numbered directories, created atomically (``mkdir``), so that exactly one of two runs succeeds."""

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
"""Seconds. A lease lasts `remediation.engine.lease.lock.TTL`; the rest allows for a clock that was set in the meantime."""
MOST = 999_999_999
"""The highest number of a lease directory."""
SIZE = 4096
"""Maximum size of a lease in bytes."""
FILE = "lease.json"
_LONGEST_TEXT = 200


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a host, for what purpose, and until when by the host's clock (seconds since the epoch; 0: returned).

    ``token`` identifies the controller's process (`remediation.engine.journal.run_lock`), ``key`` the
    `remediation.engine.lease.lock.HostLock` that wrote it, and ``login`` the host's login if it differs from ours.
    """

    id: str
    owner: str
    purpose: str
    expires: float
    token: str = ""
    key: str = ""
    login: str = ""

    def to_json(self) -> bytes:
        """Return the content of the lease file; the login is the file's owner."""
        names = ("id", "owner", "purpose", "expires", "token", "key")
        return json.dumps({name: getattr(self, name) for name in names}).encode()


@dataclass(frozen=True, slots=True)
class LeaseSnapshot:
    """The newest lease directory (0: none), its lease (None while it is being written), the host's time, and older directories.

    ``others`` are the newest leases of other logins, which have their own folders.
    """

    number: int
    lease: Lease | None
    now: float
    older: tuple[int, ...] = ()
    others: tuple[Lease, ...] = ()


@dataclass(frozen=True, slots=True)
class LeaseWrite:
    """The state after a write: the newest number, the previous lease's current content, and other logins' leases."""

    newest: int
    before: Lease | None = None
    others: tuple[Lease, ...] = ()


class LeaseStore(Protocol):
    """The lease directories of one host. Raises `CallFailed` if the host refuses or a directory holds no valid lease.

    ``folder`` is their parent folder, empty while unknown.
    """

    folder: str

    def newest(self) -> LeaseSnapshot:
        """Return the newest lease."""

    def make(self, number: int) -> bool:
        """Create the directory; return False if it exists. Of two runs exactly one succeeds."""

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> LeaseWrite:
        """Write the lease, remove the directories `clear`, and list the directories afterwards."""

    def clear(self, *numbers: int) -> None:
        """Remove directories."""


class NotALeaseError(ValueError):
    """The content of a file is not a lease. The message completes a sentence that begins with the file's name."""


def parse(content: bytes, now: float) -> Lease:
    """Parse the content of a lease file; `now` is the host's time. Raises `NotALeaseError`."""
    try:
        value: Any = json.loads(content[:SIZE])
        texts = [value["id"], value["owner"], value["purpose"], value.get("token", ""), value.get("key", "")]
        expires = value["expires"]
    except ODD:
        raise NotALeaseError("is not a lease") from None
    fit = all(isinstance(text, str) and len(text) <= _LONGEST_TEXT and text.isprintable() for text in texts)
    if not fit or isinstance(expires, bool) or not isinstance(expires, (int, float)):
        raise NotALeaseError("is not a lease")
    try:
        until = float(expires)
    except OverflowError:
        until = math.inf
    if not math.isfinite(until) or until < 0:
        raise NotALeaseError("holds a lease with an invalid expiry time")
    if until > now + LONGEST:
        raise NotALeaseError(f"holds a lease that would end {_when(until)}, but leases last a minute at most")
    run, owner, purpose, token, key = texts
    return Lease(run, owner, purpose, until, token, key)


def unusable(host: str, path: str, reason: str, removal: str) -> CallFailed:
    """Return the error for an invalid lease. `removal` is the command that removes it."""
    return CallFailed(
        f"{host}: {path} {reason}; it is unknown whether another run is working on the host",
        host=host,
        next_step=f"find out who created it; if no run is working on the host, remove it there: {removal}",
    )


def full(host: str, folder: str, number: int) -> CallFailed:
    """Return the error for a folder whose directory numbers are exhausted."""
    return CallFailed(
        f"{host}: cannot take a lease in {folder}: lease directory {number} has the highest possible number",
        host=host,
        next_step=f"find out who created it, and remove it: no run counts that far ({folder})",
    )


def _when(time: float) -> str:
    try:
        return f"on {datetime.fromtimestamp(time, tz=timezone.utc):%Y-%m-%d at %H:%M:%S UTC}"
    except (OverflowError, ValueError, OSError):
        return "after the year 9999"
