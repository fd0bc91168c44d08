"""What a peer sends, read until a deadline and up to a limit.

A timeout of a socket is one for each piece that arrives: a peer that sends a byte now and then is waited for without end. Here
the time that is left is set anew before each piece, and the pieces are counted.
"""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Protocol

from remediation.model import limits
from remediation.model.limits import LimitExceeded, Tally

_PIECE = 65536


class Stream(Protocol):
    """What is needed of a socket, or of a channel through SSH."""

    def settimeout(self, value: float | None, /) -> None:
        """Set for how many seconds the next operation waits."""

    def send(self, data: bytes, /) -> int:
        """Send some of `data` and return how many bytes."""


class Deadline:
    """A number of seconds for something as a whole; with ``silence``, for each piece of it as well."""

    def __init__(self, seconds: float, silence: float | None = None, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._monotonic, self._began = monotonic, monotonic()
        self.seconds, self.silence = seconds, silence

    def elapsed(self) -> float:
        """Return the seconds since it began."""
        return self._monotonic() - self._began

    def left(self) -> float:
        """Return the seconds that are left; raises `TimeoutError` for none."""
        rest = self.seconds - self.elapsed()
        if rest <= 0:
            raise TimeoutError
        return rest

    def patience(self) -> float:
        """Return for how long the next piece may be waited for."""
        return self.left() if self.silence is None else min(self.left(), self.silence)


class Incoming(io.RawIOBase):
    """The bytes of one answer. `tally` may be replaced once a part of it is complete."""

    def __init__(self, source: io.RawIOBase, stream: Stream, deadline: Deadline, tally: Tally) -> None:
        self._source, self._deadline = source, deadline
        self._sock = stream  # requests_ntlm looks for the TLS socket under this name
        self.tally = tally

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read what is there, or wait for it."""
        self._sock.settimeout(self._deadline.patience())
        count = self._source.readinto(buffer)
        self.tally.add(count or 0)
        return count

    def close(self) -> None:
        """Close the source too."""
        if not self.closed:
            self._source.close()
        super().close()


def send_all(stream: Stream, data: bytes, deadline: Deadline) -> None:
    """Send all of `data` before the deadline, however slowly the peer takes it."""
    view = memoryview(data)
    while view:
        stream.settimeout(deadline.patience())
        view = view[stream.send(bytes(view[:_PIECE])) :]


class Gathered:
    """What a program writes to one of its streams, up to a limit.

    A program that only reads is ended by `LimitExceeded`. One that changes something is not cut short for its many words: with
    ``finish`` what exceeds the limit is dropped, and `content` raises.
    """

    def __init__(self, stream: str, most: int = limits.OUTPUT, *, finish: bool = False) -> None:
        self._what, self._most, self._finish = f"its {stream}", most, finish
        self._over = False
        self.so_far = bytearray()

    def take(self, piece: bytes) -> None:
        """Add what came."""
        if len(self.so_far) + len(piece) > self._most:
            self.overflow()
        elif not self._over:
            self.so_far += piece

    def overflow(self) -> None:
        """Note that there is more than is taken."""
        self._over = True
        if not self._finish:
            raise LimitExceeded(limits.exceeded(self._what, self._most))

    def content(self) -> bytes:
        """Return all of it; raises `LimitExceeded`."""
        if self._over:
            raise LimitExceeded(limits.exceeded(self._what, self._most))
        return bytes(self.so_far)


class Watchdog:
    """Whether the time was over, for whoever must tell a timeout from another loss."""

    def __init__(self) -> None:
        self.bit = False


@contextmanager
def watchdog(seconds: float, close: Callable[[], object]) -> Iterator[Watchdog]:
    """Call `close` if the block takes longer than so many seconds: for libraries that know no deadline."""
    dog = Watchdog()

    def bite() -> None:
        dog.bit = True
        with suppress(Exception):  # the connection may be gone already; nothing waits for this thread to hear of it
            close()

    timer = threading.Timer(max(0.0, seconds), bite)
    timer.daemon = True
    timer.start()
    try:
        yield dog
    finally:
        timer.cancel()
