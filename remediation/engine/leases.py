"""Where leases lie on a host: numbered directories, made by what makes exactly one of two askers succeed (``mkdir``)."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from remediation.connections.base import (
    Call,
    Completed,
    Connection,
    Failed,
    FileContent,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
    WriteFile,
)
from remediation.model.errors import CallFailed

FOLDER_VARIABLE = "REMEDIATION_LEASE_FOLDER"
POSIX_FOLDER = "/tmp/remediation-lease"  # noqa: S108
"""Shared on purpose: every login of the host must see the same leases. Where ``/tmp`` is each login's own, or where several
stacks of one machine are worked on apart from each other, the variable names another folder; all runs must name the same."""
WINDOWS_FOLDER = "C:\\ProgramData\\remediation\\lease"
_FILE = "lease.json"


@dataclass(frozen=True, slots=True)
class Lease:
    """Who works on a host, what for, and until when by the host's clock (seconds since the epoch; 0: given back).

    ``token`` names the controller's process (`remediation.engine.run_lock`).
    """

    id: str
    owner: str
    purpose: str
    expires: float
    token: str = ""


@dataclass(frozen=True, slots=True)
class Place:
    """The newest lease directory (0: none), what it says (None while it is being written), the host's time, and older ones."""

    number: int
    lease: Lease | None
    now: float
    older: tuple[int, ...] = ()


class LeaseStore(Protocol):
    """The lease directories of one host."""

    def newest(self) -> Place:
        """Return the newest lease."""

    def make(self, number: int) -> bool:
        """Make the directory; return False where it is there already. Of two askers exactly one succeeds."""

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> tuple[int, Lease | None]:
        """Write what the lease says and remove the directories `clear`.

        Returns the number of the newest directory afterwards, and what the one called `before` says then.
        """

    def clear(self, *numbers: int) -> None:
        """Remove directories."""


class HostLeases:
    """Lease directories reached through a connection; raises `CallFailed` where the host refuses."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._windows = connection.platform == "windows"
        self._folder = WINDOWS_FOLDER if self._windows else os.environ.get(FOLDER_VARIABLE) or POSIX_FOLDER

    def newest(self) -> Place:
        """Return the newest lease; two round trips, one where there never was any."""
        listed, clock = self._exchange(self._list(), self._clock())
        (number, *older), now = _numbers(listed) or [0], _now(clock)
        if number == 0:
            return Place(0, None, now)
        (content,) = self._exchange(ReadFile(self._path(str(number), _FILE)))
        return Place(number, _lease(content), now, tuple(older))

    def make(self, number: int) -> bool:
        """Make the directory; False where somebody else was faster."""
        path = self._path(str(number))
        if self._windows:  # makes the folders above as well, and fails where the last one exists
            (made,) = self._exchange(Run(("cmd.exe", "/d", "/c", "mkdir", path), writes=True))
        else:
            # any login may work on the host, so the folder above is everybody's; only an owner may remove what is theirs
            parent = Run(("mkdir", "-p", "-m", "1777", self._folder), writes=True)
            _, made = self._exchange(parent, Run(("mkdir", path), writes=True))
        if isinstance(made, Failed):
            raise CallFailed(f"no lease could be taken: {made.message}", host=self._connection.host)
        return isinstance(made, Completed) and made.rc == 0

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> tuple[int, Lease | None]:
        """Write the lease as a whole, list again and do the rest, in one round trip."""
        content = json.dumps(asdict(lease)).encode()
        calls: list[Call] = [WriteFile(self._path(str(number), _FILE), content), self._list()]
        calls += [ReadFile(self._path(str(before), _FILE))] if before else []
        calls += [self._removal(clear)] if clear else []
        written, listed, *more = self._exchange(*calls)
        if isinstance(written, Failed):
            raise CallFailed(f"the lease could not be written: {written.message}", host=self._connection.host)
        return max(_numbers(listed), default=0), _lease(more[0]) if before else None

    def clear(self, *numbers: int) -> None:
        """Remove directories; one that belongs to another login stays, and does no harm."""
        self._exchange(self._removal(numbers))

    def _removal(self, numbers: Sequence[int]) -> Call:
        paths = [self._path(str(number)) for number in numbers]
        return Run((*(("cmd.exe", "/d", "/c", "rmdir", "/s", "/q") if self._windows else ("rm", "-rf")), *paths), writes=True)

    def _exchange(self, *calls: Call) -> list[Reply]:
        return self._connection.exchange(calls)

    def _path(self, *names: str) -> str:
        return ("\\" if self._windows else "/").join((self._folder, *names))

    def _list(self) -> Call:
        return Run(("cmd.exe", "/d", "/c", "dir", "/b", self._folder) if self._windows else ("ls", "-1", self._folder))

    def _clock(self) -> Call:
        return Probe("system") if self._windows else Run(("date", "+%s"))


def _numbers(listed: Reply) -> list[int]:
    """Return the numbers listed, the highest first; a folder that is not there lists nothing."""
    text = listed.text if isinstance(listed, Completed) and listed.rc == 0 else ""
    return sorted((int(line) for line in text.split() if line.isascii() and line.isdigit()), reverse=True)


def _now(clock: Reply) -> float:
    if isinstance(clock, ProbeReply) and isinstance(clock.value, Mapping):
        return float(clock.value["Now"])
    if isinstance(clock, Completed) and clock.rc == 0:
        return float(clock.text)
    raise CallFailed("the host does not tell its time, so no lease can be taken")


def _lease(content: Reply) -> Lease | None:
    if not isinstance(content, FileContent) or content.missing:
        return None
    try:
        value: dict[str, Any] = json.loads(content.content)
        return Lease(
            str(value["id"]), str(value["owner"]), str(value["purpose"]), float(value["expires"]), str(value.get("token", ""))
        )
    except (ValueError, KeyError, TypeError):
        return None
