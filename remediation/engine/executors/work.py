"""Calls a function for many hosts on the workers of a cluster: readings, which a lost worker's hosts repeat elsewhere."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Sequence
from typing import Any

from remediation.engine.executors.courier import Cluster, Courier
from remediation.engine.executors.messages import Answer, End, SecretsMessage, SessionEnded, Work
from remediation.engine.workers import AWAKE, HASTE, PARTING
from remediation.model.errors import RemediationError, Unreachable
from remediation.model.secrets.masking import Masker


class WorkQueue:
    """The calls that wait, and those that run. Results are in the order of the arguments; an error is a result."""

    def __init__(self, cluster: Cluster, mask: Masker, function: Callable[..., Any], most: int) -> None:
        self._cluster, self._mask, self._function, self._most = cluster, mask, function, most
        self._lock = threading.RLock()
        self._couriers: list[Courier] = []
        self._waiting: deque[int] = deque()
        self._running: dict[int, Courier] = {}
        self._arguments: Sequence[tuple[Any, ...]] = ()
        self._results: dict[int, Any] = {}
        self._finished = threading.Event()

    def results(self, arguments: Sequence[tuple[Any, ...]]) -> list[Any]:
        """Return the result of the function for each of the arguments; it also receives the worker's masker."""
        self._arguments, self._waiting = arguments, deque(range(len(arguments)))
        for channel in self._cluster.join():
            courier = Courier(channel, self._mask, take=self._take, lost=self._lost, cancelled=lambda: False)
            self._couriers.append(courier)
            courier.start()
        try:
            with self._lock:
                self._dispatch()
            while not self._finished.wait(AWAKE):
                pass
        finally:
            self._close()
        return [self._results[number] for number in range(len(arguments))]

    def _dispatch(self) -> None:
        if len(self._results) == len(self._arguments):
            self._finished.set()
        while self._waiting and self._couriers and len(self._running) < self._most:
            number = self._waiting.popleft()
            busy = list(self._running.values())
            courier = min(self._couriers, key=busy.count)
            self._running[number] = courier
            courier.send(Work(number, self._function, self._arguments[number]))

    def _take(self, courier: Courier, message: object) -> None:
        if isinstance(message, SecretsMessage):
            self._mask.add(*message.secrets)
        elif isinstance(message, SessionEnded):
            courier.ended.set()
        elif isinstance(message, Answer):
            with self._lock:
                if self._running.get(message.number) is courier:
                    del self._running[message.number]
                    self._results[message.number] = message.error.error() if message.error else message.value
                    self._dispatch()

    def _lost(self, courier: Courier, reason: str) -> None:
        with self._lock:
            self._couriers = [each for each in self._couriers if each is not courier]
            theirs = [number for number, other in self._running.items() if other is courier]
            for number in theirs:
                del self._running[number]
            self._waiting.extendleft(reversed(theirs))
            if not self._couriers:
                error: RemediationError = Unreachable(
                    f"no worker is left at {self._cluster.address}: {reason}", next_step="run it again"
                )
                self._results |= dict.fromkeys(self._waiting, error)
                self._waiting.clear()
            self._dispatch()

    def _close(self) -> None:
        for courier in self._couriers:
            courier.send(End(hasty=True))
        for courier in self._couriers:
            courier.ended.wait(HASTE + PARTING)
            courier.stop()
