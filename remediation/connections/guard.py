"""Wraps every connection: check mode, masking of secrets, logging and recording."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from remediation.connections.calls import Call, Completed, Connection, Failed, Http, HttpReply, Probe, Reply, name_of
from remediation.model.errors import HostError, Unreachable, WriteRefused
from remediation.model.secrets.masking import Masker, no_log_is_active

_log = logging.getLogger(__name__)
_NO_VALUES = {"no_values": True}
"""Marks records that stay as they are in a task with ``no_log``."""

Recorder = Callable[[Sequence[Call], Sequence[Reply]], None]
"""Called with every answered exchange."""


class Guard:
    """A connection that refuses writes in check mode before anything is sent, and masks secrets in error messages.

    `notes` are remarks about the connection that every report shows. `written` counts the exchanges that may have changed the host.
    """

    def __init__(
        self, inner: Connection, *, check: bool, secrets: Iterable[str] = (), notes: list[str] | None = None,
        recorder: Recorder | None = None, kind: str = "",
    ) -> None:  # fmt: skip
        self._inner, self._check, self._recorder = inner, check, recorder
        self._kind = kind or type(inner).__name__
        self._exchanges = 0
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
                    _log.warning("%s: %s refused in check mode", self.host, _call_text(call), extra=_NO_VALUES)
                    raise WriteRefused(
                        f"{self.host}: refused a {type(call).__name__} that changes the host in check mode; nothing was sent",
                        host=self.host,
                        next_step="this is a bug in the step that sent it: look and plan must only read",
                    )
        if not calls:
            return []
        writes = any(call.writes for call in calls)
        begun, self._exchanges = time.monotonic(), self._exchanges + 1
        try:
            replies = [self._mask_reply(reply) for reply in self._inner.exchange(calls)]
            self.written += writes
        except HostError as error:
            self.written += writes and not isinstance(error, Unreachable)
            self._mask.error(error)
            self._log_failure(calls, error, time.monotonic() - begun)
            raise
        self._log_replies(calls, replies, time.monotonic() - begun)
        if self._recorder is not None:
            self._recorder(calls, replies)
        return replies

    def close(self) -> None:
        """Close the connection."""
        begun = time.monotonic()
        self._inner.close()
        seconds = time.monotonic() - begun
        _log.debug("%s: %s connection closed after %d exchanges in %.3f s", self.host, self._kind, self._exchanges, seconds)

    def _log_replies(self, calls: Sequence[Call], replies: Sequence[Reply], seconds: float) -> None:
        """Log one record per call. Calls of one exchange share its duration; an HTTP reply carries its own."""
        if not _log.isEnabledFor(logging.DEBUG):
            return
        for number, (call, reply) in enumerate(zip(calls, replies, strict=False), 1):
            own = f" ({reply.elapsed:.3f} s of it on the host)" if isinstance(reply, HttpReply) and reply.elapsed else ""
            _log.debug(
                "%s: %s exchange %d, call %d of %d: %s: %s in %.3f s%s",
                self.host, self._kind, self._exchanges, number, len(calls), _call_text(call), _end_text(reply), seconds, own,
                extra=_NO_VALUES,
            )  # fmt: skip

    def _log_failure(self, calls: Sequence[Call], error: HostError, seconds: float) -> None:
        reason = "" if no_log_is_active() else f": {error.message}"
        for number, call in enumerate(calls, 1):
            _log.warning(
                "%s: %s exchange %d, call %d of %d: %s: %s in %.3f s%s",
                self.host, self._kind, self._exchanges, number, len(calls), _call_text(call), type(error).__name__, seconds, reason,
                extra=_NO_VALUES,
            )  # fmt: skip

    def _mask_reply(self, reply: Reply) -> Reply:
        return replace(reply, message=self._mask.text(reply.message)) if isinstance(reply, Failed) else reply


def _call_text(call: Call) -> str:
    """Return the kind and the name of a call, without its arguments and its data, which may hold anything."""
    kind = type(call).__name__ + (" (write)" if call.writes else "")
    if no_log_is_active():
        return f"{kind} of a task with no_log"
    if isinstance(call, Probe):
        return f"{kind} {call.name}"
    return f"{kind} {call.method} {call.url.partition('?')[0]}" if isinstance(call, Http) else f"{kind} {name_of(call)}"


def _end_text(reply: Reply) -> str:
    if isinstance(reply, Completed):
        return f"exit code {reply.rc}"
    if isinstance(reply, HttpReply):
        return f"status {reply.status}"
    if isinstance(reply, Failed):
        return reply.kind if no_log_is_active() else f"{reply.kind}: {reply.message}"
    return "answered"
