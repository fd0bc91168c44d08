"""The order in which the rungs of a ladder are tried, and which are skipped. Pure functions."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Risk, StepCall
from remediation.model.text.words import verb

if TYPE_CHECKING:
    from remediation.model.finding import Diagnosis, Finding

CONFIRMED = 0.8
"""The confidence from which a cause counts as confirmed."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One remedy: a name, the causes and mechanisms that its tasks treat together, and its steps as known beforehand.

    ``calls`` predict what the rung would do; the ladder's `RunRung` runs its tasks.
    """

    name: str
    treats: tuple[str, ...] = ()
    last_resort: bool = False
    calls: tuple[StepCall, ...] = ()


@dataclass(frozen=True, slots=True)
class RungChoice:
    """A rung that may be tried: whether one of its causes is confirmed, its risk if that was determined, and the reason."""

    rung: Rung
    confirmed: bool
    risk: Risk | None
    reason: str


@dataclass(frozen=True, slots=True)
class SkippedRung:
    """A skipped rung with the reason; ``allowed`` is False for a last resort that the user may allow."""

    rung: Rung
    reason: str
    allowed: bool = True


@dataclass(frozen=True, slots=True)
class RungOrder:
    """The rungs in the order in which they are tried, and the skipped rungs."""

    choices: tuple[RungChoice, ...]
    left: tuple[SkippedRung, ...]


def explaining_findings(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return the findings that may explain why the goal is not met, most certain first."""
    return tuple(one for one in diagnosis.findings if one.cause.explains)


def proven_findings(diagnosis: Diagnosis) -> tuple[Finding, ...]:
    """Return the confirmed findings that explain why the goal is not met, most certain first."""
    sure = (one for one in explaining_findings(diagnosis) if one.confidence >= CONFIRMED)
    return tuple(sorted(sure, key=lambda one: -one.confidence))


def arrange(
    rungs: Iterable[Rung],
    diagnosis: Diagnosis,
    *,
    last_resort: bool,
    risk_of: Callable[[Rung], Risk],
    every_risk: bool = False,
    tried: Sequence[tuple[Rung, bool]] = (),
    safe: Callable[[Rung], bool] = lambda _: True,
) -> RungOrder:
    """Order `rungs` by rising risk. While a cause is confirmed, only rungs that treat a confirmed cause are tried.

    ``tried`` holds the rungs tried before, with whether they changed something.

    - If no rung treats the first confirmed cause, nothing is tried: a guess cannot replace its cure.
    - If its cure changed something and was not enough, ``safe`` rungs may still bring that change into effect.
    - If its cures failed, last resorts that the user allowed and that treat a finding may run too.
    - Without a confirmed cause, every rung is tried whose causes are not ruled out.

    ``risk_of`` observes the host, so it is called only if it decides something, unless ``every_risk``.
    """
    rungs = tuple(rungs)
    causes = proven_findings(diagnosis)
    groups: dict[bool, list[Rung]] = {True: [], False: []}
    left: list[SkippedRung] = []
    for rung in rungs:
        out = left_out(rung, diagnosis, last_resort=last_resort)
        if out is not None:
            left.append(out)
        else:
            groups[bool(confirmed_causes(rung, diagnosis))].append(rung)
    if causes and not is_treated(causes[0], (*rungs, *(rung for rung, _ in tried))):
        reason = f"{_finding_text(causes[0])} is confirmed, but no rung treats it"
        return RungOrder((), (*left, *(SkippedRung(rung, reason) for group in groups.values() for rung in group)))
    if causes:
        done = [changed for rung, changed in tried if confirmed_causes(rung, diagnosis)] if not groups[True] else []
        kept = [
            rung
            for rung in groups[False]
            # last resorts reach this point only if the user allowed them; that does not cover deleting data on a suspicion
            if (
                done and _is_suspected(rung, diagnosis) and risk_of(rung) is not Risk.DESTRUCTIVE
                if rung.last_resort
                else any(done) and safe(rung)
            )
        ]
        left += [
            SkippedRung(rung, f"not confirmed, but {_finding_text(causes[0])} is") for rung in groups[False] if rung not in kept
        ]
        groups[False] = kept
    choices: list[RungChoice] = []
    for sure, group in groups.items():
        weigh = every_risk or len(group) > 1
        weighed = [RungChoice(rung, sure, risk_of(rung) if weigh else None, _reason(rung, diagnosis)) for rung in group]
        choices += sorted(weighed, key=lambda choice: choice.risk or Risk.OBSERVE)
    return RungOrder(tuple(choices), tuple(left))


def left_out(rung: Rung, diagnosis: Diagnosis, *, last_resort: bool) -> SkippedRung | None:
    """Return why `rung` is skipped regardless of the others, None if it may be tried."""
    excluded = [cause for cause in rung.treats if diagnosis.rules_out(cause)]
    if rung.treats and len(excluded) == len(rung.treats):
        return SkippedRung(rung, "; ".join(_exclusion_reasons(excluded, diagnosis)))
    if rung.last_resort and _only_mechanisms(rung) and not _is_suspected(rung, diagnosis):
        return SkippedRung(rung, f"no evidence of {' or '.join(rung.treats)}")
    if rung.last_resort and not last_resort and not confirmed_causes(rung, diagnosis):
        causes = " and ".join(map(str, rung.treats))
        unproven = f", but {causes} {verb(len(rung.treats))} not confirmed" if causes else ""
        return SkippedRung(rung, f"a last resort{unproven}", allowed=False)
    return None


def _only_mechanisms(rung: Rung) -> bool:
    """Return whether a rung treats nothing but mechanisms, which the evidence never rules out."""
    from remediation.model.finding import Cause  # a play without a ladder needs no findings

    causes = {cause.value for cause in Cause}
    return bool(rung.treats) and causes.isdisjoint(rung.treats)


def _exclusion_reasons(causes: Sequence[str], diagnosis: Diagnosis) -> list[str]:
    reasons: dict[str, str] = {item.cause: item.because for item in diagnosis.ruled_out}
    return [f"{cause} is ruled out ({reasons[cause]})" for cause in causes]


def confirmed_causes(rung: Rung, diagnosis: Diagnosis) -> list[str]:
    """Return the confirmed causes that `rung` treats, each with its confidence."""
    sure = {cause: diagnosis.confidence(cause) for cause in rung.treats}
    return [f"{cause} {confidence:.2f}" for cause, confidence in sure.items() if confidence >= CONFIRMED]


def _is_suspected(rung: Rung, diagnosis: Diagnosis) -> bool:
    """Return whether a cause that `rung` treats was found."""
    return any(diagnosis.confidence(cause) > 0 for cause in rung.treats)


def is_treated(finding: Finding, rungs: Iterable[Rung]) -> bool:
    """Return whether one of `rungs` treats the finding."""
    return any(names_finding(finding, rung) and (not finding.by_hand or finding.mechanism in rung.treats) for rung in rungs)


def names_finding(finding: Finding, rung: Rung) -> bool:
    """Return whether `rung` names the cause or the mechanism of the finding."""
    return finding.cause in rung.treats or (bool(finding.mechanism) and finding.mechanism in rung.treats)


def _finding_text(finding: Finding) -> str:
    return f"{finding.cause} {finding.confidence:.2f}"


def _reason(rung: Rung, diagnosis: Diagnosis) -> str:
    sure = confirmed_causes(rung, diagnosis)
    if sure:
        return f"treats {', '.join(sure)}"
    found = [f"{cause} {diagnosis.confidence(cause):.2f}" for cause in rung.treats if diagnosis.confidence(cause) > 0]
    return f"not confirmed: {', '.join(found)}" if found else "no evidence for or against it"
