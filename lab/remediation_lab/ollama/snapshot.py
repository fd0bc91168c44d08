"""One GPU as a flat text file, shared by processes: the lab's world, servers in containers, and the NVML library of the tests.

Each line is a word and a value: ``name``, ``uuid``, ``compute``, ``cuda``, ``driver`` are text; ``total`` is bytes; ``busy`` is the
utilisation in percent (0 when left out); every further line ``hold BYTES OWNER`` says what one program holds, where an owner
``4312/chrome.exe`` is a process with its number.  A file is replaced as a whole, so a reader never sees half of one.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from remediation_lab.ports import Device

_LOCK_TRIES = 2000
_LOCK_PAUSE = 0.005
_STALE_SECONDS = 10.0


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the file says; bytes."""

    device: Device
    driver: str
    total: int
    held: Mapping[str, int]
    busy: int = 0

    @property
    def free(self) -> int:
        """The bytes that are free."""
        return max(0, self.total - sum(self.held.values()))


def read(path: Path) -> Snapshot:
    """Read a snapshot; ValueError names the file and the word that is missing."""
    words: dict[str, str] = {}
    held: dict[str, int] = {}
    for each in path.read_text(encoding="utf-8").splitlines():
        word, _, rest = each.partition(" ")
        if word == "hold":
            size, _, owner = rest.partition(" ")
            held[owner] = int(size)
        elif word:
            words[word] = rest
    missing = {"name", "uuid", "compute", "cuda", "driver", "total"} - words.keys()
    if missing:
        raise ValueError(f"{path}: no line `{min(missing)}`: this is no GPU snapshot")
    device = Device(words["name"], words["uuid"], words["compute"], words["cuda"])
    return Snapshot(device, words["driver"], int(words["total"]), held, int(words.get("busy", "0")))


def write(path: Path, snapshot: Snapshot) -> None:
    """Replace the file."""
    device = snapshot.device
    lines = [
        f"name {device.name}",
        f"uuid {device.uuid}",
        f"compute {device.compute}",
        f"cuda {device.cuda}",
        f"driver {snapshot.driver}",
        f"total {snapshot.total}",
        f"busy {snapshot.busy}",
        *(f"hold {size} {owner}" for owner, size in snapshot.held.items() if size),
    ]
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    draft.write_text("\n".join(lines) + "\n", encoding="utf-8")
    draft.replace(path)


class SnapshotMemory:
    """Video memory that lives in a snapshot file; every process that uses the card changes it under one lock."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def total(self) -> int:
        """Return the size of the card's memory in bytes."""
        return read(self._path).total

    def free(self) -> int:
        """Return the bytes that no program holds now."""
        return read(self._path).free

    def hold(self, owner: str, size: int) -> None:
        """Let `owner` hold `size` bytes from now on; 0 releases."""
        with self._locked():
            now = read(self._path)
            held = {key: value for key, value in now.held.items() if key != owner}
            if size:
                held[owner] = size
            write(self._path, replace(now, held=held))

    def forget(self, prefix: str) -> None:
        """Release what owners whose name starts so left behind."""
        for owner in [each for each in read(self._path).held if each.startswith(prefix)]:
            self.hold(owner, 0)

    @contextmanager
    def _locked(self) -> Iterator[None]:
        # a directory is made or not made, on every platform and across containers
        lock = self._path.with_name(f"{self._path.name}.lock")
        for _ in range(_LOCK_TRIES):
            try:
                lock.mkdir()
                break
            except FileExistsError:
                time.sleep(_LOCK_PAUSE)
        else:
            if time.time() - lock.stat().st_mtime < _STALE_SECONDS:
                raise TimeoutError(f"{lock} is held by another process for too long: remove it if none runs")
        try:
            yield
        finally:
            lock.rmdir()


class PlainMemory:
    """Video memory of this process alone."""

    def __init__(self, total: int, others: int = 0) -> None:
        self._total = total
        self._held = {"other programs": others}

    def total(self) -> int:
        """Return the size of the card's memory in bytes."""
        return self._total

    def free(self) -> int:
        """Return the bytes that no program holds now."""
        return max(0, self._total - sum(self._held.values()))

    def hold(self, owner: str, size: int) -> None:
        """Let `owner` hold `size` bytes from now on; 0 releases."""
        self._held[owner] = size
