"""Emits task results, and restores results that an earlier process of the same run emitted."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from remediation.engine.journal.progress import task_key
from remediation.engine.journal.serialization import change_to_json
from remediation.engine.play.context.host_state import TaskResult
from remediation.engine.play.context.results import CENSORED, jsonable, refused_result, to_registered
from remediation.engine.play.context.task_context import TaskContext
from remediation.model.change import Change
from remediation.model.errors import RemediationError
from remediation.model.event_data import TaskResultData
from remediation.model.outcome import Outcome
from remediation.model.secrets.names import MASK
from remediation.playbook.actions import GROWING, action_model, is_action
from remediation.playbook.parameters import DEFAULTS, WHOLE
from remediation.templating.yaml.located import plain, texts_in

SETTING = frozenset({"include_vars", "set_fact"})
"""Actions that set variables. They run again if their record contains a masked secret, which changes nothing on the host."""


_LOOKUP = re.compile(r"\b(?:lookup|query|q)\s*\(")

GATHERING = frozenset({"gather_facts", "setup"})
"""Actions that gather facts."""


def describe_task(site: TaskContext) -> dict[str, Any]:
    """Return a task as ``ansible_failed_task`` shows it, evaluated where that is possible and no lookup is repeated."""
    task = site.task
    free = action_model(task.action).free if is_action(task.action) else ""
    given = {name: value for name, value in task.arguments.items() if name not in {DEFAULTS, WHOLE}}
    return {
        "action": task.spelling or task.action,
        "args": {"_raw_params" if name == free else name: _evaluate(site, value) for name, value in given.items()},
        "delegate_to": _evaluate(site, task.settings.delegate_to),
        "loop": _evaluate(site, task.loop.over) if task.loop else None,
        "name": site.render_name(task.name),
        "register": task.register or None,
        "tags": sorted(task.settings.tags),
        "when": list(task.settings.when),
    }


def _evaluate(site: TaskContext, value: Any) -> Any:
    if not any(_LOOKUP.search(text) for text in texts_in(value)):
        try:
            return site.scope().render(value)
        except RemediationError:
            pass
    return plain(value)


def failed_task(error: RemediationError) -> TaskResult:
    """Return the result of a task that could not start."""
    acted = refused_result(error)
    return TaskResult(acted.outcome, to_registered(acted), acted.reason, acted.next_step)


def restored_result(site: TaskContext, data: Mapping[str, Any]) -> TaskResult | None:
    """Return the result that an earlier process of this run recorded; None if its variables cannot be restored."""
    result = dict(data.get("result") or {})
    given = result.get("ansible_facts")
    facts = given if isinstance(given, Mapping) else {}
    if site.task.action in GROWING:
        return None  # they run again: the inventory of this process does not have what they added
    if site.task.action in SETTING and (site.hidden() or MASK in str(facts)):
        return None
    gathered, facts = (facts, {}) if site.task.action in GATHERING else ({}, facts)
    included, facts = (facts, {}) if site.task.action == "include_vars" else ({}, facts)
    return TaskResult(
        Outcome(str(data["outcome"])),
        result,
        str(data.get("reason") or ""),
        str(data.get("next_step") or ""),
        ignored=bool(data.get("ignored")),
        facts=facts,
        included=included,
        gathered=gathered,
    )


def emit_task_end(site: TaskContext, ending: TaskResult, *, item: Any = None, looped: bool = False) -> None:
    """Emit a result, unless an earlier process of this run emitted it. An item whose host is unreachable failed, as in Ansible."""
    if ending.outcome is Outcome.WOULD_CHANGE and site.play.stage.request.policy.check:
        site.host.pending = True
    if site.host.finished and task_key(site.path, site.masked(item) if looped else None) in site.host.finished:
        return
    censored = site.hidden()
    message = ending.result.get("msg", ending.reason)
    if site.task.action == "debug" and "msg" not in ending.result:  # with `var`, whose value stands under its own name
        message = next((value for name, value in ending.result.items() if name not in {"changed", "failed", "skipped"}), message)
    changes: Sequence[Change] = ending.step_result.changes if ending.step_result else ()
    data = TaskResultData(
        path=site.path,
        outcome=str(Outcome.FAILED if looped and ending.outcome is Outcome.UNREACHABLE else ending.outcome),
        ignored=ending.ignored,
        msg=CENSORED if censored else jsonable(message),
        reason=CENSORED if censored and ending.reason else jsonable(ending.reason),
        next_step="" if censored else ending.next_step,
        result={"censored": CENSORED, "changed": ending.changed} if censored else jsonable(_slim(ending.result)),
        changes=[] if censored else [change_to_json(change) for change in changes],
    )
    if looped or site.task.loop is None:
        data["action"] = site.task.action
    if looped:
        data["item"] = None if censored else jsonable(item)
    if site.cut_short(ending):
        data["interrupted"] = True
    site.emit("task_result", **data)


def _slim(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a result without its items' results, which have events of their own, and without all items of its loop."""
    found = {name: value for name, value in result.items() if name != "results"}
    if "ansible_loop" in found:
        found["ansible_loop"] = {name: value for name, value in found["ansible_loop"].items() if name != "allitems"}
    return found


def displayed_item(site: TaskContext, item: Any) -> Any:
    """Return an item in the form of events, None if it is hidden."""
    return None if site.hidden() else jsonable(item)
