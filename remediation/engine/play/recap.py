"""A host's counters, and the consequence of a failure: rescued, failed, blocked or lost."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from remediation.engine.play.context.host_state import HostState, TaskResult
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.control_flow import HostLost, TaskFailed
from remediation.model.outcome import Outcome
from remediation.playbook.model import Task


class RecapCounter:
    """Counts the task results of one host in one play."""

    def __init__(self, play: PlayState, host: HostState) -> None:
        self._play = play
        self._host = host
        self._rescues = 0
        self._aside = 0

    @contextmanager
    def rescuable(self) -> Iterator[None]:
        """Count failures as rescued inside a block with a rescue."""
        self._rescues += 1
        try:
            yield
        finally:
            self._rescues -= 1

    @property
    def rescued(self) -> bool:
        """Whether a failure now would be rescued."""
        return self._rescues > 0

    @contextmanager
    def uncounted(self) -> Iterator[None]:
        """Count nothing: the tasks are part of another task."""
        self._aside += 1
        try:
            yield
        finally:
            self._aside -= 1

    def count(self, task: Task, ending: TaskResult) -> None:
        """Count one task. Raises `TaskFailed` or `HostLost` if the host does not continue with its next task."""
        recap, counted = self._host.recap, not self._aside
        if not ending.outcome.bad:
            if counted and ending.outcome is Outcome.SKIPPED:
                recap.skipped += 1
            elif counted:
                recap.ok += 1
                recap.changed += ending.changed
            return
        if ending.ignored:
            if counted:
                recap.ok += 1
                recap.ignored += 1
                recap.changed += ending.changed and ending.outcome is not Outcome.UNREACHABLE
            return
        if ending.outcome is Outcome.UNREACHABLE:
            recap.unreachable += counted
            raise HostLost(ending)
        if counted:
            self._count_failure(ending)
        raise TaskFailed(task, ending)

    def _count_failure(self, ending: TaskResult) -> None:
        recap = self._host.recap
        if self._rescues:
            recap.rescued += 1
        elif ending.outcome is Outcome.BLOCKED:
            recap.blocked += 1
        else:
            recap.failed += 1

    def count_include(self, task: Task, ending: TaskResult, files: int) -> None:
        """Count an include without files or with a failure; included files are counted separately."""
        if ending.outcome.bad or not files:
            self.count(task, ending)
