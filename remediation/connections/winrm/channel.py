"""A worker's process in a WinRM shell, through pywinrm's `Protocol`: one TCP session, shell and process per host and run.

pywinrm writes the messages. This module decides when to wait, retry and give up, by the meanings in `faults`.
"""

from __future__ import annotations

import base64
import logging
import uuid
import xml.etree.ElementTree as ET  # the service's answers, which pywinrm reads the same way
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TypeVar

import xmltodict  # type: ignore[import-untyped]  # pywinrm uses it, and it has no types
from winrm.protocol import Protocol

from remediation.connections.settings import ConnectionSettings
from remediation.connections.winrm import faults as winrm_faults
from remediation.connections.winrm import messages as winrm_messages
from remediation.connections.winrm.faults import FAMILIES, SHELL_NOT_FOUND, Fault, FaultKind, read_fault
from remediation.connections.winrm.messages import SHELL
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

_WINDOWS_SHELL = "http://schemas.microsoft.com/wbem/wsman/1/windows/shell"
_SEND, _RECEIVE = f"{_WINDOWS_SHELL}/Send", f"{_WINDOWS_SHELL}/Receive"
_ID, _LIMIT, _END, _DATA = "0-message-0", "0-limit-0", "0-end-0", "0-data-0"
_DONE = "CommandState/Done"
_TAKEN = 512_000
"""Largest answer in bytes. The default MaxEnvelopeSizekb is 500, and pypsrp uses it too. pywinrm requests 153,600, a third per
Receive. A service with a lower limit returns less.
"""
_LEAST = 32_000


class Streams:
    """Standard input and output of one command in a shell."""

    def __init__(self, wire: Protocol, shell: str, command: str) -> None:
        self._wire = wire
        self.of = (shell, command)
        self._taken = _TAKEN
        stdin = {"@CommandId": command, "@Name": "stdin", "@End": _END, "@xmlns:rsp": _WINDOWS_SHELL, "#text": _DATA}
        wanted = {"@CommandId": command, "#text": "stdout stderr"}
        self._send = self._text(_SEND, shell, {"rsp:Send": {"rsp:Stream": stdin}})
        self._receive = self._text(_RECEIVE, shell, {"rsp:Receive": {"rsp:DesiredStream": wanted}})

    def send(self, data: bytes, *, end: bool) -> None:
        """Write to stdin. Raises the errors of `Protocol.send_message`."""
        text = self._send.replace(_END, "true" if end else "false", 1)
        self._wire.send_message(self._fill(text).replace(_DATA, base64.b64encode(data).decode("ascii"), 1))

    def receive(self) -> tuple[bytes, bytes, int, bool]:
        """Return stdout, stderr, the exit code (-1 if there is none yet), and whether the command has ended.

        Raises the errors of `Protocol.send_message`, and `xml.etree.ElementTree.ParseError` for an invalid answer.
        """
        root = ET.fromstring(self._wire.send_message(self._fill(self._receive)))  # noqa: S314 - as in pywinrm
        received = {"stdout": bytearray(), "stderr": bytearray()}
        code, done = -1, False
        for node in root.iter():
            if node.tag.endswith("Stream") and node.text:
                received[node.attrib["Name"]] += base64.b64decode(node.text)
            elif node.get("State", "").endswith(_DONE):
                done = True
            elif node.tag.endswith("ExitCode") and node.text:
                code = int(node.text)
        return bytes(received["stdout"]), bytes(received["stderr"]), code if done else -1, done

    def ask_for_less(self) -> bool:
        """Halve the size of further answers. Returns False if that would be too small."""
        if self._taken < 2 * _LEAST:
            return False
        before, self._taken = self._taken, self._taken // 2
        self._receive = self._receive.replace(f">{before}<", f">{self._taken}<", 1)
        return True

    def _text(self, action: str, shell: str, body: dict[str, object]) -> str:
        envelope = self._wire.build_wsman_header(action, SHELL, shell, message_id=_ID)
        envelope["env:Header"]["w:OperationTimeout"] = _LIMIT
        envelope["env:Header"]["w:MaxEnvelopeSize"]["#text"] = str(self._taken)
        return str(xmltodict.unparse({"env:Envelope": {**envelope, "env:Body": body}}))

    def _fill(self, text: str) -> str:
        seconds = f"PT{int(self._wire.operation_timeout_sec)}S"
        return text.replace(_ID, str(uuid.uuid4()), 1).replace(_LIMIT, seconds, 1)


_log = logging.getLogger(__name__)

CHUNK = 250_000
"""Bytes per Send: the service's default MaxEnvelopeSizekb is 500, and base64 adds a third (Microsoft: WinRM quotas)."""
LEAST_CHUNK = 4_000
"""Below this, the service is not usable: Windows' minimum envelope size is 32 kB."""
RECYCLE = 300
"""Operations per shell. A shell releases them only when it is deleted, and a user has 1500 (MaxConcurrentOperationsPerUser)."""
_CLOSING = 6.0
_BUSY_PAUSE, _BUSY_TRIES = 5.0, 3
_LASTING = frozenset({"ntlm", "certificate"})
"""Transports that log in once per connection. The others log in for each message or new connection."""

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
        """Bytes per Send, reduced after the host has refused a message for its size."""
        self._left: list[str] = []
        """Shells whose deletion was not answered. It is retried before the next shell is opened."""
        self._own_ids = True
        self._known = False
        """Whether a login was accepted before. A later refusal may be caused by load, and is retried once."""
        self._refused: Fault | None = None
        self._barred = False
        self._doubted = False
        """Whether the login was refused while deleting a shell, which used up that retry."""
        self._steady = False
        self._torn = False
        self._errors = bytearray()
        self._code: int | None = None

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process, in a new shell if there is none or it is used up."""
        if self._refused is not None:
            raise winrm_faults.no_login(self._settings, self._refused)
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
            raise winrm_faults.too_large(self._settings, refused.message) from refused
        except DeliveryUnknown as doubt:
            raise NotDelivered(doubt.message, doubt.next_step) from doubt
        except ReadTimeout as silence:
            raise Unreachable(
                f"{self._host}: the WinRM service did not open a shell in time", host=self._host,
                next_step="check whether the host is overloaded; ansible_timeout sets the limit",
            ) from silence  # fmt: skip
        self._operations += 1

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to stdin with as many Sends as needed."""
        shell, command = self._shell, self._command
        if shell is None or command is None:
            raise NotDelivered("no process is running on the host")
        streams, view = self._streams_of(shell, command), memoryview(data)
        while True:
            piece = bytes(view[: self._chunk])
            last = len(piece) == len(view)
            try:
                self._do(lambda: streams.send(piece, end=end and last), deadline)  # noqa: B023 - called within the iteration
            except _TooLarge as refused:
                if self._chunk <= LEAST_CHUNK:
                    raise winrm_faults.too_large(self._settings, refused.message) from refused
                self._chunk //= 2  # refused unread: send the same bytes in smaller chunks
                continue
            except (DeliveryUnknown, ReadTimeout) as lost:
                # the worker acts only on complete lines, and the line ends with the last chunk
                raise lost if last else NotDelivered(lost.message) from lost
            view = view[len(piece) :]
            if last:
                return

    def receive(self, deadline: float) -> bytes:
        """Wait for output. Operation timeouts in between are normal."""
        shell, command = self._shell, self._command
        if self._code is not None or shell is None or command is None:
            raise self._process_exited()
        streams = self._streams_of(shell, command)
        while True:
            try:
                stdout, stderr, code, done = self._do(streams.receive, deadline, receiving=True)
            except _TooLarge as refused:
                if not streams.ask_for_less():
                    raise winrm_faults.too_large(self._settings, refused.message) from refused
                continue
            if len(self._errors) < limits.KEPT_ERRORS:
                self._errors += stderr
            if done:
                self._code = code & 0xFFFFFFFF
            if stdout:
                return stdout
            if done:
                raise self._process_exited()

    def _process_exited(self) -> ProcessExited:
        # a process that exceeds its shell's memory limit is ended or fails at any point, without a specific exit code
        step = f"check the host; if the shell's memory limit is reached, {winrm_faults.remedy(winrm_faults.MEMORY)}"
        return ProcessExited(f"PowerShell exited with code {self._code}", step if self._code else "")

    def _streams_of(self, shell: str, command: str) -> Streams:
        if self._streams is None or self._streams.of != (shell, command):
            self._streams = Streams(self._wire, shell, command)
        return self._streams

    def errors(self) -> str:
        """Return stderr, with CLIXML decoded."""
        return clixml.readable_stderr(bytes(self._errors))

    @contextmanager
    def as_logged_in(self) -> Iterator[bool]:
        """Disable retries and new logins within the block."""
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
        """Release the shell. It is deleted before the next one is opened, or at the end."""
        shell, self._shell, self._command = self._shell, None, None
        self._torn = True
        if shell is not None:
            self._left.append(shell)

    def close(self) -> None:
        """Delete the shell and the processes in it."""
        began = self.clock.monotonic()
        self._delete()
        if self.clock.monotonic() - began < _CLOSING / 2:
            self._delete_orphaned_shells()  # a slow host would be slow again; the next opening retries it
        if self._protocol is not None:
            self._protocol.transport.close_session()

    def _open(self, deadline: float) -> None:
        if self._shell is not None:
            return
        self._delete_orphaned_shells()
        self._operations = 0
        if self._own_ids:
            # with a shell ID chosen here, the shell can be deleted even if the answer to Create is lost
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
        if shell is not None and not self._is_deleted(shell):
            self._left.append(shell)

    def _delete_orphaned_shells(self) -> None:
        self._left = [shell for shell in self._left if not self._is_deleted(shell)]

    def _is_deleted(self, shell: str) -> bool:
        if self._doubted:
            return False
        if self._barred or self._protocol is None:
            return True  # without a login or a trusted server, the host's idle timeout deletes the shell
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
            self._doubted = self._doubted or fault.meaning is FaultKind.LOGIN
            return fault.code == SHELL_NOT_FOUND
        return True

    @property
    def _wire(self) -> Protocol:
        if self._protocol is None:
            self._protocol = winrm_messages.connect(self._settings)
        return self._protocol

    def _limit(self, deadline: float) -> float:
        """Set the timeouts of a message by the deadline. Returns the remaining seconds."""
        left = deadline - self.clock.monotonic()
        wanted = self._settings.winrm
        operation = int(max(1.0, min(wanted.operation_timeout, left)))
        self._wire.operation_timeout_sec = operation
        gap = wanted.read_timeout - wanted.operation_timeout
        self._wire.transport.read_timeout_sec = int(max(2.0, min(operation + gap, left + 2.0)))
        return left

    def _do(self, act: Callable[[], T], deadline: float, *, receiving: bool = False) -> T:
        """Send one message, with retries. Raises a `ChannelError`, or `Unreachable` if retries cannot help."""
        tried: dict[FaultKind, int] = {}
        while True:
            if self._limit(deadline) <= 0:
                self._torn = True
                raise ReadTimeout("no data from the host")
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
            if fault.meaning is FaultKind.POLL and receiving:
                self._torn, self._known = False, True
                continue
            if self._steady:
                raise DeliveryUnknown(fault.message)
            count = tried[fault.meaning] = tried.get(fault.meaning, 0) + 1
            _log.info("%s: WinRM fault %s, number %d: %s", self._host, fault.meaning.name, count, fault.message)
            if self._should_resend(fault, count):
                continue
            raise self._failure(fault, sent=sent, receiving=receiving)

    def _should_resend(self, fault: Fault, count: int) -> bool:
        """Return whether to send the same message again, because it was rejected unread."""
        if fault.meaning is FaultKind.STALE and count == 1:
            self._wire.transport.close_session()
            return True
        if fault.meaning is FaultKind.LOGIN and self._known and not self._doubted and count == 1:
            self._wire.transport.close_session()
            return True
        if fault.meaning is FaultKind.BUSY and count <= _BUSY_TRIES:
            self.clock.sleep(_BUSY_PAUSE)
            return True
        return False

    def _failure(self, fault: Fault, *, sent: bool, receiving: bool) -> Exception:
        """Return the error for a fault that is not retried."""
        meaning = fault.meaning
        final = winrm_faults.FINAL.get(meaning)
        if final is not None:
            self._barred = True
            self._refused = fault if meaning is FaultKind.LOGIN else self._refused
            return final(self._settings, fault)
        if not self._known:
            permanent_failure = winrm_faults.permanent_failure(self._settings, fault)
            if permanent_failure is not None:
                self._barred = meaning is FaultKind.EXCEEDED  # the server would do it again
                return permanent_failure
        remedy = winrm_faults.remedy(fault.setting)
        if meaning is FaultKind.TOO_LARGE:
            return _TooLarge(fault.message)
        if meaning is FaultKind.REJECTED and not receiving:
            return _Rejected(f"the WinRM service refused: {fault.message}")
        unread = {FaultKind.REFUSED, FaultKind.STALE, FaultKind.BUSY, FaultKind.NEW_SHELL, FaultKind.FULL}
        if not receiving and (meaning in unread or not sent):
            return (SessionExpired if fault.code == SHELL_NOT_FOUND else NotDelivered)(fault.message, remedy)
        return DeliveryUnknown(fault.message, remedy)


class _TooLarge(NotDelivered):
    """The message, or the requested answer, exceeds the host's size limit. The message was refused unread."""


class _Rejected(NotDelivered):
    """The service answered with a fault: the message was read but not carried out."""
