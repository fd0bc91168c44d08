"""Workers in this process: sessions that get and give parcels as over a network, and that a test can lose."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from remediation.engine.executors.courier import WorkerLost
from remediation.engine.executors.parcels import Parcel
from remediation.engine.executors.remote import RemoteExecutor
from remediation.engine.executors.session import RemoteSession
from remediation.engine.play.context.run_request import RunSummary
from remediation.engine.play.runner import run_playbook
from remediation.model.event import Event
from tests.engine.sample_steps import TOYS, RecordedEvents
from tests.engine.step_runs import Flow, FlowAccess


class NearbyWorker:
    """A worker that can be lost, as by SIGKILL: what it sent and was not fetched is gone, and no answer reaches it."""

    def __init__(self, name: str, session: RemoteSession) -> None:
        self.name, self.session = name, session
        self.opened: list[str] = []
        self._gone = threading.Event()
        self._changed = threading.Condition()
        session.outbox.changed = self._notify

    def _notify(self) -> None:
        with self._changed:
            self._changed.notify_all()

    def lose(self) -> None:
        self._gone.set()
        self._notify()

    def post(self, number: int, parcels: Sequence[Parcel]) -> None:
        if self._gone.is_set():
            raise WorkerLost(f"{self.name} does not answer")
        for _ in range(2):  # a transport that repeats a delivery
            self.session.post(number, parcels)

    def poll(self, acknowledged: int, seconds: float) -> Sequence[tuple[int, Parcel]]:
        self.session.seen()
        with self._changed:
            self._changed.wait_for(lambda: self._gone.is_set() or self.session.outbox.waiting(acknowledged), seconds)
        if self._gone.is_set():
            raise WorkerLost(f"{self.name} does not answer")
        return self.session.outbox.take(acknowledged)[:1]  # nothing that was sent after a loss arrives

    def leave(self) -> None:
        """Do nothing: a run on these workers is the only one."""

    def release(self) -> None:
        self.session.post(1 << 60, ())


class NearbyCluster:
    """A cluster of workers in this process; each opens the hosts of a flow."""

    address = "nearby"

    def __init__(self, made: Flow, workers: int = 2, spare: int = 0) -> None:
        self.made, self.spare = made, spare
        self.workers: list[NearbyWorker] = []
        self.places: dict[str, list[str]] = {}
        self.on_open: Callable[[NearbyWorker, str], None] = lambda *_: None
        self._first = workers

    def join(self) -> Sequence[NearbyWorker]:
        new = self._first if not self.workers else self.spare
        self.spare = 0 if self.workers else self.spare
        self._first = 0
        joined = [self._worker(f"worker-{len(self.workers) + number}") for number in range(new)]
        self.workers += joined
        return joined

    def worker_of(self, host: str) -> NearbyWorker:
        """Return the worker that walks a host."""
        return next(each for each in self.workers if each.session._run is not None and host in each.session._run.walks)

    def _worker(self, name: str) -> NearbyWorker:
        def open_host(host: str, variables: Mapping[str, Any], *, check: bool) -> FlowAccess:
            self.places.setdefault(host, []).append(name)
            self.on_open(worker, host)
            return self.made.open(host, variables, check=check)

        worker = NearbyWorker(name, RemoteSession(open_host, lambda: TOYS))
        return worker


def run_spread(
    made: Flow, cluster: NearbyCluster | None = None, emit: Callable[[Event], None] | None = None, **more: Any
) -> tuple[RunSummary, RecordedEvents]:  # fmt: skip
    """Run a flow on workers."""
    recorded = RecordedEvents()
    executor = RemoteExecutor(cluster or NearbyCluster(made))
    return run_playbook(made.request(**more), made.ports(emit or recorded), made.open, executor), recorded
