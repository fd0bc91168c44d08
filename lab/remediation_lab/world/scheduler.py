"""One-shot tasks in the session of the user at the desktop: refused, ended in one way or another, or not ended in time."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from remediation_lab.ports import LabClock
from remediation_lab.world.rights import CIM
from remediation_lab.world.state import Due, State

RUNNING = 267009
QUEUED = 267045
_LOOK_EVERY = 0.25
CIM_DENIED = 0x80041003
DENIED = 0x80070005
"""The login may register no task for another user."""
NOT_LOGGED_ON = 0x800710E0
"""The user is not logged on (facts/windows 2.1)."""


@dataclass(frozen=True, slots=True)
class Ran:
    """What became of a task: ``task`` in the probes' word, ``code`` as Windows reports it, ``answer`` what the task's script returned.

    ``why`` is the reason in words where Windows refused it.
    """

    task: str
    code: int | None = None
    answer: int | None = None
    why: str = ""

    @property
    def problems(self) -> dict[str, str]:
        """The reason under the name that it has in the probes' answers."""
        return {"task": self.why} if self.why else {}


class Scheduler:
    """The task scheduler of one machine."""

    def __init__(self, state: State, clock: LabClock) -> None:
        self._state, self._clock = state, clock

    def run(self, action: Callable[[], int], later: Due, *, wait: float, enough: Callable[[], bool] = lambda: False) -> Ran:
        """Register a task, start it, and wait for its end, `wait` seconds at most and not longer than until it is `enough`.

        `action` does its work and returns its answer. A task that is slow does its work too, as `later` says.
        """
        login, tasks = self._state.login, self._state.tasks
        if login.restricted:
            return Ran("refused", CIM_DENIED, why=f"Windows does not say who sits at the desktop: {CIM}")
        if login.desktop_user is None:
            return Ran("no-user", NOT_LOGGED_ON)
        if tasks.refused or (not login.elevated and login.desktop_user != login.user):
            return Ran("refused", DENIED, why="Access is denied. (0x80070005)")
        if tasks.code:
            return Ran("failed", tasks.code)
        if tasks.seconds > wait:
            self._state.due.append(replace(later, at=self._clock.now() + tasks.seconds))
            until = self._clock.now() + wait
            while self._clock.now() < until and not enough():
                self._clock.sleep(min(_LOOK_EVERY, max(0.01, until - self._clock.now())))
            return Ran("running", QUEUED if tasks.queued else RUNNING)
        if tasks.seconds:
            self._clock.sleep(tasks.seconds)
        return Ran("ended", answer=action())
