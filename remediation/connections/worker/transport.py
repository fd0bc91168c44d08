"""Transport of a PowerShell worker: bytes to its stdin, bytes from its stdout, and the meaning of losses."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import Protocol

from remediation.model.clock import Clock


class ChannelError(Exception):
    """The transport failed. `message` is suitable for users; `next_step` may say what helps."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


class NotDelivered(ChannelError):
    """The data certainly did not reach the worker: it may be sent again, even a write."""


class SessionExpired(NotDelivered):
    """The shell expired after a long idle time. A new one can be opened at once."""


class DeliveryUnknown(ChannelError):
    """The data may have reached the worker, or its answer was lost: only reads may be sent again."""


class ProcessExited(DeliveryUnknown):
    """The worker's process has exited."""


class ReadTimeout(ChannelError):
    """No data arrived before the deadline."""


class Channel(Protocol):
    """One process on the host, its streams, and its container there. Used by one thread at a time.

    Deadlines are absolute times of `clock`.
    """

    clock: Clock

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process and end the previous one. No request has been sent before.

        Raises `Unreachable` or a subclass (`remediation.model.errors`), or `NotDelivered` if a retry may help.
        """

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to the process's stdin and, with `end`, close it. Raises a `ChannelError`."""

    def receive(self, deadline: float) -> bytes:
        """Return new output of the process, waiting for at least one byte. Raises a `ChannelError`."""

    def errors(self) -> str:
        """Return the process's stderr so far, as text."""

    def as_logged_in(self) -> AbstractContextManager[bool]:
        """Disable retries and new logins within the block. Yields False if each message is a login; here only `start` logs in."""
        return nullcontext(True)

    def abandon(self) -> None:
        """Give up the process without contacting the host. The next `start` or `close` ends the process there.

        A process that ends when its stdin is closed can be closed at once.
        """
        self.close()

    def close(self) -> None:
        """End the process and leave nothing on the host. Never raises."""
