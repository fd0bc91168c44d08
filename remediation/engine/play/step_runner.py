"""Runs steps and ladders as tasks: evaluates their parameters, takes the host's lease, and executes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from remediation.engine.play.context.host_facts import look_once
from remediation.engine.play.context.results import of_result, refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.errors import HostError, RemediationError
from remediation.model.outcome import Result
from remediation.modules.result import ActionResult
from remediation.playbook.model import LadderNode, RungNode, tasks_of
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope

if TYPE_CHECKING:
    from remediation.engine.ladder.rung_order import Rung

RunTasks = Callable[[TaskContext, "Rung"], Sequence[Result]]
"""Runs the tasks of a rung of the task's ladder as the play would (`remediation.engine.play.host_runner`)."""


def step_action(site: TaskContext, scope: Scope) -> ActionResult:
    """Reach the state that a step names. Raises `RemediationError` if its parameters cannot be evaluated."""
    call = StepCall(site.task.action, evaluate_parameters(site.task.arguments, scope))
    site.learn(call.params)
    site.learn_hidden(call.params)
    try:
        opened = site.open()
        hold = site.hold(opened)
        look_once(site, opened)
        return of_result(execute_step(call, site.context(opened, hold)))
    except HostError as error:
        return refused_result(error, outcome_of(error))


def evaluate_parameters(given: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """Return parameters with their templates evaluated; ``omit`` values are left out."""
    found = {str(key): scope.render(value) for key, value in given.items()}
    return {key: value for key, value in found.items() if value is not OMIT}


def ladder_action(site: TaskContext, scope: Scope, *, run_rung: RunTasks) -> ActionResult:
    """Reach the goal of the task's ladder. Raises `RemediationError` if the goal's parameters cannot be evaluated."""
    from remediation.engine.ladder.ladder import Ladder, run_ladder  # most playbooks have no ladder
    from remediation.engine.ladder.rung_order import Rung

    rungs = tuple(
        Rung(rung.name, rung.treats, last_resort=rung.last_resort, calls=_calls(rung, site)) for rung in ladder_of(site).rungs
    )
    ladder = Ladder(_goal(site), rungs, reevaluate=partial(_goal, site))
    try:
        opened = site.open()
        hold = site.hold(opened)
        look_once(site, opened)
        return of_result(run_ladder(ladder, site.context(opened, hold), partial(run_rung, site)))
    except HostError as error:
        return refused_result(error, outcome_of(error))


def ladder_of(site: TaskContext) -> LadderNode:
    """Return the ladder of a task that has one."""
    if site.task.ladder is None:
        raise AssertionError(site.path)
    return site.task.ladder


def _goal(site: TaskContext) -> tuple[StepCall, ...]:
    """Return the steps of the ladder's goal, with the parameters that they have now."""
    scope = site.scope()
    return tuple(StepCall(call.name, evaluate_parameters(call.parameters, scope)) for call in ladder_of(site).goal)


def _calls(rung: RungNode, site: TaskContext) -> tuple[StepCall, ...]:
    """Return a rung's steps that can be evaluated beforehand; the others are not predicted."""
    steps = site.play.stage.ports.steps()
    found = []
    for task in tasks_of(rung.tasks):
        if task.action not in steps or task.loop is not None:
            continue
        try:
            scope = dataclasses.replace(site, task=task).scope()
            if all(scope.condition(condition, task.place) for condition in task.settings.when):
                found.append(StepCall(task.action, evaluate_parameters(task.arguments, scope)))
        except RemediationError:
            continue
    return tuple(found)
