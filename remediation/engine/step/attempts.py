"""The result of sending one change, and the outcome for each host error."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from remediation.model.errors import (
    Blocked,
    DeadlineExceeded,
    HostError,
    NotApplicable,
    OutcomeUnknown,
    RemediationError,
    Unreachable,
)
from remediation.model.event_data import PlannedData, ProgressData
from remediation.model.outcome import Outcome

if TYPE_CHECKING:
    from remediation.model.facts import PullProgress


@dataclass(slots=True)
class ChangeAttempt:
    """The result of sending one change: ``applied`` and ``error`` from the call, corrected by observation, and its measured effect.

    ``applied`` is None if it is unknown whether, or how far, the change was made; ``uncertain`` means that the call's answer was lost.
    """

    applied: bool | None = False
    error: str = ""
    effect: str = ""
    uncertain: bool = False


def outcome_of(error: HostError) -> Outcome:
    """Return the outcome for an error at a host."""
    if isinstance(error, Unreachable):
        return Outcome.UNREACHABLE
    if isinstance(error, Blocked):
        return Outcome.BLOCKED
    if isinstance(error, NotApplicable):
        return Outcome.SKIPPED
    if isinstance(error, OutcomeUnknown):
        return Outcome.UNVERIFIED
    return Outcome.TIMED_OUT if isinstance(error, DeadlineExceeded) else Outcome.FAILED


def was_applied(error: RemediationError) -> bool | None:
    """Return whether the call that raised `error` made its change: False if it was refused or not delivered, None if unknown."""
    return None if isinstance(error, OutcomeUnknown | DeadlineExceeded) else False


class PullReporter:
    """Emits the progress of a pull: each new status once, and of each layer every percent once."""

    def __init__(self, emit: Callable[..., None], change: PlannedData) -> None:
        self._emit, self._change = emit, change
        self._last: dict[str, int | None] = {}

    def __call__(self, line: PullProgress) -> None:
        """Handle one line."""
        percent = 100 * line.completed // line.total if line.total and line.completed is not None else None
        if line.status in self._last and self._last[line.status] == percent:
            return
        self._last[line.status] = percent
        of = self._change
        data = ProgressData(
            index=of["index"], path=of["path"], step=of["step"], status=line.status, completed=line.completed, total=line.total
        )
        self._emit("change_progress", **data)
