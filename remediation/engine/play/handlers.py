"""Handlers: notified by changes, run once per flush in the order of their definition."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.control_flow import TaskFailed, UnknownHandler, Walk
from remediation.playbook.errors import meant
from remediation.playbook.model import Node, Task, tasks_of


class RunTask(Protocol):
    """Runs one task of the host; `chosen` marks a notified handler."""

    def __call__(self, task: Task, *, chosen: bool) -> Walk:
        """Return the host's walk through the task."""


class Handlers:
    """The handlers of one host in one play; ``host.notified`` holds the paths of notified handlers."""

    def __init__(self, play: PlayState, host: HostState, run_task: RunTask) -> None:
        self._play, self._host, self._run_task = play, host, run_task
        host.notified.clear()

    def call(self, names: Sequence[str], site: TaskContext) -> None:
        """Queue the handlers with these names or topics. Raises `UnknownHandler`."""
        for name in names:
            found = list(self._answering(name, site))
            if not found:
                known = [known for task in self._tasks() for known in (self._name(task), *task.listen) if known]
                raise UnknownHandler(
                    f"unknown handler {name!r}{meant(name, known)}",
                    next_step="define it in the play's handlers, or correct notify",
                    place=site.place,
                )
            self._host.notified += [path for path in found if path not in self._host.notified]

    def flush(self) -> Walk:
        """Run the queued handlers in one pass. A handler that notifies an earlier one queues it for the next flush."""
        owed = self._host.notified
        for node in self._play.play.handlers:
            mine = [path for path in owed if path in self._paths(node)]
            if mine:
                for path in mine:
                    owed.remove(path)
                yield from self._run(node, set(mine))

    def _run(self, node: Node, called: set[str]) -> Walk:
        for task in tasks_of((node,)):
            if task.path in called:
                try:
                    yield from self._run_task(task, chosen=True)
                except TaskFailed:
                    self._host.notified.clear()
                    raise

    def _answering(self, name: str, site: TaskContext) -> Iterator[str]:
        """Yield the paths of the handlers that listen to `name`, and of the first handler with that name."""
        named = [task.path for task in self._tasks() if name == self._name(task, site)]
        listening = [task.path for task in self._tasks() if name in task.listen]
        yield from dict.fromkeys((*named[:1], *listening))

    def _tasks(self) -> Iterator[Task]:
        return tasks_of(self._play.play.handlers)

    def _name(self, task: Task, site: TaskContext | None = None) -> str:
        if site is None or "{" not in task.name:
            return str(task.name)
        return TaskContext(site.play, site.host, site.variables, task, path=task.path).title()

    def _paths(self, node: Node) -> set[str]:
        return {task.path for task in tasks_of((node,))}
