"""Leases on a Windows host, by ``cmd.exe`` and the connection's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from remediation.connections.calls import (
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
from remediation.engine.lease.store import FILE, MOST, SIZE, Lease, LeaseSnapshot, NotALeaseError, Written, full, parse, unusable
from remediation.model.errors import CallFailed

FOLDER = "C:\\ProgramData\\remediation\\lease"


class WindowsLeases:
    """See `remediation.engine.lease.store.LeaseStore`."""

    folder = FOLDER

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._now = 0.0

    def newest(self) -> LeaseSnapshot:
        """Return the newest lease; two round trips, one where there never was any."""
        listed, clock = self._exchange(self._list(), Probe("system"))
        (number, *older), now = _numbers(listed) or [0], _time(clock)
        self._now = now
        if number == 0:
            return LeaseSnapshot(0, None, now)
        (content,) = self._exchange(self._content(number))
        return LeaseSnapshot(number, self._lease(number, content), now, tuple(older))

    def make(self, number: int) -> bool:
        """Make the directory, with the folders above it; False where another run was faster."""
        if number > MOST:
            raise full(self._connection.host, FOLDER, MOST)
        (made,) = self._exchange(Run(("cmd.exe", "/d", "/c", "mkdir", self._path(number)), writes=True))
        if isinstance(made, Completed) and made.rc == 0:
            return True
        (listed,) = self._exchange(self._list())
        if number in _numbers(listed):
            return False
        said = made.message if isinstance(made, Failed) else f"{self._path(number)} cannot be made"
        raise CallFailed(
            f"{self._connection.host}: no lease could be taken: {said}",
            host=self._connection.host,
            next_step=f"see whether the login may write to {FOLDER}, and whether the disk is full",
        )

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> Written:
        """Write the lease as a whole, list again and do the rest, in one round trip."""
        calls: list[Call] = [WriteFile(self._path(number, FILE), lease.to_json()), self._list()]
        calls += [self._content(before)] if before else []
        calls += [self._removal(clear)] if clear else []
        written, listed, *more = self._exchange(*calls)
        if isinstance(written, Failed):
            raise CallFailed(f"the lease could not be written: {written.message}", host=self._connection.host)
        return Written(max(_numbers(listed), default=0), self._lease(before, more[0]) if before else None)

    def clear(self, *numbers: int) -> None:
        """Remove directories; one that belongs to another login stays, and does no harm."""
        self._exchange(self._removal(numbers))

    def _lease(self, number: int, content: Reply) -> Lease | None:
        path = self._path(number, FILE)
        removal = f'rmdir /s /q "{self._path(number)}"'
        if isinstance(content, Failed) and content.kind != "not-found":
            raise unusable(self._connection.host, path, f"cannot be read ({content.message})", removal)
        if not isinstance(content, FileContent) or content.missing:
            return None
        if content.truncated:
            raise unusable(self._connection.host, path, "is larger than any lease", removal)
        try:
            return parse(content.content, self._now)
        except NotALeaseError as error:
            raise unusable(self._connection.host, path, str(error), removal) from None

    def _removal(self, numbers: Sequence[int]) -> Call:
        paths = [self._path(number) for number in numbers]
        return Run(("cmd.exe", "/d", "/c", "rmdir", "/s", "/q", *paths), writes=True)

    def _exchange(self, *calls: Call) -> list[Reply]:
        return self._connection.exchange(calls)

    def _content(self, number: int) -> ReadFile:
        return ReadFile(self._path(number, FILE), limit=SIZE)

    @staticmethod
    def _path(number: int, *names: str) -> str:
        return "\\".join((FOLDER, str(number), *names))

    @staticmethod
    def _list() -> Call:
        return Run(("cmd.exe", "/d", "/c", "dir", "/b", FOLDER))


def _numbers(listed: Reply) -> list[int]:
    """Return the numbers listed, the highest first; a folder that is not there lists nothing."""
    text = listed.text if isinstance(listed, Completed) and listed.rc == 0 else ""
    digits = len(str(MOST))
    names = (line for line in text.split() if line.isascii() and line.isdigit() and len(line) <= digits)
    return sorted((int(name) for name in names if not name.startswith("0")), reverse=True)


def _time(clock: Reply) -> float:
    if isinstance(clock, ProbeReply) and isinstance(clock.value, Mapping):
        return float(clock.value["Now"])
    raise CallFailed("the host does not tell its time, so no lease can be taken")
