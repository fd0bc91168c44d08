"""What a PowerShell worker is reached through: bytes to its stdin, bytes from its stdout, and how a loss is to be taken."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from remediation.model.clock import Clock


class ChannelError(Exception):
    """The way to the worker failed; `message` is fit for the user, and `next_step` says what helps where that is known."""

    def __init__(self, message: str, next_step: str = "") -> None:
        super().__init__(message)
        self.message, self.next_step = message, next_step


class NotDelivered(ChannelError):
    """What was sent certainly did not reach the worker: it may be sent again, a write too."""


class SessionExpired(NotDelivered):
    """What ran there is gone, for it was left alone for too long: a new one can be had at once."""


class DeliveryUnknown(ChannelError):
    """What was sent may have reached the worker, or its answer was lost: only what changes nothing may be sent again."""


class ProcessExited(DeliveryUnknown):
    """The worker's process has ended."""


class ReadTimeout(ChannelError):
    """Nothing came before the deadline."""


class Channel(Protocol):
    """One process on the host, its streams, and what holds it there; used by one thread at a time.

    Deadlines are absolute, by `clock`.
    """

    clock: Clock

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process, ending the former; nothing of the caller's has been sent before.

        Raises `Unreachable` and its kinds (`remediation.model.errors`), or `NotDelivered` where another try may help.
        """

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to the process's stdin; with `end` close it. Raises a `ChannelError`."""

    def receive(self, deadline: float) -> bytes:
        """Return what the process wrote to stdout since, waiting for at least one byte. Raises a `ChannelError`."""

    def errors(self) -> str:
        """Return what the process wrote to stderr so far, as text."""

    def as_logged_in(self) -> AbstractContextManager[bool]:
        """Within it a message goes out once and by the login there is, or not at all; False where each message is a login."""

    def abandon(self) -> None:
        """Take the process for lost without a word to the host; what is left there is ended before the next `start`, or by `close`."""

    def close(self) -> None:
        """End the process and leave nothing on the host; never raises."""
