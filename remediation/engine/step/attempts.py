"""What sending one change came to, and the outcome that an error at a host stands for."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from remediation.model.errors import (
    Blocked,
    DeadlineExceeded,
    HostError,
    NotApplicable,
    OutcomeUnknown,
    RemediationError,
    Unreachable,
)
from remediation.model.outcome import Outcome

if TYPE_CHECKING:
    from remediation.model.facts import PullProgress


@dataclass(slots=True)
class ChangeAttempt:
    """What sending one change came to: ``applied`` and ``error`` as the call says, corrected by the look; its ``measured_effect``.

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
    if isinstance(error, OutcomeUnknown):
        return Outcome.UNVERIFIED
    return Outcome.TIMED_OUT if isinstance(error, DeadlineExceeded) else Outcome.FAILED


def applied_by(error: RemediationError) -> bool | None:
    """Return whether the call that raised `error` made its change: False where the host refused it or never had it, None where that is not known."""
    return None if isinstance(error, OutcomeUnknown | DeadlineExceeded) else False


class PullReporter:
    """Takes the lines of a pull and tells few of them: each new word, and of each layer every percent once."""

    def __init__(self, tell: Callable[..., None], change: Mapping[str, Any]) -> None:
        self._tell, self._change = tell, change
        self._last: dict[str, int | None] = {}

    def __call__(self, line: PullProgress) -> None:
        """Take one line."""
        percent = 100 * line.completed // line.total if line.total and line.completed is not None else None
        if line.status in self._last and self._last[line.status] == percent:
            return
        self._last[line.status] = percent
        self._tell("change_progress", **self._change, status=line.status, completed=line.completed, total=line.total)
