"""Reads from a peer with a deadline and a size limit.

A socket timeout applies to each chunk, so a peer that sends one byte now and then would never time out. Here the socket gets the
remaining time before each chunk, and the bytes are counted.
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
    """The part of a socket or SSH channel that is used."""

    def settimeout(self, value: float | None, /) -> None:
        """Set the timeout of the next operation in seconds."""

    def send(self, data: bytes, /) -> int:
        """Send some of `data` and return the number of bytes."""


class Deadline:
    """A time limit in seconds for a whole operation and, with ``silence``, for each chunk."""

    def __init__(self, seconds: float, silence: float | None = None) -> None:
        self._began = time.monotonic()
        self.seconds, self.silence = seconds, silence

    def elapsed(self) -> float:
        """Return the seconds since the start."""
        return time.monotonic() - self._began

    def left(self) -> float:
        """Return the remaining seconds. Raises `TimeoutError` if there are none."""
        rest = self.seconds - self.elapsed()
        if rest <= 0:
            raise TimeoutError
        return rest

    def patience(self) -> float:
        """Return the time limit of the next chunk."""
        return self.left() if self.silence is None else min(self.left(), self.silence)


class IncomingBytes(io.RawIOBase):
    """The bytes of one answer. `tally` may be replaced after a part of the answer is complete."""

    def __init__(self, source: io.RawIOBase, stream: Stream, deadline: Deadline, tally: Tally) -> None:
        self._source, self._deadline = source, deadline
        self._sock = stream  # requests_ntlm expects the TLS socket under this name
        self.tally = tally

    def readable(self) -> bool:
        """Return True."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """Read available bytes, or wait for them."""
        self._sock.settimeout(self._deadline.patience())
        count = self._source.readinto(buffer)
        self.tally.add(count or 0)
        return count

    def close(self) -> None:
        """Close the source as well."""
        if not self.closed:
            self._source.close()
        super().close()


def send_all(stream: Stream, data: bytes, deadline: Deadline) -> None:
    """Send all of `data` before the deadline, even to a slow peer."""
    view = memoryview(data)
    while view:
        stream.settimeout(deadline.patience())
        view = view[stream.send(bytes(view[:_PIECE])) :]


class BoundedOutput:
    """Collects one output stream of a program, up to a limit.

    Beyond the limit, a read-only program is ended by `LimitExceeded`. A program that changes something is not interrupted: with
    ``finish``, the excess is dropped and `content` raises.
    """

    def __init__(self, stream: str, most: int = limits.OUTPUT, *, finish: bool = False) -> None:
        self._what, self._most, self._finish = f"its {stream}", most, finish
        self._over = False
        self.so_far = bytearray()

    def take(self, piece: bytes) -> None:
        """Add a chunk."""
        if len(self.so_far) + len(piece) > self._most:
            self.overflow()
        elif not self._over:
            self.so_far += piece

    def overflow(self) -> None:
        """Record that the limit is exceeded."""
        self._over = True
        if not self._finish:
            raise LimitExceeded(limits.exceeded_text(self._what, self._most))

    def content(self) -> bytes:
        """Return the complete output. Raises `LimitExceeded`."""
        if self._over:
            raise LimitExceeded(limits.exceeded_text(self._what, self._most))
        return bytes(self.so_far)


class Watchdog:
    """Records whether the time limit expired, to distinguish a timeout from another loss of the connection."""

    def __init__(self) -> None:
        self.expired = False


@contextmanager
def watchdog(seconds: float, close: Callable[[], object]) -> Iterator[Watchdog]:
    """Call `close` if the block takes longer than `seconds`, for libraries without timeouts."""
    dog = Watchdog()

    def expire() -> None:
        dog.expired = True
        with suppress(Exception):  # the connection may be gone, and the error would have no receiver
            close()

    timer = threading.Timer(max(0.0, seconds), expire)
    timer.daemon = True
    timer.start()
    try:
        yield dog
    finally:
        timer.cancel()
