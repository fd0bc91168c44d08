"""The risk gate (design 5): what a host has, what the user allows, and who is asked before anything is sent.

A plan is weighed as a whole, so that a step is not left half done because its second change was refused.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Change, Need, Risk, highest
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, NotRecorded, OutcomeUnknown
from remediation.model.text.visible import visible_line

if TYPE_CHECKING:
    from remediation.engine.context import StepContext
    from remediation.facets.protocols import Writer
    from remediation.model.facts import SessionFacts

_log = logging.getLogger(__name__)

POLL = 1.0
"""Seconds of the host's time between two looks at Ctrl-C while somebody at the desktop is given time."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a plan may not be carried out, and what to do about it."""

    reason: str
    next_step: str


def missing(plan: Iterable[Change], context: StepContext) -> Refusal | None:
    """Return the need that is not there, with the reason; asks for the host's session only where something is needed."""
    wanted = [(change, need) for change in plan for need in sorted(change.needs or ())]
    if not wanted:
        return None
    session = (context.snapshot or context.access.reader).desktop.session()
    for change, need in wanted:
        lack = _lack(need, session)
        if lack is not None:
            reason, next_step = lack
            return Refusal(f"{change.summary} needs {reason}", next_step)
    return None


def _lack(need: Need, session: SessionFacts) -> tuple[str, str] | None:
    if need is Need.DESKTOP and session.desktop_user is None:
        if session.desktop_problem:
            reason = f"somebody logged in at the desktop, and who sits there is not known: {session.desktop_problem}"
            return (reason, "use a login that is an administrator")
        return ("somebody logged in at the desktop (no interactive session)", "log in at the host's desktop, then run again")
    if need is Need.ELEVATED and not session.elevated:
        unknown = session.problems.get("Elevated")
        lack = (
            f"which {session.user} does not have"
            if unknown is None
            else f"and whether {session.user} has them is not known: {unknown}"
        )
        return (f"administrator rights, {lack}", "use a login that is an administrator")
    # facts/windows 2: a network logon reaches neither WSL's distributions nor the credential store
    if need is Need.WSL and session.wsl is False:
        return ("WSL, which this login does not reach", "run it at the host's desktop, as the user who owns the distributions")
    if need is Need.CREDENTIAL_STORE and session.credential_store is False:
        return ("the credential store, which a network login does not reach", "run it at the host's desktop")
    return None


def check_risk(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    """Return why `plan` may not be carried out, None when it may; asks the user where the policy lets it."""
    refusal = missing(plan, context) or _windows(plan, context) or _risk(plan, context)
    names = "; ".join(f"{change.summary} ({change.risk})" for change in plan)
    if refusal is None:
        _log.info("%s: allowed: %s", context.host, names)
    else:
        _log.info("%s: refused: %s: %s", context.host, names, refusal.reason)
    return refusal


def predict_refusal(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    """Return what a run for real would be refused for; nobody is asked, and what a run would ask about is no refusal."""
    refused = _windows(plan, context)
    if refused is not None:
        return refused
    open_ones = _above_limit(plan, context)
    policy = context.policy
    asked = policy.interactive and all(
        change.risk is Risk.DESTRUCTIVE or (change.risk is Risk.DISRUPTIVE and policy.single_host) for change in open_ones
    )
    return _refused(open_ones, context) if open_ones and not asked else None


def _windows(plan: Sequence[Change], context: StepContext) -> Refusal | None:

    asking = [change for change in plan if change.asks]
    if not asking or context.policy.close_programs:
        return None
    session = context.access.reader.desktop.session()
    user = session.desktop_user
    if user is None and session.desktop_problem:
        who = f"somebody who is not known ({session.desktop_problem}) may sit"
    elif user is None:
        return None
    else:
        who = f"{user} sits"
    what = "; ".join(dict.fromkeys(change.asks for change in asking))
    return Refusal(
        f"{who} at the desktop of {context.host}, and this {what}",
        "allow it with close_programs: true for the host in the inventory, or -e close_programs=true",
    )


def _risk(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    open_ones = [change for change in _above_limit(plan, context) if change.key not in context.memory.consented]
    destructive = [change for change in open_ones if change.risk is Risk.DESTRUCTIVE]
    if destructive and not _typed(destructive, context):
        return _refused(open_ones, context)
    others = [change for change in open_ones if change.risk is not Risk.DESTRUCTIVE]
    if others and not _agreed(others, context):
        return _refused(others, context)
    return None


def _above_limit(plan: Sequence[Change], context: StepContext) -> list[Change]:
    """Return the changes that the policy does not allow as it is."""
    policy, agreed = context.policy, context.host in context.policy.yes_destroy
    return [
        change for change in plan
        if (not agreed if change.risk is Risk.DESTRUCTIVE else (change.risk or Risk.OBSERVE) > policy.max_risk)
    ]  # fmt: skip


def _refused(changes: Sequence[Change], context: StepContext) -> Refusal:
    """Return the refusal of `changes`, with every option that is needed to allow them."""
    destructive = [change for change in changes if change.risk is Risk.DESTRUCTIVE]
    others = [change for change in changes if change.risk is not Risk.DESTRUCTIVE]
    worst = highest(change.risk or Risk.OBSERVE for change in others)
    options = [f"--max-risk {worst}"] if others else []
    options += [f"--yes-destroy {context.host}"] if destructive else []
    if destructive:
        reason = f"{_named(destructive)}: destructive, and not agreed to"
    else:
        reason = f"{_named(others)}: {worst}, and at most {context.policy.max_risk} is allowed"
        reason += "; the answer was no" if any(change.key in context.memory.refused for change in changes) else ""
    return Refusal(reason, f"allow it with {' '.join(options)}")


def _named(changes: Sequence[Change]) -> str:
    return ", ".join(dict.fromkeys(change.summary for change in changes))


def _agreed(changes: Sequence[Change], context: StepContext) -> bool:
    """Ask once for all that is disruptive in this plan; a no is kept and not asked again."""
    policy, memory = context.policy, context.memory
    askable = policy.interactive and policy.single_host and all(change.risk is Risk.DISRUPTIVE for change in changes)
    if not askable or any(change.key in memory.refused for change in changes):
        return False
    details = [f"{change.risk}: {change.summary}" for change in changes]
    with context.ports.asking:
        yes = context.ports.prompt.confirm(f"Go on with {'this' if len(changes) == 1 else 'these'} on {context.host}?", details)
    (memory.consented if yes else memory.refused).update(change.key for change in changes)
    return yes


def _typed(changes: Sequence[Change], context: StepContext) -> bool:
    policy, memory = context.policy, context.memory
    if not policy.interactive or any(change.key in memory.refused for change in changes):
        return False
    question = f"{_named(changes)}: this deletes data on {context.host}."
    with context.ports.asking:
        yes = context.ports.prompt.typed(question, context.host)
    (memory.consented if yes else memory.refused).update(change.key for change in changes)
    return yes


def notify_user(plan: Sequence[Change], writer: Writer, context: StepContext) -> None:
    """Tell whoever sits at the desktop what will be closed, and give them ``warn_seconds``; returns early on Ctrl-C."""
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
    # without a user whom a task could be registered for, nothing is tried
    why = session.desktop_problem if user is None else _not_shown(writer, message, seconds)
    shown = why is None
    if shown:
        told = f"{user} was told"
    else:
        told = f"no message could be shown to {user or 'whoever sits at the desktop'}{f' ({why})' if why else ''}; waiting all the same"
    context.note(f"{what} in {seconds:.0f} s: {told}", level="info" if shown else "warning")
    clock = context.access.clock
    until = clock.monotonic() + seconds
    while not context.ports.cancelled() and (left := until - clock.monotonic()) > 0:
        clock.sleep(min(POLL, left), context.ports.wait)


def _not_shown(writer: Writer, message: str, seconds: float) -> str | None:
    """Show a message at the desktop; return why that failed, "" where nobody knows, None where it is shown. It never stops a step."""
    from remediation.facets.protocols import DesktopNotifier

    desktop = writer.desktop
    if not isinstance(desktop, DesktopNotifier):
        return ""
    try:
        if desktop.notify(message, seconds=seconds):
            return None
    except NotRecorded:
        raise  # nobody sits there, and nothing is to be waited for
    except (Blocked, CallFailed, DeadlineExceeded, OutcomeUnknown) as error:
        return error.message
    return str(getattr(desktop, "unshown", ""))
