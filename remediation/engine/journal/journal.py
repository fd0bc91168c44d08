"""The journal of a run: a folder with the exact playbook and variables, and an append-only log of events.

::

  <user state folder>/remediation/runs/<id>/
    run.json        id, version, command, start, check, hosts, and what resume needs
    files/...       the playbook and variables as they were read (secrets masked)
    events.jsonl    one event per line; on disk before and after each change
    errors/...      tracebacks of internal errors, by host
    lock            held while a process works on the run

Only its owner can read it. The log can be read while the run is in progress; an incomplete line is skipped.
"""

from __future__ import annotations

import json
import math
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from remediation.engine.journal.run_lock import RunLock
from remediation.model.errors import RemediationError
from remediation.model.event import Event
from remediation.model.secrets.masking import Masker
from remediation.model.text.shape import ODD
from remediation.model.text.visible import visible_json
from remediation.templating.yaml.masked_source import masked_source

EVENTS = "events.jsonl"
HEADER = "run.json"
FILES = "files"
ERRORS = "errors"
_RESERVE = "reserve"
_RESERVE_BYTES = 1 << 20
"""Disk space reserved before a host is touched, and released for the log if the disk fills up during the run."""

DURABLE = frozenset({"run_start", "change_start", "change_end", "host_end", "run_end"})
"""Events that are synced to disk when `Journal.write` returns; the others have only left the process."""

_HEAD = frozenset({"event", "time", "host", "play", "task"})
_SHORT, _LONG = 2, 4  # bytes of a run's id: four hex digits are easy to type; more are used once those run out
_TRIES = 64


class JournalError(RemediationError):
    """The journal cannot be written: nothing may be changed without a record."""


def runs_folder() -> Path:
    """Return the folder that holds the runs."""
    return user_state_path("remediation", appauthor=False) / "runs"


class Journal:
    """The log of one run, open for appending; `write` is thread-safe."""

    def __init__(self, folder: Path, lock: RunLock | None = None) -> None:
        """Open the log of an existing run in `folder`, and lock the run unless `lock` is passed.

        Raises `JournalError`, and `RunAlive` if another process works on the run.
        """
        self.folder = folder
        self.run = folder.name
        self._lock = threading.Lock()
        self._open = False
        self._broken = False
        """Whether the log ends with an incomplete line."""
        try:
            self._run_lock = lock or RunLock(folder)
            flags = os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
            self._descriptor = os.open(folder / EVENTS, flags, 0o600)
            self._broken = _ends_in_a_line(self._descriptor)
            self._allocate_reserve()
        except OSError as error:
            raise _write_error(folder, error) from None
        self._open = True

    @property
    def token(self) -> str:
        """Identifies this process of the run (`remediation.engine.journal.run_lock`)."""
        return self._run_lock.token

    @classmethod
    def create(
        cls, header: Mapping[str, Any], files: Mapping[str, str], *, root: Path | None = None, mask: Masker | None = None
    ) -> Journal:
        """Create the journal of a new run. `files` are texts by name. Raises `JournalError` before any host is touched."""
        hide = mask or Masker()
        root = root or runs_folder()
        try:
            folder = _new_folder(root)
            _write(folder / HEADER, visible_json(hide({"run": folder.name, **header}), indent=1))
            (folder / FILES).mkdir(mode=0o700)
            for name, text in files.items():
                _write(folder / FILES / _flat(name), masked_source(text, hide))
        except OSError as error:
            raise _write_error(root, error) from None
        return cls(folder)

    def write(self, event: Event) -> None:
        """Append one event; it is synced to disk if it concerns a change. Raises `JournalError`."""
        line = visible_json(event.to_json(), compact=True).encode() + b"\n"
        with self._lock:
            if not self._open:
                raise JournalError(f"the journal of run {self.run} is closed")
            try:
                self._append(line)
                if event.kind in DURABLE:
                    os.fsync(self._descriptor)
            except OSError as error:
                raise _write_error(self.folder, error) from None

    def close(self) -> None:
        """Close the log; the folder remains for ``resume``, ``show`` and ``undo``."""
        with self._lock:
            if self._open:
                self._open = False
                self._release_reserve()
                os.close(self._descriptor)
                self._run_lock.release()

    def _append(self, line: bytes) -> None:
        """Append a whole line; if the disk is full, release the reserve, end the incomplete line and write it again."""
        try:
            self._write_line(line)
        except OSError:
            if not self._release_reserve():
                raise
            self._write_line(line)

    def _write_line(self, line: bytes) -> None:
        content = b"\n" + line if self._broken else line
        self._broken = True
        _write_all(self._descriptor, content)
        self._broken = False

    def _allocate_reserve(self) -> None:
        _write(self.folder / _RESERVE, b"\0" * _RESERVE_BYTES)

    def _release_reserve(self) -> bool:
        reserve = self.folder / _RESERVE
        there = reserve.exists()
        with suppress(OSError):
            reserve.unlink(missing_ok=True)
        return there


def read_events(folder: Path) -> Iterator[Event]:
    """Yield the events of a run, which may be in progress; incomplete lines are skipped."""
    return (event for event in read_lines(folder) if event is not None)


def read_lines(folder: Path) -> Iterator[Event | None]:
    """Yield the events of a run line by line, None for an incomplete line.

    Raises `JournalError` if the journal cannot be read.
    """
    path = folder / EVENTS
    try:
        if path.exists() and not path.is_file():
            raise JournalError(
                f"cannot read the journal of run {folder.name}: not a regular file", next_step=f"check the file {path}"
            )
        with path.open("rb") as log:
            for line in log:
                if line.strip():
                    yield _event(line)
    except FileNotFoundError:
        return
    except OSError as error:
        raise JournalError(
            f"cannot read the journal of run {folder.name}: {error.strerror or error}", next_step=f"check the file {path}"
        ) from None


def event_from_json(value: Mapping[str, Any]) -> Event:
    """Return the event that `Event.to_json` wrote."""
    head = {name: str(value.get(name, "")) for name in ("host", "play", "task")}
    data = {name: item for name, item in value.items() if name not in _HEAD}
    time = float(value["time"])
    if not math.isfinite(time):
        raise ValueError("time")
    return Event(str(value["event"]), time, data=data, **head)


def _event(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return event_from_json(json.loads(line))
    except ODD:
        return None


def _new_folder(root: Path) -> Path:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    for attempt in range(_TRIES):
        folder = root / secrets.token_hex(_SHORT if attempt < _TRIES // 2 else _LONG)
        with suppress(FileExistsError):
            folder.mkdir(mode=0o700)
            return folder
    raise FileExistsError(f"no free id under {root}")


def _write(path: Path, content: str | bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_BINARY", 0), 0o600)
    try:
        _write_all(descriptor, content.encode("utf-8", "backslashreplace") if isinstance(content, str) else content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _ends_in_a_line(descriptor: int) -> bool:
    """Return whether the log ends with an incomplete line, which the next event must terminate."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    if size == 0:
        return False
    os.lseek(descriptor, size - 1, os.SEEK_SET)
    return os.read(descriptor, 1) != b"\n"


def _flat(name: str) -> str:
    """Return a file name that cannot leave the folder."""
    return "".join(character if character.isalnum() or character in "._-" else "_" for character in name).lstrip(".") or "_"


def _write_error(folder: Path, error: OSError) -> JournalError:
    return JournalError(
        f"cannot write the run's journal in {folder}: {error.strerror or error}",
        next_step="free disk space or fix its permissions, or set XDG_STATE_HOME to another folder",
    )
