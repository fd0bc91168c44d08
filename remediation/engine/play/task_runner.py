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


def run_task(context: TaskContext, act: Act, notify: Notify) -> TaskResult:
    """Run the task and emit its events. Raises `RemediationError` for an invalid ``throttle``, and if `notify` finds no handler."""
    if context.host.recorded_result(context.path) is None:
        context.emit("task_start", **TaskStartData(path=context.path))
    with _throttle(context):
        task_result = (
            _apply_ignore_errors(context, run_item(context, act))
            if context.task.loop is None
            else run_loop(context, context.task.loop, act)
        )
    _keep(context, task_result)
    notify(_notified_handlers(context, task_result) if context.task.loop is None else task_result.notify, context)
    emit_task_end(context, task_result)
    return task_result


def _throttle(context: TaskContext) -> Any:
    most = int(context.number(context.settings.throttle, 0))
    return context.play.stage.throttle(context.task.path, most) if most > 0 else nullcontext()


def run_loop(context: TaskContext, loop: Loop, act: Act) -> TaskResult:
    """Run the task for each item of its loop."""
    try:
        loop, items = with_names(loop, context.scope()), items_of(loop, context.scope())
    except RemediationError as error:
        broken = error

        def refuse(context: TaskContext, scope: Scope) -> ActionResult:
            raise broken

        return _apply_ignore_errors(context, run_item(context, refuse))  # a false condition takes precedence over an invalid loop
    if not items:
        return TaskResult(
            Outcome.SKIPPED,
            {"changed": False, "skipped": True, "skipped_reason": "No items in the list", "results": []},
            "no items in the list",
        )
    endings: list[TaskResult] = []
    try:
        for number in range(len(items)):
            if number and context.cancelled:
                raise Interrupted  # the finished items are recorded: `resume` continues with the next one
            inner = context.item(number, names_of(loop, number, items))
            task_result = _item(context, inner, act, items[number])
            endings.append(task_result)
            if task_result.facts and context.settings.delegate_facts is not None:
                context = dataclasses.replace(
                    context, included=(*context.included, task_result.facts)
                )  # the next items see them, as in Ansible
            if inner.cut_short(task_result):
                raise Interrupted
            if _ends_loop(inner, task_result):
                break
            pause(inner, loop.pause, last=number == len(items) - 1)
    except RemediationError as error:  # an invalid label, pause or break_when
        failed = _apply_ignore_errors(context, _try_result(context, _error_result(error)))
        return dataclasses.replace(failed, result={**failed.result, "results": [dict(each.result) for each in endings]})
    return together(endings)


def _item(context: TaskContext, inner: TaskContext, act: Act, item: Any) -> TaskResult:
    """Run one item of a loop and emit its events."""
    if context.host.recorded_result(inner.path, context.masked(item)) is None:
        inner.emit("task_start", **TaskStartData(path=inner.path, item=displayed_item(context, item)))
    task_result = _apply_ignore_errors(inner, _check_label(inner, run_item(inner, act)))
    result = {**task_result.result, **inner.loop}
    task_result = dataclasses.replace(task_result, result=result, notify=_notify_names(inner, task_result))
    _set(inner, task_result)
    if context.task.register:  # the next item sees it, as in Ansible
        context.host.facts[context.task.register] = dict(result)
    emit_task_end(inner, task_result, item=item, looped=True)
    return task_result


def _check_label(context: TaskContext, task_result: TaskResult) -> TaskResult:
    """Return the result of an item; it fails if the loop's label is undefined for it. Raises `RemediationError` for another error."""
    label = context.task.loop.label if context.task.loop else None
    if not has_template(label):
        return task_result
    try:
        context.scope({context.task.register: task_result.result} if context.task.register else None).render(label)
    except UndefinedVariable as error:
        failed = refused_result(error)
        result = {**task_result.result, "failed": True, "msg": f"loop_control.label: {failed.reason}"}
        outcome = task_result.outcome if task_result.outcome.bad else Outcome.FAILED
        return dataclasses.replace(
            task_result, outcome=outcome, result={**result, **outcome_key(result, outcome)}, reason=result["msg"]
        )
    return task_result


def _ends_loop(context: TaskContext, task_result: TaskResult) -> bool:
    """Return whether ``break_when`` ends the loop after this item. Raises `RemediationError`."""
    loop = context.task.loop
    if loop is None or loop.break_when is None:
        return False
    own = {context.task.register: task_result.result} if context.task.register else None
    return context.scope(own).condition(loop.break_when, context.place)


def pause(context: TaskContext, seconds: Any, *, last: bool) -> None:
    """Wait between two items if the loop has a pause."""
    if seconds is not None and not last:
        context.pause(context.number(seconds, 0.0))


def together(endings: Sequence[TaskResult]) -> TaskResult:
    """Return the result of a looped task from the results of its items; its failure is ignored if that of each item is."""
    results = [dict(task_result.result) for task_result in endings]
    bad = [task_result for task_result in endings if task_result.outcome.bad]
    skipped = all(task_result.outcome is Outcome.SKIPPED for task_result in endings)
    outcomes = [task_result.outcome for task_result in endings]
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
        "changed": any(task_result.changed for task_result in endings),
        **({"failed": True} if failed else {}),
        "skipped": skipped,
        "msg": "One or more items failed" if failed else ("All items skipped" if skipped else "All items completed"),
        **outcome_key(next((each for each in results if "outcome" in each), {}), outcome),
        **({"unreachable": True} if outcome is Outcome.UNREACHABLE else {}),
    }
    changed = any(task_result.changed for task_result in endings) and not bad
    notify = tuple(dict.fromkeys(name for task_result in endings for name in task_result.notify)) if changed else ()
    reason = bad[0].reason if bad else ""
    ignored = bool(bad) and all(task_result.ignored for task_result in bad)
    return TaskResult(outcome, result, reason, bad[0].next_step if bad else "", ignored, notify=notify)


def run_item(context: TaskContext, act: Act) -> TaskResult:
    """Run one item, or a task without a loop, with its retries."""
    earlier = _recorded_result(context)
    if earlier is not None:
        return earlier
    try:
        if context.settings.delegate_to is not None:
            context.delegate()  # its name is evaluated before `when`, as in Ansible
        unmet = false_condition(context, context.scope())
        if unmet is not None:
            values = {"changed": False, "skipped": True, "skip_reason": UNMET, "false_condition": jsonable(unmet)}
            return TaskResult(Outcome.SKIPPED, values, UNMET)
        context.switch(context.settings.no_log)  # an invalid one fails the task, and its output is hidden
        retries = Retries.of(context)
        task_result: TaskResult | None = None
        while task_result is None:
            try:
                with context.contain_errors(), no_log(active=context.hidden()):
                    action_result = act(context, context.scope())
            except RemediationError as error:
                if isinstance(error, TemplateError) and error.before_action:
                    raise
                action_result = _error_result(error)
            context.report_notes()  # some appear only after an exchange
            task_result = retries.end_try(_try_result(context, retries.count_try(action_result)))
    except RemediationError as error:
        return _try_result(context, _error_result(error), judged=False)
    return task_result


def _recorded_result(context: TaskContext) -> TaskResult | None:
    """Return the result that an earlier process of the run recorded, None if the task has to run."""
    item = context.loop.get(context.loop.get("ansible_loop_var", "")) if context.task.loop is not None else None
    known = context.host.recorded_result(context.path, context.masked(item))
    return restored_result(context, known) if known is not None else None


def _error_result(error: RemediationError) -> ActionResult:
    """Return the result of an error; a host that does not answer while its facts are gathered is unreachable."""
    return refused_result(error, outcome_of(error)) if isinstance(error, HostError) else refused_result(error)


def false_condition(context: TaskContext, scope: Scope) -> Any:
    """Return the first condition of ``when`` that is false, None if all are true. Raises `RemediationError`."""
    for condition in chain.from_iterable(each if isinstance(each, list) else [each] for each in context.settings.when):
        if not scope.condition(condition, context.place):
            return condition
    return None


@dataclass
class Retries:
    """The tries of a task: one, or with ``until`` or ``retries`` as many as it may take."""

    context: TaskContext
    tries: int = 1
    delay: float = 0.0
    made: int = 0

    @classmethod
    def of(cls, context: TaskContext) -> Retries:
        """Return the tries that the task's keywords allow. Raises `RemediationError`."""
        task = context.task
        again = task.until is not None or task.retries is not None
        tries = max(0, int(context.number(task.retries, TRIES))) + 1 if again else 1
        return cls(context, tries, context.number(task.delay, DELAY) if tries > 1 else 0.0)

    def count_try(self, action_result: ActionResult) -> ActionResult:
        """Count a try, and return its result with the number."""
        self.made += 1
        return (
            action_result
            if self.tries == 1
            else dataclasses.replace(action_result, values={**action_result.values, "attempts": self.made})
        )

    def end_try(self, task_result: TaskResult) -> TaskResult | None:
        """Return the task's result after a try, or None after the delay before the next one. Raises `RemediationError`."""
        context = self.context
        if self.tries == 1 or task_result.outcome in {Outcome.UNREACHABLE, Outcome.SKIPPED} or self._met(task_result):
            return task_result
        if self.made < self.tries and not context.cancelled:
            context.note(f"try {self.made} of {self.tries}: {task_result.reason or 'condition not met'}")
            context.pause(self.delay)
        if context.cancelled:
            return _cut_short(task_result, self.made)
        return None if self.made < self.tries else self._out_of_retries(task_result)

    def _met(self, task_result: TaskResult) -> bool:
        task = self.context.task
        if task.until is None:
            return not task_result.outcome.bad
        own = {task.register: task_result.result} if task.register else None
        return self.context.scope(own).condition(task.until, self.context.place)

    def _out_of_retries(self, task_result: TaskResult) -> TaskResult:
        failed = {**task_result.result, "attempts": self.tries - 1, "failed": True, "exception": NO_TRACEBACK}
        if task_result.result.get("failed_when_result") is False:  # failed_when takes precedence
            return dataclasses.replace(task_result, result=failed)
        outcome = task_result.outcome if task_result.outcome.bad else Outcome.FAILED
        reason = task_result.reason or f"not met after {plural(self.tries, 'try', 'tries')}"
        return dataclasses.replace(task_result, outcome=outcome, result=failed, reason=reason)


def _cut_short(task_result: TaskResult, tries: int) -> TaskResult:
    """Return the result of a task whose retries Ctrl-C stopped."""
    reason = f"interrupted after {plural(tries, 'try', 'tries')}: {task_result.reason or 'the condition is not met'}"
    outcome = task_result.outcome if task_result.outcome.bad else Outcome.FAILED
    return dataclasses.replace(
        task_result, outcome=outcome, result={**task_result.result, "failed": True, "msg": reason}, reason=reason
    )


def _try_result(context: TaskContext, action_result: ActionResult, *, judged: bool = True) -> TaskResult:
    """Return the result of a try; it is not `judged` by ``changed_when`` and ``failed_when`` if the action did not begin."""
    task_result = _with_conditions(context, action_result) if judged else _without_conditions(context, action_result)
    if not task_result.outcome.bad or not context.hidden():
        return task_result
    step_result = dataclasses.replace(task_result.step_result, reason=CENSORED, next_step="") if task_result.step_result else None
    return dataclasses.replace(task_result, reason=CENSORED, next_step="", step_result=step_result)


def _without_conditions(context: TaskContext, action_result: ActionResult) -> TaskResult:
    result = to_registered(action_result)
    if action_result.outcome is Outcome.TIMED_OUT and (seconds := context.timeout()):
        result["timedout"] = {"period": int(seconds) if seconds.is_integer() else seconds}
    return TaskResult(
        action_result.outcome, result, action_result.reason, action_result.next_step, step_result=action_result.step_result, facts=action_result.facts, included=action_result.included,
        gathered=action_result.gathered,
    )  # fmt: skip


def _with_conditions(context: TaskContext, action_result: ActionResult) -> TaskResult:
    """Return the result after ``changed_when`` and ``failed_when``."""
    task, task_result = context.task, _without_conditions(context, action_result)
    if action_result.outcome in {Outcome.UNREACHABLE, Outcome.SKIPPED}:
        return task_result
    own: dict[str, Any] | None = {task.register: task_result.result} if task.register else None
    name = "changed_when_result"
    try:
        if task.changed_when not in (None, []):
            task_result = _apply_changed_when(
                context, task_result, changed=context.scope(own).condition(task.changed_when, context.place)
            )
        name = "failed_when_result"
        if task.failed_when not in (None, []):
            own = {task.register: task_result.result} if task.register else None
            task_result = _apply_failed_when(task_result, failed=context.scope(own).condition(task.failed_when, context.place))
    except RemediationError as error:
        where = f"{error.place}: " if error.place else ""
        sentence = f"{where}{error.message}"
        failed = {**task_result.result, "failed": True, "exception": NO_TRACEBACK, "msg": sentence, name: sentence}
        return dataclasses.replace(task_result, outcome=Outcome.FAILED, result=failed, reason=sentence)
    return task_result


def _apply_changed_when(context: TaskContext, task_result: TaskResult, *, changed: bool) -> TaskResult:
    word = (Outcome.WOULD_CHANGE if context.check() else Outcome.CHANGED) if changed else Outcome.OK
    outcome = task_result.outcome if task_result.outcome.bad else word
    result = {**task_result.result, "changed": changed, **outcome_key(task_result.result, outcome)}
    return dataclasses.replace(task_result, outcome=outcome, result=result)


def _apply_failed_when(task_result: TaskResult, *, failed: bool) -> TaskResult:
    result = {**task_result.result, "failed_when_result": failed, "failed": failed}
    if failed:
        result["exception"] = NO_TRACEBACK
        outcome = task_result.outcome if task_result.outcome.bad else Outcome.FAILED
        reason = task_result.reason if task_result.outcome.bad else "failed_when is true"
        return dataclasses.replace(task_result, outcome=outcome, result={**result, **outcome_key(result, outcome)}, reason=reason)
    if not task_result.outcome.bad:
        return dataclasses.replace(task_result, result=result)
    result["failed_when_suppressed_exception"] = result.pop("exception", NO_TRACEBACK)
    outcome = Outcome.CHANGED if task_result.changed else Outcome.OK
    return dataclasses.replace(task_result, outcome=outcome, result={**result, **outcome_key(result, outcome)})


def _apply_ignore_errors(context: TaskContext, task_result: TaskResult) -> TaskResult:
    if not task_result.outcome.bad:
        return task_result
    lost = task_result.outcome is Outcome.UNREACHABLE
    wanted = context.settings.ignore_unreachable if lost else context.settings.ignore_errors
    try:
        return dataclasses.replace(task_result, ignored=context.switch(wanted))
    except RemediationError as error:
        return dataclasses.replace(task_result, reason=f"{task_result.reason}; {error.message}")


def _keep(context: TaskContext, task_result: TaskResult) -> None:
    """Set the variables that the task registers and defines."""
    if context.task.loop is None:
        _set(context, task_result)
    if context.task.register:
        context.host.facts[context.task.register] = dict(task_result.result)


def _set(context: TaskContext, task_result: TaskResult) -> None:
    if not task_result.outcome.bad:
        context.learn([task_result.facts, task_result.included])
        owner = context.host
        if context.settings.delegate_facts is not None and context.switch(context.settings.delegate_facts):
            owner = context.play.stage.host(context.delegate())
        owner.gathered.update(task_result.gathered)
        owner.facts.update(task_result.facts)
        owner.included.update(task_result.included)


def _notified_handlers(context: TaskContext, task_result: TaskResult) -> tuple[str, ...]:
    """Return the handlers that a task's change notifies."""
    return _notify_names(context, task_result) if task_result.changed else ()


def _notify_names(context: TaskContext, task_result: TaskResult) -> tuple[str, ...]:
    if not context.settings.notify or task_result.outcome.bad or task_result.outcome is Outcome.SKIPPED:
        return ()
    scope = context.scope({context.task.register: task_result.result} if context.task.register else None)
    names = [scope.render(name) for name in context.settings.notify]
    return tuple(str(name) for each in names for name in (each if isinstance(each, (list, tuple)) else [each]))
