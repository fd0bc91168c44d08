"""The journal of a run: a folder with the exact playbook and variables, and an append-only log of events.

::

    <user state folder>/remediation/runs/<id>/
      run.json        id, version, command, start, check, hosts, and what resume needs
      files/...       the playbook and variables as they were read (secrets masked)
      events.jsonl    one event per line; on disk before and after each change

All of it is readable by its owner alone. A reader may read while the run goes on; a line that was cut is not read.
"""

from __future__ import annotations

import json
import os
import secrets
import threading
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from remediation.engine.masking import Masker
from remediation.model.errors import RemediationError
from remediation.model.event import Event

EVENTS = "events.jsonl"
HEADER = "run.json"
FILES = "files"
_BALLAST = "ballast"
_BALLAST_BYTES = 1 << 20
"""Room that is taken before a host is touched and given back to the log when the disk fills up during the run."""

DURABLE = frozenset({"run_start", "change_start", "change_end", "host_end", "run_end"})
"""Events that are on the disk itself when `Journal.write` returns; the others have left the process."""

_HEAD = frozenset({"event", "time", "host", "play", "task"})
_SHORT, _LONG = 2, 4  # bytes of a run's id: four hex digits are easy to type; more once those are used up
_TRIES = 64


class JournalError(RemediationError):
    """The journal cannot be written: nothing may be changed without a record of it."""


def runs_folder() -> Path:
    """Return the folder that holds the runs."""
    return user_state_path("remediation", appauthor=False) / "runs"


class Journal:
    """The log of one run, open for appending; `write` may be called from several threads."""

    def __init__(self, folder: Path) -> None:
        """Open the log in `folder`, an existing run's; a line that was cut is taken off. Raises `JournalError`."""
        self.folder = folder
        self.run = folder.name
        self._lock = threading.Lock()
        try:
            self._descriptor = os.open(folder / EVENTS, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            _cut(self._descriptor)
            self._take_ballast()
        except OSError as error:
            raise _failed(folder, error) from None

    @classmethod
    def create(
        cls, header: Mapping[str, Any], files: Mapping[str, str], *, root: Path | None = None, mask: Masker | None = None
    ) -> Journal:
        """Start a new run's journal. `files` are texts by name; raises `JournalError` before any host is touched."""
        hide = mask or Masker()
        root = root or runs_folder()
        try:
            folder = _new_folder(root)
            _write(folder / HEADER, json.dumps(hide({"run": folder.name, **header}), indent=1, default=str))
            (folder / FILES).mkdir(mode=0o700)
            for name, text in files.items():
                _write(folder / FILES / _flat(name), hide(text))
        except OSError as error:
            raise _failed(root, error) from None
        return cls(folder)

    def write(self, event: Event) -> None:
        """Append one event; it is on disk when this returns if it concerns a change. Raises `JournalError`."""
        line = json.dumps(event.to_json(), ensure_ascii=False, separators=(",", ":"), default=str).encode() + b"\n"
        with self._lock:
            try:
                self._append(line)
                if event.kind in DURABLE:
                    os.fsync(self._descriptor)
            except OSError as error:
                raise _failed(self.folder, error) from None

    def close(self) -> None:
        """End the log; the folder stays for ``resume``, ``show`` and ``undo``."""
        with self._lock:
            self._drop_ballast()
            os.close(self._descriptor)

    def _append(self, line: bytes) -> None:
        start = os.lseek(self._descriptor, 0, os.SEEK_END)
        try:
            _write_all(self._descriptor, line)
        except OSError:
            if not self._drop_ballast():
                raise
            os.ftruncate(self._descriptor, start)
            os.lseek(self._descriptor, start, os.SEEK_SET)
            _write_all(self._descriptor, line)

    def _take_ballast(self) -> None:
        _write(self.folder / _BALLAST, b"\0" * _BALLAST_BYTES)

    def _drop_ballast(self) -> bool:
        ballast = self.folder / _BALLAST
        there = ballast.exists()
        with suppress(OSError):
            ballast.unlink(missing_ok=True)
        return there


def read_events(folder: Path) -> Iterator[Event]:
    """Yield the events of a run, also of one that is going on; stops at a line that is not whole."""
    try:
        with (folder / EVENTS).open("rb") as log:
            for line in log:
                event = _event(line)
                if event is None:
                    return
                yield event
    except FileNotFoundError:
        return


def event_from_json(value: Mapping[str, Any]) -> Event:
    """Return the event that `Event.to_json` wrote."""
    head = {name: str(value.get(name, "")) for name in ("host", "play", "task")}
    data = {name: item for name, item in value.items() if name not in _HEAD}
    return Event(str(value["event"]), float(value["time"]), data=data, **head)


def _event(line: bytes) -> Event | None:
    if not line.endswith(b"\n"):
        return None
    try:
        return event_from_json(json.loads(line))
    except (ValueError, KeyError, TypeError, AttributeError):
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
        _write_all(descriptor, content.encode() if isinstance(content, str) else content)
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _write_all(descriptor: int, content: bytes) -> None:
    rest = memoryview(content)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _cut(descriptor: int) -> None:
    """Take off a last line that a crash cut, so that the next event starts on a line of its own."""
    size = os.lseek(descriptor, 0, os.SEEK_END)
    position = size
    while position > 0:
        step = min(4096, position)
        os.lseek(descriptor, position - step, os.SEEK_SET)
        newline = os.read(descriptor, step).rfind(b"\n")
        if newline >= 0:
            position = position - step + newline + 1
            break
        position -= step
    if position != size:
        os.ftruncate(descriptor, position)


def _flat(name: str) -> str:
    """Return a file name that cannot leave the folder."""
    return "".join(character if character.isalnum() or character in "._-" else "_" for character in name).lstrip(".") or "_"


def _failed(folder: Path, error: OSError) -> JournalError:
    return JournalError(
        f"the run's journal in {folder} cannot be written: {error.strerror or error}",
        next_step="make room or rights there, or set XDG_STATE_HOME to another folder",
    )
