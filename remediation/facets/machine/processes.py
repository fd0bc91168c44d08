"""Running programs (Win32_Process through a probe, or ``ps`` and ``/proc``), and closing process trees."""

from __future__ import annotations

import ntpath
import posixpath
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.connections.calls import Probe, Run
from remediation.facets.checked import SnapshotReader, checked
from remediation.facets.machine.rights import is_refusal, problems
from remediation.facets.machine.user_task import RUNNING, task_of
from remediation.facets.scripts import shell
from remediation.model.errors import Blocked, CallFailed
from remediation.model.facts import Process
from remediation.model.programs import SERVER
from remediation.model.text.digits import is_whole

_LISTING = "listing the processes"
LIST_PROBE = Probe("processes", timeout=60.0)
_RIGHTS = "log in with an account that is an administrator (docs/windows.md)"
LIST_RUN = Run(("sh", "-c", shell("processes")), timeout=30.0)
_MARGIN = 20.0
_STAT = re.compile(r"^(\d+) \((.*)\) (\S) (.*)$")
_RUNNER = re.compile(r"^(?:\S{0,1000}\b(?:ollama runner|ollama_llama_server)\b|\S{0,1000}/ollama/\S{0,1000}llama-server\b)")
"""Command line of a process that serves one model for Ollama."""
_START_FIELD = 22 - 4  # field 22 of proc(5), counted after the state
_COMM = 15


@checked("processes")
class WindowsProcesses(SnapshotReader):
    """Lists processes with the ``processes`` probe."""

    def list(self) -> Sequence[Process]:
        """Return all processes."""
        return self._snapshot.memoize(
            "processes", lambda: processes_from_probe(self._snapshot.probe(LIST_PROBE, _LISTING), self._snapshot.host)
        )


@checked("processes")
class WindowsProcessWriter(WindowsProcesses):
    """Adds closing processes with the ``close`` probe."""

    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        """Ask the tree to close as the desktop user, wait, and kill it with `force`. Returns whether it ended."""
        if not started:
            raise Blocked(
                f"the start time of process {pid} is unknown, so a later process with the same ID cannot be excluded",
                host=self._snapshot.host,
                next_step="close it at the desktop",
            )
        data = {"pid": pid, "started": started, "grace": grace, "force": force}
        # the scheduled task may start late; `grace` begins after the close request
        done = self._snapshot.probe(Probe("close", data, timeout=2 * grace + 60.0, writes=True), f"closing process {pid}")
        if done["how"] == "own":
            raise own_session_error(pid, self._snapshot.host)
        if not done["ended"]:
            self._explain(done, pid)
        return bool(done["ended"])

    def _explain(self, done: Mapping[str, Any], pid: int) -> None:
        """Raise the reason why a process is still running, unless it received a close request and did not close."""
        host, reasons, task = self._snapshot.host, problems(done), task_of(done)
        if "Process" in reasons and not task.outcome:
            kind = Blocked if is_refusal(reasons["Process"]) else CallFailed
            raise kind(
                f"cannot determine whether process {pid} is running: {reasons['Process']}", host=host,
                next_step="log in with an elevated account (docs/windows.md)",
            )  # fmt: skip
        if done["asked"]:
            return
        what = f"process {pid} has a window and was not asked to close"
        refusal = task.refusal(what, host, no_user_step="log on at the desktop, or allow killing the program (force: true)")
        if refusal is not None:
            raise refusal
        if task.outcome == RUNNING:
            raise task.timeout_error(f"process {pid} did not close, and it may not have received the close request yet", host)
        if "ended" in reasons:
            raise CallFailed(
                f"process {pid} could not be killed: {reasons['ended']}", host=host,
                next_step="log in with an elevated account (docs/windows.md), or end it at the desktop",
            )  # fmt: skip


@checked("processes")
class PosixProcesses(SnapshotReader):
    """Lists processes with ``ps`` and ``/proc``."""

    def list(self) -> Sequence[Process]:
        """Return all processes."""
        return self._snapshot.memoize(
            "processes", lambda: processes_from_shell(self._snapshot.run(LIST_RUN, "listing the processes").text)
        )


@checked("processes")
class PosixProcessWriter(PosixProcesses):
    """Adds ending processes with signals."""

    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        """Send SIGTERM to the tree, wait, and send SIGKILL with `force`. Returns whether it ended."""
        words = (str(pid), str(round(started * 100)), str(max(0, round(grace))), "1" if force else "0")
        call = Run(("sh", "-c", shell("close"), "close", *words), timeout=grace + _MARGIN, writes=True)
        done = self._snapshot.run(
            call, f"closing process {pid}", next_step="the login may only end its own programs; root may end others"
        )
        answer = done.text.strip()
        if answer == "own":
            raise own_session_error(pid, self._snapshot.host)
        if answer not in {"gone", "polite", "forced", "still-there"}:
            raise CallFailed(f"closing process {pid} failed: {answer!r} is not a valid answer", host=self._snapshot.host)
        return answer != "still-there"


def own_session_error(pid: int, host: str) -> Blocked:
    """Return the error for a process that must not be closed from this login."""
    return Blocked(
        f"process {pid} is this login's own program or one of its parents",
        host=host,
        next_step="remove it from the programs to close",
    )


def processes_from_probe(value: Any, host: str) -> tuple[Process, ...]:
    """Convert the ``processes`` probe's answer, a list in older recordings. Raises `CallFailed` if it has no processes."""
    rows, reasons = (value.get("Processes"), problems(value)) if isinstance(value, Mapping) else (value, {})
    rows = rows or ()
    # an incomplete list is an error: a server missing from it would be considered stopped
    reason = reasons.get("Processes") or ("" if rows else "Windows lists none")
    if reason:
        raise CallFailed(f"{_LISTING} failed: {reason}", host=host, next_step=_RIGHTS if is_refusal(reason) else "")
    return from_rows(rows)


def from_rows(rows: Sequence[Mapping[str, Any]]) -> tuple[Process, ...]:
    """Convert the rows of the ``processes`` probe."""
    found = [
        Process(
            pid=int(row["ProcessId"]),
            name=str(row["Name"]),
            started=float(row.get("CreationDate") or 0.0),
            parent=_whole(row.get("ParentProcessId")),
            path=row.get("ExecutablePath"),
            session_id=_whole(row.get("SessionId")),
            owner=row.get("Owner"),
            service=row.get("Service"),
            runner=_truth(row.get("Runner")),
        )
        for row in rows
    ]
    return _windows(mark_orphans(found))


def _windows(found: tuple[Process, ...]) -> tuple[Process, ...]:
    """Mark processes that may have a window. Session 0 cannot see windows, so every desktop program's root process counts."""
    by_pid = {each.pid: each for each in found}

    def root(process: Process) -> bool:
        parent = by_pid.get(process.parent or -1)
        return parent is None or parent.program != process.program or parent.started > process.started

    return tuple(
        replace(each, has_window=True) if each.session_id and each.service is None and root(each) else each for each in found
    )


def processes_from_shell(text: str) -> tuple[Process, ...]:
    """Parse the output of ``processes.sh``. Processes that ended meanwhile are skipped."""
    hz, boot = 100.0, 0.0
    known: dict[int, tuple[int, str, str]] = {}
    starts: dict[int, tuple[str, float]] = {}
    paths: dict[int, str] = {}
    for line in text.splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "hz" and is_whole(rest):
            hz = float(rest)
        elif kind == "btime":
            boot = float(rest)
        elif kind == "ps":
            parts = rest.split(None, 3)
            if len(parts) == 4:
                known[int(parts[0])] = (int(parts[1]), parts[2], parts[3])
        elif kind == "stat":
            match = _STAT.match(rest)
            if match and match[3] not in "ZX":
                starts[int(match[1])] = (match[2], boot + float(match[4].split()[_START_FIELD]) / hz)
        elif kind == "exe":
            pid, _, path = rest.partition(" ")
            paths[int(pid)] = path.removesuffix(" (deleted)")
    return mark_orphans(
        [
            Process(
                pid=pid,
                name=_name(starts[pid][0], command, paths.get(pid)),
                started=starts[pid][1],
                parent=parent,
                path=paths.get(pid),
                owner=owner,
                runner=_RUNNER.match(command) is not None,
            )
            for pid, (parent, owner, command) in known.items()
            if pid in starts
        ]
    )


def _name(short: str, command: str, path: str | None) -> str:
    """Return the full program name. The kernel keeps only 15 characters."""
    if len(short) < _COMM:
        return short
    for word in (path or "", command.split(" ", 1)[0]):
        name = ntpath.basename(word) if "\\" in word else posixpath.basename(word)
        if name.startswith(short):
            return name
    return short


def _whole(value: object) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) else None


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


_REAPERS = frozenset({"systemd", "init", "tini", "docker-init", "dumb-init", "catatonit", "s6-svscan", "launchd"})
"""Processes that adopt orphans."""


def mark_orphans(running: Sequence[Process]) -> tuple[Process, ...]:
    """Return the processes, with the runners marked whose server has ended."""
    by_pid = {each.pid: each for each in running}
    return tuple(
        replace(each, orphan=True) if each.is_runner and _is_orphan(each, by_pid.get(each.parent or 0)) else each
        for each in running
    )


def _is_orphan(process: Process, parent: Process | None) -> bool:
    """Whether no server owns a runner. In doubt, the parent may be a server under another name."""
    if not process.started:  # without a start time, ownership is uncertain
        return False
    if parent is None or parent.started > process.started:  # the parent has ended, or its PID was reused
        return True
    if parent.pid == 1 or parent.program in _REAPERS:
        return SERVER not in parent.program  # in a container, the server may be PID 1
    # `ollama runner` is the server's own executable
    itself = process.program == SERVER and process.path is not None and parent.path is not None
    return itself and SERVER not in parent.program and parent.path != process.path
