"""Ports for servers that start later, perhaps in another process."""

from __future__ import annotations

import getpass
import os
import secrets
import socket
import sys
import tempfile
from functools import cache
from pathlib import Path

RANGE = range(15_000, 32_000)
"""Below the ports that Linux (32768 to 60999) and Windows (49152 to 65535) give to the clients of other servers."""


def free_port(address: str = "127.0.0.1") -> int:
    """Return a port of a local address that nothing uses, reserved for this process until it ends.

    A port that the system chooses may belong to another program before its server listens, or while that server restarts:
    a client would then work on another program's server. These ports are given to no client, and a lock keeps other processes
    that call this function away from them.

    Raises:
        OSError: no port is free, or `address` is no local address.
    """
    refused = OSError("no port is free")
    for port in secrets.SystemRandom().sample(RANGE, len(RANGE)):
        if port in _reserved() or not _locked(port):
            continue
        with socket.socket() as probe:
            try:
                probe.bind((address, port))
            except OSError as error:
                refused = error
                continue
        _reserved().add(port)
        return port
    raise refused


@cache
def _reserved() -> set[int]:
    """Return the ports of this process; a lock does not keep out the process that holds it."""
    return set()


@cache
def _ledger() -> int:
    """Return the file, open until the process ends, whose byte `port` is locked for the port's owner."""
    path = Path(tempfile.gettempdir()) / f"remediation-lab-ports-{getpass.getuser()}"
    return os.open(path, os.O_RDWR | os.O_CREAT | getattr(os, "O_NOFOLLOW", 0), 0o600)


if sys.platform == "win32":
    import msvcrt

    def _locked(port: int) -> bool:
        os.lseek(_ledger(), port, os.SEEK_SET)
        try:
            msvcrt.locking(_ledger(), msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _locked(port: int) -> bool:
        try:
            fcntl.lockf(_ledger(), fcntl.LOCK_EX | fcntl.LOCK_NB, 1, port)
        except OSError:
            return False
        return True
