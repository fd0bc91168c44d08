"""What a ladder says where it ran out of rungs: what each came to, and what is left to do by hand; pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

from remediation.engine.arrange import Left, Rung, confirmed

if TYPE_CHECKING:
    from remediation.model.finding import Diagnosis
    from remediation.model.outcome import Result


def came_to(tried: Mapping[str, Result]) -> str:
    """Return what the rungs came to, those that came to the same together."""
    names: dict[str, list[str]] = {}
    for name, result in tried.items():
        names.setdefault(result.reason or str(result.outcome), []).append(name)
    return "; ".join(f"{', '.join(of_one)}: {reason}" for reason, of_one in names.items())


def by_hand(
    rungs: Iterable[Rung], tried: Mapping[str, Result], diagnosis: Diagnosis, left: Sequence[Left], *, otherwise: str
) -> str:
    """Return the next action: where the cure of a cause that is still confirmed failed, that one's, before any guess."""
    for rung in rungs:
        result = tried.get(rung.name)
        if result is not None and result.outcome.bad and result.next_step and confirmed(rung, diagnosis):
            return result.next_step
    resorts = [item.rung.name for item in left if not item.allowed]
    if resorts:
        return f"allow the last resorts ({', '.join(resorts)}) with --last-resort"
    return next((finding.cure for finding in diagnosis.findings if finding.cure), otherwise)
