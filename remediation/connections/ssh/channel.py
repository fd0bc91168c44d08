"""A worker's process on a Windows host with OpenSSH, whose streams are those of an SSH exec channel."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

import paramiko

from remediation.connections.bounded import watchdog
from remediation.connections.settings import ConnectionSettings
from remediation.connections.ssh import client as ssh_open
from remediation.connections.worker import clixml
from remediation.connections.worker.transport import Channel, DeliveryUnknown, NotDelivered, ProcessExited, ReadTimeout
from remediation.model import limits
from remediation.model.clock import Clock, SystemClock

_BLOCK = 65536
_PIECES = 64
"""Limit of stderr chunks read between two chunks of stdout."""


class SshChannel(Channel):
    """See `remediation.connections.worker.transport.Channel`."""

    def __init__(
        self, settings: ConnectionSettings, note: Callable[[str], None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:  # fmt: skip
        self.clock = clock or SystemClock()
        self._settings, self._note = settings, note
        self._ssh: Any = None
        self._channel: paramiko.Channel | None = None
        self._errors = bytearray()

    def start(self, command: Sequence[str], deadline: float) -> None:
        """Start the process. The command is constant and needs no quoting in cmd or PowerShell."""
        self._end()
        self._errors.clear()
        if self._ssh is None or not self._ssh.transport.is_active():
            self._ssh = ssh_open.open_ssh(self._settings, self._note)
        try:
            left = max(1.0, deadline - self.clock.monotonic())
            channel = self._channel = self._ssh.transport.open_session(timeout=left)
            with watchdog(left, channel.close):  # a server may never answer the request
                channel.exec_command(" ".join(command))
        except (paramiko.SSHException, EOFError, OSError) as error:
            raise NotDelivered(f"cannot start a program over SSH: {error or type(error).__name__}") from error

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        """Write to stdin."""
        channel = self._open_channel()
        try:
            channel.settimeout(max(0.1, deadline - self.clock.monotonic()))
            channel.sendall(data)
            if end:
                channel.shutdown_write()
        except TimeoutError as late:
            raise ReadTimeout("the host does not read its input") from late
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DeliveryUnknown(f"the SSH channel broke: {error or type(error).__name__}") from error

    def receive(self, deadline: float) -> bytes:
        """Wait for output."""
        channel = self._open_channel()
        try:
            channel.settimeout(max(0.1, deadline - self.clock.monotonic()))
            content = channel.recv(_BLOCK)
            self._gather(channel)
        except TimeoutError as late:
            self._gather(channel)
            raise ReadTimeout("no data from the host") from late
        except (OSError, EOFError, paramiko.SSHException) as error:
            raise DeliveryUnknown(f"the SSH channel broke: {error or type(error).__name__}") from error
        if content:
            return content
        if not channel.exit_status_ready() and not self._ssh.transport.is_active():
            raise DeliveryUnknown("the SSH connection was lost")
        code = channel.recv_exit_status() if channel.exit_status_ready() else -1
        raise ProcessExited(f"PowerShell exited with code {code}")

    def errors(self) -> str:
        """Return stderr, with CLIXML decoded."""
        return clixml.readable_stderr(bytes(self._errors))

    def close(self) -> None:
        """Close the process and the connection."""
        self._end()
        ssh, self._ssh = self._ssh, None
        if ssh is not None:
            with suppress(Exception):  # closing must not hide the original error
                ssh.close()

    def _open_channel(self) -> paramiko.Channel:
        if self._channel is None:
            raise NotDelivered("no process is running on the host")
        return self._channel

    def _gather(self, channel: paramiko.Channel) -> None:
        # read the excess too: unread data would fill the channel's window and block stdout
        for _ in range(_PIECES):
            if not channel.recv_stderr_ready():
                return
            chunk = channel.recv_stderr(_BLOCK)
            if len(self._errors) < limits.KEPT_ERRORS:
                self._errors += chunk

    def _end(self) -> None:
        channel, self._channel = self._channel, None
        if channel is not None:
            with suppress(OSError, EOFError, paramiko.SSHException):
                channel.close()  # closes stdin, so that the worker exits
