"""What sending one change came to, and the outcome that an error at a host stands for."""

from __future__ import annotations

from dataclasses import dataclass

from remediation.model.errors import Blocked, DeadlineExceeded, HostError, NotApplicable, Unreachable
from remediation.model.outcome import Outcome


@dataclass(slots=True)
class Tried:
    """What sending one change came to: ``applied`` and ``error`` as the call says, corrected by the look; its ``effect``."""

    applied: bool = False
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
    return Outcome.TIMED_OUT if isinstance(error, DeadlineExceeded) else Outcome.FAILED
