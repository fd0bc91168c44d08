"""The controller's side: spreads the hosts of a wave over the workers, and takes over the hosts of a worker that is lost.

A host stays on its worker, with its connections and its lease. If that worker is lost, the journal decides: a host in the middle of a
change is reported as lost, since it is unknown whether the change was made; a host that was not continues on another worker as a resumed
run would, and finished tasks are not repeated. A worker that was given up but still runs makes no change: it waits for the answer to
``change_start``, which never comes.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field, replace
from typing import Any

from remediation.engine.executors.courier import Cluster, Courier, WorkerLost
from remediation.engine.executors.fleet import KnownFleet, SentHosts
from remediation.engine.executors.messages import (
    Answer,
    Begin,
    BeginPlay,
    BeginWave,
    End,
    EventMessage,
    GiveBack,
    HostReadings,
    RunSegment,
    SecretsMessage,
    SegmentEnd,
    SessionEnded,
    WorkerRequest,
    portable_state,
    restore_state,
    sendable,
)
from remediation.engine.executors.parcels import NOT_SENT, SentError
from remediation.engine.journal.history import holder_state
from remediation.engine.journal.progress import Progress, progress_of
from remediation.engine.lease.lock import claim
from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.open_hosts import MACHINE, machine_of
from remediation.engine.play.context.run_state import RunState
from remediation.engine.play.waves.executor import Wave
from remediation.engine.play.waves.scheduler import Scheduler, Stop
from remediation.engine.play.waves.together import MeetingFailure, reads_others
from remediation.engine.workers import AWAKE, HASTE, PARTING
from remediation.inventory.inventory import ALL
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.model.outcome import Outcome
from remediation.templating.templar import Scope

NEW_WORKERS = 20.0
"""Seconds to wait for a new worker once the last one is lost: Dask's nanny starts a new one."""

CLOSING_TIME = 90.0
"""Seconds that the workers have to close their hosts at the end of a run."""


class FailedOnWorker(Exception):
    """An internal error on a worker, with its traceback as text."""


@dataclass(slots=True, eq=False)
class _Worker:
    """A worker: what it was sent, and how many hosts it runs."""

    courier: Courier
    sent: SentHosts
    busy: int = 0
    synced: int = 0

    @property
    def name(self) -> str:
        return self.courier.channel.name


@dataclass(slots=True, eq=False)
class _Host:
    """A host in the current wave. ``met`` is whether it stopped at a barrier, ``changing`` counts its changes in flight."""

    state: HostState
    machine: str
    worker: _Worker | None = None
    future: Future[Stop] | None = None
    answer: Any = None
    met: bool = False
    lost: bool = False
    changing: int = 0
    change: str = ""
    events: list[Event] = field(default_factory=list)


class RemoteExecutor:
    """See `remediation.engine.play.waves.executor.Executor`. `keep` stores the readings of a host for an evidence bundle."""

    def __init__(self, cluster: Cluster, keep: Callable[[str, str], None] = lambda *_: None) -> None:
        self._cluster, self._keep = cluster, keep
        self._lock = threading.RLock()
        self._workers: list[_Worker] = []
        self._homes: dict[str, _Worker] = {}
        self._hosts: dict[str, _Host] = {}
        self._queue: deque[_Host] = deque()
        self._running = 0
        self._changed: list[str] = []
        self._failures: dict[tuple[str, str], MeetingFailure] = {}
        self._given_back: dict[int, threading.Event] = {}
        self._stage: RunState | None = None
        self._wave: Wave | None = None
        self._shares = False
        self._unwritten: RemediationError | None = None

    def run(self, wave: Wave) -> None:
        """Run the walks of a wave on the workers. Raises `RemediationError` if the cluster has none."""
        stage = wave.play.stage
        self._open(stage)
        with self._lock:
            self._wave, self._failures = wave, {}
            self._hosts = {state.name: _Host(state, self._machine(stage, state.name)) for state in wave.hosts}
            self._shares = self._shares or reads_others(stage.request)
            for worker in self._workers:
                self._begin_wave(worker, wave)
        Scheduler(tuple(self._hosts)).run(self._submit)

    def release_stale_leases(self, stage: RunState, variables: Callable[[str], Mapping[str, Any]]) -> None:
        """Let the workers return the leases that an earlier process of this run left."""
        self._open(stage)
        with self._lock:
            for number, name in enumerate(stage.request.progress):
                worker = self._homes.get(name) or (self._workers[number % len(self._workers)] if self._workers else None)
                if worker is not None:
                    self._given_back[number] = threading.Event()
                    self._send_hosts(worker, (name,))
                    worker.courier.send(GiveBack(number, name))
        until = time.monotonic() + CLOSING_TIME
        while any(not done.is_set() for done in self._given_back.values()) and self._workers and time.monotonic() < until:
            time.sleep(AWAKE)

    def close(self, *, hasty: bool = False) -> None:
        """Let the workers return their leases and close their hosts, and leave the cluster."""
        with self._lock:
            workers, self._workers, self._queue = self._workers, [], deque()
        for worker in workers:
            worker.courier.send(End(hasty))
        until = time.monotonic() + (HASTE + PARTING if hasty else CLOSING_TIME)
        try:
            for worker in workers:
                while not worker.courier.ended.wait(AWAKE) and not worker.courier.dead and time.monotonic() < until:
                    pass
        finally:
            for worker in workers:
                worker.courier.stop()
            self._homes.clear()

    # workers

    def _open(self, stage: RunState) -> None:
        """Begin the run on the workers that joined since the last wave. Raises `RemediationError` if there is none."""
        self._stage = stage
        for channel in self._cluster.join():
            courier = Courier(
                channel, stage.ports.mask, take=self._take, lost=self._lost, cancelled=stage.ports.cancelled
            )  # fmt: skip
            worker = _Worker(courier, SentHosts(stage.request.inventory, stage.request.extra))
            with self._lock:
                courier.send(_begin(stage))
                self._workers.append(worker)
                courier.start()

    def _begin_wave(self, worker: _Worker, wave: Wave) -> None:
        worker.courier.send(BeginPlay(wave.play.play.index, tuple(wave.play.hosts), wave.play.title))
        worker.courier.send(BeginWave(tuple(wave.play.batch)))
        if self._shares:
            self._send_hosts(worker, wave.play.stage.names)

    def _send_hosts(self, worker: _Worker, names: Sequence[str]) -> None:
        message = worker.sent.missing(names)
        if message is not None:
            worker.courier.send(message)

    def _machine(self, stage: RunState, name: str) -> str:
        """Return the identity of a host's machine: hosts that are one machine share its lease, so they share a worker."""
        scope = Scope(stage.host_layers(name))
        found = {}
        for variable in MACHINE:
            try:
                if variable in scope:
                    found[variable] = scope.render(scope[variable])
            except RemediationError:
                continue  # the host's own walk reports it
        return machine_of(name, found)

    # segments

    def _submit(self, name: str, answer: Any) -> Future[Stop]:
        """Start the next segment of a host's walk as soon as ``--forks`` allows it."""
        future: Future[Stop] = Future()
        with self._lock:
            host = self._hosts[name]
            if host.lost:
                future.set_result(None)
                return future
            host.future, host.answer = future, answer
            self._queue.append(host)
            self._dispatch()
        return future

    def _dispatch(self) -> None:
        """Start hosts that wait, each on its worker or the least busy one."""
        wave = self._wave
        while wave is not None and self._queue and self._workers and self._running < wave.play.stage.request.forks:
            host = self._queue.popleft()
            worker = host.worker or self._homes.get(host.machine) or min(self._workers, key=lambda each: each.busy)
            try:
                self._start(host, worker, wave)
            except NOT_SENT as error:
                self._report_lost(host, Outcome.FAILED, f"its variables cannot be sent to a worker: {error}")

    def _start(self, host: _Host, worker: _Worker, wave: Wave) -> None:
        name = host.state.name
        fresh = host.worker is None
        state = portable_state(_resume_state(host), finished=True) if fresh else None
        others: dict[str, Mapping[str, Any]] = {}
        if self._shares:
            stage = wave.play.stage
            changed = dict.fromkeys(self._changed[worker.synced :])
            worker.synced = len(self._changed)
            elsewhere = (other for other in changed if other != name and self._homes.get(self._key(other)) is not worker)
            others = {other: portable_state(stage.host(other), finished=False) for other in elsewhere}
        self._send_hosts(worker, (name,))
        failures, excluded = (self._failures, frozenset(wave.play.excluded)) if self._shares else ({}, frozenset())
        message = RunSegment(name, host.answer, state, name not in wave.later, others, dict(failures), excluded)
        worker.courier.send_parcel(sendable(message, state or {}))
        host.worker, self._homes[host.machine] = worker, worker
        worker.busy += 1
        self._running += 1

    def _key(self, name: str) -> str:
        host = self._hosts.get(name)
        return host.machine if host is not None else ""

    def _on_stopped(self, worker: _Worker, message: SegmentEnd) -> None:
        with self._lock:
            host, wave = self._hosts.get(message.host), self._wave
            if host is None or wave is None or host.worker is not worker or host.future is None:
                return
            restore_state(host.state, message.state)
            play = wave.play
            play.excluded.update({message.host} if message.excluded else ())
            play.over, play.fatal = play.over or message.over, play.fatal or message.fatal
            self._failures.update(message.failures)
            self._changed += [message.host] if self._shares else []
            host.met = message.stop is not None
            host.events.clear()
            future = self._release_slot(host)
            self._dispatch()
        error = message.error.error() if message.error is not None else self._unwritten
        if error is not None:
            future.set_exception(error)
        else:
            future.set_result(message.stop)

    def _release_slot(self, host: _Host) -> Future[Stop]:
        """Take a host off its worker's count, and return the future of its segment."""
        future, host.future = host.future, None
        if host.worker is not None and future is not None:
            host.worker.busy -= 1
            self._running -= 1
        return future or Future()

    # messages

    def _take(self, courier: Courier, message: object) -> None:
        worker = next((each for each in self._workers if each.courier is courier), None)
        if isinstance(message, SessionEnded):
            courier.ended.set()
        elif isinstance(message, SecretsMessage):
            self._ports.mask.add(*message.secrets)
        elif worker is None and not isinstance(message, (EventMessage, WorkerRequest)):
            return
        elif isinstance(message, EventMessage):
            self._emit(message.event, courier, 0)
        elif isinstance(message, WorkerRequest) and message.kind == "emit":
            self._emit(message.arguments[0], courier, message.number)
        elif isinstance(message, WorkerRequest):
            threading.Thread(target=self._answer, args=(courier, message), name="answer", daemon=True).start()
        elif isinstance(message, SegmentEnd) and worker is not None:
            self._on_stopped(worker, message)
        elif isinstance(message, HostReadings):
            self._keep(message.host, message.text)
        elif isinstance(message, Answer) and message.number in self._given_back:
            self._given_back[message.number].set()

    @property
    def _ports(self) -> Any:
        if self._stage is None:
            raise WorkerLost("the run has not begun")
        return self._stage.ports

    def _emit(self, event: Event, courier: Courier, number: int) -> None:
        """Emit a worker's event; it learns when a durable one is on disk, and of any that could not be written."""
        host = self._hosts.get(event.host)
        try:
            self._ports.emit(event)
        except RemediationError as error:
            if not number:
                self._unwritten = error  # ends the run, as in the host's own thread
            courier.send(Answer(number, error=SentError(error, self._ports.mask)))
            return
        if host is not None:
            if event.kind == "change_start":
                host.changing += 1
                host.change = str(event.data.get("change", {}).get("summary", ""))
            elif event.kind == "change_end":
                host.changing -= 1
            host.events.append(event)
        if number:
            courier.send(Answer(number))

    def _answer(self, courier: Courier, message: WorkerRequest) -> None:
        try:
            value = self._value(message)
        except RemediationError as error:
            courier.send(Answer(message.number, error=SentError(error, self._ports.mask)))
        else:
            courier.send(Answer(message.number, value))

    def _value(self, message: WorkerRequest) -> Any:
        kind, given = message.kind, message.arguments
        if kind == "fate":
            return holder_state(*given)
        if kind == "crashed":
            host, text, trace = given
            error = FailedOnWorker(text.removeprefix("internal error: "))
            error.__cause__ = FailedOnWorker(f"\n{trace}")
            return self._ports.crashed(host, error)
        if kind == "line":
            question, hide = given
            return self._ports.prompt.line(question, hide=hide)
        return getattr(self._ports.prompt, kind)(*given)

    # loss

    def _lost(self, courier: Courier, reason: str) -> None:
        """Give up a worker, and decide about each of its hosts."""
        with self._lock:
            worker = next((each for each in self._workers if each.courier is courier), None)
            if worker is None:
                return
            self._workers.remove(worker)
            self._homes = {key: home for key, home in self._homes.items() if home is not worker}
            theirs = [host for host in self._hosts.values() if host.worker is worker]
            for host in theirs:
                self._take_over(host, worker.name, reason)
            none_left = not self._workers
            self._dispatch()
        if none_left:
            self._wait_for_workers(worker.name)

    def _take_over(self, host: _Host, worker: str, reason: str) -> None:
        if host.future is None and not host.met:
            host.worker = None  # its walk has ended, or it waits for its turn elsewhere
            return
        started = host not in self._queue
        if host.changing > 0:
            text = f"the worker {worker} was lost during a change, and whether it was made is unknown: {host.change}"
            self._report_lost(host, Outcome.UNVERIFIED, f"{text}; resume the run to check it ({reason})")
        elif host.met:
            text = f"the worker {worker} was lost after the hosts had waited for each other in this play"
            self._report_lost(host, Outcome.FAILED, f"{text}; resume the run to continue ({reason})")
        else:
            if started:
                self._running -= 1
                self._queue.appendleft(host)
            host.worker, host.answer = None, None
            self._note(host, f"the worker {worker} was lost; {host.state.name} continues on another one")

    def _report_lost(self, host: _Host, outcome: Outcome, reason: str) -> None:
        """End a host that cannot be continued."""
        host.lost = True
        host.state.lost, host.state.reason = outcome, reason
        host.state.recap.failed += 1
        if host in self._queue:
            self._queue.remove(host)
            future, host.future = host.future or Future(), None
        else:
            future = self._release_slot(host)
        try:
            if self._wave is not None:
                self._wave.end(host.state)
        except RemediationError as error:
            future.set_exception(error)
            return
        future.set_result(None)

    def _note(self, host: _Host, text: str) -> None:
        ports = self._ports
        try:
            ports.emit(Event("note", ports.clock.now(), host=host.state.name, data={"text": text, "level": "warning"}))
        except RemediationError:
            return  # the host's next event meets the same error

    def _wait_for_workers(self, last: str) -> None:
        """Continue on a worker that joins soon, or end the hosts that are left."""
        until, why = time.monotonic() + NEW_WORKERS, ""
        stage = self._stage
        while stage is not None and not why and time.monotonic() < until and not stage.ports.cancelled():
            if not any(host.future for host in self._hosts.values()):
                return
            try:
                self._open(stage)
            except RemediationError as error:
                why = f": {error.message}"
            with self._lock:
                if self._workers and self._wave is not None:
                    for worker in self._workers:
                        self._begin_wave(worker, self._wave)
                    self._dispatch()
                    return
            stage.ports.wait(AWAKE)
        with self._lock:
            for host in [each for each in self._hosts.values() if each.future is not None]:
                text = f"no worker is left at {self._cluster.address}; the last one was {last}{why}; resume the run to continue"
                self._report_lost(host, Outcome.FAILED, text)


def _begin(stage: RunState) -> Begin:
    request = stage.request
    owner = claim(request.run, request.command).owner
    names = stage.names
    groups = stage.request.inventory.magic(names[0]).get("groups", {ALL: names}) if names else {}
    sent = replace(
        request, playbook=replace(request.playbook, decrypt=None), inventory=KnownFleet((), {}), progress={}
    )  # fmt: skip
    return Begin(sent, owner, stage.ports.clock.now(), names, groups, stage.ports.prompt.available, stage.ports.select)


def _resume_state(host: _Host) -> HostState:
    """Return a host's state with what its events tell: a walk that begins again does not repeat finished tasks."""
    state = host.state
    if not host.events:
        return state
    planned = any(event.kind == "change_planned" for event in host.events)
    known = Progress(memory=state.memory.copy(), finished=dict(state.finished))
    progress = progress_of(host.events, {state.name: known})[state.name]
    host.events.clear()
    state.memory, state.finished, state.looked = progress.memory, progress.finished, False
    state.pending = state.pending or planned
    return state
