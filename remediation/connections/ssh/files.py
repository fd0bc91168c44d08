"""Reads files over SSH through SFTP, as the login."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from contextlib import contextmanager

import paramiko

from remediation.connections.bounded import watchdog
from remediation.connections.calls import FileContent, ReadFile, Reply
from remediation.connections.posix.files import no_file
from remediation.model import limits
from remediation.model.limits import LimitExceeded

_PREFETCH = 100_000


class Sftp(paramiko.SFTPClient):
    """An SFTP client that rejects messages larger than a packet. It requests less per message."""

    def _read_all(self, n: int) -> bytes:
        if n > limits.SSH_PACKET:
            raise LimitExceeded(limits.exceeded_text("a message of the SFTP server", limits.SSH_PACKET))
        content: bytes = super()._read_all(n)  # type: ignore[misc]  # paramiko's own
        return content


def open_sftp(transport: paramiko.Transport, timeout: float) -> paramiko.SFTPClient:
    """Open the SFTP subsystem within a time limit. Raises paramiko's error or TimeoutError."""
    channel = transport.open_session(timeout=timeout)
    with watchdog(timeout, channel.close) as dog:
        try:
            channel.invoke_subsystem("sftp")
            return Sftp(channel)
        except (paramiko.SSHException, EOFError, OSError) as error:
            channel.close()
            if dog.expired:
                raise TimeoutError from error
            raise


@contextmanager
def within(sftp: paramiko.SFTPClient, seconds: float) -> Iterator[None]:
    """Limit the total time of operations on `sftp`. Raises TimeoutError."""
    with watchdog(seconds, sftp.close) as dog:
        try:
            yield
        except (paramiko.SSHException, EOFError, OSError) as error:
            if dog.expired:
                raise TimeoutError from error
            raise


def read_by_sftp(sftp: paramiko.SFTPClient, call: ReadFile) -> Reply:
    """Read a file or its end. Raises OSError."""
    try:
        seen = sftp.stat(call.path)  # opening a FIFO would wait for a writer
        if seen.st_mode is not None and not stat.S_ISREG(seen.st_mode):
            return no_file(call.path)
        with sftp.open(call.path, "rb") as file:
            size = seen.st_size or 0
            start = max(0, size - call.limit) if call.tail else 0
            wanted = min(call.limit, size - start) if size else call.limit
            if size > _PREFETCH:
                file.prefetch(start + wanted)
            file.seek(start)
            content = file.read(wanted)
    except FileNotFoundError:
        return FileContent(missing=True)
    return FileContent(content, truncated=size > call.limit)
