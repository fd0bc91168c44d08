"""How a host's walk is left early, and what it says where hosts have to meet. None of this reaches a user."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from remediation.engine.play.context.host_state import TaskResult
from remediation.model.errors import UsageError
from remediation.playbook.model import Task


class ControlFlow(BaseException):
    """The host's walk through this play is over. No error, so no handler of errors takes it for one."""


class TaskFailed(ControlFlow):
    """A task failed; a ``rescue`` above it may take over. Of ``run_once`` every host fails, and only the first counts."""

    def __init__(self, task: Task, ending: TaskResult) -> None:
        super().__init__(task.title)
        self.task = task
        self.ending = ending


class HostLost(ControlFlow):
    """The host cannot be reached: no rescue, no always."""

    def __init__(self, ending: TaskResult) -> None:
        super().__init__(ending.reason)
        self.ending = ending


class UnknownHandler(UsageError):
    """A handler that nobody answers to: the whole run ends, as in Ansible."""


class HostFinished(ControlFlow):
    """``meta: end_host``, or the play is over for everybody."""


class Interrupted(ControlFlow):
    """Ctrl-C: the host stops before its next task."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A host waits at the task ``path`` until all others wait or have ended."""

    path: str


@dataclass(frozen=True, slots=True)
class LeaderTurn:
    """The answer to the first of those who met: this host carries the task out."""


@dataclass(frozen=True, slots=True)
class LeaderResult:
    """What the leading host tells the others, who are answered with it."""

    value: Any


Walk: TypeAlias = Generator[Barrier | LeaderResult, Any, None]
"""A host on its way through a play: it stops where hosts have to meet."""
