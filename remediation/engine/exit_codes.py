"""Exit codes: which outcome leads to which code, and which code wins if several apply."""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from remediation.model.outcome import Outcome


class Exit(IntEnum):
    """Exit codes of the program."""

    OK = 0
    USAGE = 1
    FAILED = 2
    UNREACHABLE = 3
    PENDING = 4
    BLOCKED = 5
    INTERRUPTED = 130


PRECEDENCE = (Exit.INTERRUPTED, Exit.USAGE, Exit.UNREACHABLE, Exit.FAILED, Exit.BLOCKED, Exit.PENDING, Exit.OK)

OF_OUTCOME = {
    Outcome.OK: Exit.OK,
    Outcome.CHANGED: Exit.OK,
    Outcome.SKIPPED: Exit.OK,
    Outcome.WOULD_CHANGE: Exit.PENDING,
    Outcome.UNVERIFIED: Exit.FAILED,
    Outcome.FAILED: Exit.FAILED,
    Outcome.TIMED_OUT: Exit.FAILED,
    Outcome.BLOCKED: Exit.BLOCKED,
    Outcome.UNREACHABLE: Exit.UNREACHABLE,
}


def worst(codes: Iterable[int]) -> Exit:
    """Return the code with the highest precedence among `codes`, `Exit.OK` for none. Raises ValueError on an unknown code."""
    given = {Exit(code) for code in codes}
    return next((code for code in PRECEDENCE if code in given), Exit.OK)
