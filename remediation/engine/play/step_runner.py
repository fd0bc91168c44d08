"""Runs steps and ladders as tasks: evaluates their parameters, takes the host's lease, and executes them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Generator, Mapping, Sequence
from typing import Any

from remediation.engine.ladder.ladder import Ladder, run_ladder
from remediation.engine.ladder.rung_order import Rung
from remediation.engine.play.context.host_facts import look_once
from remediation.engine.play.context.results import of_result, refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.errors import HostError, RemediationError
from remediation.model.outcome import Result
from remediation.modules.result import ActionResult
from remediation.playbook.model import Call, tasks_of
from remediation.playbook.model import RungNode as RungTasks
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope

RunTasks = Callable[[TaskContext, RungTasks], Sequence[Result]]
"""Runs the tasks of a rung as the play would (`remediation.engine.play.host_runner`)."""


def step_action(site: TaskContext, scope: Scope) -> ActionResult:
    """Reach the state that a step names. Raises `RemediationError` if its parameters cannot be evaluated."""
    call = StepCall(site.task.action, evaluated(site.task.arguments, scope))
    site.learn(call.params)
    site.learn_hidden(call.params)
    try:
        opened = site.opened()
        hold = site.hold(opened)
        look_once(site, opened)
        return of_result(execute_step(call, site.context(opened, hold)))
    except HostError as error:
        return refused_result(error, outcome_of(error))


def evaluated(given: Mapping[str, Any], scope: Scope) -> dict[str, Any]:
    """Return parameters with their templates evaluated; ``omit`` values are left out."""
    found = {str(key): scope.render(value) for key, value in given.items()}
    return {key: value for key, value in found.items() if value is not OMIT}


def ladder_action(run_tasks: RunTasks) -> Callable[[TaskContext, Scope], ActionResult]:
    """Return the action that runs a ladder; `run_tasks` runs the tasks of its rungs."""

    def climb_once(site: TaskContext, scope: Scope) -> ActionResult:
        known = site.task.ladder
        if known is None:
            return ActionResult()
        rungs = {rung.name: rung for rung in known.rungs}

        def run_rung(rung: Rung) -> Sequence[Result]:
            return run_tasks(site, rungs[rung.name])

        goal = tuple(_call(call, scope) for call in known.goal)

        def again() -> tuple[StepCall, ...]:
            return tuple(_call(call, site.scope()) for call in known.goal)

        arranged = tuple(
            Rung(rung.name, rung.treats, last_resort=rung.last_resort, calls=_calls(rung, site)) for rung in known.rungs
        )
        try:
            opened = site.opened()
            hold = site.hold(opened)
            look_once(site, opened)
            return of_result(run_ladder(Ladder(goal, arranged, again), site.context(opened, hold), run_rung))
        except HostError as error:
            return refused_result(error, outcome_of(error))

    return climb_once


def _call(call: Call, scope: Scope) -> StepCall:
    return StepCall(call.name, evaluated(call.parameters, scope))


def _calls(rung: RungTasks, site: TaskContext) -> tuple[StepCall, ...]:
    """Return a rung's steps that can be evaluated beforehand; the others are not predicted."""
    steps = site.play.stage.ports.steps()
    found = []
    for task in tasks_of(rung.tasks):
        if task.action not in steps or task.loop is not None:
            continue
        try:
            scope = dataclasses.replace(site, task=task).scope()
            if all(scope.condition(condition, task.place) for condition in task.settings.when):
                found.append(StepCall(task.action, evaluated(task.arguments, scope)))
        except RemediationError:
            continue
    return tuple(found)


def run_without_barriers(walk: Generator[Any, Any, Any]) -> None:
    """Run a walk that must not meet a barrier: a rung runs on one host (the loader rejects barriers inside rungs)."""
    for _meeting in walk:
        msg = "barriers are not allowed inside a rung"
        raise AssertionError(msg)
