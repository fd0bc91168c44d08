"""The process table: trees, windows, and how programs react to a request to close (facts/windows 5)."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from remediation_lab.ports import LabClock
from remediation_lab.wire import Refusal
from remediation_lab.world.rights import CIM
from remediation_lab.world.scheduler import Ran, Scheduler
from remediation_lab.world.state import Due, Program, State

_SAME = 0.05
"""Seconds by which a start time may differ and still be of the same program."""
_LOOK_EVERY = 0.25
_TASK_WAIT = 15.0
_SHELL = "explorer.exe"
_TIMELESS = "System"
"""A process for which the class has no start time."""


class ProcessTable:
    """The programs of one machine."""

    def __init__(self, state: State, clock: LabClock, lock: threading.RLock) -> None:
        self._state, self._clock, self._lock = state, clock, lock
        self.tasks = Scheduler(state, clock)
        self.on_due: dict[str, Callable[[], object]] = {}
        """What the machine does when an event is due, by the word in the state."""
        self.on_end: Callable[[Program], None] = lambda _: None
        """Called with every program that has ended."""

    def rows(self) -> list[dict[str, Any]]:
        """Return Win32_Process as the probe gives it; paths and owners that the login may not see are null."""
        login, unknown = self._state.login, self._state.unknown
        with self._lock:
            return [
                {
                    "ProcessId": each.pid,
                    "ParentProcessId": each.parent,
                    "Name": each.name,
                    "ExecutablePath": each.path if login.elevated or each.owner == login.user else None,
                    "SessionId": each.session,
                    "CreationDate": None if each.name == _TIMELESS or "CreationDate" in unknown else each.started,
                    "Owner": each.owner if login.elevated or (each.owner == login.user and each.session) else None,
                    "Service": each.service,
                    "Runner": _is_runner(each) if login.elevated or each.owner == login.user else None,
                }
                for each in self._state.programs
            ]

    def happen(self) -> None:
        """Let what was due happen."""
        with self._lock:
            if self._clock.now() < self._state.down_until:
                return
            # one after the other, for each may take others away (a restart) or add some (a program that got a request to close)
            while waiting := [each for each in self._state.due if each.at <= self._clock.now()]:
                due = min(waiting, key=lambda each: each.at)
                self._state.due.remove(due)
                if due.what == "end":
                    self.end(due.pid, at=due.at)
                elif due.what == "hide":
                    self._hide(due.pid)
                elif due.what == "ask":
                    self._ask(due.pid, at=due.at)
                elif due.what == "message":
                    self._state.messages += [each["message"] for each in due.programs]
                elif due.what in self.on_due:
                    self.on_due[due.what]()
                else:
                    self._return(due)

    def find(self, pid: int, started: float) -> Program | None:
        """Return the very program: PIDs are reused, so the start time counts as well."""
        with self._lock:
            for each in self._state.programs:
                if each.pid == pid and abs(each.started - started) < _SAME:
                    return each
            return None

    def tree(self, pid: int) -> list[Program]:
        """Return a program and all that it started, the root first."""
        with self._lock:
            found = [each for each in self._state.programs if each.pid == pid]
            for each in found:
                found.extend(child for child in self._state.programs if child.parent == each.pid and child not in found)
            return found

    def close(self, pid: int, started: float, *, grace: float, force: bool) -> dict[str, Any]:
        """Ask a tree to close as the desktop's user, wait, and with `force` end it; returns the probe's value."""
        if self._state.login.restricted:
            return _closed("still-there", problems={"Process": CIM})
        root = self.find(pid, started)
        if root is None:
            return _closed("gone")
        if any(each.name == "winrshost.exe" for each in self.tree(pid)):
            return _closed("own")

        def gone() -> bool:
            self.happen()
            return self.find(pid, started) is None

        asked, ran = 0, None
        if root.session == self._state.login.session:
            asked = self._ask(pid, at=self._clock.now())
        elif root.session > 0:
            later = Due(0.0, "ask", pid)
            ran = self.tasks.run(lambda: self._ask(pid, at=self._clock.now()), later, wait=_TASK_WAIT + grace, enough=gone)
            asked = ran.answer or 0
        if (ran is None or ran.task != "running") and (asked or force):
            until = self._clock.now() + grace
            while not gone() and self._clock.now() < until:
                self._clock.sleep(min(_LOOK_EVERY, max(0.01, until - self._clock.now())))
        how = "polite" if gone() else "still-there"
        problems = dict(ran.problems) if ran is not None else {}
        if how == "still-there" and force:
            how = self._forced(root, problems)
        return _closed(how, asked, ran, problems)

    def _forced(self, root: Program, problems: dict[str, str]) -> str:
        try:
            self.kill(root)
        except Refusal:
            problems["ended"] = "taskkill ended with 1"
            return "still-there"
        return "forced"

    def _may_end(self, program: Program) -> bool:
        login = self._state.login
        if program.immortal or program.owner in {None, "NT AUTHORITY\\SYSTEM"}:
            return False
        return login.elevated or program.owner == login.user

    def kill(self, program: Program) -> None:
        """End one tree by force, as taskkill /F /T does; raises Refusal when it may not be ended."""
        if not self._may_end(program):
            raise Refusal("denied", f"The process with PID {program.pid} could not be terminated.\r\nReason: Access is denied.")
        self._state.wrote(f"kill {program.name}")
        self.end(program.pid, at=self._clock.now())

    def end(self, pid: int, *, at: float) -> None:
        """Take a tree out of the table; what starts itself again will."""
        with self._lock:
            gone = self.tree(pid)
            if not gone:
                return
            numbers = {each.pid for each in gone}
            self._state.programs = [each for each in self._state.programs if each.pid not in numbers]
            self._state.due = [each for each in self._state.due if each.pid not in numbers]
            for each in gone:
                if each.successor:
                    path = f"C:\\Program Files\\Microsoft Office\\root\\Office16\\{each.successor}"
                    self._state.programs.append(Program(each.pid, 4, each.successor, path, 1, at + 0.2, each.owner, windows=1))
            if gone[0].returns_in is not None:
                again = [asdict(each) for each in gone]
                self._state.due.append(Due(at + gone[0].returns_in, "return", programs=again))
        for each in gone:
            self.on_end(each)

    def ask(self, program: Program) -> None:
        """Let a program whose windows have all got the request to close act on it, as its tree does."""
        with self._lock:
            root = program
            while (above := next((each for each in self._state.programs if each.pid == root.parent), None)) and above.windows:
                if above.name == _SHELL:
                    break
                root = above
        self._ask(root.pid, at=self._clock.now())

    def end_one(self, program: Program) -> None:
        """End one program, and not those that it has started."""
        with self._lock:
            self._state.programs = [each for each in self._state.programs if each is not program]
            self._state.due = [each for each in self._state.due if each.pid != program.pid]
        self.on_end(program)

    def _ask(self, pid: int, *, at: float) -> int:
        """Send the windows of a tree the request to close; return how many got it."""
        with self._lock:
            root = next((each for each in self._state.programs if each.pid == pid), None)
            if root is None:
                return 0
            windows = sum(each.windows for each in self.tree(root.pid))
            if not windows:
                return 0
            self._state.wrote(f"close {root.name}")
            what = {"closes": "end", "tray": "hide"}.get(root.manner)
            if what is not None and not any(each.pid == root.pid for each in self._state.due):
                self._state.due.append(Due(at + root.closes_in, what, root.pid))
            return windows

    def _hide(self, pid: int) -> None:
        for each in self.tree(pid):
            each.windows = 0
            each.local = int(each.local * each.keeps)

    def _return(self, due: Due) -> None:
        numbers: dict[int, int] = {}
        for each in (Program(**raw) for raw in due.programs):
            numbers[each.pid] = self._state.pid()
            each.pid, each.parent, each.started = numbers[each.pid], numbers.get(each.parent, each.parent), due.at
            self._state.programs.append(each)


def _is_runner(program: Program) -> bool | None:
    """Return whether the command line of Ollama's program begins with ``runner``; None for other programs."""
    if program.name != "ollama.exe" or not program.command:
        return None
    return program.command.rpartition('"')[2].split()[:1] == ["runner"]


def _closed(how: str, asked: int = 0, ran: Ran | None = None, problems: dict[str, str] | None = None) -> dict[str, Any]:
    """Return the value of the probe ``close``."""
    result = None if ran is None else 0 if ran.task == "ended" else ran.code
    return {
        "ended": how in {"gone", "polite", "forced"},
        "how": how,
        "asked": asked,
        "task_result": result,
        "task": None if ran is None else ran.task,
        "task_code": None if ran is None else ran.code,
        "Problems": problems or {},
    }
