"""What sending one change came to, and the outcome that an error at a host stands for."""

from __future__ import annotations

from dataclasses import dataclass

from remediation.model.errors import Blocked, DeadlineExceeded, HostError, NotApplicable, RemediationError, Uncertain, Unreachable
from remediation.model.outcome import Outcome


@dataclass(slots=True)
class Tried:
    """What sending one change came to: ``applied`` and ``error`` as the call says, corrected by the look; its ``effect``.

    ``applied`` is None where it is not known whether the change was made, or how far it went.
    """

    applied: bool | None = False
    error: str = ""
    effect: str = ""


def outcome_of(error: HostError) -> Outcome:
    """Return the outcome that an error at a host stands for."""
    if isinstance(error, Unreachable):
        return Outcome.UNREACHABLE
    if isinstance(error, Blocked):
        return Outcome.BLOCKED
    if isinstance(error, NotApplicable):
        return Outcome.SKIPPED
    if isinstance(error, Uncertain):
        return Outcome.UNVERIFIED
    return Outcome.TIMED_OUT if isinstance(error, DeadlineExceeded) else Outcome.FAILED


def applied_by(error: RemediationError) -> bool | None:
    """Return whether the call that raised `error` made its change: False where the host refused it or never had it, None where that is not known."""
    return None if isinstance(error, Uncertain | DeadlineExceeded) else False
