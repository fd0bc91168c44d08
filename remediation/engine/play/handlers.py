"""Handlers: notified by changes, run once per flush in the order of their definition."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import groupby
from typing import TypeAlias

from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.variables import Layer
from remediation.engine.play.control_flow import TaskFailed, UnknownHandler, Walk
from remediation.playbook.errors import suggestion
from remediation.playbook.model import Node, Task, tasks_of

RunTask: TypeAlias = Callable[..., Walk]
"""Returns the host's walk through a task; `chosen` marks a notified handler, `included` are the vars of the include that added it."""


class Handlers:
    """The handlers of one host in one play.

    ``host.notified`` holds the names and topics notified since the last flush. The flush looks them up, so that a role that was
    included after the notification has its handlers run. ``failure`` is that of the last handler that failed; those after it still
    run in the next flush.
    """

    def __init__(self, play: PlayState, host: HostState, run_task: RunTask) -> None:
        self._play, self._host, self._run_task = play, host, run_task
        self._owed: list[str] = []
        self.failure: TaskFailed | None = None
        host.notified.clear()
        host.handlers.clear()
        host.roles.clear()
        host.included_roles.clear()

    def add(self, nodes: Sequence[Node], included: Sequence[Layer]) -> None:
        """Add the handlers of an included role; including it again replaces them."""
        for node in nodes:
            role = node.settings.role
            name = node.name if isinstance(node, Task) else node.path
            self._host.handlers[f"{role.name if role else ''} {name}"] = (node, included)

    def call(self, names: Sequence[str], context: TaskContext) -> None:
        """Queue the handlers with these names or topics. Raises `UnknownHandler`."""
        for name in names:
            if name in self._host.notified:
                continue
            if not any(self._matching_handlers(name, context)):
                known = [known for task in self._tasks() for known in (str(task.name), *task.listen) if known]
                raise UnknownHandler(
                    f"unknown handler {name!r}{suggestion(name, known)}",
                    next_step="define it in the play's handlers, or correct notify",
                    place=context.place,
                )
            self._host.notified[name] = context

    def flush(self) -> Walk:
        """Run the queued handlers in one pass. A handler that notifies an earlier one queues it for the next flush."""
        added = list(self._host.handlers.values())
        for node, included in (*((node, ()) for node in self._play.play.handlers), *added):
            owed = self._look_up()
            paths = {task.path for task in tasks_of((node,))}
            mine = [path for path in owed if path in paths]
            if mine:
                for path in mine:
                    owed.remove(path)
                yield from self._run(node, set(mine), included)

    def _look_up(self) -> list[str]:
        """Return the paths of the handlers to run: those of earlier notifications, and of those since."""
        notified = dict(self._host.notified)
        self._host.notified.clear()
        found = [path for name, context in notified.items() for path in self._matching_handlers(name, context)]
        self._owed += [path for path in dict.fromkeys(found) if path not in self._owed]
        return self._owed

    def _run(self, node: Node, called: set[str], included: Sequence[Layer]) -> Walk:
        for task in tasks_of((node,)):
            if task.path in called:
                try:
                    yield from self._run_task(task, included, chosen=True)
                except TaskFailed as failure:
                    self.failure = failure
                    raise

    def _matching_handlers(self, name: str, context: TaskContext) -> Iterator[str]:
        """Yield the paths of the handler with this name and of those that listen to it.

        Of handlers with one name, the last role or the play counts, and in it the first handler.
        """
        known = [task for group in reversed(self._groups()) for task in tasks_of(group)]
        named = [task.path for task in known if task.name and name in self._names(task, context)]
        listening: dict[str, str] = {}
        for task in known:
            if name in task.listen:
                listening.setdefault(str(task.name) or task.path, task.path)
        yield from dict.fromkeys((*named[:1], *listening.values()))

    def _groups(self) -> list[tuple[Node, ...]]:
        """Return the handlers, those of each role in one group."""
        nodes = [*self._play.play.handlers, *(node for node, _ in self._host.handlers.values())]
        return [tuple(group) for _, group in groupby(nodes, key=lambda node: id(node.settings.role))]

    def _tasks(self) -> Iterator[Task]:
        return (task for group in self._groups() for task in tasks_of(group))

    def _names(self, task: Task, context: TaskContext) -> tuple[str, ...]:
        name = str(task.name)
        if "{" in name:
            name = str(TaskContext(context.play, context.host, context.variables, task, path=task.path).render_name(task.name))
        role = task.settings.role
        return (name, f"{role.name} : {name}") if role else (name,)
