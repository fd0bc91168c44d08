"""The lock on a run's folder, held while a process works on the run and released by the operating system when that process dies.

The lock file names the process and holds a token that the run's leases carry as well. A process that finds a lease of a run
stored on this machine can therefore tell whether the lease's process is still alive.
"""

from __future__ import annotations

import json
import os
import secrets
import socket
import sys
import time
from enum import Enum
from pathlib import Path
from typing import Any

from remediation.model.errors import Blocked
from remediation.model.files import read_bytes
from remediation.model.text.json_text import load_json

LOCK = "lock"
_BEYOND = 1 << 20
"""The byte that is locked on Windows. It lies beyond the text, so that other processes can read the text."""
_PATIENCE = 1.0
_PAUSE = 0.05


class RunAlive(Blocked):
    """Another process is working on the run."""


class Fate(Enum):
    """What happened to the process that wrote a lease."""

    UNKNOWN = "unknown"
    """The process is alive, or its state is unknown: it may run on another machine."""
    GONE = "gone"
    MID_CHANGE = "mid-change"
    """The process is dead, and a change on the host was in flight."""


class RunLock:
    """The lock of one run's folder."""

    def __init__(self, folder: Path) -> None:
        """Take the lock. Raises `RunAlive` if another process holds it, OSError if the folder cannot be written."""
        self.token = ""
        self._number = os.open(folder / LOCK, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
        until = time.monotonic() + _PATIENCE  # `is_running` holds it briefly
        while (taken := take_lock(self._number)) is False:
            if time.monotonic() > until:
                os.close(self._number)
                raise RunAlive(
                    f"run {folder.name} is still running{_owner_text(folder)}",
                    next_step=f"wait for it to end or stop it; see remediate show {folder.name}",
                )
            time.sleep(_PAUSE)
        if taken:
            self._write()

    def release(self) -> None:
        """Release the lock."""
        number, self._number = self._number, -1
        if number >= 0:
            os.close(number)

    def _write(self) -> None:
        self.token = secrets.token_hex(8)
        value = {"pid": os.getpid(), "host": socket.gethostname(), "token": self.token}
        os.lseek(self._number, 0, os.SEEK_SET)
        os.ftruncate(self._number, 0)
        os.write(self._number, json.dumps(value).encode())


def is_running(folder: Path) -> bool | None:
    """Return whether a process is working on the run; None if unknown."""
    try:
        number = os.open(folder / LOCK, os.O_RDWR | getattr(os, "O_BINARY", 0))
    except FileNotFoundError:
        return False
    except OSError:
        return None
    try:
        taken = take_lock(number)
    finally:
        os.close(number)
    return None if taken is None else not taken


def unknown_holder_state(host: str, run: str, token: str) -> Fate:
    """Return that the fate is unknown."""
    return Fate.UNKNOWN


def _owner_text(folder: Path) -> str:
    value = holder_of(folder)
    return f" (process {value['pid']} on {value['host']})" if {"pid", "host"} <= value.keys() else ""


def holder_of(folder: Path) -> dict[str, Any]:
    """Return the content of a run's lock file; empty if there is none."""
    try:
        value = load_json(read_bytes(folder / LOCK))
    except (OSError, ValueError):
        return {}
    return value if isinstance(value, dict) else {}


if sys.platform == "win32":
    import msvcrt

    def take_lock(number: int) -> bool | None:
        """Take the lock of an open file without waiting; return whether it was free."""
        os.lseek(number, _BEYOND, os.SEEK_SET)
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def take_lock(number: int) -> bool | None:
        """Take the lock of an open file without waiting; return whether it was free, None if the file system has no locks."""
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        except OSError:
            return None
        return True
