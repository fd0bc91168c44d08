"""Wraps every connection: check mode, masking of secrets, and recording."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from remediation.connections.calls import Call, Connection, Failed, Reply
from remediation.model.errors import HostError, Unreachable, WriteRefused
from remediation.model.secrets.masking import Masker

Recorder = Callable[[Sequence[Call], Sequence[Reply]], None]
"""Called with every answered exchange."""


class Guard:
    """A connection that refuses writes in check mode before anything is sent, and masks secrets in error messages.

    `notes` are remarks about the connection that every report shows. `written` counts the exchanges that may have changed the host.
    """

    def __init__(
        self, inner: Connection, *, check: bool, secrets: Iterable[str] = (), notes: list[str] | None = None,
        recorder: Recorder | None = None,
    ) -> None:  # fmt: skip
        self._inner, self._check, self._recorder = inner, check, recorder
        self._mask = Masker(secrets)
        self.host = inner.host
        self.platform = inner.platform
        self.notes: list[str] = notes if notes is not None else []
        self.written = 0

    @property
    def round_trips(self) -> int:
        """The number of exchanges with the host."""
        return self._inner.round_trips

    @round_trips.setter
    def round_trips(self, value: int) -> None:
        self._inner.round_trips = value

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls`; see `Connection.exchange`."""
        if self._check:
            for call in calls:
                if call.writes:
                    raise WriteRefused(
                        f"{self.host}: refused a {type(call).__name__} that changes the host in check mode; nothing was sent",
                        host=self.host,
                        next_step="this is a bug in the step that sent it: look and plan must only read",
                    )
        if not calls:
            return []
        writes = any(call.writes for call in calls)
        try:
            replies = [self._shown(reply) for reply in self._inner.exchange(calls)]
            self.written += writes
        except HostError as error:
            self.written += writes and not isinstance(error, Unreachable)
            self._mask.error(error)
            raise
        if self._recorder is not None:
            self._recorder(calls, replies)
        return replies

    def close(self) -> None:
        """Close the connection."""
        self._inner.close()

    def _shown(self, reply: Reply) -> Reply:
        return replace(reply, message=self._mask.text(reply.message)) if isinstance(reply, Failed) else reply
