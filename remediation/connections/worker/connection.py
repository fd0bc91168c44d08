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
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

from remediation.connections.calls import (
    Call,
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
from remediation.connections.worker import bootstrap, chunks, long_running, protocol
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
from remediation.model.errors import DeadlineExceeded, OutcomeUnknown, Unreachable
from remediation.model.limits import LimitExceeded

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

Wanted = tuple[dict[str, Any], Callable[[Mapping[str, Any]], Reply]]


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
        with self._turn.exchange():
            return self._exchange(calls)

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

    def _exchange(self, calls: Sequence[Call]) -> list[Reply]:
        replies: list[Reply] = []
        waiting: list[tuple[Call, Wanted]] = []
        for call in calls:
            wanted = self._small(call)
            if wanted is not None:
                if waiting and (_size(waiting) + protocol.weight(call) > protocol.LINE):
                    replies += self._together(waiting)
                    waiting = []
                waiting.append((call, wanted))
                continue
            replies += self._together(waiting)
            waiting = []
            replies.append(self._large(cast("Run | WriteFile", call)))
        return replies + self._together(waiting)

    def close(self) -> None:
        """Close the worker and its transport. Waits for a keep-alive request in progress."""
        self._closed = True
        with self._turn.last(3 * BEAT):
            self._session = None
            self._channel.close()

    def _small(self, call: Call) -> Wanted | None:
        """Return the request for `call`, or None if it needs several."""
        if isinstance(call, Run):
            return (
                None
                if call.timeout > protocol.LONGEST or len(call.stdin) > protocol.SLICE
                else (protocol.run_request(call), protocol.completed)
            )
        if isinstance(call, Probe):
            return self._scripts.probe(call.name, call.data, call.timeout), protocol.probe_reply
        if isinstance(call, Http):
            return self._scripts.probe("http", protocol.http(call), call.timeout, server_of(call)), protocol.answering(call)
        if isinstance(call, ReadFile):
            return protocol.read_request(call), chunks.reading(self._ask, call)
        if len(call.content) > protocol.SLICE:
            return None
        digest = hashlib.sha256(call.content).hexdigest()
        return protocol.write_request(call.path, 0, call.content, digest, call.backup), protocol.wrote

    def _together(self, waiting: Sequence[tuple[Call, Wanted]]) -> list[Reply]:
        if not waiting:
            return []
        calls = [call for call, _ in waiting]
        replies = self._ask([wanted for _, (wanted, _) in waiting], calls, sum(call.timeout for call in calls))
        if replies[0].get("error", {}).get("kind") == protocol.UNREAD:
            self._scripts.forget()
            if len(calls) > 1:  # one of them is unreadable; the others are carried out
                return [reply for call in calls if (small := self._small(call)) for reply in self._together([(call, small)])]
        again = [
            index
            for index, reply in enumerate(replies)
            if (error := protocol.failed_reply(reply)) is not None and error.kind == "need-script"
        ]
        if again:
            self._scripts.forget()
            sent = [self._small(calls[index]) for index in again]
            fresh = self._ask([each[0] for each in sent if each], [calls[index] for index in again], calls[again[0]].timeout)
            for index, reply in zip(again, fresh, strict=True):
                replies[index] = reply
        return [
            protocol.understood(functools.partial(read, reply), call)
            for (call, (_, read)), reply in zip(waiting, replies, strict=True)
        ]

    def _large(self, call: Run | WriteFile) -> Reply:
        try:
            return protocol.understood(lambda: self._in_parts(call), call)
        except LimitExceeded as exceeded:
            return Failed("error", f"{name_of(call)}: {exceeded.message}")

    def _in_parts(self, call: Run | WriteFile) -> Reply:
        return self._detached(call) if isinstance(call, Run) else chunks.write_in_chunks(self._ask, call)

    def _detached(self, call: Run) -> Reply:
        if self._session is None and not self._one_call_each:
            self._ask([], [call], protocol.LONGEST, writes=False)  # the greeting decides how the host answers
        if self._one_call_each:
            # programs do not outlive the process of their call, so wait for the program
            return protocol.completed(self._ask([protocol.run_request(call)], [call], call.timeout)[0])
        return long_running.run_detached(self._ask, call, self._clock)

    def _ask(
        self, wanted: Sequence[dict[str, Any]], calls: Sequence[Call], timeout: float, *, writes: bool | None = None,
        again: bool = True,
    ) -> list[dict[str, Any]]:  # fmt: skip
        """Send one request, with retries as described above, and return its replies."""
        writes = any(call.writes for call in calls) if writes is None else writes
        what = ", ".join(dict.fromkeys(name_of(call) for call in calls))
        if writes and self._is_idle() and not self._still_answers():
            wanted = self._resent(wanted, calls)
        limit = self._clock.monotonic() + self._opening + timeout + GRACE
        doubted, pause = False, _PAUSES[0]
        for attempt in range(_TRIES):
            self._clock.sleep(pause)
            try:
                return self._once(wanted, timeout, limit, protocol.chunk_listeners(calls))
            except ReadTimeout as silence:
                _log.warning("%s: no answer to %s: %s", self.host, what, silence.message)
                self._drop()
                if writes:
                    raise self._uncertain(what, silence) from silence
                raise DeadlineExceeded(
                    f"{self.host}: no answer to {what} within {timeout + GRACE:g} s ({silence.message})", host=self.host,
                    next_step="check the host, or set a longer timeout for the step",
                ) from silence  # fmt: skip
            except ChannelError as lost:
                _log.warning(
                    "%s: try %d of %d for %s was lost (%s): %s",
                    self.host,
                    attempt + 1,
                    _TRIES,
                    what,
                    type(lost).__name__,
                    lost.message,
                )
                self._drop()
                doubt = isinstance(lost, DeliveryUnknown) or not again
                if doubt and writes:
                    raise self._uncertain(what, lost) from lost
                if (doubt and (doubted or not again)) or attempt == _TRIES - 1 or self._clock.monotonic() > limit:
                    raise Unreachable(
                        f"{self.host}: {lost.message}", host=self.host,
                        next_step=lost.next_step or "check the host, then run again",
                    ) from lost  # fmt: skip
                doubted = doubted or doubt
                pause = 0.0 if isinstance(lost, SessionExpired) and not attempt else _PAUSES[attempt + 1]
            except BaseException:
                # interrupted: the pending answer must not be taken for that of the next request
                self._drop()
                raise
            wanted = self._resent(wanted, calls)
        raise AssertionError  # the last attempt returns or raises

    def _is_idle(self) -> bool:
        return self._session is not None and self._clock.monotonic() - self._last_answer >= QUIET

    def _still_answers(self) -> bool:
        """Return whether an idle worker still answers. If not, the next request starts a new one."""
        try:
            self._once([], 0.0, self._clock.monotonic() + GRACE, {})
        except ChannelError:
            self._drop()
            return False
        except BaseException:
            self._drop()
            raise
        return True

    def _once(self, wanted: Sequence[dict[str, Any]], timeout: float, limit: float, on_chunk: Listeners) -> list[dict[str, Any]]:
        if self._closed:
            raise Unreachable(f"{self.host}: the connection has been closed", host=self.host)
        opened = min(limit, self._clock.monotonic() + self._opening)
        if self._session is None and not self._one_call_each:
            self._greet(opened)
            if not wanted:
                return []
        self.round_trips += 1
        if self._session is not None:
            replies = self._session.ask(wanted, min(limit, self._clock.monotonic() + timeout + GRACE), on_chunk)
            self._last_answer = self._clock.monotonic()
            return replies
        self._scripts.forget()
        session = WorkerSession(self.host, self._channel, self._clock.monotonic)
        return session.ask_once(
            bootstrap.one_call_command(self._powershell), list(map(protocol.alone, wanted)), opened, limit, on_chunk
        )

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
                "from now on, each call starts a PowerShell of its own, which is slower"
            )
            return
        self._session, self._failed_starts = session, 0
        _log.debug("%s: a PowerShell worker answered after %.3f s", self.host, self._clock.monotonic() - begun)
        self._turn.join()

    def _drop(self) -> None:
        self._session = None
        self._scripts.forget()
        self._channel.close()

    def _resent(self, wanted: Sequence[dict[str, Any]], calls: Sequence[Call]) -> Sequence[dict[str, Any]]:
        """Return the request for a new worker, which has no scripts: probes are sent with their text."""
        if len(wanted) != len(calls):
            return wanted
        return [
            (small[0] if each["op"] == "probe" and (small := self._small(call)) is not None else each)
            for each, call in zip(wanted, calls, strict=True)
        ]

    def _uncertain(self, what: str, cause: ChannelError) -> OutcomeUnknown:
        return OutcomeUnknown(
            f"{self.host}: the answer to {what} was lost ({cause.message}); it may or may not have been carried out",
            host=self.host,
            next_step="check on the host whether it was carried out; it is not repeated",
        )


def _size(waiting: Sequence[tuple[Call, Wanted]]) -> int:
    return sum(protocol.weight(call) for call, _ in waiting)
