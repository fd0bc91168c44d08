"""Closes one program, by name or by process."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import field_validator, model_validator

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk
from remediation.model.facts import Process
from remediation.model.programs import is_protected, program_name
from remediation.steps.contract import Step, param, step
from remediation.steps.gpu.closable_programs import ASK_FIRST, Tree, close_change, close_program, trees, why_protected


@dataclass(frozen=True, slots=True)
class RunningPrograms:
    """The running process trees of the program, and the protected ones with the reason."""

    trees: tuple[Tree, ...]
    kept: tuple[tuple[Tree, str], ...] = ()


@step("program.closed", risk=Risk.DISRUPTIVE, settle=10.0, deadline=180.0)
class ProgramClosed(Step[RunningPrograms]):
    """The program and all its child processes are closed.

    Identified by name, or by PID and start time, because PIDs are reused. It receives a close request, and is killed only with
    ``force``. Programs of the system, of Docker and of Ollama are never closed.
    """

    program: str | None = param("program name without .exe", default=None, example="chrome")
    pid: int | None = param("process ID, instead of program", default=None, gt=0, example=4711)
    started: float | None = param("start time of the process, as Unix time by the host's clock", default=None)
    grace: float = param("seconds to wait for the program to close", default=15.0, ge=1, le=120)
    force: bool = param("kill the program if it does not close", default=False)

    @field_validator("program")
    @classmethod
    def _check_unprotected(cls, value: str | None) -> str | None:
        if value is not None and is_protected(value):
            msg = f"{value} belongs to the system, Docker or Ollama and is never closed"
            raise ValueError(msg)
        return value

    @model_validator(mode="after")
    def _check_program(self) -> ProgramClosed:
        if (self.program is None) == (self.pid is None):
            msg = "give program, or pid with started"
            raise ValueError(msg)
        if self.pid is not None and self.started is None:
            msg = "pid requires started, because PIDs are reused"
            raise ValueError(msg)
        return self

    def observe(self, host: Reader) -> RunningPrograms:
        running = host.processes.list()
        found = trees([process for process in running if self._matches(process)], running)
        kept = tuple((tree, why) for tree in found if (why := why_protected(tree.root)))
        return RunningPrograms(tuple(tree for tree in found if tree not in [one for one, _ in kept]), kept)

    def is_met(self, state: RunningPrograms) -> bool:
        return not state.trees and not state.kept

    def plan(self, state: RunningPrograms) -> Iterator[Change]:
        for tree in state.trees:
            unsaved = " with possibly unsaved work" if tree.root.program in ASK_FIRST else ""
            yield close_change(tree, force=self.force, asks=unsaved, before="runs", after="closed")

    def apply(self, host: Writer, change: Change) -> None:
        close_program(host, change, grace=self.grace, force=self.force)

    def describe(self, state: RunningPrograms) -> str:
        parts = [f"{tree.name} runs as process {tree.root.pid}" for tree in state.trees]
        parts += [f"{tree.name} (process {tree.root.pid}) is kept: {why}" for tree, why in state.kept]
        return "; ".join(parts) or f"{self.program or f'process {self.pid}'} is not running"

    def values(self, state: RunningPrograms) -> dict[str, Any]:
        return {"running": [{"program": tree.name, "pid": tree.root.pid, "started": tree.root.started} for tree in state.trees]}

    def _matches(self, process: Process) -> bool:
        if self.program is not None:
            return process.program == program_name(self.program)
        return process.pid == self.pid and self.started is not None and abs(process.started - self.started) < 1.0
