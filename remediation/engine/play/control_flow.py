"""Control flow of a host's walk: early exits and barriers. Internal to the engine."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import Any, TypeAlias

from remediation.engine.play.context.host_state import TaskResult
from remediation.model.errors import UsageError
from remediation.playbook.model import Task


class ControlFlow(BaseException):
    """Ends the host's walk through this play. Not an Exception, so that error handlers do not catch it."""


class TaskFailed(ControlFlow):
    """A task failed; an enclosing ``rescue`` may handle it.

    If a ``run_once`` task fails, every host fails and only the first counts. ``own`` is whether it failed on this host and is not described yet.
    ``description`` is what ``ansible_failed_task`` shows.
    """

    def __init__(self, task: Task, task_result: TaskResult, *, own: bool = True) -> None:
        super().__init__(task.title)
        self.task = task
        self.description: dict[str, Any] = {"name": task.name, "action": task.action}
        self.task_result = task_result
        self.own = own


class HostLost(ControlFlow):
    """The host is unreachable: neither rescue nor always run."""

    def __init__(self, task_result: TaskResult) -> None:
        super().__init__(task_result.reason)
        self.task_result = task_result


class UnknownHandler(UsageError):
    """A notified handler does not exist: the whole run ends, as in Ansible."""


class HostFinished(ControlFlow):
    """The host left by ``meta: end_host``, or the play ended for all hosts."""


class RoleEnded(ControlFlow):
    """``meta: end_role``: the host leaves the role."""


class Interrupted(ControlFlow):
    """Ctrl-C: the host stops before its next task."""


@dataclass(frozen=True, slots=True)
class Barrier:
    """A host waits at the task ``path`` until all others wait or have ended."""

    path: str


@dataclass(frozen=True, slots=True)
class CommonBarrier(Barrier):
    """A barrier without a leader: all hosts that wait at this path continue together."""


@dataclass(frozen=True, slots=True)
class LeaderTurn:
    """The answer to the first host at a barrier: this host runs the task."""


@dataclass(frozen=True, slots=True)
class LeaderResult:
    """The leading host's result, which the other hosts receive."""

    value: Any


Walk: TypeAlias = Generator[Barrier | LeaderResult, Any, None]
"""A host's walk through a play: a generator that stops at barriers."""
