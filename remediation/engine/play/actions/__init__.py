"""Runs the flow actions on a host. `remediation.playbook.actions` describes their parameters."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from pydantic import ValidationError

from remediation.engine.play.actions.include_vars import include_vars
from remediation.engine.play.actions.module import module_action
from remediation.engine.play.actions.setup import setup
from remediation.engine.play.actions.simple import add_host, assert_, debug, fail, group_by, measure_action, set_fact
from remediation.engine.play.actions.wait_for import wait_for
from remediation.engine.play.context.task_context import TaskContext
from remediation.model.errors import ParameterError, UsageError
from remediation.modules.contract import Action, Module, module_args
from remediation.modules.result import ActionResult
from remediation.playbook.actions import action_model
from remediation.playbook.parameters import DEFAULTS, WHOLE
from remediation.templating.errors import TemplateError
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import Text, looks_like_template, place_of
from remediation.templating.yaml.secret import Secret

DOES: Mapping[str, Callable[[Any, TaskContext, Scope], ActionResult]] = {
    "add_host": add_host,
    "assert": assert_,
    "debug": debug,
    "fail": fail,
    "gather_facts": setup,
    "group_by": group_by,
    "include_vars": include_vars,
    "measure": measure_action,
    "set_fact": set_fact,
    "setup": setup,
    "wait_for": wait_for,
}

UNEVALUATED = frozenset({("assert", "that"), ("debug", "var"), ("include_tasks", "apply")})
"""Parameters that are not evaluated here: expressions, which the action evaluates, and keywords of other tasks."""


QUIET_ACTIONS = frozenset(
    {"add_host", "assert", "debug", "fail", "gather_facts", "group_by", "include_vars", "set_fact", "setup"}
)
"""Actions that change nothing and take no time."""


def act(site: TaskContext, scope: Scope) -> ActionResult:
    """Run the action of the task of `site`. Raises `RemediationError`."""
    name, local = site.task.action, site.task.action in QUIET_ACTIONS
    try:
        given = action_parameters(site, scope)
        if isinstance(given, Module):
            local = given.local
            return _with_invocation(module_action(given, site, scope), given, site)
        acted = DOES[name](given, site, scope)
        return _with_invocation(acted, given, site) if name == "wait_for" else acted
    finally:
        if not local:
            site.forget()


def _with_invocation(acted: ActionResult, given: Action, site: TaskContext) -> ActionResult:
    """Return an item's result with the parameters of its module; the result of a task without a loop has none, as in Ansible."""
    if site.task.loop is None or not given.invoked or site.background() is not None:
        return acted
    # masked: a secret in an expression must not lose its mark on the way through a parameter
    return dataclasses.replace(acted, values={**acted.values, "invocation": {"module_args": site.masked(module_args(given))}})


def _render(value: Any, scope: Scope) -> Any:
    try:
        return scope.render(value)
    except TemplateError as error:
        error.before_action = True
        raise


def _parameter_name(key: object, action: str, scope: Scope) -> str:
    """Return a parameter's name, which may be a template if the action accepts any name (``set_fact``)."""
    if action_model(action).open and isinstance(key, str) and looks_like_template(key):
        return str(scope.render(Text(key)))
    return str(key)


def _refusal(error: Mapping[str, Any]) -> str:
    """Return why a parameter is refused."""
    if isinstance(error.get("input"), Secret):
        return "a secret is not accepted here; a file with a secret is written with template or copy"
    return str(error["msg"]).removeprefix("Value error, ")


def _spread(site: TaskContext, scope: Scope) -> Mapping[Any, Any]:
    """Return the parameters of a task with its defaults and those of a template for all of them, which rank below.

    Raises `UsageError`.
    """
    written: Mapping[Any, Any] = site.task.arguments
    found: dict[Any, Any] = {}
    for key in (DEFAULTS, WHOLE):
        value: Any = written.get(key, {})
        if isinstance(value, str):
            value = scope.render(value)
        if not isinstance(value, Mapping):
            raise UsageError(f"args: expected a mapping of parameters, got {type(value).__name__}", place=place_of(written[key]))
        found |= value
    return {**found, **{key: each for key, each in written.items() if key not in {DEFAULTS, WHOLE}}} if found else written


def action_parameters(site: TaskContext, scope: Scope) -> Action:
    """Return the task's parameters, evaluated and validated. Raises `RemediationError`."""
    name = site.task.action
    given: dict[str, Any] = {}
    for key, value in _spread(site, scope).items():
        found = value if (name, key) in UNEVALUATED else _render(value, scope)
        if found is not OMIT:
            given[_parameter_name(key, name, scope)] = found
    site.learn(given)
    try:
        return action_model(name).model_validate(given)
    except ValidationError as error:
        from remediation.modules.refusals import parameter_refusal

        # the value is left out: it may be a secret
        wrong = "; ".join(f"{'.'.join(map(str, item['loc']))}: {_refusal({**item})}".lstrip(": ") for item in error.errors())
        ansible_message = parameter_refusal(action_model(name), site.task.spelling, given, error)
        raise ParameterError(f"{name}: {wrong}", ansible_message, place=site.place) from None
