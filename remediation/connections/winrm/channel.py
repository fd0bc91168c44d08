"""A worker's process in a WinRM shell, by pywinrm's `Protocol`: one TCP session, one shell, one process per host and run.

pywinrm gives the messages; when to wait, to repeat and to give up is decided here, by the meanings of `winrm_faults`.
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

from winrm.protocol import Protocol

from remediation.connections.settings import ConnectionSettings
from remediation.connections.winrm import errors as winrm_errors
from remediation.connections.winrm import messages as winrm_messages
from remediation.connections.winrm.faults import FAMILIES, SHELL_NOT_FOUND, Fault, Meaning, read_fault
from remediation.connections.winrm.streams import Streams
from remediation.connections.worker import clixml
from remediation.connections.worker.transport import (
    ChannelError,
    DeliveryUnknown,
    NotDelivered,
    ProcessExited,
    ReadTimeout,
    SessionExpired,
)
from remediation.model import limits
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import Unreachable

_log = logging.getLogger(__name__)

CHUNK = 250_000
"""So many bytes go in one Send: the service takes an envelope of 500 kB by default, and base64 comes on top."""
LEAST_CHUNK = 4_000
"""A service that takes no message of so many bytes is set up to be of no use: Windows' own minimum is an envelope of 32 kB."""
RECYCLE = 300
"""A shell gives no operation back before it is deleted; a user has 1500 of them."""
_CLOSING = 6.0
_BUSY_PAUSE, _BUSY_TRIES = 5.0, 3
_LASTING = frozenset({"ntlm", "certificate"})
"""Transports whose login is the connection's; with the others each message, or each new connection, is one."""

T = TypeVar("T")


class WinRmChannel:
    """See `remediation.connections.worker.transport.Channel`."""

    def __init__(self, settings: ConnectionSettings, clock: Clock | None = None) -> None:
        self._settings, self._host = settings, settings.name
        self.clock = clock or SystemClock()
        self._protocol: Protocol | None = None
        self._shell: str | None = None
        self._command: str | None = None
        self._streams: Streams | None = None
        self._operations = 0
        self._chunk = CHUNK
        """Bytes of a Send: fewer once the host has refused a message for its size."""
        self._left: list[str] = []
        """Shells whose deletion got no answer: tried again before the next one is opened."""
        self._own_ids = True
        self._known = False
        """The login was accepted once; a refusal after that may be the service's load, and is tried once more."""
        self._refused: Fault | None = None
        self._barred = False
        self._doubted = False
        """The login was refused when a shell was to be deleted: that was the one refusal that is taken for the service's load."""
        self._steady = False
        self._torn = False
        self._errors = bytearray()
        self._code: int | None = None

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process in the shell, opening one where there is none or it is used up."""
        if self._refused is not None:
            raise winrm_errors.no_login(self._settings, self._refused)
        self._errors.clear()
        self._code = None
        if self._command is not None and self._shell is not None:
            shell, former, self._command = self._shell, self._command, None
            with suppress(ChannelError):
                self._do(lambda: self._wire.cleanup_command(shell, former), deadline)
        if self._operations >= RECYCLE:
            self._delete()
        try:
            self._open(deadline)
            shell = str(self._shell)
            self._command = self._do(
                lambda: self._wire.run_command(shell, command[0], command[1:], console_mode_stdin=False), deadline
            )
        except _TooLarge as refused:
            raise winrm_errors.too_large(self._settings, refused.message) from refused
        except DeliveryUnknown as doubt:
            raise NotDelivered(doubt.message, doubt.next_step) from doubt
        except ReadTimeout as silence:
            raise Unreachable(
                f"{self._host}: the WinRM service did not open a shell in time", host=self._host,
                next_step="look whether the host is overloaded; ansible_timeout sets the seconds",
            ) from silence  # fmt: skip
        self._operations += 1

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to stdin, in as many Sends as it takes."""
        shell, command = self._shell, self._command
        if shell is None or command is None:
            raise NotDelivered("no process is running on the host")
        streams, view = self._streams_of(shell, command), memoryview(data)
        while True:
            piece = bytes(view[: self._chunk])
            last = len(piece) == len(view)
            try:
                self._do(lambda: streams.send(piece, end=end and last), deadline)  # noqa: B023 - called before the loop goes on
            except _TooLarge as refused:
                if self._chunk <= LEAST_CHUNK:
                    raise winrm_errors.too_large(self._settings, refused.message) from refused
                self._chunk //= 2  # refused unread: the same bytes go in smaller pieces
                continue
            except (DeliveryUnknown, ReadTimeout) as lost:
                # the worker does nothing before a line is complete, and the line ends with the last piece
                raise lost if last else NotDelivered(lost.message) from lost
            view = view[len(piece) :]
            if last:
                return

    def receive(self, deadline: float) -> bytes:
        """Wait for output; operation timeouts in between are the service's normal silence."""
        shell, command = self._shell, self._command
        if self._code is not None or shell is None or command is None:
            raise self._ended()
        streams = self._streams_of(shell, command)
        while True:
            try:
                stdout, stderr, code, done = self._do(streams.receive, deadline, receiving=True)
            except _TooLarge as refused:
                if not streams.ask_for_less():
                    raise winrm_errors.too_large(self._settings, refused.message) from refused
                continue
            if len(self._errors) < limits.KEPT_ERRORS:
                self._errors += stderr
            if done:
                self._code = code & 0xFFFFFFFF
            if stdout:
                return stdout
            if done:
                raise self._ended()

    def _ended(self) -> ProcessExited:
        # a process that exceeds the memory of its shell is ended, or fails in whatever it does next: no code is sure to say so
        step = f"look at the host; where a shell's memory is used up, {winrm_errors.remedy(winrm_errors.MEMORY)}"
        return ProcessExited(f"PowerShell ended with exit code {self._code}", step if self._code else "")

    def _streams_of(self, shell: str, command: str) -> Streams:
        if self._streams is None or self._streams.of != (shell, command):
            self._streams = Streams(self._wire, shell, command)
        return self._streams

    def errors(self) -> str:
        """Return stderr, CLIXML decoded."""
        return clixml.readable_stderr(bytes(self._errors))

    @contextmanager
    def as_logged_in(self) -> Iterator[bool]:
        """Within it nothing is sent twice, and no server that asks for a login gets one."""
        session = self._protocol.transport.session if self._protocol is not None else None
        if session is None or self._settings.winrm.transport not in _LASTING:
            yield False
            return
        login, self._steady = session.auth, True
        if login is not None:
            session.auth = winrm_messages.ReusedAuth(login)
        try:
            yield True
        finally:
            session.auth, self._steady = login, False

    def abandon(self) -> None:
        """Let go of the shell; it is deleted before the next one is opened, or at the end."""
        shell, self._shell, self._command = self._shell, None, None
        self._torn = True
        if shell is not None:
            self._left.append(shell)

    def close(self) -> None:
        """Delete the shell, and with it what runs in it."""
        began = self.clock.monotonic()
        self._delete()
        if self.clock.monotonic() - began < _CLOSING / 2:
            self._sweep()  # a host that let us wait already would let us wait again; the next opening tries it
        if self._protocol is not None:
            self._protocol.transport.close_session()

    def _open(self, deadline: float) -> None:
        if self._shell is not None:
            return
        self._sweep()
        self._operations = 0
        if self._own_ids:
            # our own name for the shell: it can be deleted even when the answer to Create is lost
            self._shell = str(uuid.uuid4()).upper()
            try:
                self._shell = self._do(lambda: winrm_messages.create(self._wire, str(self._shell)), deadline)
                _log.debug("%s: WinRM shell %s opened", self._host, self._shell)
            except _Rejected:
                self._own_ids, self._shell = False, None
            else:
                return
        self._shell = self._do(
            lambda: self._wire.open_shell(codepage=winrm_messages.CODEPAGE, idle_timeout=winrm_messages.IDLE), deadline
        )

    def _delete(self) -> None:
        shell, self._shell, self._command = self._shell, None, None
        if shell is not None and not self._deleted(shell):
            self._left.append(shell)

    def _sweep(self) -> None:
        self._left = [shell for shell in self._left if not self._deleted(shell)]

    def _deleted(self, shell: str) -> bool:
        if self._doubted:
            return False
        if self._barred or self._protocol is None:
            return True  # nobody lets us in to do it, or nobody we would speak to: the host's idle timeout will
        wire = self._wire
        if self._torn:
            wire.transport.close_session()
            self._torn = False
        try:
            self._limit(self.clock.monotonic() + _CLOSING)
            wire.close_shell(shell, close_session=False)
        except FAMILIES as error:
            fault = read_fault(error)
            _log.info("%s: WinRM shell %s was not deleted: %s", self._host, shell, fault.message)
            self._torn = True
            self._doubted = self._doubted or fault.meaning is Meaning.LOGIN
            return fault.code == SHELL_NOT_FOUND
        return True

    @property
    def _wire(self) -> Protocol:
        if self._protocol is None:
            self._protocol = winrm_messages.connect(self._settings)
        return self._protocol

    def _limit(self, deadline: float) -> float:
        """Let no message wait beyond the deadline; return the seconds that are left."""
        left = deadline - self.clock.monotonic()
        wanted = self._settings.winrm
        operation = int(max(1.0, min(wanted.operation_timeout, left)))
        self._wire.operation_timeout_sec = operation
        gap = wanted.read_timeout - wanted.operation_timeout
        self._wire.transport.read_timeout_sec = int(max(2.0, min(operation + gap, left + 2.0)))
        return left

    def _do(self, act: Callable[[], T], deadline: float, *, receiving: bool = False) -> T:
        """Send one message by the rules; raises a `ChannelError`, or `Unreachable` for what no new try can cure."""
        tried: dict[Meaning, int] = {}
        while True:
            if self._limit(deadline) <= 0:
                self._torn = True
                raise ReadTimeout("nothing came from the host")
            sent = False
            self._torn = True
            try:
                winrm_messages.log_in(self._wire, self._settings)
                sent = True
                value = act()
            except FAMILIES as error:
                fault = read_fault(error)
            else:
                self._torn, self._known, self._doubted = False, True, False
                return value
            if fault.meaning is Meaning.POLL and receiving:
                self._torn, self._known = False, True
                continue
            if self._steady:
                raise DeliveryUnknown(fault.message)
            count = tried[fault.meaning] = tried.get(fault.meaning, 0) + 1
            _log.info("%s: WinRM fault %s, number %d: %s", self._host, fault.meaning.name, count, fault.message)
            if self._again(fault, count):
                continue
            raise self._failure(fault, sent=sent, receiving=receiving)

    def _again(self, fault: Fault, count: int) -> bool:
        """Return whether the very same message goes out once more: it was rejected unread."""
        if fault.meaning is Meaning.STALE and count == 1:
            self._wire.transport.close_session()
            return True
        if fault.meaning is Meaning.LOGIN and self._known and not self._doubted and count == 1:
            self._wire.transport.close_session()
            return True
        if fault.meaning is Meaning.BUSY and count <= _BUSY_TRIES:
            self.clock.sleep(_BUSY_PAUSE)
            return True
        return False

    def _failure(self, fault: Fault, *, sent: bool, receiving: bool) -> Exception:
        """Return the error that a fault becomes once nothing more is tried."""
        meaning = fault.meaning
        final = winrm_errors.FINAL.get(meaning)
        if final is not None:
            self._barred = True
            self._refused = fault if meaning is Meaning.LOGIN else self._refused
            return final(self._settings, fault)
        if not self._known:
            hopeless = winrm_errors.hopeless(self._settings, fault)
            if hopeless is not None:
                self._barred = meaning is Meaning.EXCEEDED  # what answers there would do it again
                return hopeless
        remedy = winrm_errors.remedy(fault.setting)
        if meaning is Meaning.TOO_LARGE:
            return _TooLarge(fault.message)
        if meaning is Meaning.REJECTED and not receiving:
            return _Rejected(f"the WinRM service refused: {fault.message}")
        unread = {Meaning.REFUSED, Meaning.STALE, Meaning.BUSY, Meaning.NEW_SHELL, Meaning.FULL}
        if not receiving and (meaning in unread or not sent):
            return (SessionExpired if fault.code == SHELL_NOT_FOUND else NotDelivered)(fault.message, remedy)
        return DeliveryUnknown(fault.message, remedy)


class _TooLarge(NotDelivered):
    """The message was refused unread for its size, or for that of the answer it asks for."""


class _Rejected(NotDelivered):
    """The service answered with a fault of its own: the message was read and not carried out."""
