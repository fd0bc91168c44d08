"""A Windows host through a PowerShell worker, carried by WinRM, SSH or a child process on Windows itself.

This module decides what is sent again after a loss:

- certainly not delivered: sent again, even a write;
- outcome unknown: a new worker; a read-only request is sent again once, a write raises `OutcomeUnknown`, and the caller observes again;
- no answer before the deadline: the worker is ended and `DeadlineExceeded` raised, `OutcomeUnknown` for a write.

A host may wait long for its next call, for example for another batch or a user. Meanwhile its shell may expire, and a firewall may
drop its TCP session. Idle connections therefore send keep-alive requests (`remediation.connections.keepalive`): an empty request,
once, without a new login. If it fails, the worker is dropped and the next call starts a new one. A write after a long silence
without keep-alive is preceded by such a request too, so that it is sent to a worker that answers.
"""

from __future__ import annotations

import functools
import hashlib
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

from remediation.connections.bounded import BoundedOutput
from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    Http,
    Probe,
    ReadFile,
    Reply,
    Run,
    WriteFile,
    name_of,
    server_of,
)
from remediation.connections.keepalive import PROCESS_KEEP_ALIVE, ConnectionLock, KeepAliveThread
from remediation.connections.worker import bootstrap, chunks, protocol
from remediation.connections.worker.chunks import SendRequest, cut
from remediation.connections.worker.protocol import Scripts
from remediation.connections.worker.session import Listeners, NotGreeted, WorkerSession
from remediation.connections.worker.transport import (
    Channel,
    ChannelError,
    DeliveryUnknown,
    NotDelivered,
    ReadTimeout,
    SessionExpired,
)
from remediation.model.clock import Clock
from remediation.model.errors import DeadlineExceeded, HostError, OutcomeUnknown, Unreachable
from remediation.model.limits import LimitExceeded

AT_ONCE = 5.0
"""Seconds that a start request waits for the program's end."""
_POLL = 20.0


def run_detached(send: SendRequest, call: Run, clock: Clock) -> Reply:
    """Run a program to its end. Raises `LimitExceeded` if it writes too much."""
    deadline = clock.monotonic() + call.timeout
    output = _Output(call)
    first, *rest = cut(call.stdin)
    wait = 0.0 if rest else min(AT_ONCE, call.timeout)
    request = protocol.run_request(call, first) | {
        "op": "start", "timeout": protocol.DETACHED, "wait": wait, "more": bool(rest), "last": wait == call.timeout,
    }  # fmt: skip
    status = send([request], [call], protocol.LONGEST + wait)[0]
    while True:
        if (problem := protocol.failed_reply(status)) is not None:
            return problem
        try:
            output.take(status)
        except LimitExceeded:
            if not status.get("done"):
                send([{"op": "stop", "job": status["job"]}], [call], protocol.LONGEST, again=False)
            raise
        if status.get("done"):
            return output.completed(int(status["rc"]))
        if request["last"]:
            return Failed("timeout", f"{call.argv[0]} did not end within {call.timeout:g} s and was stopped")
        left = deadline - clock.monotonic()
        request = {"op": "poll", "job": status["job"], "wait": max(0.0, min(_POLL, left)), "last": left <= _POLL}
        if rest:
            # such a poll returns as soon as the chunk is accepted
            request |= {"stdin": protocol.encode_base64(rest[0]), "more": len(rest) > 1, "last": left <= 0}
        # output up to a lost poll is lost with it, so polls are never repeated
        status = {"job": status["job"], **send([request], [call], _POLL, again=False)[0]}
        if rest and status.get("fed"):
            del rest[0]


class _Output:
    """The output of a program so far."""

    def __init__(self, call: Run) -> None:
        self._streams = {name: BoundedOutput(name, finish=call.writes) for name in ("stdout", "stderr")}

    def take(self, status: Mapping[str, Any]) -> None:
        """Add new output. Raises `LimitExceeded`."""
        for name, gathered in self._streams.items():
            gathered.take(protocol.decode_base64(status, name))
        if (over := self._streams.get(str(status.get("over")))) is not None:
            over.overflow()

    def completed(self, code: int) -> Completed:
        """Return the program's result. Raises `LimitExceeded`."""
        out, err = (each.content() for each in self._streams.values())
        return Completed(code & protocol.UNSIGNED, out, err)


_log = logging.getLogger(__name__)

GREETING = 15.0
GRACE = 10.0
"""Seconds added to the timeouts of the calls for the transport."""
QUIET = 60.0
"""Seconds without an answer after which the worker may be gone."""
BEAT = 5.0
"""Timeout of a keep-alive request in seconds."""
_TRIES = 3
_PAUSES = (0.0, 5.0, 15.0)
"""Seconds before each attempt after a loss: a host that restarts its WinRM service needs some."""


@dataclass(frozen=True, slots=True)
class PreparedCall:
    """A call with its request, and the function that reads its reply."""

    call: Call
    request: dict[str, Any]
    read: Callable[[Mapping[str, Any]], Reply]


class WorkerConnection:
    """Carries the calls of `remediation.connections.calls` through the worker protocol; see `Connection`."""

    platform = "windows"

    def __init__(
        self, host: str, channel: Channel, *, scripts: Callable[[str], str], note: Callable[[str], None] = lambda _: None,
        opening: float = 30.0, greeting: float = GREETING, powershell: str = "powershell.exe", heartbeat: KeepAliveThread = PROCESS_KEEP_ALIVE,
    ) -> None:  # fmt: skip
        self.host = host
        self.round_trips = 0
        self._channel, self._note = channel, note
        self._clock = channel.clock
        self._scripts = Scripts(scripts)
        self._opening, self._greeting, self._powershell = opening, greeting, powershell
        self._session: WorkerSession | None = None
        self._one_call_each = False
        self._failed_starts = 0
        self._last_answer = 0.0
        self._closed = False
        self._turn = ConnectionLock(self._beat, lambda: self._session is not None, heartbeat)

    @property
    def about(self) -> Mapping[str, Any]:
        """The current worker's greeting. Empty before the first call."""
        return self._session.about if self._session is not None else {}

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        """Carry out `calls` in order. Small ones share round trips. Waits for a keep-alive request in progress."""
        replies: list[Reply] = []
        with self._turn.exchange():
            for batch in self._batches(calls):
                if isinstance(batch, list):
                    own = [each.call for each in batch]
                    answers = self._ask([each.request for each in batch], own, sum(call.timeout for call in own))
                    replies += self._read(batch, answers)
                else:
                    replies.append(self._large(batch))
        return replies

    def _beat(self) -> None:
        """Send an empty request once. On failure, drop the worker without reporting it."""
        try:
            with self._channel.as_logged_in() as possible:
                if possible and self._session is not None:
                    self._session.ask([], self._clock.monotonic() + BEAT)
                    self._last_answer = self._clock.monotonic()
        except Exception as error:  # noqa: BLE001 - the next call meets and reports the same problem
            _log.info("%s: the keep-alive request failed, the worker is dropped: %s", self.host, error)
            self._session = None
            self._scripts.forget()
            self._channel.abandon()

    def _batches(self, calls: Sequence[Call]) -> Iterator[list[PreparedCall] | Run | WriteFile]:
        """Yield the calls that share a request, and each call that needs several requests."""
        waiting: list[PreparedCall] = []
        for call in calls:
            small = self._prepare(call)
            if waiting and (
                small is None or sum(protocol.weight(each.call) for each in waiting) + protocol.weight(call) > protocol.LINE
            ):
                yield waiting
                waiting = []
            if small is None:
                yield cast("Run | WriteFile", call)
            else:
                waiting.append(small)
        if waiting:
            yield waiting

    def close(self) -> None:
        """Close the worker and its transport. Waits for a keep-alive request in progress."""
        self._closed = True
        with self._turn.last(3 * BEAT):
            self._session = None
            self._channel.close()

    def _prepare(self, call: Call) -> PreparedCall | None:
        """Return `call` with its request, or None if it needs several."""
        if isinstance(call, Run):
            if call.timeout > protocol.LONGEST or len(call.stdin) > protocol.SLICE:
                return None
            return PreparedCall(call, protocol.run_request(call), protocol.parse_completed)
        if isinstance(call, Probe):
            return PreparedCall(call, self._scripts.probe(call.name, call.data, call.timeout), protocol.probe_reply)
        if isinstance(call, Http):
            request = self._scripts.probe("http", protocol.http(call), call.timeout, server_of(call))
            return PreparedCall(call, request, protocol.reply_reader(call))
        if isinstance(call, ReadFile):
            return PreparedCall(call, protocol.read_request(call), chunks.chunk_reader(self._ask, call))
        if len(call.content) > protocol.SLICE:
            return None
        digest = hashlib.sha256(call.content).hexdigest()
        return PreparedCall(call, protocol.write_request(call.path, 0, call.content, digest, call.backup), protocol.wrote)

    def _read(self, batch: Sequence[PreparedCall], answers: list[dict[str, Any]]) -> list[Reply]:
        """Return the replies in the worker's answers. What it could not read, or has no script for, is sent again."""
        calls = [each.call for each in batch]
        if answers[0].get("error", {}).get("kind") == protocol.UNREAD:
            self._scripts.forget()
            if len(calls) > 1:  # one of them is unreadable; the others are carried out
                alone = [small for call in calls if (small := self._prepare(call))]
                return [
                    reply
                    for each in alone
                    for reply in self._read([each], self._ask([each.request], [each.call], each.call.timeout))
                ]
        again = [
            index
            for index, answer in enumerate(answers)
            if (error := protocol.failed_reply(answer)) is not None and error.kind == "need-script"
        ]
        if again:
            self._scripts.forget()
            sent = [self._prepare(calls[index]) for index in again]
            fresh = self._ask([each.request for each in sent if each], [calls[index] for index in again], calls[again[0]].timeout)
            for index, answer in zip(again, fresh, strict=True):
                answers[index] = answer
        return [
            protocol.understood(functools.partial(each.read, answer), each.call)
            for each, answer in zip(batch, answers, strict=True)
        ]

    def _large(self, call: Run | WriteFile) -> Reply:
        try:
            return protocol.understood(lambda: self._in_parts(call), call)
        except LimitExceeded as exceeded:
            return Failed("error", f"{name_of(call)}: {exceeded.message}")

    def _in_parts(self, call: Run | WriteFile) -> Reply:
        return self._run_detached_call(call) if isinstance(call, Run) else chunks.write_in_chunks(self._ask, call)

    def _run_detached_call(self, call: Run) -> Reply:
        if self._session is None and not self._one_call_each:
            self._ask([], [call], protocol.LONGEST, writes=False)  # the greeting decides how the host answers
        if self._one_call_each:
            # programs do not outlive the process of their call, so wait for the program
            return protocol.parse_completed(self._ask([protocol.run_request(call)], [call], call.timeout)[0])
        return run_detached(self._ask, call, self._clock)

    def _ask(
        self, wanted: Sequence[dict[str, Any]], calls: Sequence[Call], timeout: float, *, writes: bool | None = None,
        again: bool = True,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Send one request, with retries as described above, and return its replies."""
        writes = any(call.writes for call in calls) if writes is None else writes
        what = ", ".join(dict.fromkeys(name_of(call) for call in calls))
        if writes and self._is_idle() and not self._still_answers():
            wanted = self._repeat_requests(wanted, calls)
        limit = self._clock.monotonic() + self._opening + timeout + GRACE
        doubted, pause, listeners = False, _PAUSES[0], protocol.chunk_listeners(calls)
        for attempt in range(_TRIES):
            self._clock.sleep(pause)
            try:
                session = self._start_session(limit)
                if not wanted:
                    return []  # to start the worker was all
                self.round_trips += 1
                if session is None:
                    return self._ask_process(wanted, limit, listeners)
                replies = session.ask(wanted, min(limit, self._clock.monotonic() + timeout + GRACE), listeners)
            except ReadTimeout as silence:
                _log.warning("%s: no answer to %s: %s", self.host, what, silence.message)
                self._drop()
                raise self._timeout_error(what, timeout, silence, writes=writes) from silence
            except ChannelError as lost:
                number, kind = attempt + 1, type(lost).__name__
                _log.warning("%s: try %d of %d for %s was lost (%s): %s", self.host, number, _TRIES, what, kind, lost.message)
                self._drop()
                doubt = isinstance(lost, DeliveryUnknown) or not again
                final = doubt and (writes or doubted or not again)
                if final or number == _TRIES or self._clock.monotonic() > limit:
                    raise self._lost_error(what, lost, uncertain=doubt and writes) from lost
                doubted = doubted or doubt
                pause = 0.0 if isinstance(lost, SessionExpired) and not attempt else _PAUSES[attempt + 1]
            except BaseException:
                # interrupted: the pending answer must not be taken for that of the next request
                self._drop()
                raise
            else:
                self._last_answer = self._clock.monotonic()
                return replies
            wanted = self._repeat_requests(wanted, calls)
        raise AssertionError  # the last attempt returns or raises

    def _is_idle(self) -> bool:
        return self._session is not None and self._clock.monotonic() - self._last_answer >= QUIET

    def _still_answers(self) -> bool:
        """Return whether an idle worker still answers. If not, the next request starts a new one."""
        try:
            if self._session is not None:
                self.round_trips += 1
                self._session.ask([], self._clock.monotonic() + GRACE)
        except ChannelError:
            self._drop()
            return False
        except BaseException:  # an interrupt: a late answer must not be taken for the next one
            self._drop()
            raise
        return True

    def _start_session(self, limit: float) -> WorkerSession | None:
        """Return the worker session, starting it if needed, or None if each call starts its own process."""
        if self._closed:
            raise Unreachable(f"{self.host}: the connection has been closed", host=self.host)
        if self._session is None and not self._one_call_each:
            self._greet(min(limit, self._clock.monotonic() + self._opening))
        return self._session

    def _ask_process(self, wanted: Sequence[dict[str, Any]], limit: float, on_chunk: Listeners) -> list[dict[str, Any]]:
        """Send one request to a process that ends with it."""
        self._scripts.forget()
        opened = min(limit, self._clock.monotonic() + self._opening)
        session = WorkerSession(self.host, self._channel, self._clock.monotonic)
        command = bootstrap.one_call_command(self._powershell)
        return session.ask_once(command, list(map(protocol.alone, wanted)), opened, limit, on_chunk)

    def _greet(self, opened: float) -> None:
        session = WorkerSession(self.host, self._channel, self._clock.monotonic)
        command = bootstrap.worker_command(self._powershell)
        begun = self._clock.monotonic()
        try:
            session.greet(command, opened, self._greeting)
        except NotGreeted as missing:
            self._failed_starts += missing.ended
            if missing.ended and self._failed_starts == 1:
                raise NotDelivered(missing.message) from missing  # the host may have been shutting down
            self._one_call_each = True
            why = "exited at once" if missing.ended else f"did not answer within {self._greeting:g} s"
            self._note(
                f"{self.host}: the PowerShell worker {why} ({missing.message}); "
                "from now on, each call starts a separate PowerShell, which is slower"
            )
            return
        self._session, self._failed_starts = session, 0
        _log.debug("%s: a PowerShell worker answered after %.3f s", self.host, self._clock.monotonic() - begun)
        self._turn.join()

    def _drop(self) -> None:
        self._session = None
        self._scripts.forget()
        self._channel.close()

    def _repeat_requests(self, wanted: Sequence[dict[str, Any]], calls: Sequence[Call]) -> Sequence[dict[str, Any]]:
        """Return the request for a new worker, which has no scripts: probes are sent with their text."""
        if len(wanted) != len(calls):
            return wanted
        return [
            (small.request if each["op"] == "probe" and (small := self._prepare(call)) is not None else each)
            for each, call in zip(wanted, calls, strict=True)
        ]

    def _timeout_error(self, what: str, timeout: float, silence: ReadTimeout, *, writes: bool) -> HostError:
        if writes:
            return self._uncertain(what, silence)
        return DeadlineExceeded(
            f"{self.host}: no answer to {what} within {timeout + GRACE:g} s ({silence.message})",
            host=self.host,
            next_step="check the host, or set a longer timeout for the step",
        )

    def _lost_error(self, what: str, lost: ChannelError, *, uncertain: bool) -> HostError:
        if uncertain:
            return self._uncertain(what, lost)
        next_step = lost.next_step or "check the host, then run again"
        return Unreachable(f"{self.host}: {lost.message}", host=self.host, next_step=next_step)

    def _uncertain(self, what: str, cause: ChannelError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.host}: the answer to {what} was lost ({cause.message}); it may or may not have been carried out",
            host=self.host,
            next_step="check on the host whether it was carried out; it is not repeated",
        )
