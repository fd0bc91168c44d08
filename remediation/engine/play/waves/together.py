"""Which tasks the hosts of a wave run together: those that read other hosts' variables, and those whose failure concerns all.

All other tasks run at each host's own pace.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from remediation.engine.play.context.host_state import TaskResult
from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.waves.serial import fatal_share
from remediation.model.errors import RemediationError
from remediation.model.outcome import Outcome
from remediation.playbook.model import Play, Task, tasks_of
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import Text, texts_in

OTHERS = frozenset({"ansible_play_batch", "ansible_play_hosts", "hostvars", "play_hosts"})
"""Variables that depend on what other hosts have done."""

GROUP_BY = "group_by"

_WORD = re.compile(r"[A-Za-z_]\w*")


@dataclass(frozen=True, slots=True)
class MeetingFailure:
    """The failure of one host at a task where the hosts meet; ``counted`` unless it is rescued or the host is unreachable."""

    task_result: TaskResult
    counted: bool


class Together:
    """The tasks of one wave at which its hosts wait for each other."""

    def __init__(self, stage: PlayState) -> None:
        self._stage = stage
        self._alone = len(stage.batch) < 2
        self._names = OTHERS if self._alone else _names(stage.play)
        self._known: dict[str, bool] = {}
        self.failures: dict[tuple[str, str], MeetingFailure] = {}

    def before(self, task: Task) -> bool:
        """Return whether the hosts meet before a task: it reads variables of other hosts."""
        if self._alone:
            return False
        found = self._known.get(task.path)
        if found is None:
            found = self._known[task.path] = any(mentions(text, self._names) for text in texts_in_task(task))
        return found

    def after(self, context: TaskContext) -> bool:
        """Return whether the hosts meet after a task: its failure may concern all of them."""
        if self._alone:
            return False
        grouping = context.task.action == GROUP_BY  # the tasks that follow see the groups of all hosts
        return grouping or self._stage.play.max_fail_percentage is not None or self.fatal(context)

    def fatal(self, context: TaskContext) -> bool:
        """Return whether a failure of the task fails all hosts."""
        try:
            return context.switch(context.settings.any_errors_fatal)
        except RemediationError:
            return True  # an invalid value counts as true

    def failed(self, context: TaskContext, task_result: TaskResult, *, rescued: bool) -> None:
        """Record the failure of a task at which the hosts meet; a host that rescues it or is unreachable does not count."""
        counted = not rescued and task_result.outcome is not Outcome.UNREACHABLE
        self.failures[context.path, context.host.name] = MeetingFailure(task_result, counted=counted)

    def failed_for_all(self, context: TaskContext) -> TaskResult | None:
        """Return the result with which a task fails on the hosts on which it succeeded, None if they go on."""
        here = {host: failure for (path, host), failure in self.failures.items() if path == context.path}
        if here and self.fatal(context):
            return next(iter(here.values())).task_result
        stage = self._stage
        if stage.play.max_fail_percentage is None:
            return None
        failing = {host for host, failure in here.items() if failure.counted}  # their walks may end after this one goes on
        lost = [state for state in map(stage.stage.host, stage.batch) if not state.alive or state.name in failing]
        scope = Scope((stage.stage.request.extra, stage.play.vars))
        first = next(iter(self.failures.values()), None)
        return first.task_result if first and lost and fatal_share(stage, lost, scope) else None


def _names(play: Play) -> frozenset[str]:
    """Return the names of variables that depend on other hosts, directly or through each other."""
    tables = [play.vars, *(table for role in play.roles for table in (role.defaults, role.vars, role.given, role.params))]
    found = set(OTHERS)
    while True:
        new = {
            str(name)
            for table in tables
            for name, value in table.items()
            if name not in found and any(mentions(text, found) for text in texts_in(value))
        }
        if not new:
            return frozenset(found)
        found |= new


def mentions(text: str, names: frozenset[str] | set[str]) -> bool:
    """Return whether a text contains one of the names as a word."""
    return not names.isdisjoint(_WORD.findall(text))


def texts_in_task(task: Task) -> Iterator[str]:
    """Yield the task's templates and expressions."""
    settings = task.settings
    values: list[Any] = [
        task.arguments, task.name, task.until, task.failed_when, task.changed_when, list(settings.when), list(settings.vars),
        list(settings.environment), settings.delegate_to, settings.ignore_errors, settings.run_once,
    ]  # fmt: skip
    if task.loop is not None:
        values += [task.loop.over, task.loop.label, task.loop.break_when]
    for value in values:
        yield from _strings(value)


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, (str, Text)):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _strings(item)
    elif isinstance(value, (list, tuple)):
        for item in value:
            yield from _strings(item)


def reads_others(request: RunRequest) -> bool:
    """Return whether a task, a play or a variable of the inventory reads other hosts, or a failure on one concerns others."""
    if any(_play_reads(play) for play in request.playbook.plays):
        return True
    layers = {id(layer): layer for name in request.inventory.select("all") for layer in request.inventory.layers(name)}
    return any(mentions(text, OTHERS) for layer in layers.values() for text in texts_in(layer))


def _play_reads(play: Play) -> bool:
    if play.max_fail_percentage is not None:
        return True
    tables = [play.vars, *(table for role in play.roles for table in (role.defaults, role.vars, role.given, role.params))]
    if any(mentions(text, OTHERS) for table in tables for text in texts_in(table)):
        return True
    tasks = [task for nodes in (*play.sections, play.handlers) for task in tasks_of(nodes)]
    return any(
        task.settings.any_errors_fatal is not None or any(mentions(text, OTHERS) for text in texts_in_task(task))
        for task in tasks
    )
