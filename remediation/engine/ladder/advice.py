"""How a ladder ends without meeting its goal: a summary of its rungs, and the one thing to do next. Pure functions.

The final diagnosis decides, not the last failed rung. A confirmed cause comes first: the option that its blocked rung needs,
the next step of its failed rung, or its cure. A rung that treats no confirmed cause is not considered.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.engine.ladder.rung_order import (
    Rung,
    SkippedRung,
    explaining_findings,
    is_treated,
    names_finding,
    proven_findings,
)
from remediation.model.outcome import Outcome, Result

if TYPE_CHECKING:
    from remediation.model.finding import Diagnosis, Finding

_LONGEST = 160
"""Maximum length of a rung's reason in the last line; the rung's own line has the full text."""
_EMPTY_PLAN = "not converged, and no permitted change would help: "


@dataclass(frozen=True, slots=True)
class Advice:
    """The next action. ``blocked`` is the refused rung if the user can allow it with an option."""

    next_step: str
    blocked: tuple[str, Result] | None = None


@dataclass(frozen=True, slots=True)
class LadderEnding:
    """The state of a ladder that has no rungs left. ``destroys`` returns whether a rung may delete data."""

    rungs: Sequence[Rung]
    tried: Mapping[str, Result]
    diagnosis: Diagnosis
    left: Sequence[SkippedRung]
    destroys: Callable[[Rung], bool]
    goal_advice: str = ""
    goal_next: str = ""


def advise(ending: LadderEnding) -> Advice:
    """Return the one thing that the user should do next."""
    sure = proven_findings(ending.diagnosis)
    if sure:
        return _confirmed_advice(ending, sure)
    if ending.goal_advice or ending.goal_next:
        return Advice(ending.goal_advice or ending.goal_next)
    return next(_guesses(ending), Advice(""))


def _confirmed_advice(ending: LadderEnding, found: Sequence[Finding]) -> Advice:
    for finding in found:
        for rung, result in _tried_rungs(ending, finding):
            if result.outcome.bad and result.next_step:
                blocked = result.outcome is Outcome.BLOCKED
                return Advice(result.next_step, (rung.name, result) if blocked else None)
    cures = (one.cure for one in proven_findings(ending.diagnosis) if one.cure)
    return Advice(next(cures, ending.goal_advice or ending.goal_next))


def _tried_rungs(ending: LadderEnding, finding: Finding) -> Iterator[tuple[Rung, Result]]:
    """Yield the rungs that treat the finding and were tried, with their results."""
    by_name = {rung.name: rung for rung in ending.rungs}
    for name, result in ending.tried.items():
        if names_finding(finding, by_name[name]):
            yield by_name[name], result


def _guesses(ending: LadderEnding) -> Iterator[Advice]:
    """Yield what can be done while no cause is confirmed, best first."""
    found = explaining_findings(ending.diagnosis)
    resorts = [item.rung for item in ending.left if not item.allowed and not ending.destroys(item.rung)]
    for finding in found:
        for rung in resorts:
            if names_finding(finding, rung):
                yield Advice(f"allow {rung.name!r} with --last-resort: {finding.cause} {finding.confidence:.2f} may be the cause")
        if finding.cure:
            yield Advice(finding.cure)
    yield from (Advice(one.cure) for one in ending.diagnosis.findings if one.cure and not one.cause.is_health)
    yield from (Advice(item) for item in ending.diagnosis.collect)
    for name, result in ending.tried.items():
        if result.outcome is Outcome.BLOCKED and result.next_step:
            yield Advice(result.next_step, (name, result))
    if not ending.diagnosis.findings:
        yield from (Advice(f"allow {one.name!r} with --last-resort: no evidence against {_causes(one)}") for one in resorts[:1])


def _causes(rung: Rung) -> str:
    return " or ".join(map(str, rung.treats))


def summarize(tried: Mapping[str, Result]) -> str:
    """Return a summary of the rungs' results; rungs with the same result are grouped."""
    names: dict[str, list[str]] = {}
    for name, result in tried.items():
        names.setdefault(_brief(result), []).append(name)
    return "; ".join(f"{', '.join(of_one)}: {reason}" for reason, of_one in names.items())


def _brief(result: Result) -> str:
    if not result.reason:
        return "nothing to do" if result.outcome is Outcome.OK else str(result.outcome)
    reason = result.reason.removeprefix(_EMPTY_PLAN)
    if len(reason) <= _LONGEST:
        return reason
    cut = reason.rfind("; ", 0, _LONGEST)
    return f"{reason[: cut if cut > 0 else _LONGEST].rstrip(' ;,')} …"


def untreated_causes(rungs: Sequence[Rung], absent: Container[str], diagnosis: Diagnosis) -> str:
    """Return which causes have no rung that treats them on this host; "" if each has one that was skipped."""
    found = proven_findings(diagnosis) or explaining_findings(diagnosis)
    if not found:
        return "" if rungs else "no rung of this ladder treats it"
    here = [rung for rung in rungs if rung.name not in absent]
    causes = [str(one.cause) for one in found if not is_treated(one, here)]
    kind = " on this kind of host" if len(here) < len(rungs) else ""
    return f"no rung of this ladder treats {', '.join(causes)}{kind}" if causes else ""
