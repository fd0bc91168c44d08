"""The risk gate: checks a plan's needs and risks, and asks the user for consent before anything is sent.

A plan is approved or refused as a whole, so that a step is not left half done because its second change was refused.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Change, Need, Risk, highest
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, NotRecorded, OutcomeUnknown
from remediation.model.text.visible import visible_line

if TYPE_CHECKING:
    from remediation.engine.context import Prompt, StepContext
    from remediation.facets.protocols import Reader, Writer
    from remediation.model.facts import SessionFacts

_log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds of host time between two checks for cancellation while the desktop user is warned."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan is refused, and what to do about it."""

    reason: str
    next_step: str


def check_needs(plan: Iterable[Change], context: StepContext, purpose: str = "") -> Refusal | None:
    """Return a refusal for the first unmet need of `plan`, None if all are met.

    The host's session is read only if a change has needs; `purpose` (a step's name) fetches it with the step's next observation.
    """
    wanted = [(change, need) for change in plan for need in sorted(change.needs or ())]
    if not wanted:
        return None
    reader = context.snapshot or _latest(context) or context.access.reader
    session = (context.access.reader_for(purpose, snapshot=reader) if purpose else reader).desktop.session()
    for change, need in wanted:
        lack = _missing_right(need, session)
        if lack is not None:
            reason, next_step = lack
            return Refusal(f"{change.summary} needs {reason}", next_step)
    return None


def _latest(context: StepContext) -> Reader | None:
    """Return the snapshot with which the plan was made, which may know the session already."""
    return context.memory.seen.reader if context.memory.seen is not None else None


def _missing_right(need: Need, session: SessionFacts) -> tuple[str, str] | None:
    if need is Need.DESKTOP and session.desktop_user is None:
        if session.desktop_problem:
            reason = f"a user logged in at the desktop, and the desktop user is unknown: {session.desktop_problem}"
            return (reason, "use a login that is an administrator")
        return ("a user logged in at the desktop (no interactive session)", "log in at the host's desktop, then run again")
    if need is Need.ELEVATED and not session.elevated:
        unknown = session.problems.get("Elevated")
        lack = (
            f"which {session.user} does not have"
            if unknown is None
            else f"and it is unknown whether {session.user} has them: {unknown}"
        )
        return (f"administrator rights, {lack}", "use a login that is an administrator")
    # Microsoft, logon types: a network logon has neither the user's WSL distributions nor the credential store
    if need is Need.WSL and session.wsl is False:
        return ("WSL, which this login cannot reach", "run it at the host's desktop, as the user who owns the distributions")
    if need is Need.CREDENTIAL_STORE and session.credential_store is False:
        return ("the credential store, which a network login cannot reach", "run it at the host's desktop")
    return None


def check_risk(plan: Sequence[Change], context: StepContext, purpose: str = "") -> Refusal | None:
    """Return why `plan` is refused, None if it is approved. Asks the user where the policy allows it."""
    refusal = check_needs(plan, context, purpose) or _windows(plan, context) or _risk(plan, context)
    names = "; ".join(f"{change.summary} ({change.risk})" for change in plan)
    if refusal is None:
        _log.info("%s: allowed: %s", context.host, names)
    else:
        _log.info("%s: refused: %s: %s", context.host, names, refusal.reason)
    return refusal


def predict_refusal(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    """Return why a real run would refuse `plan`, None if it would not.

    The user is not prompted. A change that a real run would ask about is not a refusal.
    """
    refused = _windows(plan, context)
    if refused is not None:
        return refused
    open_ones = _above_limit(plan, context)
    policy = context.policy
    answerable = policy.interactive and all(
        change.risk is Risk.DESTRUCTIVE or (change.risk is Risk.DISRUPTIVE and policy.single_host) for change in open_ones
    )
    return _refusal_of(open_ones, context) if open_ones and not answerable else None


def _windows(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    asking = [change for change in plan if change.asks]
    if not asking or context.policy.close_programs:
        return None
    session = context.access.reader.desktop.session()
    user = session.desktop_user
    if user is None and session.desktop_problem:
        who = f"an unknown user ({session.desktop_problem}) may be"
    elif user is None:
        return None
    else:
        who = f"{user} is"
    what = "; ".join(dict.fromkeys(change.asks for change in asking))
    return Refusal(
        f"{who} logged in at the desktop of {context.host}, and this {what}",
        "allow it with close_programs: true for the host in the inventory, or -e close_programs=true",
    )


def _risk(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    open_ones = [change for change in _above_limit(plan, context) if change.key not in context.memory.consented]
    destructive = [change for change in open_ones if change.risk is Risk.DESTRUCTIVE]
    if destructive and not _ask_approval(
        destructive,
        context,
        lambda prompt: prompt.confirm_typed(f"{_summaries(destructive)}: this deletes data on {context.host}.", context.host),
    ):
        return _refusal_of(open_ones, context)
    others = [change for change in open_ones if change.risk is not Risk.DESTRUCTIVE]
    askable = context.policy.single_host and all(change.risk is Risk.DISRUPTIVE for change in others)
    question = f"Go on with {'this' if len(others) == 1 else 'these'} on {context.host}?"
    details = [f"{change.risk}: {change.summary}" for change in others]
    if others and not (askable and _ask_approval(others, context, lambda prompt: prompt.confirm(question, details))):
        return _refusal_of(others, context)
    return None


def _above_limit(plan: Sequence[Change], context: StepContext) -> list[Change]:
    """Return the changes whose risk exceeds what the policy allows without asking."""
    policy, agreed = context.policy, context.host in context.policy.yes_destroy
    return [
        change for change in plan
        if (not agreed if change.risk is Risk.DESTRUCTIVE else (change.risk or Risk.OBSERVE) > policy.max_risk)
    ]  # fmt: skip


def _refusal_of(changes: Sequence[Change], context: StepContext) -> Refusal:
    """Return the refusal of `changes`, naming every option that would allow them."""
    destructive = [change for change in changes if change.risk is Risk.DESTRUCTIVE]
    others = [change for change in changes if change.risk is not Risk.DESTRUCTIVE]
    worst = highest(change.risk or Risk.OBSERVE for change in others)
    options = [f"--max-risk {worst}"] if others else []
    options += [f"--yes-destroy {context.host}"] if destructive else []
    if destructive:
        reason = f"{_summaries(destructive)}: destructive, and not allowed"
    else:
        reason = f"{_summaries(others)}: risk {worst} exceeds the limit {context.policy.max_risk}"
        reason += "; the answer was no" if any(change.key in context.memory.refused for change in changes) else ""
    return Refusal(reason, f"allow it with {' '.join(options)}")


def _summaries(changes: Sequence[Change]) -> str:
    return ", ".join(dict.fromkeys(change.summary for change in changes))


def _ask_approval(changes: Sequence[Change], context: StepContext, ask: Callable[[Prompt], bool]) -> bool:
    """Ask once for these changes of a plan; the answer is remembered for the run."""
    memory = context.memory
    if not context.policy.interactive or any(change.key in memory.refused for change in changes):
        return False
    with context.ports.asking:
        yes = ask(context.ports.prompt)
    (memory.consented if yes else memory.refused).update(change.key for change in changes)
    return yes


def notify_user(plan: Sequence[Change], writer: Writer, context: StepContext) -> None:
    """Warn the desktop user which programs will be closed and wait ``warn_seconds``; return early on Ctrl-C."""
    asking = [change for change in plan if change.asks]
    seconds = context.policy.warn_seconds
    if not asking or seconds <= 0:
        return
    session = context.access.reader.desktop.session()
    user = session.desktop_user
    if user is None and not session.desktop_problem:
        return
    what = "; ".join(dict.fromkeys(change.asks for change in asking))
    message = visible_line(f"remediation {what} in {seconds:.0f} s to free the GPU. Save your work.")
    # the message is a scheduled task of the user: without a user there is no one to show it to
    why = session.desktop_problem if user is None else _not_shown(writer, message, seconds)
    shown = why is None
    if shown:
        outcome = f"{user} was notified"
    else:
        outcome = f"no message could be shown to {user or 'the desktop user'}{f' ({why})' if why else ''}; waiting anyway"
    context.note(f"{what} in {seconds:.0f} s: {outcome}", level="info" if shown else "warning")
    clock = context.access.clock
    until = clock.monotonic() + seconds
    while not context.ports.cancelled() and (left := until - clock.monotonic()) > 0:
        clock.sleep(min(POLL, left), context.ports.wait)


def _not_shown(writer: Writer, message: str, seconds: float) -> str | None:
    """Show a message at the desktop. Return None on success, the reason of a failure, or "" if the reason is unknown.

    A failure never stops the step.
    """
    from remediation.facets.protocols import DesktopNotifier

    desktop = writer.desktop
    if not isinstance(desktop, DesktopNotifier):
        return ""
    try:
        if desktop.notify(message, seconds=seconds):
            return None
    except NotRecorded:
        raise  # a replay has no desktop user to wait for
    except (Blocked, CallFailed, DeadlineExceeded, OutcomeUnknown) as error:
        return error.message
    return str(getattr(desktop, "unshown", ""))
