"""The outcome of a scheduled task in the desktop user's session (``Invoke-UserTask`` in ``scripts/functions.ps1``)."""

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
    """A task's outcome, "" if there was no task. ``code`` is Windows' unsigned result code, if any."""

    outcome: str = ""
    code: int | None = None
    reason: str = ""

    @property
    def state(self) -> str:
        """What an unfinished task is doing, according to Windows."""
        return _UNDER_WAY.get(self.code or 0, "may still run")

    def refusal(self, what: str, host: str, *, no_user_step: str = "log on at the desktop and try again") -> HostError | None:
        """Return the error if the task failed, else None. `what` describes the consequence."""
        why = f" ({self.reason})" if self.reason else ""
        if self.outcome == NO_USER:
            return Blocked(f"{what}: no user is logged on at the desktop", host=host, next_step=no_user_step)
        if self.outcome == REFUSED:
            return Blocked(
                f"{what}: this login may not start programs in the desktop user's session{why}", host=host,
                next_step="log in with an elevated account (docs/windows.md)",
            )  # fmt: skip
        if self.outcome == FAILED:
            code = "without a code" if self.code is None else f"with 0x{self.code:X}"
            return CallFailed(
                f"{what}: the task in the desktop user's session ended {code}{why}", host=host,
                next_step="look up that code, and try again",
            )  # fmt: skip
        return None

    def timeout_error(self, what: str, host: str) -> HostError:
        """Return the error for a task that has not ended in time."""
        why = f" ({self.reason})" if self.reason else ""
        return DeadlineExceeded(
            f"{what}: the task in the desktop user's session {self.state}{why}", host=host,
            next_step="check the desktop, and try again when the host is less busy",
        )  # fmt: skip


def task_of(value: Mapping[str, Any]) -> UserTask:
    """Return the task in a probe's answer. Older recordings have only the result code."""
    reason = problems(value).get("task", "")
    result = value.get("task_code") if "task" in value else value.get("task_result")
    code = None if result is None else int(result) & 0xFFFFFFFF
    if "task" in value:
        return UserTask(str(value["task"] or ""), code, reason)
    if code is None:
        return UserTask()
    known = {0: ENDED, _DENIED: REFUSED, _NOT_LOGGED_ON: NO_USER, **dict.fromkeys(_UNDER_WAY, RUNNING)}
    return UserTask(known.get(code, FAILED), code, reason)
