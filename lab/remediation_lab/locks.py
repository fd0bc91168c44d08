"""A lock between processes that the system releases when its holder dies."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_PAUSE = 0.02


@contextmanager
def held(path: Path, *, timeout: float) -> Iterator[None]:
    """Hold the lock of a file while the block runs; TimeoutError when another process keeps it for too long."""
    deadline = time.monotonic() + timeout
    number = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
    try:
        while not _taken(number):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{path} is held by another process")
            time.sleep(_PAUSE)
        yield
    finally:
        os.close(number)


if sys.platform == "win32":
    import msvcrt

    def _taken(number: int) -> bool:
        try:
            msvcrt.locking(number, msvcrt.LK_NBLCK, 1)
        except OSError:
            return False
        return True
else:
    import fcntl

    def _taken(number: int) -> bool:
        try:
            fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            return False
        return True
