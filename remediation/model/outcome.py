"""The result of a step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from remediation.model.change import Change

if TYPE_CHECKING:
    from remediation.model.finding import RuledOut


class Outcome(str, Enum):
    """The outcome of a task or host."""

    OK = "ok"
    WOULD_CHANGE = "would-change"
    CHANGED = "changed"
    UNVERIFIED = "unverified"
    BLOCKED = "blocked"
    SKIPPED = "skipped"
    FAILED = "failed"
    TIMED_OUT = "timed-out"
    UNREACHABLE = "unreachable"

    def __str__(self) -> str:
        return self.value

    @property
    def bad(self) -> bool:
        """Whether a host with this outcome stops."""
        return self in {Outcome.UNVERIFIED, Outcome.BLOCKED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Result:
    """The result of one task on one host: an outcome, its reason, and the changes that it made or would make.

    - ``applies``: False if the step does not apply to this kind of host (`remediation.model.errors.NotApplicable`).
    - ``ruled_out``: the causes that the observed state rules out.
    - ``repeated``: True if a change was not sent because it had failed before and nothing has changed since.
    - ``interrupted``: True if Ctrl-C stopped the task.
    """

    outcome: Outcome
    reason: str = ""
    changes: tuple[Change, ...] = ()
    values: Mapping[str, Any] = field(default_factory=dict)
    next_step: str = ""
    applies: bool = True
    ruled_out: tuple[RuledOut, ...] = ()
    repeated: bool = False
    interrupted: bool = False
