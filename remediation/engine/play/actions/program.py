"""Runs the program or script of a module: every call counts as a change, passes the risk gate, is journaled, and is never repeated."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timezone
from typing import Any

from remediation.connections.calls import Call, Completed, Failed, ProbeReply, Reply, Run
from remediation.connections.posix.sudo import is_environment_name
from remediation.engine.approval import Refusal, check_risk
from remediation.engine.context import PlanMembership, StepContext, no_lease
from remediation.engine.journal.serialization import change_to_json
from remediation.engine.play.context.open_hosts import OpenedHost
from remediation.engine.play.context.task_context import TaskContext
from remediation.engine.step.attempts import was_applied
from remediation.model.change import Change, Risk
from remediation.model.errors import HostError, UsageError
from remediation.model.event_data import ChangeEndData, ChangeStartData, PlannedData
from remediation.model.outcome import Outcome, Result
from remediation.modules.contract import Program
from remediation.modules.result import ActionResult
from remediation.templating.errors import UndefinedVariable
from remediation.templating.lazy import OMIT
from remediation.templating.templar import Scope
from remediation.templating.yaml.secret import reveal

LONGEST = 3600.0
"""Default time limit of a program in seconds, if the task has no ``timeout``."""

NO_SUCH_PROGRAM, NOT_PERMITTED = 2, 13
NOT_STARTED = frozenset({"not-found", "denied", "refused", "not-recorded"})
"""Failures in which the host did not start the program. If a program started but returned no exit code, its effect is unknown."""
SEE = "check on the host whether it was done; it is not repeated"


def run_as_change(program: Program, context: TaskContext, opened: OpenedHost) -> ActionResult:
    """Run `program` and return its result with its times."""
    clock = context.play.stage.ports.clock
    begun = clock.now()
    action_result = _run(program, context, opened)
    if program.cmd is None and action_result.values.get("msg") == "":
        return replace(action_result, values={name: value for name, value in action_result.values.items() if name != "msg"})
    if program.cmd is None or "rc" not in action_result.values or "cmd" in action_result.values:
        return action_result
    # local times without an offset, which playbooks parse with to_datetime
    start, end = (
        datetime.fromtimestamp(moment, tz=timezone.utc).astimezone().replace(tzinfo=None) for moment in (begun, clock.now())
    )
    when = {"start": str(start), "end": str(end), "delta": str(end - start)}
    return replace(action_result, values={"cmd": program.cmd, **action_result.values, **when})


def plan_program(program: Program, context: TaskContext) -> None:
    """Put a program that check mode does not run into a saved plan."""
    if context.task.changed_when is not False and context.play.stage.request.policy.check:
        change = _change(program, context)
        index, context.host.memory.changes = context.host.memory.changes, context.host.memory.changes + 1
        context.emit(
            "change_planned", **PlannedData(index=index, path=context.path, step="command", change=change_to_json(change))
        )
        context.host.pending = True


def _change(program: Program, context: TaskContext) -> Change:
    # masked already, not only in events: a saved plan and an earlier process of the run identify the change by this text
    shown = "a program (no_log)" if context.hidden() else program.shown
    return Change(f"run {shown}", subject=shown, risk=max(program.risk, task_risk(context)))


def environment_of(context: TaskContext, scope: Scope, *, gathering: bool = False) -> dict[str, str]:
    """Return the task's environment; inner levels take precedence.

    While facts are gathered, values with undefined variables are left out: they may need the facts (``ansible_env``).
    """
    found: dict[str, str] = {}
    for level in context.settings.environment:
        value = _defined_values(level, scope) if gathering and isinstance(level, Mapping) else scope.render(level)
        for part in value if isinstance(value, list) else [value]:
            if part is None or part is OMIT:
                continue
            if not isinstance(part, Mapping):
                raise UsageError(f"environment: expected a mapping, got {part!r}", place=context.place)
            context.learn(part)
            found |= {str(name): str(reveal(item)) for name, item in part.items()}
    return found


def _defined_values(level: Mapping[Any, Any], scope: Scope) -> dict[Any, Any]:
    known = {}
    for name, value in level.items():
        with suppress(UndefinedVariable):
            known[name] = scope.render(value)
    return {name: value for name, value in known.items() if value is not OMIT}


def valid_environment(environment: Mapping[str, str], context: TaskContext, opened: OpenedHost) -> Mapping[str, str]:
    """Return `environment`. Raises `UsageError` for names and values that the host cannot set."""
    windows = opened.access.connection.platform == "windows"
    for name, value in environment.items():
        if not (name and not set("=\0") & set(name) if windows else is_environment_name(name)):
            step = "remove the = from it" if windows else "use letters, digits and underscores, not starting with a digit"
            raise UsageError(f"environment: {name!r} is not a valid variable name", place=context.place, next_step=step)
        if "\0" in value:
            raise UsageError(
                f"environment: the value of {name} contains a NUL character, which cannot be passed to a program",
                place=context.place,
            )
    return environment


def _run(program: Program, context: TaskContext, opened: OpenedHost) -> ActionResult:
    change = _change(program, context)
    hold = context.hold(opened) if (change.risk or Risk.SAFE) > Risk.SAFE else no_lease
    step_context = context.context(opened, hold)
    earlier = _earlier(program, change, step_context, repeat=context.play.stage.request.repeat)
    if earlier is not None:
        return earlier
    selected = step_context.ports.select(step_context.host, step_context.path, change)
    quiet = context.task.changed_when is False  # the task declares that it changes nothing: nothing to plan or record
    if selected is PlanMembership.LEFT_OUT:
        return ActionResult(
            Outcome.SKIPPED, {"msg": f"excluded by the user: {change.summary}"}, f"excluded by the user: {change.summary}"
        )
    refusal = check_risk([change], step_context)
    if selected is PlanMembership.UNPLANNED and not quiet:
        refusal = Refusal(f"stale plan: {change.summary} is not in it", "save a new plan with --check --out")
    if refusal is not None:
        step_result = Result(Outcome.BLOCKED, refusal.reason, next_step=refusal.next_step)
        return ActionResult(Outcome.BLOCKED, {"msg": refusal.reason}, refusal.reason, refusal.next_step, step_result=step_result)
    limit = step_context.timeout or LONGEST
    hold(limit)
    try:
        if quiet:
            return _program_result(_send(program, opened, limit), program, None)
        return _run_recorded(change, program, context, step_context, opened)
    finally:
        hold(0.0)


def task_risk(context: TaskContext) -> Risk:
    """Return the risk that the task declares, `safe` without one. Raises `UsageError`."""
    if context.task.risk is None:
        return Risk.SAFE
    try:
        return Risk.parse(str(context.scope().render(context.task.risk)))
    except ValueError as error:
        raise UsageError(f"risk: {error}", place=context.place) from None


def _earlier(program: Program, change: Change, step_context: StepContext, *, repeat: bool) -> ActionResult | None:
    """Return the recorded result of this program from an earlier process of the run, None if it was not sent."""
    memory, path = step_context.memory, step_context.path
    done, in_flight = memory.done.pop(path, ()), memory.in_flight.pop(path, ())
    for known in done:
        if known.key == change.key and "rc" in known.data:
            return _program_result(_reply_from_json(known.data, program), program, change)
    if any(known.key == change.key for known in in_flight) and not repeat:
        reason = f"{change.summary}: was in flight when the run was interrupted, and is not repeated"
        return ActionResult(Outcome.UNVERIFIED, {"msg": reason}, reason, "check whether it was done, or resume with --repeat")
    return None


def _run_recorded(
    change: Change, program: Program, context: TaskContext, step_context: StepContext, opened: OpenedHost
) -> ActionResult:
    """Run the program, with its start and end in the journal."""
    limit = step_context.timeout or LONGEST
    index, step_context.memory.changes = step_context.memory.changes, step_context.memory.changes + 1
    planned = PlannedData(index=index, path=step_context.path, step="command", change=change_to_json(change))
    started = ChangeStartData(index=index, path=step_context.path, step="command", change=planned["change"], deadline=limit)
    step_context.emit("change_start", **started)
    begun = opened.access.clock.monotonic()
    try:
        reply = _send(program, opened, limit)
    except HostError as error:
        seconds = opened.access.clock.monotonic() - begun
        lost = ChangeEndData(**planned, applied=was_applied(error), error=error.message, effect="", seconds=seconds)
        step_context.emit("change_end", **lost)
        raise
    action_result = _program_result(reply, program, change)
    kept = _reply_to_json(reply)
    if context.hidden():
        kept |= dict.fromkeys(("stdout", "stderr"), "")
    planned["change"] = change_to_json(replace(change, data=kept))
    not_started = isinstance(reply, Failed) and reply.kind in NOT_STARTED
    ended = ChangeEndData(
        **planned,
        applied=isinstance(reply, (Completed, ProbeReply)) or (False if not_started else None),
        error=action_result.reason,
        effect=f"exit code {kept['rc']}" if "rc" in kept and program.script is None else "",
        seconds=opened.access.clock.monotonic() - begun,
    )
    step_context.emit("change_end", **ended)
    return action_result


def _reply_to_json(reply: Reply) -> dict[str, Any]:
    """Return what the journal keeps of an answer, so that a resumed run has it."""
    if isinstance(reply, ProbeReply):
        return {"rc": 0, "stdout": json.dumps(reply.value), "stderr": ""}
    if not isinstance(reply, Completed):
        return {}
    return {"rc": reply.rc, "stdout": _text(reply.stdout, strip=False), "stderr": _text(reply.stderr, strip=False)}


def _reply_from_json(data: Mapping[str, Any], program: Program) -> Reply:
    """Return an answer that the journal kept."""
    if program.script is not None:
        return ProbeReply(json.loads(str(data["stdout"])))
    return Completed(int(data["rc"]), str(data["stdout"]).encode(), str(data["stderr"]).encode())


def _send(program: Program, opened: OpenedHost, limit: float) -> Reply:
    if program.script is not None:
        call: Call = replace(program.script, timeout=limit, writes=True)
    else:
        call = Run(program.argv, program.stdin, limit, writes=True, cwd=program.cwd, env=program.env)
    reply = opened.access.connection.exchange([call])[0]
    if program.outcome is None and isinstance(reply, Completed) and opened.access.connection.platform == "windows":
        return replace(reply, stdout=reply.stdout.replace(b"\r\n", b"\n"), stderr=reply.stderr.replace(b"\r\n", b"\n"))
    return reply


def _program_result(reply: Reply, program: Program, change: Change | None) -> ActionResult:
    if program.outcome is not None and isinstance(reply, (Completed, ProbeReply)):
        action_result = program.outcome(reply.value if isinstance(reply, ProbeReply) else reply)
        return replace(
            action_result,
            step_result=Result(action_result.outcome, action_result.reason, (change,))
            if change and not action_result.outcome.bad
            else None,
        )
    if isinstance(reply, Completed):
        return _result(reply.rc, _text(reply.stdout, strip=program.strip), _text(reply.stderr, strip=program.strip), change)
    if not isinstance(reply, Failed):
        msg = f"a program answered with {type(reply).__name__}"
        raise TypeError(msg)
    outcomes = {"timeout": Outcome.TIMED_OUT, "uncertain": Outcome.UNVERIFIED}
    values: dict[str, Any] = {
        "msg": reply.message,
        "rc": NO_SUCH_PROGRAM,
        "stdout": "",
        "stderr": "",
        "stdout_lines": [],
        "stderr_lines": [],
    }
    if reply.kind == "not-found" or (
        reply.kind == "denied" and reply.missing
    ):  # not started: Ansible returns the command line as text, without times
        missing = reply.missing or (program.argv[0] if program.argv else "the program")
        values |= {"cmd": shlex.join(program.argv), "msg": "Error executing command."}
        if reply.kind == "denied":
            values["rc"] = NOT_PERMITTED
            return ActionResult(Outcome.FAILED, values, reply.message, "name a program that the login may run")
        if missing == program.cwd:
            values |= {"cmd": program.cmd, "rc": None, "msg": "Unable to change directory before execution."}
            return ActionResult(Outcome.FAILED, values, reply.message, "create that folder on the host, or correct chdir")
        correct = "run the task without become" if missing == "sudo" else "correct its name"
        return ActionResult(Outcome.FAILED, values, reply.message, f"install {missing} on the host, or {correct}")
    next_step = SEE if reply.kind == "uncertain" else ""
    return ActionResult(outcomes.get(reply.kind, Outcome.FAILED), {"msg": reply.message}, reply.message, next_step)


def _text(output: bytes, *, strip: bool) -> str:
    text = output.decode("utf-8", errors="replace")
    return text.rstrip("\r\n") if strip else text


def _result(rc: int, stdout: str, stderr: str, change: Change | None) -> ActionResult:
    last_line = next((line for line in reversed((stderr or stdout).splitlines()) if line.strip()), "")
    reason = "" if rc == 0 else f"exit code {rc}" + (f": {last_line.strip()}" if last_line else "")
    values = {
        "rc": rc,
        "stdout": stdout,
        "stderr": stderr,
        "stdout_lines": stdout.splitlines(),
        "stderr_lines": stderr.splitlines(),
        "changed": True,
        "msg": "" if rc == 0 else "non-zero return code",
    }
    outcome = Outcome.CHANGED if rc == 0 else Outcome.FAILED
    step_result = Result(outcome, reason, (change,)) if change else None
    return ActionResult(outcome, values, reason, step_result=step_result)
