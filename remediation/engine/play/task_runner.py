"""Runs one task on one host: its conditions, its loop, its retries, and the evaluation of its result."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from itertools import chain
from typing import Any

from remediation.engine.play.context.host_state import TaskResult
from remediation.engine.play.context.results import CENSORED, NO_TRACEBACK, jsonable, outcome_key, refused_result, to_registered
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.play.context.task_events import displayed_item, emit_task_end, restored_result
from remediation.engine.play.control_flow import Interrupted
from remediation.engine.play.loops import items_of, names_of, with_names
from remediation.engine.step.attempts import outcome_of
from remediation.model.errors import HostError, RemediationError
from remediation.model.event_data import TaskStartData
from remediation.model.outcome import Outcome
from remediation.model.secrets.masking import no_log
from remediation.model.text.words import plural
from remediation.modules.result import ActionResult
from remediation.playbook.model import Loop
from remediation.templating.errors import TemplateError, UndefinedVariable
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import has_template

Act = Callable[[TaskContext, Scope], ActionResult]
"""Runs a task's action once; may raise `RemediationError`."""

Notify = Callable[[Sequence[str], TaskContext], None]
"""Notifies the handlers of these names."""

TRIES = 3
"""Default number of retries of a task with ``until``, as in Ansible."""

DELAY = 5.0
UNMET = "Conditional result was False"


def run_task(site: TaskContext, act: Act, notify: Notify) -> TaskResult:
    """Run the task and emit its events. Raises `RemediationError` for an invalid ``throttle``, and if `notify` finds no handler."""
    if site.host.recorded_result(site.path) is None:
        site.emit("task_start", **TaskStartData(path=site.path))
    with _throttle(site):
        ending = (
            _apply_ignore_errors(site, run_item(site, act)) if site.task.loop is None else run_loop(site, site.task.loop, act)
        )
    _keep(site, ending)
    notify(_notified_handlers(site, ending) if site.task.loop is None else ending.notify, site)
    emit_task_end(site, ending)
    return ending


def _throttle(site: TaskContext) -> Any:
    most = int(site.number(site.settings.throttle, 0))
    return site.play.stage.throttle(site.task.path, most) if most > 0 else nullcontext()


def run_loop(site: TaskContext, loop: Loop, act: Act) -> TaskResult:
    """Run the task for each item of its loop."""
    try:
        loop, items = with_names(loop, site.scope()), items_of(loop, site.scope())
    except RemediationError as error:
        broken = error

        def refuse(site: TaskContext, scope: Scope) -> ActionResult:
            raise broken

        return _apply_ignore_errors(site, run_item(site, refuse))  # a false condition takes precedence over an invalid loop
    if not items:
        return TaskResult(
            Outcome.SKIPPED,
            {"changed": False, "skipped": True, "skipped_reason": "No items in the list", "results": []},
            "no items in the list",
        )
    endings: list[TaskResult] = []
    try:
        for number in range(len(items)):
            if number and site.cancelled:
                raise Interrupted  # the finished items are recorded: `resume` continues with the next one
            inner = site.item(number, names_of(loop, number, items))
            ending = _item(site, inner, act, items[number])
            endings.append(ending)
            if ending.facts and site.settings.delegate_facts is not None:
                site = dataclasses.replace(
                    site, included=(*site.included, ending.facts)
                )  # the next items see them, as in Ansible
            if inner.cut_short(ending):
                raise Interrupted
            if _ends_loop(inner, ending):
                break
            pause(inner, loop.pause, last=number == len(items) - 1)
    except RemediationError as error:  # an invalid label, pause or break_when
        failed = _apply_ignore_errors(site, _try_result(site, _error_result(error)))
        return dataclasses.replace(failed, result={**failed.result, "results": [dict(each.result) for each in endings]})
    return together(endings)


def _item(site: TaskContext, inner: TaskContext, act: Act, item: Any) -> TaskResult:
    """Run one item of a loop and emit its events."""
    if site.host.recorded_result(inner.path, site.masked(item)) is None:
        inner.emit("task_start", **TaskStartData(path=inner.path, item=displayed_item(site, item)))
    ending = _apply_ignore_errors(inner, _check_label(inner, run_item(inner, act)))
    result = {**ending.result, **inner.loop}
    ending = dataclasses.replace(ending, result=result, notify=_notify_names(inner, ending))
    _set(inner, ending)
    emit_task_end(inner, ending, item=item, looped=True)
    return ending


def _check_label(site: TaskContext, ending: TaskResult) -> TaskResult:
    """Return the result of an item; it fails if the loop's label is undefined for it. Raises `RemediationError` for another error."""
    label = site.task.loop.label if site.task.loop else None
    if not has_template(label):
        return ending
    try:
        site.scope({site.task.register: ending.result} if site.task.register else None).render(label)
    except UndefinedVariable as error:
        failed = refused_result(error)
        result = {**ending.result, "failed": True, "msg": f"loop_control.label: {failed.reason}"}
        outcome = ending.outcome if ending.outcome.bad else Outcome.FAILED
        return dataclasses.replace(
            ending, outcome=outcome, result={**result, **outcome_key(result, outcome)}, reason=result["msg"]
        )
    return ending


def _ends_loop(site: TaskContext, ending: TaskResult) -> bool:
    """Return whether ``break_when`` ends the loop after this item. Raises `RemediationError`."""
    loop = site.task.loop
    if loop is None or loop.break_when is None:
        return False
    own = {site.task.register: ending.result} if site.task.register else None
    return site.scope(own).condition(loop.break_when, site.place)


def pause(site: TaskContext, seconds: Any, *, last: bool) -> None:
    """Wait between two items if the loop has a pause."""
    if seconds is not None and not last:
        site.pause(site.number(seconds, 0.0))


def together(endings: Sequence[TaskResult]) -> TaskResult:
    """Return the result of a looped task from the results of its items; its failure is ignored if that of each item is."""
    results = [dict(ending.result) for ending in endings]
    bad = [ending for ending in endings if ending.outcome.bad]
    skipped = all(ending.outcome is Outcome.SKIPPED for ending in endings)
    outcomes = [ending.outcome for ending in endings]
    outcome = Outcome.OK
    if bad:
        outcome = next((item.outcome for item in bad if item.outcome is Outcome.UNREACHABLE), bad[0].outcome)
    elif skipped:
        outcome = Outcome.SKIPPED
    else:
        outcome = next((word for word in (Outcome.WOULD_CHANGE, Outcome.CHANGED) if word in outcomes), Outcome.OK)
    failed = any(result.get("failed") for result in results)  # an unreachable item has not failed
    result: dict[str, Any] = {
        "results": results,
        "changed": any(ending.changed for ending in endings),
        **({"failed": True} if failed else {}),
        "skipped": skipped,
        "msg": "One or more items failed" if failed else ("All items skipped" if skipped else "All items completed"),
        **outcome_key(next((each for each in results if "outcome" in each), {}), outcome),
        **({"unreachable": True} if outcome is Outcome.UNREACHABLE else {}),
    }
    changed = any(ending.changed for ending in endings) and not bad
    notify = tuple(dict.fromkeys(name for ending in endings for name in ending.notify)) if changed else ()
    reason = bad[0].reason if bad else ""
    ignored = bool(bad) and all(ending.ignored for ending in bad)
    return TaskResult(outcome, result, reason, bad[0].next_step if bad else "", ignored, notify=notify)


def run_item(site: TaskContext, act: Act) -> TaskResult:
    """Run one item, or a task without a loop, with its retries."""
    earlier = _recorded_result(site)
    if earlier is not None:
        return earlier
    try:
        if site.settings.delegate_to is not None:
            site.delegate()  # its name is evaluated before `when`, as in Ansible
        unmet = false_condition(site, site.scope())
        if unmet is not None:
            values = {"changed": False, "skipped": True, "skip_reason": UNMET, "false_condition": jsonable(unmet)}
            return TaskResult(Outcome.SKIPPED, values, UNMET)
        site.switch(site.settings.no_log)  # an invalid one fails the task, and its output is hidden
        retries = Retries.of(site)
        ending: TaskResult | None = None
        while ending is None:
            try:
                with site.contain_errors(), no_log(active=site.hidden()):
                    acted = act(site, site.scope())
            except RemediationError as error:
                if isinstance(error, TemplateError) and error.before_action:
                    raise
                acted = _error_result(error)
            site.report_notes()  # some appear only after an exchange
            ending = retries.end_try(_try_result(site, retries.count_try(acted)))
    except RemediationError as error:
        return _try_result(site, _error_result(error), judged=False)
    return ending


def _recorded_result(site: TaskContext) -> TaskResult | None:
    """Return the result that an earlier process of the run recorded, None if the task has to run."""
    item = site.loop.get(site.loop.get("ansible_loop_var", "")) if site.task.loop is not None else None
    known = site.host.recorded_result(site.path, site.masked(item))
    return restored_result(site, known) if known is not None else None


def _error_result(error: RemediationError) -> ActionResult:
    """Return the result of an error; a host that does not answer while its facts are gathered is unreachable."""
    return refused_result(error, outcome_of(error)) if isinstance(error, HostError) else refused_result(error)


def false_condition(site: TaskContext, scope: Scope) -> Any:
    """Return the first condition of ``when`` that is false, None if all are true. Raises `RemediationError`."""
    for condition in chain.from_iterable(each if isinstance(each, list) else [each] for each in site.settings.when):
        if not scope.condition(condition, site.place):
            return condition
    return None


@dataclass
class Retries:
    """The tries of a task: one, or with ``until`` or ``retries`` as many as it may take."""

    site: TaskContext
    tries: int = 1
    delay: float = 0.0
    made: int = 0

    @classmethod
    def of(cls, site: TaskContext) -> Retries:
        """Return the tries that the task's keywords allow. Raises `RemediationError`."""
        task = site.task
        again = task.until is not None or task.retries is not None
        tries = max(0, int(site.number(task.retries, TRIES))) + 1 if again else 1
        return cls(site, tries, site.number(task.delay, DELAY) if tries > 1 else 0.0)

    def count_try(self, acted: ActionResult) -> ActionResult:
        """Count a try, and return its result with the number."""
        self.made += 1
        return acted if self.tries == 1 else dataclasses.replace(acted, values={**acted.values, "attempts": self.made})

    def end_try(self, ending: TaskResult) -> TaskResult | None:
        """Return the task's result after a try, or None after the delay before the next one. Raises `RemediationError`."""
        site = self.site
        if self.tries == 1 or ending.outcome in {Outcome.UNREACHABLE, Outcome.SKIPPED} or self._met(ending):
            return ending
        if self.made < self.tries and not site.cancelled:
            site.note(f"try {self.made} of {self.tries}: {ending.reason or 'condition not met'}")
            site.pause(self.delay)
        if site.cancelled:
            return _cut_short(ending, self.made)
        return None if self.made < self.tries else self._out_of_retries(ending)

    def _met(self, ending: TaskResult) -> bool:
        task = self.site.task
        if task.until is None:
            return not ending.outcome.bad
        own = {task.register: ending.result} if task.register else None
        return self.site.scope(own).condition(task.until, self.site.place)

    def _out_of_retries(self, ending: TaskResult) -> TaskResult:
        failed = {**ending.result, "attempts": self.tries - 1, "failed": True, "exception": NO_TRACEBACK}
        if ending.result.get("failed_when_result") is False:  # failed_when takes precedence
            return dataclasses.replace(ending, result=failed)
        outcome = ending.outcome if ending.outcome.bad else Outcome.FAILED
        reason = ending.reason or f"not met after {plural(self.tries, 'try', 'tries')}"
        return dataclasses.replace(ending, outcome=outcome, result=failed, reason=reason)


def _cut_short(ending: TaskResult, tries: int) -> TaskResult:
    """Return the result of a task whose retries Ctrl-C stopped."""
    reason = f"interrupted after {plural(tries, 'try', 'tries')}: {ending.reason or 'the condition is not met'}"
    outcome = ending.outcome if ending.outcome.bad else Outcome.FAILED
    return dataclasses.replace(ending, outcome=outcome, result={**ending.result, "failed": True, "msg": reason}, reason=reason)


def _try_result(site: TaskContext, acted: ActionResult, *, judged: bool = True) -> TaskResult:
    """Return the result of a try; it is not `judged` by ``changed_when`` and ``failed_when`` if the action did not begin."""
    ending = _with_conditions(site, acted) if judged else _without_conditions(site, acted)
    if not ending.outcome.bad or not site.hidden():
        return ending
    step_result = dataclasses.replace(ending.step_result, reason=CENSORED, next_step="") if ending.step_result else None
    return dataclasses.replace(ending, reason=CENSORED, next_step="", step_result=step_result)


def _without_conditions(site: TaskContext, acted: ActionResult) -> TaskResult:
    result = to_registered(acted)
    if acted.outcome is Outcome.TIMED_OUT and (seconds := site.timeout()):
        result["timedout"] = {"period": int(seconds) if seconds.is_integer() else seconds}
    return TaskResult(
        acted.outcome, result, acted.reason, acted.next_step, step_result=acted.step_result, facts=acted.facts, included=acted.included,
        gathered=acted.gathered,
    )  # fmt: skip


def _with_conditions(site: TaskContext, acted: ActionResult) -> TaskResult:
    """Return the result after ``changed_when`` and ``failed_when``."""
    task, ending = site.task, _without_conditions(site, acted)
    if acted.outcome in {Outcome.UNREACHABLE, Outcome.SKIPPED}:
        return ending
    own: dict[str, Any] | None = {task.register: ending.result} if task.register else None
    name = "changed_when_result"
    try:
        if task.changed_when not in (None, []):
            ending = _apply_changed_when(site, ending, changed=site.scope(own).condition(task.changed_when, site.place))
        name = "failed_when_result"
        if task.failed_when not in (None, []):
            own = {task.register: ending.result} if task.register else None
            ending = _apply_failed_when(ending, failed=site.scope(own).condition(task.failed_when, site.place))
    except RemediationError as error:
        where = f"{error.place}: " if error.place else ""
        sentence = f"{where}{error.message}"
        failed = {**ending.result, "failed": True, "exception": NO_TRACEBACK, "msg": sentence, name: sentence}
        return dataclasses.replace(ending, outcome=Outcome.FAILED, result=failed, reason=sentence)
    return ending


def _apply_changed_when(site: TaskContext, ending: TaskResult, *, changed: bool) -> TaskResult:
    word = (Outcome.WOULD_CHANGE if site.check() else Outcome.CHANGED) if changed else Outcome.OK
    outcome = ending.outcome if ending.outcome.bad else word
    result = {**ending.result, "changed": changed, **outcome_key(ending.result, outcome)}
    return dataclasses.replace(ending, outcome=outcome, result=result)


def _apply_failed_when(ending: TaskResult, *, failed: bool) -> TaskResult:
    result = {**ending.result, "failed_when_result": failed, "failed": failed}
    if failed:
        result["exception"] = NO_TRACEBACK
        outcome = ending.outcome if ending.outcome.bad else Outcome.FAILED
        reason = ending.reason if ending.outcome.bad else "failed_when is true"
        return dataclasses.replace(ending, outcome=outcome, result={**result, **outcome_key(result, outcome)}, reason=reason)
    if not ending.outcome.bad:
        return dataclasses.replace(ending, result=result)
    result["failed_when_suppressed_exception"] = result.pop("exception", NO_TRACEBACK)
    outcome = Outcome.CHANGED if ending.changed else Outcome.OK
    return dataclasses.replace(ending, outcome=outcome, result={**result, **outcome_key(result, outcome)})


def _apply_ignore_errors(site: TaskContext, ending: TaskResult) -> TaskResult:
    if not ending.outcome.bad:
        return ending
    lost = ending.outcome is Outcome.UNREACHABLE
    wanted = site.settings.ignore_unreachable if lost else site.settings.ignore_errors
    try:
        return dataclasses.replace(ending, ignored=site.switch(wanted))
    except RemediationError as error:
        return dataclasses.replace(ending, reason=f"{ending.reason}; {error.message}")


def _keep(site: TaskContext, ending: TaskResult) -> None:
    """Set the variables that the task registers and defines."""
    if site.task.loop is None:
        _set(site, ending)
    if site.task.register:
        site.host.facts[site.task.register] = dict(ending.result)


def _set(site: TaskContext, ending: TaskResult) -> None:
    if not ending.outcome.bad:
        site.learn([ending.facts, ending.included])
        owner = site.host
        if site.settings.delegate_facts is not None and site.switch(site.settings.delegate_facts):
            owner = site.play.stage.host(site.delegate())
        owner.gathered.update(ending.gathered)
        owner.facts.update(ending.facts)
        owner.included.update(ending.included)


def _notified_handlers(site: TaskContext, ending: TaskResult) -> tuple[str, ...]:
    """Return the handlers that a task's change notifies."""
    return _notify_names(site, ending) if ending.changed else ()


def _notify_names(site: TaskContext, ending: TaskResult) -> tuple[str, ...]:
    if not site.settings.notify or ending.outcome.bad or ending.outcome is Outcome.SKIPPED:
        return ()
    scope = site.scope({site.task.register: ending.result} if site.task.register else None)
    names = [scope.render(name) for name in site.settings.notify]
    return tuple(str(name) for each in names for name in (each if isinstance(each, (list, tuple)) else [each]))
