"""A sign of life for connections that wait: for their host's wave, for a lock, for a person.

One thread for the whole process, there as long as a worker is. With several connections each beat has a thread of its own, since
a host that hangs must not keep others waiting. Every connection that nobody has used for a while is beaten: it
sends a message that asks nothing, so that neither the host's service nor whatever lies between takes it for abandoned.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

PAUSE = 60.0
"""Seconds without a word after which a connection gives a sign of life."""
_LEAST = 0.01
_AT_ONCE = 100
"""So many connections are beaten at the same time at most."""


class KeepAlive(Protocol):
    """A connection that can give a sign of life."""

    def idle(self) -> float:
        """Return for how many seconds nobody has used it; 0 while somebody does, or while there is nothing to keep."""

    def beat(self) -> None:
        """Give a sign of life, unless somebody uses the connection; never raises, and takes some seconds at most."""


class KeepAliveThread:
    """Beats whoever has joined and not left."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._joined: list[KeepAlive] = []
        self._thread: threading.Thread | None = None
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._changed = threading.Condition()

    def join(self, one: KeepAlive) -> None:
        """Beat `one` from now on."""
        with self._changed:
            if one not in self._joined:
                self._joined.append(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()

    def leave(self, one: KeepAlive) -> None:
        """Beat `one` no more; a beat that is under way is not waited for."""
        with self._changed:
            if one in self._joined:
                self._joined.remove(one)
            if not self._joined:
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                longest = max((each.idle() for each in self._joined), default=0.0)
                # whoever joins meanwhile is due later than any wait that began before
                self._changed.wait_for(lambda: not self._joined, max(_LEAST, self._pause - longest))
                if not self._joined:
                    self._thread = None
                    return
                joined = tuple(self._joined)
            for each in joined:
                if each.idle() < self._pause:
                    continue
                if len(joined) == 1:
                    each.beat()
                else:
                    self._free.acquire()
                    threading.Thread(target=self._beat, args=(each,), name="beat", daemon=True).start()

    def _beat(self, one: KeepAlive) -> None:
        try:
            one.beat()
        finally:
            self._free.release()


PROCESS_KEEP_ALIVE = KeepAliveThread()
"""The heartbeat of this process."""


class ConnectionLock:
    """Whose turn it is to speak on one connection: an exchange's, or a beat's.

    `beat` is the sign of life and never raises; `alive` says whether there is something to keep.
    """

    def __init__(
        self, beat: Callable[[], None], alive: Callable[[], bool], heartbeat: KeepAliveThread = PROCESS_KEEP_ALIVE
    ) -> None:
        self._beat, self._alive, self._heartbeat = beat, alive, heartbeat
        self._lock = threading.Lock()
        self._beating = self._ended = False
        self._used = time.monotonic()

    @contextmanager
    def exchange(self) -> Iterator[None]:
        """Speak; a beat that is under way is waited for."""
        with self._lock:
            try:
                yield
            finally:
                self._used = time.monotonic()

    def join(self) -> None:
        """Be beaten from now on."""
        self._heartbeat.join(self)

    def idle(self) -> float:
        """Return for how many seconds nobody has spoken; 0 while somebody does."""
        return time.monotonic() - self._used if self._alive() and not self._lock.locked() else 0.0

    def beat(self) -> None:
        """Give a sign of life, unless it is somebody's turn."""
        if not self._lock.acquire(blocking=False):
            return
        self._beating = True
        try:
            if self._alive() and not self._ended:
                self._beat()
        finally:
            self._beating = False
            self._used = time.monotonic()
            self._lock.release()

    @contextmanager
    def last(self, patience: float) -> Iterator[None]:
        """Speak for the last time: no beat begins any more, and one that is under way is waited for, though not for ever."""
        self._ended = True
        self._heartbeat.leave(self)
        waited = self._beating and self._lock.acquire(timeout=patience)
        try:
            yield
        finally:
            if waited:
                self._lock.release()
