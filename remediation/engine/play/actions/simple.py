"""``debug``, ``fail``, ``assert`` and ``set_fact``: actions that need no host."""

from __future__ import annotations

from remediation.engine.play.context.task_context import TaskContext
from remediation.model.outcome import Outcome
from remediation.modules.result import ActionResult
from remediation.playbook.actions import Assert, Debug, Fail, SetFact
from remediation.playbook.keywords import is_variable
from remediation.templating.errors import UndefinedVariable
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import has_template

GREETING = "Hello world!"


def debug(given: Debug, site: TaskContext, scope: Scope) -> ActionResult:
    """Print a message, or the value of an expression."""
    if given.verbosity > site.play.stage.request.verbosity:
        return ActionResult(Outcome.SKIPPED, {"skipped_reason": "Verbosity threshold not met."}, "shown only with more -v")
    if given.var is not None:
        try:
            value = scope.render(given.var) if has_template(given.var) else scope.expression(str(given.var), site.place)
        except UndefinedVariable as error:
            value = f"<< error 1 - {error.message.rsplit(' in ', 1)[0]} >>"  # showing an undefined variable is not an error
        return ActionResult(values={str(given.var): value})
    return ActionResult(values={"msg": given.msg if "msg" in given.model_fields_set else GREETING})


def fail(given: Fail, site: TaskContext, scope: Scope) -> ActionResult:
    """Fail with the message."""
    return ActionResult(Outcome.FAILED, {"msg": given.msg}, str(given.msg))


def assert_(given: Assert, site: TaskContext, scope: Scope) -> ActionResult:
    """Fail at the first condition that is false."""
    for condition in given.that if isinstance(given.that, list) else [given.that]:
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
        return ActionResult(Outcome.FAILED, {"msg": reason}, reason, "use the letters a to z, digits and underscores")
    facts = dict(given.model_extra or {})
    if not facts:
        reason = "No key/value pairs provided, at least one is required for this action to succeed"
        return ActionResult(Outcome.FAILED, {"msg": reason}, reason)
    return ActionResult(facts=facts, gathered=facts if given.cacheable else {})
