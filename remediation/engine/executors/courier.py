"""Carries the messages between the controller and one worker, in order and each once."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from queue import Empty, SimpleQueue
from typing import Any, Protocol

from remediation.engine.executors.messages import Cancel
from remediation.engine.executors.parcels import Parcel, pack, unpack
from remediation.engine.workers import AWAKE
from remediation.model.secrets.masking import Masker

POLL = 2.0
"""Seconds that a worker keeps a request for messages open."""


class WorkerLost(Exception):
    """The worker cannot be reached any more, or has no session."""


class WorkerChannel(Protocol):
    """The way to the session on one worker. Its calls raise `WorkerLost`."""

    @property
    def name(self) -> str:
        """The worker's address."""

    def post(self, number: int, parcels: Sequence[Parcel]) -> None:
        """Deliver messages; `number` counts the deliveries."""

    def poll(self, acknowledged: int, seconds: float) -> Sequence[tuple[int, Parcel]]:
        """Return the worker's messages after the number `acknowledged`; wait at most `seconds` for the first one."""

    def leave(self) -> None:
        """Let `Cluster.join` begin another session on the worker: the run of this one has ended."""

    def release(self) -> None:
        """Forget the session."""


class Cluster(Protocol):
    """Processes that can run hosts."""

    @property
    def address(self) -> str:
        """What the user knows it by."""

    def join(self) -> Sequence[WorkerChannel]:
        """Begin a session on every worker that has none, and return the ways to them. Raises `RemediationError`."""


class Courier:
    """Two threads for one worker: one delivers the controller's messages, the other receives the worker's."""

    def __init__(
        self,
        channel: WorkerChannel,
        mask: Masker,
        *,
        take: Callable[[Courier, Any], None],
        lost: Callable[[Courier, str], None],
        cancelled: Callable[[], bool],
    ) -> None:
        self.channel = channel
        self.ended = threading.Event()
        self.dead = False
        self._mask, self._take, self._lost, self._cancelled = mask, take, lost, cancelled
        self._queue: SimpleQueue[Parcel | None] = SimpleQueue()
        self._stopped = False
        self._failure = ""

    def start(self) -> None:
        """Start both threads."""
        for work in (self._deliver, self._receive):
            threading.Thread(target=work, name=f"worker {self.channel.name}", daemon=True).start()

    def send(self, message: object) -> None:
        """Send a message; raises one of `NOT_SENT` if it cannot be packed."""
        self.send_parcel(pack(message))

    def send_parcel(self, parcel: Parcel) -> None:
        """Send a packed message."""
        self._queue.put(parcel)

    def stop(self) -> None:
        """End both threads, and the session."""
        self._stopped = True
        self.channel.leave()
        self._queue.put(None)

    def _deliver(self) -> None:
        number, cancelled = 0, False
        while not self._stopped:
            batch = self._batch()
            if not cancelled and self._cancelled():
                cancelled = True
                batch.append(pack(Cancel()))
            if not batch:
                continue
            number += 1
            try:
                self.channel.post(number, batch)
            except WorkerLost as error:
                self._failure = str(error)
                return

    def _batch(self) -> list[Parcel]:
        """Return all messages that wait; wake up regularly to see whether the run is cancelled."""
        found: list[Parcel] = []
        try:
            first = self._queue.get(timeout=AWAKE)
            while first is not None:
                found.append(first)
                first = self._queue.get_nowait()
        except Empty:
            pass
        return found

    def _receive(self) -> None:
        acknowledged = 0
        while not self._stopped:
            try:
                messages = [] if self._failure else self.channel.poll(acknowledged, POLL)
            except WorkerLost as error:
                self._failure = str(error)
                continue
            for number, parcel in messages:
                if number > acknowledged:
                    acknowledged = number
                    self._take(self, unpack(parcel, self._mask))
            if self._failure and not messages:
                self.dead = True
                self._lost(self, self._failure)
                break
        self.channel.release()
