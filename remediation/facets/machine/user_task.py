"""What became of a one-shot task in the session of the desktop's user (``Invoke-UserTask`` in ``scripts/functions.ps1``)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation.facets.machine.rights import problems
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded, HostError

ENDED, FAILED, RUNNING, REFUSED, NO_USER = "ended", "failed", "running", "refused", "no-user"
_DENIED = 0x80070005
_NOT_LOGGED_ON = 0x800710E0
_UNDER_WAY = {267009: "runs", 267011: "has not run yet", 267045: "is queued"}


@dataclass(frozen=True, slots=True)
class UserTask:
    """A task's outcome, "" where there was no task; ``code`` is the unsigned code of Windows, where there is one."""

    outcome: str = ""
    code: int | None = None
    reason: str = ""

    @property
    def state(self) -> str:
        """What a task does that has not ended, as far as Windows says."""
        return _UNDER_WAY.get(self.code or 0, "may still run")

    def refusal(self, what: str, host: str, *, no_user_step: str = "log on at the desktop and try again") -> HostError | None:
        """Return the error where the task could not do its work; `what` says what that means. None where it ended or still runs."""
        why = f" ({self.reason})" if self.reason else ""
        if self.outcome == NO_USER:
            return Blocked(f"{what}: nobody is logged on at the desktop", host=host, next_step=no_user_step)
        if self.outcome == REFUSED:
            return Blocked(
                f"{what}: this login may start nothing in the session of the desktop's user{why}", host=host,
                next_step="log in with an elevated account (docs/windows.md)",
            )  # fmt: skip
        if self.outcome == FAILED:
            code = "without a code" if self.code is None else f"with 0x{self.code:X}"
            return CallFailed(
                f"{what}: the task in the session of the desktop's user ended {code}{why}", host=host,
                next_step="look up that code, and try again",
            )  # fmt: skip
        return None

    def late(self, what: str, host: str) -> HostError:
        """Return the error for a task that had not ended in time."""
        why = f" ({self.reason})" if self.reason else ""
        return DeadlineExceeded(
            f"{what}: the task in the session of the desktop's user {self.state}{why}", host=host,
            next_step="look at the desktop, and try again when the host has less to do",
        )  # fmt: skip


def task_of(value: Mapping[str, Any]) -> UserTask:
    """Return the task of a probe's answer; older recordings name only the code of Windows, with which a task could not be told apart."""
    reason = problems(value).get("task", "")
    result = value.get("task_code") if "task" in value else value.get("task_result")
    code = None if result is None else int(result) & 0xFFFFFFFF
    if "task" in value:
        return UserTask(str(value["task"] or ""), code, reason)
    if code is None:
        return UserTask()
    known = {0: ENDED, _DENIED: REFUSED, _NOT_LOGGED_ON: NO_USER, **dict.fromkeys(_UNDER_WAY, RUNNING)}
    return UserTask(known.get(code, FAILED), code, reason)
