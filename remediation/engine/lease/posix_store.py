"""Leases on a POSIX host, taken by ``lease.sh``, which checks the owner of each folder and file before trusting it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Sequence
from dataclasses import replace

from remediation.connections.calls import Completed, Connection, Failed, Run
from remediation.connections.posix.sudo import refusal_cure
from remediation.engine.lease.store import FILE, MOST, Lease, LeaseSnapshot, LeaseWrite, NotALeaseError, full, parse, unusable
from remediation.facets.scripts import shell
from remediation.model.errors import CallFailed, UsageError

FOLDER_VARIABLE = "REMEDIATION_LEASE_FOLDER"
"""Environment variable with the lease folder, which must be the same for all runs on a host.

By default every login has its own folder and reads those of the others.
"""
_MISSING = "missing"
_OURS = "-"

Line = tuple[str, ...]


class PosixLeases:
    """See `remediation.engine.lease.store.LeaseStore`; one round trip per call."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.folder = ""
        self._named = _folder_text()
        self._now = 0.0

    def newest(self) -> LeaseSnapshot:
        """Return the newest lease."""
        lines = self._do("look")
        (number, *older) = self._numbers(lines) or [0]
        shown = self._parse_listing(lines)
        return LeaseSnapshot(number, shown.get(number), self._now, tuple(older), self._others(lines))

    def make(self, number: int) -> bool:
        """Create the directory; return False if another run was faster."""
        if number > MOST:
            raise full(self._connection.host, self._named or self.folder, MOST)
        ((word, self.folder, *_),) = self._do("make", str(number), writes=True)
        return word == "made"

    def write(self, number: int, lease: Lease, *, before: int = 0, clear: Sequence[int] = ()) -> LeaseWrite:
        """Write the lease atomically, then list the directories."""
        lines = self._do("write", str(number), str(before), *map(str, clear), stdin=lease.to_json(), writes=True)
        if any(line[0] == "gone" for line in lines):
            raise CallFailed(
                f"{self._connection.host}: cannot write the lease: its directory {number} in {self.folder} is gone",
                host=self._connection.host,
            )
        return LeaseWrite(max(self._numbers(lines), default=0), self._parse_listing(lines).get(before), self._others(lines))

    def clear(self, *numbers: int) -> None:
        """Remove directories. A directory of another login is left in place."""
        self._do("clear", *map(str, numbers), writes=True)

    def _do(self, verb: str, *words: str, stdin: bytes = b"", writes: bool = False) -> list[Line]:
        """Run the script. Raises `CallFailed` if it refuses."""
        host = self._connection.host
        argv = ("sh", "-c", shell("lease"), "lease", verb, self._named, self.folder, *words)
        (done,) = self._connection.exchange([Run(argv, stdin, writes=writes)])
        if not isinstance(done, Completed) or done.rc != 0:
            message = (
                done.message
                if isinstance(done, Failed)
                else done.stderr.decode(errors="replace").strip()
                if isinstance(done, Completed)
                else ""
            )
            raise CallFailed(
                f"{host}: cannot take a lease: {message or 'the lease script failed'}", host=host, next_step=refusal_cure(message)
            )
        lines = [tuple(line.split("\t")[:-1]) for line in done.text.split("\n") if line]
        for word, *rest in lines:
            if word == "refused":
                path, reason = rest
                raise CallFailed(
                    f"{host}: the lease folder {path} is unusable: {reason}",
                    host=host,
                    next_step=f"fix that on the host, or set {FOLDER_VARIABLE} to another folder; every run on the host needs the same",
                )
            if word == "now":
                self._now = float(rest[0])
            if word == "own":
                self.folder = rest[0]
        return lines

    @staticmethod
    def _numbers(lines: Sequence[Line]) -> list[int]:
        return sorted((int(line[1]) for line in lines if line[0] == "entry"), reverse=True)

    def _parse_listing(self, lines: Sequence[Line]) -> dict[int, Lease | None]:
        """Return the leases in our own folder. Raises `CallFailed` for a directory without a valid lease."""
        found: dict[int, Lease | None] = {}
        for word, *rest in lines:
            if word == "lease" and rest[0] == self.folder:
                folder, number = rest[:2]
                try:
                    found[int(number)] = self._lease(rest)
                except NotALeaseError as error:
                    path = f"{folder}/{number}"
                    where = path if str(error) == "is no directory" else f"{path}/{FILE}"
                    raise unusable(self._connection.host, where, str(error), f"rm -rf -- {shlex.quote(path)}") from None
        return found

    def _others(self, lines: Sequence[Line]) -> tuple[Lease, ...]:
        """Return the leases in other logins' folders. Invalid ones were not written by a run and are ignored."""
        found = []
        for word, *rest in lines:
            if word == "lease" and rest[0] != self.folder:
                try:
                    lease = self._lease(rest)
                except NotALeaseError:
                    continue
                found += [lease] if lease is not None else []
        return tuple(found)

    def _lease(self, shown: Sequence[str]) -> Lease | None:
        _, _, login, state, *text = shown
        if state == _MISSING:
            return None
        if state:
            raise NotALeaseError(state)
        lease = parse(text[0].encode() if text else b"", self._now)
        return lease if login == _OURS else replace(lease, login=login)


def _folder_text() -> str:
    folder = os.environ.get(FOLDER_VARIABLE) or ""
    if folder and (not folder.startswith("/") or not folder.isprintable() or ".." in folder.split("/")):
        raise UsageError(
            f"{FOLDER_VARIABLE}: {folder!r} is not an absolute path", next_step="set it to an absolute path, or unset it"
        )
    return folder.rstrip("/") or folder
