"""One-shot tasks in the session of whoever sits at the desktop: refused, ended in one way or another, or not ended in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from remediation.lab.ports import LabClock
from remediation.lab.world.state import Due, State

RUNNING = 267009
QUEUED = 267045
DENIED = 0x80070005
"""The login may register no task for another user."""
NOT_LOGGED_ON = 0x800710E0
"""The user is not logged on (facts/windows 2.1)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a task: ``task`` in the probes' word, ``code`` as Windows reports it, ``said`` what its action answered."""

    task: str
    code: int
    said: int = 0


class Scheduler:
    """The task scheduler of one machine."""

    def __init__(self, state: State, clock: LabClock) -> None:
        self._state, self._clock = state, clock

    def run(self, action: Callable[[], int], later: Due, *, wait: float) -> Ran:
        """Register a task, start it, and wait `wait` seconds for its end.

        `action` does its work and returns what it answers. A task that is slow does its work all the same, as `later` says.
        """
        login, tasks = self._state.login, self._state.tasks
        if login.restricted or tasks.refused:
            return Ran("refused", DENIED)
        if login.desktop_user is None:
            return Ran("no-user", NOT_LOGGED_ON)
        if not login.elevated and login.desktop_user != login.user:
            return Ran("refused", DENIED)
        if tasks.code:
            return Ran("failed", tasks.code)
        if tasks.seconds > wait:
            self._state.due.append(replace(later, at=self._clock.now() + tasks.seconds))
            self._clock.sleep(wait)
            return Ran("running", QUEUED if tasks.queued else RUNNING)
        if tasks.seconds:
            self._clock.sleep(tasks.seconds)
        return Ran("ended", 0, action())
