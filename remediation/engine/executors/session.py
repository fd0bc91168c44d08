"""A worker's side of a run: walks the hosts that the controller sends, and sends back their events and states.

An event that must be on disk is on the controller's disk before the host continues, so no change begins that the journal does not have.
A worker that no controller speaks to any more ends its hosts.
"""

from __future__ import annotations

import itertools
import logging
import threading
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any

from remediation.engine.context import Ports
from remediation.engine.executors.fleet import KnownFleet
from remediation.engine.executors.messages import (
    Answer,
    Begin,
    BeginPlay,
    BeginWave,
    Cancel,
    End,
    EventMessage,
    GiveBack,
    HostReadings,
    Know,
    RunSegment,
    SecretsMessage,
    SegmentEnd,
    SessionEnded,
    Work,
    WorkerRequest,
    portable_state,
    restore_state,
    sendable,
)
from remediation.engine.executors.parcels import NOT_SENT, Parcel, SentError, pack, unpack
from remediation.engine.internal_errors import InternalError, summary
from remediation.engine.interrupt import Cancellation
from remediation.engine.journal.journal import DURABLE, JournalError
from remediation.engine.journal.run_lock import Fate
from remediation.engine.lease.lock import Claim
from remediation.engine.play.context.run_request import OpenHost
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.control_flow import Walk
from remediation.engine.play.runner import PlaybookRunner
from remediation.engine.play.waves.scheduler import segment
from remediation.engine.play.waves.together import Together
from remediation.engine.workers import Workers
from remediation.model.clock import SystemClock
from remediation.model.errors import Blocked, RemediationError
from remediation.model.event import Event
from remediation.model.secrets.masking import Masker, secrets_in
from remediation.steps.registry import registry

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Reader
    from remediation.model.finding import Diagnosis
    from remediation.steps.contract import Step

SILENCE = 45.0
"""Seconds without a sign of the controller after which a worker ends its hosts."""

MOST_THREADS = 4096
"""An upper bound; the controller decides how many hosts run at a time."""

_LOCAL = "a local connection is the controller's machine, and this host runs on a worker"


class ControllerClock(SystemClock):
    """The controller's time: the events of a run come from one clock."""

    def __init__(self, ahead: float) -> None:
        super().__init__()
        self._ahead = ahead

    def now(self) -> float:
        """Return the controller's seconds since the epoch."""
        return super().now() + self._ahead


class Outbox:
    """The messages for the controller, numbered; they are kept until it has acknowledged them."""

    def __init__(self) -> None:
        self._kept: deque[tuple[int, Parcel]] = deque()
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._fresh = False
        self.changed: Callable[[], None] = lambda: None

    def put(self, parcel: Parcel) -> None:
        """Add a message, and call `changed`."""
        with self._lock:
            self._kept.append((next(self._numbers), parcel))
            self._fresh = True
        self.changed()

    def take(self, acknowledged: int) -> list[tuple[int, Parcel]]:
        """Return the messages after the number `acknowledged`, and forget those up to it."""
        with self._lock:
            while self._kept and self._kept[0][0] <= acknowledged:
                self._kept.popleft()
            self._fresh = False
            return list(self._kept)

    def waiting(self, acknowledged: int) -> bool:
        """Return whether there is a message after the number `acknowledged`."""
        with self._lock:
            return bool(self._kept) and self._kept[-1][0] > acknowledged


class ReportingMasker(Masker):
    """Tells the controller about each secret that it learns."""

    def __init__(self, report: Callable[[Sequence[str]], None]) -> None:
        super().__init__()
        self._report = report

    def add(self, *secrets: str) -> None:
        """Learn secrets."""
        before = self._known
        super().add(*secrets)
        new = self._known - before
        if new:
            self._report(sorted(new))

    def learn_from_controller(self, secrets: Iterable[str]) -> None:
        """Learn secrets that the controller knows."""
        super().add(*secrets)


@dataclass(slots=True)
class RemotePrompt:
    """The prompt of the user who started the run."""

    request: Callable[..., Any]
    available: bool

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Ask a yes-or-no question."""
        return bool(self.request("confirm", question, tuple(details)))

    def confirm_typed(self, question: str, wanted: str) -> bool:
        """Ask the user to type `wanted`."""
        return bool(self.request("confirm_typed", question, wanted))

    def line(self, question: str, *, hide: bool = False) -> str:
        """Ask for a line of text."""
        return str(self.request("line", question, hide))


class RemoteSession:
    """One run on one worker. `post` takes the controller's messages; the outbox holds those for it.

    `open_host` and `steps` are parameters for tests.
    """

    def __init__(
        self, open_host: OpenHost | None = None, steps: Callable[[], Mapping[str, type[Step[Any]]]] = registry
    ) -> None:  # fmt: skip
        self.outbox = Outbox()
        self.mask = ReportingMasker(lambda secrets: self._put(SecretsMessage(secrets)))
        self._steps = steps
        self._open = open_host or self._open_any
        self._cancelled = Cancellation()
        self._pool = Workers(MOST_THREADS)
        self._inbox: SimpleQueue[Parcel | None] = SimpleQueue()
        self._numbers = itertools.count(1)
        self._answers: dict[int, Future[Any]] = {}
        self._lock = threading.Lock()
        self._unwritten: RemediationError | None = None
        self._ended = False
        self._contact = time.monotonic()
        self._delivered = 0
        self._run: _Run | None = None
        _quiet_logs()
        for work in (self._serve, self._watch):
            threading.Thread(target=work, name="session", daemon=True).start()

    def post(self, number: int, parcels: Sequence[Parcel]) -> None:
        """Take the controller's messages; a delivery that was repeated on the way has a known number."""
        self.seen()
        if number > self._delivered:
            self._delivered = number
            for parcel in parcels:
                self._inbox.put(parcel)

    def seen(self) -> None:
        """Note a sign of the controller."""
        self._contact = time.monotonic()

    def _serve(self) -> None:
        while (parcel := self._inbox.get()) is not None:
            try:
                self._take(unpack(parcel, self.mask))
            except Exception as error:  # noqa: BLE001 - one message must not end the session
                self._put(WorkerRequest(0, "crashed", ("worker", self.mask.text(summary(error)), self._traceback(error))))

    def _watch(self) -> None:
        while not self._ended:
            time.sleep(1.0)
            if time.monotonic() - self._contact > SILENCE:
                self._end(hasty=True)

    def _take(self, message: object) -> None:
        if isinstance(message, Answer):
            self._on_answer(message)
        elif isinstance(message, Begin):
            self._run = _Run(self._new_runner(message))
        elif isinstance(message, Cancel):
            self._cancelled.set()
        elif isinstance(message, End):
            threading.Thread(target=self._end, kwargs={"hasty": message.hasty}, name="closing", daemon=True).start()
        elif isinstance(message, Work):
            self._pool.submit(self._work, message)
        elif self._run is not None:
            self._take_of_run(self._run, message)

    def _take_of_run(self, run: _Run, message: object) -> None:
        if isinstance(message, Know):
            self.mask.learn_from_controller(secrets_in(list(message.tables.values())))
            run.fleet.know(message)
        elif isinstance(message, BeginPlay):
            run.current = message
        elif isinstance(message, BeginWave):
            run.begin_wave(message.batch)
        elif isinstance(message, GiveBack):
            self._pool.submit(self._give_back, run, message)
        elif isinstance(message, RunSegment):
            self._pool.submit(self._segment, run, message, run.walk(message))

    def _new_runner(self, message: Begin) -> PlaybookRunner:
        request = message.request
        self.mask.learn_from_controller(secrets_in([request.extra, *(play.vars for play in request.playbook.plays)]))
        fleet = KnownFleet(message.names, message.groups)
        ports = Ports(
            emit=self._emit,
            clock=ControllerClock(message.now - time.time()),
            prompt=RemotePrompt(self._request, message.prompts),
            diagnose=self._diagnose,
            cancelled=self._cancelled,
            wait=self._cancelled.wait,
            crashed=self._crash_text,
            steps=self._steps,
            select=message.select,
            mask=self.mask,
        )
        runner = PlaybookRunner(replace(request, inventory=fleet), ports, self._open)
        runner.stage.opened.claim = Claim(request.run, message.owner, request.command, "", request.token, self._holder_state)
        return runner

    def _open_any(self, host: str, variables: Mapping[str, Any], *, check: bool) -> HostAccess:
        from remediation.connections.settings import LOCAL_NAMES
        from remediation.facets.host_factory import open_host

        if variables.get("ansible_connection", "local" if host in LOCAL_NAMES else "") == "local":
            raise Blocked(f"{host}: {_LOCAL}", host=host, next_step="run it without --executor, or leave it out with --limit")
        self.mask.add(*secrets_in(variables))
        return open_host(host, variables, check=check)

    # what a walk needs of the controller

    def _put(self, message: object) -> None:
        self.outbox.put(pack(message))

    def _emit(self, event: Event) -> None:
        masked = replace(event, task=self.mask(event.task), data=self.mask(event.data))
        if self._unwritten is not None:
            raise self._unwritten
        if event.kind in DURABLE:
            self._request("emit", masked)
        else:
            self._put(EventMessage(masked))

    def _request(self, kind: str, *arguments: Any) -> Any:
        """Send a request and return its answer. Raises the controller's error, and `JournalError` if the session ends."""
        future: Future[Any] = Future()
        number = next(self._numbers)
        with self._lock:
            if self._ended:
                raise JournalError("the controller of the run is gone")
            self._answers[number] = future
        self._put(WorkerRequest(number, kind, arguments))
        return future.result()

    def _on_answer(self, message: Answer) -> None:
        if not message.number:  # an event that was not waited for could not be written
            self._unwritten = message.error.error() if message.error else None
            return
        with self._lock:
            future = self._answers.pop(message.number, None)
        if future is None:
            return
        if message.error is not None:
            future.set_exception(message.error.error())
        else:
            future.set_result(message.value)

    def _crash_text(self, host: str, error: BaseException) -> str:
        try:
            return str(self._request("crashed", host, str(self.mask(summary(error))), self._traceback(error)))
        except RemediationError:
            return str(self.mask(summary(error)))

    def _traceback(self, error: BaseException) -> str:
        return str(self.mask("".join(traceback.format_exception(type(error), error, error.__traceback__))))

    def _holder_state(self, host: str, run: str, token: str) -> Fate:
        found: Fate = self._request("fate", host, run, token)
        return found

    def _diagnose(self, host: Reader) -> Diagnosis:
        from remediation.diagnosis.collect import collect
        from remediation.diagnosis.diagnose import diagnose
        from remediation.diagnosis.redaction import redact
        from remediation.model.text.visible import visible_json

        evidence = collect(host)
        run = self._run
        if run is not None and evidence.host and evidence.host not in run.kept:
            run.kept.add(evidence.host)
            self._put(HostReadings(evidence.host, self.mask.text(visible_json(redact(evidence).to_json()))))
        return diagnose(evidence)

    # work

    def _segment(self, run: _Run, message: RunSegment, walk: Walk) -> None:
        state, play, together = run.runner.stage.host(message.host), run.play, run.together
        before = dict(together.failures)
        stop, error = None, None
        try:
            stop = segment(walk, message.answer)
        except RemediationError as raised:
            error = SentError(raised, self.mask)
        except BaseException as raised:  # noqa: BLE001 - it belongs to the run
            error = SentError(InternalError(self._crash_text(message.host, raised)), self.mask)
        if stop is None:
            run.walks.pop(message.host, None)
        failures = {path: each for path, each in together.failures.items() if path not in before}
        found = portable_state(state, finished=False)
        stopped = SegmentEnd(message.host, stop, found, message.host in play.excluded, play.over, play.fatal, failures, error)
        try:
            parcel = sendable(stopped, found)
        except NOT_SENT as unsent:
            reason = InternalError(self._crash_text(message.host, unsent))
            parcel = sendable(replace(stopped, stop=None, failures={}, error=SentError(reason, self.mask)), found)
        self.outbox.put(parcel)

    def _give_back(self, run: _Run, message: GiveBack) -> None:
        run.runner.stage.opened.release_stale_leases((message.host,), run.runner.host_variables)
        self._put(Answer(message.number))

    def _work(self, message: Work) -> None:
        try:
            done = Answer(message.number, message.function(self.mask, *message.arguments))
        except RemediationError as error:
            done = Answer(message.number, error=SentError(error, self.mask))
        except Exception as error:  # noqa: BLE001 - it belongs to the work
            done = Answer(message.number, error=SentError(InternalError(str(self.mask(summary(error)))), self.mask))
        self._put(done)

    def _end(self, *, hasty: bool) -> None:
        """Return the leases and close the hosts; requests that are not answered fail."""
        with self._lock:
            if self._ended:
                return
            if hasty:
                self._ended = True
        self._cancelled.set()
        if hasty:
            self._fail_requests()
        try:
            if self._run is not None:
                self._run.runner.stage.opened.close(hasty=hasty)
        finally:
            self._ended = True
            self._fail_requests()
            self._put(SessionEnded())
            self._pool.abandon()
            self._inbox.put(None)

    def _fail_requests(self) -> None:
        with self._lock:
            waiting, self._answers = list(self._answers.values()), {}
        for future in waiting:
            future.set_exception(JournalError("the controller of the run is gone"))


class _Run:
    """The run's walks on this worker."""

    def __init__(self, runner: PlaybookRunner) -> None:
        self.runner = runner
        self.kept: set[str] = set()
        self.current = BeginPlay(0, (), "")
        self.walks: dict[str, Walk] = {}
        self.play = PlayState(runner.stage, runner.request.playbook.plays[0], (), ())
        self.together = Together(self.play)

    @property
    def fleet(self) -> KnownFleet:
        """The inventory of the run."""
        found = self.runner.request.inventory
        assert isinstance(found, KnownFleet)  # noqa: S101 - set by `RemoteSession`
        return found

    def begin_wave(self, batch: Sequence[str]) -> None:
        """Begin a wave of the current play."""
        play = self.runner.request.playbook.plays[self.current.index]
        self.play = PlayState(self.runner.stage, play, self.current.hosts, batch, self.current.title)
        self.together = Together(self.play)
        self.walks.clear()

    def walk(self, message: RunSegment) -> Walk:
        """Return the host's walk, begun with its state if the controller sends one."""
        stage = self.runner.stage
        for name, found in message.others.items():
            restore_state(stage.host(name), found)
        self.together.failures.update(message.failures)
        self.play.excluded.update(message.excluded)
        if message.state is not None:
            state = stage.host(message.host)
            restore_state(state, message.state)
            later = frozenset() if message.last else frozenset((message.host,))
            self.walks[message.host] = self.runner.walk_guarded(self.play, state, later, self.together)
        return self.walks[message.host]


def _quiet_logs() -> None:
    """Keep log records of hosts out of the worker's log."""
    log = logging.getLogger("remediation")
    log.propagate = False
    if not log.handlers:
        log.addHandler(logging.NullHandler())
