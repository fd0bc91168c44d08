"""The risk gate (design 5): what a host has, what the user allows, and who is asked before anything is sent.

A plan is weighed as a whole, so that a step is not left half done because its second change was refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Change, Need, Risk, highest

if TYPE_CHECKING:
    from remediation.engine.ports import StepContext
    from remediation.facets.protocols import Writer
    from remediation.model.facts import SessionFacts

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
    session = (context.moment or context.access.reader).desktop.session()
    for change, need in wanted:
        lack = _lack(need, session)
        if lack is not None:
            reason, next_step = lack
            return Refusal(f"{change.summary} needs {reason}", next_step)
    return None


def _lack(need: Need, session: SessionFacts) -> tuple[str, str] | None:
    if need is Need.DESKTOP and session.desktop_user is None:
        return ("somebody logged in at the desktop (no interactive session)", "log in at the host's desktop, then run again")
    if need is Need.ELEVATED and not session.elevated:
        return (f"administrator rights, which {session.user} does not have", "use a login that is an administrator")
    # facts/windows 2: a network logon reaches neither WSL's distributions nor the credential store
    if need is Need.WSL and session.wsl is False:
        return ("WSL, which this login does not reach", "run it at the host's desktop, as the user who owns the distributions")
    if need is Need.CREDENTIAL_STORE and session.credential_store is False:
        return ("the credential store, which a network login does not reach", "run it at the host's desktop")
    return None


def weigh(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    """Return why `plan` may not be carried out, None when it may; asks the user where the policy lets it."""
    return missing(plan, context) or _windows(plan, context) or _risk(plan, context)


def foretell(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    """Return what a run for real would be refused for; nobody is asked (check mode)."""
    policy = context.policy
    refused = _windows(plan, context)
    if refused is not None:
        return refused
    worst = highest(change.risk or Risk.OBSERVE for change in plan)
    if worst is Risk.DESTRUCTIVE and context.host not in policy.yes_destroy:
        return _undestroyed([change for change in plan if change.risk is worst], context)
    if worst > policy.max_risk and worst is not Risk.DESTRUCTIVE:
        return _above([change for change in plan if (change.risk or Risk.OBSERVE) > policy.max_risk], context)
    return None


def _windows(plan: Sequence[Change], context: StepContext) -> Refusal | None:

    asking = [change for change in plan if change.asks]
    if not asking or context.policy.close_programs:
        return None
    user = context.access.reader.desktop.session().desktop_user
    if user is None:
        return None
    what = "; ".join(dict.fromkeys(change.asks for change in asking))
    return Refusal(
        f"{user} sits at the desktop of {context.host}, and this {what}",
        "allow it with close_programs: true for the host in the inventory, or -e close_programs=true",
    )


def _risk(plan: Sequence[Change], context: StepContext) -> Refusal | None:
    policy = context.policy
    above = [change for change in plan if (change.risk or Risk.OBSERVE) > policy.max_risk or change.risk is Risk.DESTRUCTIVE]
    open_ones = [change for change in above if change.key not in context.memory.consented]
    destructive = [change for change in open_ones if change.risk is Risk.DESTRUCTIVE]
    if destructive and context.host not in policy.yes_destroy and not _typed(destructive, context):
        return _undestroyed(destructive, context)
    others = [change for change in open_ones if change.risk is not Risk.DESTRUCTIVE]
    if others and not _agreed(others, context):
        return _above(others, context)
    return None


def _above(changes: Sequence[Change], context: StepContext) -> Refusal:
    worst = highest(change.risk or Risk.OBSERVE for change in changes)
    said_no = any(change.key in context.memory.refused for change in changes)
    reason = f"{_named(changes)}: {worst}, and at most {context.policy.max_risk} is allowed"
    return Refusal(f"{reason}; the answer was no" if said_no else reason, f"allow it with --max-risk {worst}")


def _undestroyed(changes: Sequence[Change], context: StepContext) -> Refusal:
    return Refusal(f"{_named(changes)}: destructive, and not agreed to", f"allow it with --yes-destroy {context.host}")


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


def forewarn(plan: Sequence[Change], writer: Writer, context: StepContext) -> None:
    """Tell whoever sits at the desktop what will be closed, and give them ``warn_seconds``; returns early on Ctrl-C."""
    asking = [change for change in plan if change.asks]
    seconds = context.policy.warn_seconds
    if not asking or seconds <= 0:
        return
    user = context.access.reader.desktop.session().desktop_user
    if user is None:
        return
    what = "; ".join(dict.fromkeys(change.asks for change in asking))
    from remediation.facets.protocols import DesktopNotifier  # noqa: PLC0415 - somebody sits there: rare, and a start is quicker without

    desktop = writer.desktop
    message = f"remediation {what} in {seconds:.0f} s to free the GPU. Save your work."
    shown = isinstance(desktop, DesktopNotifier) and desktop.notify(message, seconds=seconds)
    told = f"{user} was told" if shown else f"no message could be shown to {user}; waiting all the same"
    context.note(f"{what} in {seconds:.0f} s: {told}", level="info" if shown else "warning")
    clock = context.access.clock
    until = clock.monotonic() + seconds
    while not context.ports.cancelled() and (left := until - clock.monotonic()) > 0:
        clock.sleep(min(POLL, left), context.ports.wait)
