"""In which order the rungs of a ladder are tried, and which are left out (design 5); pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Risk, StepCall

if TYPE_CHECKING:
    from remediation.model.finding import Diagnosis, Finding
from remediation.model.words import verb

CONFIRMED = 0.8
"""The confidence from which a cause counts as confirmed (design 5)."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One remedy: a name, the causes and mechanisms that its tasks treat together, and its steps as far as they are known beforehand.

    ``calls`` serves to foresee what the rung would do; its tasks are run by whoever made the ladder.
    """

    name: str
    treats: tuple[str, ...] = ()
    last_resort: bool = False
    calls: tuple[StepCall, ...] = ()


@dataclass(frozen=True, slots=True)
class Choice:
    """A rung that may be tried: whether a cause that it treats is confirmed, how risky it is where that was asked, and why."""

    rung: Rung
    confirmed: bool
    risk: Risk | None
    reason: str


@dataclass(frozen=True, slots=True)
class Left:
    """A rung that is left out, and why; ``allowed`` is False for a last resort that the user may allow."""

    rung: Rung
    reason: str
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class Order:
    """The rungs in the order in which they are tried, and those that are not."""

    choices: tuple[Choice, ...]
    left: tuple[Left, ...]


def explaining(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return the findings that may explain why the goal is not met, the most certain first."""
    return tuple(one for one in diagnosis.findings if one.cause.explains)


def proven(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return the findings that are confirmed and explain why the goal is not met, the most certain first."""
    sure = (one for one in explaining(diagnosis) if one.confidence >= CONFIRMED)
    return tuple(sorted(sure, key=lambda one: -one.confidence))


def arrange(  # noqa: PLR0913 - all but two by name
    rungs: Iterable[Rung],
    diagnosis: Diagnosis,
    *,
    last_resort: bool,
    risk_of: Callable[[Rung], Risk],
    every_risk: bool = False,
    tried: Sequence[tuple[Rung, bool]] = (),
    safe: Callable[[Rung], bool] = lambda _: True,
) -> Order:
    """Return the order of `rungs`, by rising risk. While a cause is confirmed, only what treats a confirmed cause is tried.

    ``tried`` holds the rungs that were tried before, with whether they changed something. Where the confirmed cause that comes
    first is treated by none of them all, nothing is tried: a guess cannot replace its cure. Where its cure changed something
    and was not enough, rungs that are ``safe`` may still bring into effect what it did; where its cures were tried in vain, so may
    last resorts that the user allowed and that treat something that was found. Without a confirmed cause every rung is tried
    whose causes are not ruled out. ``risk_of`` costs a look at the host, so it is asked only where it decides something, unless
    ``every_risk``.
    """
    rungs = tuple(rungs)
    causes = proven(diagnosis)
    groups: dict[bool, list[Rung]] = {True: [], False: []}
    left: list[Left] = []
    for rung in rungs:
        out = left_out(rung, diagnosis, last_resort=last_resort)
        if out is not None:
            left.append(out)
        else:
            groups[bool(confirmed(rung, diagnosis))].append(rung)
    if causes and not treated(causes[0], (*rungs, *(rung for rung, _ in tried))):
        reason = f"{_named(causes[0])} is confirmed, and no rung treats it"
        return Order((), (*left, *(Left(rung, reason) for group in groups.values() for rung in group)))
    if causes:
        done = [changed for rung, changed in tried if confirmed(rung, diagnosis)] if not groups[True] else []
        kept = [
            rung
            for rung in groups[False]
            # a last resort is here only if the user allowed it, which does not stretch to deleting data on a suspicion
            if (
                done and _suspected(rung, diagnosis) and risk_of(rung) is not Risk.DESTRUCTIVE
                if rung.last_resort
                else any(done) and safe(rung)
            )
        ]
        left += [Left(rung, f"not confirmed, and {_named(causes[0])} is") for rung in groups[False] if rung not in kept]
        groups[False] = kept
    choices: list[Choice] = []
    for sure, group in groups.items():
        weigh = every_risk or len(group) > 1
        weighed = [Choice(rung, sure, risk_of(rung) if weigh else None, _reason(rung, diagnosis)) for rung in group]
        choices += sorted(weighed, key=lambda choice: choice.risk or Risk.OBSERVE)
    return Order(tuple(choices), tuple(left))


def left_out(rung: Rung, diagnosis: Diagnosis, *, last_resort: bool) -> Left | None:
    """Return why `rung` is left out whatever the order of the others, None where it may be tried."""
    excluded = [cause for cause in rung.treats if diagnosis.rules_out(cause)]
    if rung.treats and len(excluded) == len(rung.treats):
        return Left(rung, "; ".join(_ruled_out(excluded, diagnosis)))
    if rung.last_resort and not last_resort and not confirmed(rung, diagnosis):
        causes = " and ".join(map(str, rung.treats))
        unproven = f", and {causes} {verb(len(rung.treats))} not confirmed" if causes else ""
        return Left(rung, f"a last resort{unproven}", allowed=False)
    return None


def _ruled_out(causes: Sequence[str], diagnosis: Diagnosis) -> list[str]:
    reasons: dict[str, str] = {item.cause: item.because for item in diagnosis.ruled_out}
    return [f"{cause} is ruled out ({reasons[cause]})" for cause in causes]


def confirmed(rung: Rung, diagnosis: Diagnosis) -> list[str]:
    """Return which causes that `rung` treats are confirmed, each with how sure that is."""
    sure = {cause: diagnosis.confidence(cause) for cause in rung.treats}
    return [f"{cause} {confidence:.2f}" for cause, confidence in sure.items() if confidence >= CONFIRMED]


def _suspected(rung: Rung, diagnosis: Diagnosis) -> bool:
    """Return whether one of the causes that `rung` treats was found at all."""
    return any(diagnosis.confidence(cause) > 0 for cause in rung.treats)


def treated(finding: Finding, rungs: Iterable[Rung]) -> bool:
    """Return whether one of `rungs` is a remedy for what was found."""
    return any(named(finding, rung) and (not finding.by_hand or finding.mechanism in rung.treats) for rung in rungs)


def named(finding: Finding, rung: Rung) -> bool:
    """Return whether `rung` names the cause that was found or its mechanism."""
    return finding.cause in rung.treats or (bool(finding.mechanism) and finding.mechanism in rung.treats)


def _named(finding: Finding) -> str:
    return f"{finding.cause} {finding.confidence:.2f}"


def _reason(rung: Rung, diagnosis: Diagnosis) -> str:
    sure = confirmed(rung, diagnosis)
    if sure:
        return f"treats {', '.join(sure)}"
    found = [f"{cause} {diagnosis.confidence(cause):.2f}" for cause in rung.treats if diagnosis.confidence(cause) > 0]
    return f"not confirmed: {', '.join(found)}" if found else "nothing speaks for it, nothing against it"
