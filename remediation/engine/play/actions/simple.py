"""Actions of one function: ``debug``, ``fail``, ``assert``, ``set_fact``, ``add_host``, ``group_by`` and ``measure``."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from remediation.engine.card_memory import card_memory
from remediation.engine.context import SNAPSHOT_TTL
from remediation.engine.play.context.host_facts import look_once
from remediation.engine.play.context.results import refused_result
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import outcome_of
from remediation.inventory.ranges import without_port
from remediation.model.errors import HostError, UsageError
from remediation.model.event_data import MeasurementData
from remediation.model.outcome import Outcome
from remediation.modules.result import ActionResult
from remediation.playbook.keywords import is_variable
from remediation.templating.errors import UndefinedVariable
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import Table, has_template

if TYPE_CHECKING:
    from remediation.playbook.flow_actions.hosts import AddHost, GroupBy
    from remediation.playbook.flow_actions.output import Assert, Debug, Fail
    from remediation.playbook.flow_actions.reading import Measure
    from remediation.playbook.flow_actions.variables import SetFact

GREETING = "Hello world!"


SCALED = "lab_scale"
"""Host variable of a lab: its figures are simulated."""


def debug(given: Debug, site: TaskContext, scope: Scope) -> ActionResult:
    """Print a message, or the value of an expression."""
    if given.verbosity > site.play.stage.request.verbosity:
        return ActionResult(Outcome.SKIPPED, {"skipped_reason": "Verbosity threshold not met."}, "shown only with more -v")
    if given.var is not None:
        name = _name_to_show(given.var, site, scope)
        try:
            value = scope.expression(name, site.place)
        except UndefinedVariable as error:  # showing an undefined variable is not an error
            known = name in scope and name.isidentifier()
            value = _evaluate_for_display(scope.raw(name), scope) if known else _undefined_text(error)
            message = _undefined_text(error).removeprefix("<< ").removesuffix(" >>")
            warned = {} if known else {"warnings": [f"Encountered 1 template error.\n{message}"]}
            return ActionResult(values={name: value, **warned})
        return ActionResult(values={name: value})
    return ActionResult(values={"msg": given.msg if "msg" in given.model_fields_set else GREETING})


_NAME = re.compile(r"[A-Za-z_]\w*")
_PART = re.compile(r"""\.\w+|\[(?:-?\d+|'[^']*'|"[^"]*")\]""")
"""An attribute or item after a name."""


def _name_to_show(var: Any, site: TaskContext, scope: Scope) -> str:
    """Return the expression that ``var`` is. A template gives the name of a variable: another text may be a command's output.

    Raises `UsageError` for a template of anything else, as Ansible fails the task.
    """
    if not has_template(var):
        return str(var)
    value = scope.render(var)
    name = value if isinstance(value, str) else ""
    head = _NAME.match(name)
    if head is None or _PART.sub("", name[head.end() :]):
        raise UsageError("debug: var: expected the name of a variable", next_step="use msg: to print a value", place=site.place)
    return name


def _evaluate_for_display(value: Any, scope: Scope) -> Any:
    """Return a variable evaluated; each undefined part of it is shown as such."""
    if isinstance(value, Mapping):
        return {key: _evaluate_for_display(item, scope) for key, item in value.items()}
    if isinstance(value, list):
        return [_evaluate_for_display(item, scope) for item in value]
    try:
        return scope.render(value)
    except UndefinedVariable as error:
        return _undefined_text(error)


def _undefined_text(error: UndefinedVariable) -> str:
    return f"<< error 1 - {error.message.rsplit(' in ', 1)[0]} >>"


def fail(given: Fail, site: TaskContext, scope: Scope) -> ActionResult:
    """Fail with the message."""
    return ActionResult(Outcome.FAILED, {"msg": given.msg}, str(given.msg))


def assert_(given: Assert, site: TaskContext, scope: Scope) -> ActionResult:
    """Fail at the first condition that is false."""
    for condition in scope.conditions(given.that):
        if not scope.condition(condition, site.place):
            message = "Assertion failed" if given.fail_msg is None else given.fail_msg
            reason = f"{message} ({condition})" if given.fail_msg is None else str(message)
            return ActionResult(Outcome.FAILED, {"msg": message, "assertion": condition, "evaluated_to": False}, reason)
    return ActionResult(values={"msg": "All assertions passed" if given.success_msg is None else given.success_msg})


def set_fact(given: SetFact, site: TaskContext, scope: Scope) -> ActionResult:
    """Set variables; variables of the same task do not see each other."""
    wrong = next((name for name in given.model_extra or () if not is_variable(name)), None)
    if wrong is not None:
        reason = f"set_fact: {wrong!r} is not a valid variable name"
        message = f"Task failed: Invalid variable name {wrong!r}."
        return ActionResult(Outcome.FAILED, {"msg": message}, reason, "use the letters a to z, digits and underscores")
    facts = dict(given.model_extra or {})
    if not facts:
        reason = "No key/value pairs provided, at least one is required for this action to succeed"
        return ActionResult(Outcome.FAILED, {"msg": reason}, reason)
    return ActionResult(facts=facts, gathered=facts if given.cacheable else {})


def add_host(given: AddHost, site: TaskContext, scope: Scope) -> ActionResult:
    """Add a host with its groups and variables. Later plays select it; the current one does not."""
    values = dict(given.model_extra or {})
    wrong = next((name for name in values if not is_variable(name)), None)
    if wrong is not None:
        raise UsageError(f"add_host: {wrong!r} is not a valid variable name", place=site.place)
    name, port = without_port(given.name)
    if port is not None:
        values["ansible_ssh_port"] = port
    groups = list(dict.fromkeys(given.groups))
    changed = site.play.stage.grow(lambda inventory: inventory.with_host(name, groups, Table(values)))
    return _inventory_result({"add_host": {"host_name": name, "groups": groups, "host_vars": values}}, changed=changed)


def group_by(given: GroupBy, site: TaskContext, scope: Scope) -> ActionResult:
    """Add the host to a group, which is created if there is none."""
    group = given.key.replace(" ", "-")
    parents = [name.replace(" ", "-") for name in given.parents]
    host = site.host.name
    changed = site.play.stage.grow(lambda inventory: inventory.with_group(host, group, tuple(parents)))
    return _inventory_result({"add_group": group, "parent_groups": parents}, changed=changed)


def _inventory_result(values: dict[str, object], *, changed: bool) -> ActionResult:
    """Return the result: the inventory of the run is changed in check mode too, and no host is."""
    return ActionResult(Outcome.CHANGED if changed else Outcome.OK, values)


def measure_action(given: Measure, site: TaskContext, scope: Scope) -> ActionResult:
    """Measure with the loaded model. A figure that cannot be measured has a reason and does not fail the task."""
    try:
        opened = site.open()
        look_once(site, opened)
        now = site.play.stage.ports.clock.monotonic()
        snapshot = site.host.memory.snapshot(now, max_age=SNAPSHOT_TTL) if opened.name == site.host.name else None
        layers = site.host.layers
        if layers is None:
            snapshot = snapshot or opened.access.reader_for("diagnosis")
            layers = site.play.stage.ports.diagnose(snapshot).offloaded
        reader = opened.access.reader_for("measure", snapshot=snapshot)
        writer = None if site.check() else opened.access.writer()
        memory = card_memory(reader)
        figures = site.play.stage.ports.measure(
            reader, writer, label=given.label, layers=layers, simulated=SCALED in scope, model=given.model
        )
    except HostError as error:
        return refused_result(error, outcome_of(error))
    site.emit("measurement", **MeasurementData(label=given.label, figures={**figures, "memory": memory}))
    return ActionResult(values={**figures, "msg": figures.get("reason") or ""})
