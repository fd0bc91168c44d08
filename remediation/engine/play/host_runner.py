"""One host's walk through one play: tasks in order, blocks with rescue, handlers, includes, ``meta`` actions and barriers.

The walk is a generator that yields a `Barrier` where hosts meet; `remediation.engine.play.waves.scheduler` drives it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from remediation.engine.journal.journal import JournalError
from remediation.engine.play.actions import act
from remediation.engine.play.actions.setup import all_facts
from remediation.engine.play.context.host_state import HostState, TaskResult
from remediation.engine.play.context.run_state import PlayState
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.task_events import describe_task, emit_task_end, failed_task
from remediation.engine.play.context.variables import Layer, TaskVariables
from remediation.engine.play.control_flow import (
    Barrier,
    CommonBarrier,
    HostFinished,
    HostLost,
    Interrupted,
    LeaderResult,
    LeaderTurn,
    RoleEnded,
    TaskFailed,
    UnknownHandler,
    Walk,
)
from remediation.engine.play.handlers import Handlers
from remediation.engine.play.includes import IncludedFile, include
from remediation.engine.play.recap import RecapCounter
from remediation.engine.play.selection import TaskSelection
from remediation.engine.play.step_runner import ladder_action, ladder_of, step_action
from remediation.engine.play.task_runner import Act, false_condition, run_task
from remediation.engine.play.waves.together import Together
from remediation.model.errors import RemediationError
from remediation.model.outcome import Outcome, Result
from remediation.playbook.actions import is_action
from remediation.playbook.model import Block, GatherFacts, Node, Play, Task
from remediation.playbook.tasks import INCLUDES

if TYPE_CHECKING:
    from remediation.engine.ladder.rung_order import Rung

ONCE = frozenset({"add_host", "pause"})
"""Actions that run once for all hosts, as in Ansible."""


TOGETHER = frozenset({"clear_facts", "clear_host_errors", "end_batch", "end_play"})
"""Actions that concern all hosts of the batch: the hosts meet, and the condition is evaluated only for the first one."""


class HostRunner:
    """Walks one host through one play."""

    def __init__(self, play: PlayState, host: HostState, selection: TaskSelection, together: Together) -> None:
        self.play = play
        self.together = together
        self.host = host
        self.selection = selection
        self.counting = RecapCounter(play, host)
        self.handlers = Handlers(play, host, self.task)
        self.metas = MetaActions(play, host, self.handlers.flush)
        self.results: list[TaskResult] | None = None
        self._roles_done: set[str] = set()
        self._roles_begun: set[int] = set()
        self._variables: TaskVariables | None = None

    @property
    def variables(self) -> TaskVariables:
        """The host's variables in this play. Raises `InputError` if one of their files cannot be read."""
        if self._variables is None:
            self._variables = TaskVariables(self.play, self.host)
        return self._variables

    def walk(self) -> Walk:
        """Walk through the play's sections, with a handler flush after each. Raises a `ControlFlow` if the walk ends early."""
        try:
            yield from self._gather_facts()
            for section in self.play.play.sections:
                yield from self.nodes(section)
                yield from self.handlers.flush()
        except TaskFailed as failure:
            if self.play.play.force_handlers and failure is not self.handlers.failure:
                yield from self.handlers.flush()
            raise

    def _gather_facts(self) -> Walk:
        """Gather facts if the play says so; if it does not say, let the first template that reads one gather them."""
        wanted = self.play.play.gather
        task = gathering_task(self.play.play)
        context = TaskContext(self.play, self.host, self.variables, task, path=task.path)
        self.host.gather = None
        if wanted is None or wanted.wanted is None:
            self.host.gather = lambda: all_facts(context)
        elif context.switch(wanted.wanted):
            yield from self.task(task)

    def nodes(self, nodes: Iterable[Node], included: Sequence[Layer] = ()) -> Walk:
        """Walk through a list of tasks; `included` are the vars of the includes around them."""
        for node in nodes:
            if isinstance(node, Block):
                if node.once in self._roles_done:
                    continue
                try:
                    yield from self._block(node, included)
                except RoleEnded:
                    if node.role is None:
                        raise
                if node.once and id(node.role) in self._roles_begun:  # not if all of its tasks were skipped, as in Ansible
                    self._roles_done.add(node.once)
            else:
                yield from self.task(node, included)

    def _block(self, block: Block, included: Sequence[Layer]) -> Walk:
        try:
            if block.rescue:
                yield from self._run_guarded(block, included)
            else:
                yield from self.nodes(block.block, included)
        except TaskFailed as failure:
            before = self.host.cleared
            if self.counting.rescued:
                self._keep(failure)
            yield from self.nodes(block.always, included)
            if self.host.cleared == before:
                raise
            return
        yield from self.nodes(block.always, included)

    def _run_guarded(self, block: Block, included: Sequence[Layer]) -> Walk:
        try:
            with self.counting.rescuable():
                yield from self.nodes(block.block, included)
        except TaskFailed as failure:
            self._keep(failure)
            yield from self.nodes(block.rescue, included)

    def _keep(self, failure: TaskFailed) -> None:
        """Set the variables that describe a failure, once: a later failure in ``always`` replaces them, as in Ansible."""
        if failure.own:
            failure.own = False
            self.host.facts["ansible_failed_task"] = failure.description
            self.host.facts["ansible_failed_result"] = dict(failure.task_result.result)

    def task(self, task: Task, included: Sequence[Layer] = (), *, chosen: bool = False) -> Walk:
        """Run one task unless tags or ``--start-at-task`` exclude it; `chosen` marks a notified handler."""
        if not (chosen or self.selection.takes(task, self.host, partial(self._tags, task, included))) or not self._continues(
            task
        ):
            return
        context = TaskContext(self.play, self.host, self.variables, task, tuple(included), path=task.path)
        before = self.results is None and self.together.before(task)
        after = self.results is None and not before and task.action not in INCLUDES and self.together.after(context)
        if before:
            yield CommonBarrier(f"{context.path}<")
        try:
            with self._errors_as_results(context):
                if task.action == "meta":
                    yield from self.metas.run(context)
                elif task.action in INCLUDES:
                    yield from self._include(context)
                elif context.switch(task.settings.run_once) or (task.action in ONCE and self.results is None):
                    yield from self._once(context)
                else:
                    self._count(context, run_task(context, self._act(task), self.handlers.call))
        except (TaskFailed, HostLost) as failure:
            if after:
                self.together.failed(
                    context, failure.task_result, rescued=isinstance(failure, TaskFailed) and self.counting.rescued
                )
                yield CommonBarrier(f"{context.path}>")
            raise
        if before or after:
            yield CommonBarrier(f"{context.path}>")
        task_result = self.together.failed_for_all(context) if after else None
        if task_result is not None:
            raise TaskFailed(task, task_result, own=False)

    def _tags(self, task: Task, included: Sequence[Layer]) -> frozenset[str]:
        """Return the tags of a task, with their templates rendered where possible."""
        context = TaskContext(self.play, self.host, self.variables, task, tuple(included), path=task.path)
        return frozenset(name for tag in task.settings.tags for name in context.render_tag(tag))

    def _continues(self, task: Task) -> bool:
        """Return whether the user agrees to the task (``--step``). Raises `Interrupted` after Ctrl-C."""
        stage = self.play.stage
        if stage.ports.cancelled():
            raise Interrupted
        return not stage.request.step or self.results is not None or stage.confirm_task(task)

    @contextmanager
    def _errors_as_results(self, context: TaskContext) -> Iterator[None]:
        """Turn an invalid keyword or an internal error into the result of the task."""
        task = context.task
        try:
            with context.contain_errors():
                yield
        except (UnknownHandler, JournalError):
            raise
        except TaskFailed as failure:
            if failure.task is task and self.counting.rescued:
                failure.description = describe_task(context)
            raise
        except RemediationError as error:
            task_result = failed_task(error)
            emit_task_end(context, task_result)
            self.counting.count(task, task_result)

    def _count(self, context: TaskContext, task_result: TaskResult) -> None:
        """Count the result of a task, or keep it for the ladder whose rung the task belongs to."""
        if self.results is not None:
            self.results.append(task_result)
        if context.settings.role is not None and task_result.outcome is not Outcome.SKIPPED:
            self._roles_begun.add(id(context.settings.role))
        self.counting.count(context.task, task_result)

    def _act(self, task: Task) -> Act:
        if task.ladder is not None:
            return partial(ladder_action, run_rung=self._run_rung)
        return act if is_action(task.action) else step_action  # a step: the loader rejects everything else

    def _once(self, context: TaskContext) -> Walk:
        """Run the task on one host for all hosts at this barrier; each takes the result as its own."""
        answer = yield Barrier(context.path)
        if isinstance(answer, LeaderTurn):
            task_result = run_task(context, self._act(context.task), self.handlers.call)
            yield LeaderResult(task_result)
            self._count(context, task_result)
            return
        task_result = answer
        if task_result.outcome.bad and not task_result.ignored:
            raise HostLost(task_result)  # fails with the first host regardless of any rescue, as in Ansible
        if not context.switch(context.settings.run_once):
            return  # without the keyword, the result belongs to the first host
        if not task_result.outcome.bad and not context.switch(context.settings.delegate_facts):
            self.host.facts.update(task_result.facts)
            self.host.included.update(task_result.included)
        if context.task.register:
            self.host.facts[context.task.register] = dict(task_result.result)

    def _include(self, context: TaskContext) -> Walk:
        once = context.switch(context.settings.run_once)
        answer = (yield Barrier(context.path)) if once else LeaderTurn()
        if not isinstance(answer, LeaderTurn):
            if answer.outcome.bad and not answer.ignored:
                raise HostLost(answer)
            return  # only the first host runs the included file
        files, task_result = include(context)
        if once:
            yield LeaderResult(task_result)
        for file in files:
            yield from self._run_included(file, context)
        self.counting.count_include(context.task, task_result, len(files))

    def _run_included(self, file: IncludedFile, context: TaskContext) -> Walk:
        self.host.recap.ok += 1
        self.handlers.add(file.handlers, (*context.included, file.vars))
        self.host.roles += [role for role in file.roles if role not in self.host.roles]
        self.host.included_roles += file.named
        yield from self.nodes(file.nodes, (*context.included, file.vars))

    def _run_rung(self, context: TaskContext, rung: Rung) -> Sequence[Result]:
        """Run a rung's tasks as a play would, without counting them: the ladder counts. Stop at the first failure."""
        tasks = next(each.tasks for each in ladder_of(context).rungs if each.name == rung.name)
        before, self.results = self.results, []
        try:
            with self.counting.uncounted():
                for _barrier in self.nodes(tasks, context.included):
                    raise AssertionError(rung.name)  # a rung runs on one host: the loader rejects barriers inside rungs
        except (TaskFailed, HostLost, Interrupted):
            pass  # the ladder reads the results
        finally:
            endings, self.results = self.results, before
        return [result_of(task_result) for task_result in endings]


def gathering_task(play: Play) -> Task:
    """Return the task that gathers facts at the beginning of a play."""
    settings = replace(play.settings, tags=play.settings.tags | {"always"}, role=None)
    given = play.gather or GatherFacts()
    named = {"gather_subset": given.subset, "gather_timeout": given.timeout}
    arguments = {name: value for name, value in named.items() if value is not None}
    return Task("Gathering Facts", "gather_facts", arguments, f"{play.index}.facts", settings=settings, place=play.place)


def result_of(task_result: TaskResult) -> Result:
    """Return the result of one task of a rung for the ladder."""
    if task_result.step_result is not None and task_result.step_result.outcome is task_result.outcome:
        return task_result.step_result
    outcome = Outcome.OK if task_result.ignored else task_result.outcome
    changes = task_result.step_result.changes if task_result.step_result else ()
    return Result(outcome, task_result.reason, changes, {}, task_result.next_step)


class MetaActions:
    """Runs ``meta`` actions on one host."""

    def __init__(self, play: PlayState, host: HostState, flush: Callable[[], Walk]) -> None:
        self._play, self._host, self._flush = play, host, flush

    def run(self, context: TaskContext) -> Walk:
        """Run the action. Raises `HostFinished` if it ends the host's walk, `RemediationError` on an invalid condition."""
        word = str(context.scope().render(context.task.arguments.get("free_form", "noop")))
        if word in TOGETHER:
            answer = yield Barrier(context.path)
            if isinstance(answer, LeaderTurn):
                holds = self._holds(context)
                yield LeaderResult(holds)
            else:
                holds = bool(answer)
        else:
            holds = self._holds(context)
        if not holds:
            return
        if word == "flush_handlers":
            yield from self._flush()
        self._carry_out(word)

    def _holds(self, context: TaskContext) -> bool:
        return false_condition(context, context.scope()) is None

    def _carry_out(self, word: str) -> None:
        play = self._play
        if word == "end_host":
            play.excluded.add(self._host.name)
            raise HostFinished
        if word == "end_role":
            raise RoleEnded
        if word in {"end_play", "end_batch"}:
            play.over = play.over or word == "end_play"
            raise HostFinished
        if word == "clear_facts":
            self._host.gathered.clear()
        if word == "clear_host_errors":
            play.excluded.update(
                set(play.hosts) - set(play.remaining_hosts())
            )  # they take part again from the next play on, as in Ansible
            for name in play.hosts:
                play.stage.host(name).clear()
