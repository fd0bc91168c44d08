"""What ``watch`` remembers between rounds and between processes: its repairs, and what it has reported of each host."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from platformdirs import user_state_path

from remediation.engine.journal.run_lock import take_lock
from remediation.model.errors import Blocked
from remediation.model.files import read_text
from remediation.model.private_file import write_private

KEEP = 2 * 86400.0
"""Seconds that a repair is remembered."""


@dataclass(frozen=True, slots=True)
class RepairAttempt:
    """One repair of one host: the cause that was found, the time in seconds since the epoch, the run, and whether it succeeded."""

    host: str
    cause: str
    time: float
    run: str = ""
    repaired: bool = False


@dataclass(slots=True)
class WatchMemory:
    """The repairs of the last two days, and the last report about each host."""

    attempts: list[RepairAttempt] = field(default_factory=list)
    reported: dict[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> WatchMemory:
        """Read the memory; a missing or damaged file is an empty memory."""
        try:
            value = json.loads(read_text(path))
            attempts = [_attempt(one) for one in value["attempts"]]
            reported = {str(host): str(what) for host, what in value["reported"].items()}
        except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return cls()
        return cls(attempts, reported)

    def save(self, path: Path, now: float) -> None:
        """Write the memory atomically, without repairs older than `KEEP`. Raises `OSError`."""
        self.attempts = [one for one in self.attempts if now - one.time < KEEP]
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(path, json.dumps({"attempts": [asdict(one) for one in self.attempts], "reported": self.reported}) + "\n")

    def of(self, host: str, cause: str, *, since: float) -> list[RepairAttempt]:
        """Return the repairs of a cause on a host since a time."""
        return [one for one in self.since(since) if (one.host, one.cause) == (host, cause)]

    def since(self, time: float) -> list[RepairAttempt]:
        """Return all repairs since a time."""
        return [one for one in self.attempts if one.time > time]

    def is_news(self, host: str, what: str) -> bool:
        """Return whether `what` differs from the last report about the host, and remember it; an empty text forgets it."""
        new = self.reported.get(host, "") != what
        if what:
            self.reported[host] = what
        else:
            self.reported.pop(host, None)
        return new


def _attempt(one: Mapping[str, Any]) -> RepairAttempt:
    return RepairAttempt(str(one["host"]), str(one["cause"]), float(one["time"]), str(one["run"]), bool(one["repaired"]))


def memory_file(name: str) -> Path:
    """Return the file of the watch called `name`."""
    return user_state_path("remediation", appauthor=False) / "watch" / f"{name}.json"


@contextmanager
def exclusive(file: Path) -> Iterator[None]:
    """Hold the memory `file` of a watch: two processes would overwrite each other's repairs.

    Where the folder cannot be written nothing is locked; saving warns about it. Raises `Blocked` if another process holds the file.
    """
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number = os.open(file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
    except OSError:
        yield
        return
    try:
        if take_lock(number) is False:
            raise Blocked(
                f"another watch called {file.stem} is running on this machine",
                next_step="stop it, or give this one a name with --name",
            )
        yield
    finally:
        os.close(number)
