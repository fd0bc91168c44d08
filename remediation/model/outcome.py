"""What became of a step, and what the engine may report of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import TYPE_CHECKING, Any

from remediation.model.change import Change

if TYPE_CHECKING:
    from remediation.model.finding import RuledOut


class Outcome(str, Enum):
    """One word for one thing (design: words)."""

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
        """Whether a host with this outcome does not go on."""
        return self in {Outcome.UNVERIFIED, Outcome.BLOCKED, Outcome.FAILED, Outcome.TIMED_OUT, Outcome.UNREACHABLE}


@dataclass(frozen=True, slots=True)
class Result:
    """The end of one task on one host: an outcome, its reason, and what it would change or changed.

    ``applies`` is False where the step has nothing to set on this kind of host (`remediation.model.errors.NotApplicable`),
    ``ruled_out`` holds the causes that the state, as it was observed, excludes. ``repeated`` is True where a change was not sent
    because it had failed before and nothing has changed since. ``interrupted`` is True where Ctrl-C kept it from its end.
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
