"""In which order the rungs of a ladder are tried, and which are left out (design 5); pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.change import Risk, StepCall

if TYPE_CHECKING:
    from remediation.model.finding import Cause, Diagnosis

CONFIRMED = 0.8
"""The confidence from which a cause counts as confirmed (design 5)."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One remedy: a name, the causes that its tasks treat together, and its steps as far as they are known beforehand.

    ``calls`` serves to foresee what the rung would do; its tasks are run by whoever made the ladder.
    """

    name: str
    treats: tuple[Cause, ...] = ()
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


def arrange(
    rungs: Iterable[Rung], diagnosis: Diagnosis, *, last_resort: bool, risk_of: Callable[[Rung], Risk], every_risk: bool = False
) -> Order:
    """Return the order of `rungs`: confirmed causes first, then the others, each group by rising risk.

    ``risk_of`` costs a look at the host, so it is asked only where it decides something, unless ``every_risk``.
    """
    groups: dict[bool, list[tuple[Rung, str]]] = {True: [], False: []}
    left: list[Left] = []
    for rung in rungs:
        out = _left_out(rung, diagnosis, last_resort=last_resort)
        if out is not None:
            left.append(out)
            continue
        proven = confirmed(rung, diagnosis)
        reason = f"treats {', '.join(proven)}" if proven else _because(rung, diagnosis)
        groups[bool(proven)].append((rung, reason))
    choices: list[Choice] = []
    for sure, group in groups.items():
        weigh = every_risk or len(group) > 1
        weighed = [Choice(rung, sure, risk_of(rung) if weigh else None, reason) for rung, reason in group]
        choices += sorted(weighed, key=lambda choice: choice.risk or Risk.OBSERVE)
    return Order(tuple(choices), tuple(left))


def _left_out(rung: Rung, diagnosis: Diagnosis, *, last_resort: bool) -> Left | None:
    excluded = [cause for cause in rung.treats if diagnosis.rules_out(cause)]
    if rung.treats and len(excluded) == len(rung.treats):
        return Left(rung, "; ".join(_ruled_out(excluded, diagnosis)))
    if rung.last_resort and not last_resort and not confirmed(rung, diagnosis):
        causes = ", ".join(map(str, rung.treats)) or "no cause"
        return Left(rung, f"a last resort, and {causes} is not confirmed", allowed=False)
    return None


def _ruled_out(causes: Sequence[Cause], diagnosis: Diagnosis) -> list[str]:
    reasons = {item.cause: item.because for item in diagnosis.ruled_out}
    return [f"{cause} is ruled out ({reasons[cause]})" for cause in causes]


def confirmed(rung: Rung, diagnosis: Diagnosis) -> list[str]:
    """Return which causes that `rung` treats are confirmed, each with how sure that is."""
    sure = {cause: diagnosis.confidence(cause) for cause in rung.treats}
    return [f"{cause} {confidence:.2f}" for cause, confidence in sure.items() if confidence >= CONFIRMED]


def _because(rung: Rung, diagnosis: Diagnosis) -> str:
    found = [f"{cause} {diagnosis.confidence(cause):.2f}" for cause in rung.treats if diagnosis.confidence(cause) > 0]
    return f"not confirmed: {', '.join(found)}" if found else "nothing speaks for it, nothing against it"
