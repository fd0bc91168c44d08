"""An opened host: what the engine is handed instead of a connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from remediation.connections.calls import Connection
    from remediation.facets.protocols import Reader, Writer
    from remediation.model.clock import Clock
    from remediation.model.facts import PullProgress


class HostAccess(Protocol):
    """One host, opened lazily by its first read; belongs to one thread and is closed by whoever opened it."""

    @property
    def reader(self) -> Reader:
        """The host, read only: a new look at it."""

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None) -> Reader:
        """Return a new look for a purpose (a step's name), for which much the same is asked each time.

        With ``snapshot``, a reader of this host, what that one was told is taken over: several purposes then rest on one look.
        """

    @property
    def clock(self) -> Clock:
        """The clock by which to wait for this host (a lab host's time is scaled)."""

    @property
    def round_trips(self) -> int:
        """Exchanges that went over the wire so far."""

    @property
    def connection(self) -> Connection:
        """The connection underneath, for what is no facet: the lease on the host (`remediation.engine.lease.store`)."""

    @property
    def notes(self) -> Sequence[str]:
        """What the user should know of the connection (certificate not verified, worker fell back), in sentences."""

    def writer(self, told: Callable[[PullProgress], None] | None = None) -> Writer:
        """Return the host with its writers; raises `WriteRefused` in check mode. `told` hears how far a pull has come."""

    def close(self) -> None:
        """End the session; never raises."""
