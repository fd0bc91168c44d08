"""Leases on a Windows host, taken by the probe ``lease`` and the connection's file calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from remediation.connections.calls import Call, Connection, Failed, FileContent, Probe, ProbeReply, ReadFile, Reply, WriteFile
from remediation.engine.lease.store import (
    FILE,
    MOST,
    SIZE,
    Lease,
    LeaseSnapshot,
    LeaseWrite,
    NotALeaseError,
    full,
    parse,
    unusable,
)
from remediation.facets.machine.rights import problems
from remediation.model.errors import CallFailed

FOLDER = "C:\\ProgramData\\remediation\\lease"


class WindowsLeases:
    """See `remediation.engine.lease.store.LeaseStore`."""

    def __init__(self, connection: Connection, folder: str = FOLDER) -> None:
        self._connection = connection
        self.folder = folder
        self._now = 0.0

    def newest(self) -> LeaseSnapshot:
        """Return the newest lease, in two round trips; in one if there has never been a lease."""
        listed, clock = self._exchange(self._list(), Probe("system"))
        (number, *older), now = self._numbers(listed) or [0], _time(clock)
        self._now = now
        if number == 0:
            return LeaseSnapshot(0, None, now)
        (content,) = self._exchange(self._content(number))
        return LeaseSnapshot(number, self._lease(number, content), now, tuple(older))

    def make(self, number: int) -> bool:
        """Create the directory and its parents; return False if another run was faster."""
        if number > MOST:
            raise full(self._connection.host, self.folder, MOST)
        (reply,) = self._exchange(self._lease_probe(make=number))
        value = _value(reply)
        if isinstance(value.get("Made"), bool):
            return bool(value["Made"])
        problem = _problem(reply, "Made") or f"{self._path(number)} cannot be created"
        raise CallFailed(
            f"{self._connection.host}: cannot take a lease: {problem}",
            host=self._connection.host,
            next_step=f"check that the login may write to {self.folder}, and that the disk is not full",
        )

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> LeaseWrite:
        """Write the lease atomically, list the directories and read and remove the others, in one round trip."""
        calls: list[Call] = [WriteFile(self._path(number, FILE), lease.to_json()), self._list()]
        calls += [self._content(before)] if before else []
        calls += [self._removal(clear)] if clear else []
        written, listed, *more = self._exchange(*calls)
        if isinstance(written, Failed):
            raise CallFailed(f"cannot write the lease: {written.message}", host=self._connection.host)
        return LeaseWrite(max(self._numbers(listed), default=0), self._lease(before, more[0]) if before else None)

    def clear(self, *numbers: int) -> None:
        """Remove directories. A directory of another login is left in place."""
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
        return self._lease_probe(remove=list(numbers))

    def _exchange(self, *calls: Call) -> list[Reply]:
        return self._connection.exchange(calls)

    def _content(self, number: int) -> ReadFile:
        return ReadFile(self._path(number, FILE), limit=SIZE)

    def _path(self, number: int, *names: str) -> str:
        return "\\".join((self.folder, str(number), *names))

    def _list(self) -> Call:
        return Probe("lease", {"folder": self.folder, "list": True})

    def _lease_probe(self, **data: object) -> Call:
        return Probe("lease", {"folder": self.folder, **data}, writes=True)

    def _numbers(self, listed: Reply) -> list[int]:
        """Return the numbers listed, highest first; a missing folder has none."""
        names = _value(listed).get("Names")
        if names is None:
            problem = _problem(listed, "Names") or "its directories cannot be listed"
            raise CallFailed(
                f"{self._connection.host}: the lease folder {self.folder} is unusable: {problem}", host=self._connection.host
            )
        digits = len(str(MOST))
        numbers = (str(name) for name in names)
        return sorted(
            (int(name) for name in numbers if name.isascii() and name.isdigit() and len(name) <= digits and name[0] != "0"),
            reverse=True,
        )


def _value(reply: Reply) -> Mapping[str, Any]:
    return reply.value if isinstance(reply, ProbeReply) and isinstance(reply.value, Mapping) else {}


def _problem(reply: Reply, part: str) -> str:
    """Return why a part of an answer is missing, "" if unknown."""
    if isinstance(reply, Failed):
        return reply.message
    return problems(_value(reply)).get(part, "")


def _time(clock: Reply) -> float:
    now = _value(clock).get("Now")
    if isinstance(now, int | float):
        return float(now)
    raise CallFailed("cannot take a lease: the host does not report its time")
