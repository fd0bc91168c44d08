"""Keeps idle connections open, for example while a host waits for its turn, a lease or a user.

One thread for the whole process runs as long as there is a worker. With several connections, each keep-alive request has its own
thread, so that a hanging host does not delay others. An idle connection sends an empty message, so that neither the host's service
nor a firewall closes it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Protocol

PAUSE = 60.0
"""Idle seconds before a keep-alive request is sent."""
_LEAST = 0.01
_AT_ONCE = 100
"""Highest number of concurrent keep-alive requests."""


class KeepAlive(Protocol):
    """A connection that can send keep-alive requests."""

    def idle(self) -> float:
        """Return the idle seconds. 0 while the connection is in use or there is nothing to keep open."""

    def beat(self) -> None:
        """Send a keep-alive request unless the connection is in use. Never raises, and takes a few seconds at most."""


class KeepAliveThread:
    """Sends keep-alive requests for the registered connections."""

    def __init__(self, pause: float = PAUSE) -> None:
        self._pause = pause
        self._joined: list[KeepAlive] = []
        self._thread: threading.Thread | None = None
        self._free = threading.BoundedSemaphore(_AT_ONCE)
        self._changed = threading.Condition()

    def join(self, one: KeepAlive) -> None:
        """Register a connection."""
        with self._changed:
            if one not in self._joined:
                self._joined.append(one)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="heartbeat", daemon=True)
                self._thread.start()

    def leave(self, one: KeepAlive) -> None:
        """Unregister a connection. A request in progress is not waited for."""
        with self._changed:
            if one in self._joined:
                self._joined.remove(one)
            if not self._joined:
                self._changed.notify_all()

    def _run(self) -> None:
        while True:
            with self._changed:
                longest = max((each.idle() for each in self._joined), default=0.0)
                # a connection that joins now is due later than any wait that has begun
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
"""The keep-alive thread of this process."""


class ConnectionLock:
    """Serializes exchanges and keep-alive requests on one connection.

    `beat` sends a keep-alive request and never raises; `alive` returns whether there is something to keep open.
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
        """Hold the connection for an exchange. Waits for a keep-alive request in progress."""
        with self._lock:
            try:
                yield
            finally:
                self._used = time.monotonic()

    def join(self) -> None:
        """Register for keep-alive requests."""
        self._heartbeat.join(self)

    def idle(self) -> float:
        """Return the idle seconds, 0 while the connection is in use."""
        return time.monotonic() - self._used if self._alive() and not self._lock.locked() else 0.0

    def beat(self) -> None:
        """Send a keep-alive request unless the connection is in use."""
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
        """Hold the connection for the last time. No further requests start; one in progress is waited for, but not forever."""
        self._ended = True
        self._heartbeat.leave(self)
        waited = self._beating and self._lock.acquire(timeout=patience)
        try:
            yield
        finally:
            if waited:
                self._lock.release()
