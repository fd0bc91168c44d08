"""The interface to an opened host that the engine receives."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Protocol

from remediation.facets.protocols import NO_CONTEXT, LookContext

if TYPE_CHECKING:
    from remediation.connections.calls import Connection
    from remediation.facets.protocols import Reader, Writer
    from remediation.model.clock import Clock
    from remediation.model.facts import PullProgress


class HostAccess(Protocol):
    """One host, opened lazily by its first read. It belongs to one thread; its owner closes it."""

    @property
    def reader(self) -> Reader:
        """A read-only view of the host with a new snapshot."""

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None, context: LookContext = NO_CONTEXT) -> Reader:
        """Return a reader with a new snapshot for a purpose (a step's name), which prefetches what that purpose usually reads.

        With ``snapshot``, a reader of this host, its answers are reused, so that several purposes share one observation. The reader
        has ``context`` for the step.
        """

    @property
    def clock(self) -> Clock:
        """The clock to use when waiting for this host. A lab host's time is scaled."""

    @property
    def round_trips(self) -> int:
        """The number of exchanges with the host so far."""

    @property
    def connection(self) -> Connection:
        """The underlying connection, for the host lease (`remediation.engine.lease.store`)."""

    @property
    def notes(self) -> Sequence[str]:
        """Remarks about the connection for the user, as sentences (certificate not verified, worker not available)."""

    def writer(self, on_progress: Callable[[PullProgress], None] | None = None) -> Writer:
        """Return the host with its writers. `on_progress` receives pull progress. Raises `WriteRefused` in check mode."""

    def close(self) -> None:
        """Close the session. Never raises."""
