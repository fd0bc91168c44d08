"""What the engine receives instead of global state: clock, prompt, journal, diagnosis, and the user's limits.

`Ports` are never serialized; `Policy` and `StepCall` are plain data. A `StepContext` is one task on one host.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from enum import Enum
from threading import Lock
from typing import TYPE_CHECKING, Any, Protocol

from remediation.engine.benchmark import measure as measure_figures
from remediation.engine.internal_errors import Crashed, contain_errors, crash_sentence
from remediation.model.change import Change, Risk
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.event_data import NoteData
from remediation.model.secrets.masking import Masker
from remediation.steps.registry import registry

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Reader
    from remediation.model.finding import Diagnosis
    from remediation.model.outcome import Result
    from remediation.steps.contract import Step

WARN_SECONDS = 60.0
"""How many seconds in advance the desktop user is warned that a program will be closed."""

SNAPSHOT_TTL = 2.0
"""Seconds for which a snapshot of a host may be reused while the run changes nothing there.

A ladder's goal is checked with the snapshot that verified the last change. On a Windows host a snapshot takes a second or
more.
"""


class Prompt(Protocol):
    """Asks questions of the user who started the run."""

    @property
    def available(self) -> bool:
        """Whether the prompt can be used."""

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Ask a yes-or-no question under a list of details; any answer but yes is no."""

    def confirm_typed(self, question: str, wanted: str) -> bool:
        """Ask the user to type `wanted`; any other input is no."""

    def line(self, question: str, *, hide: bool = False) -> str:
        """Ask for a line of text; with `hide`, it is not shown while it is typed."""


class NoPrompt:
    """A prompt without a user: every question is answered with no."""

    available = False

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Return no."""
        return False

    def confirm_typed(self, question: str, wanted: str) -> bool:
        """Return no."""
        return False

    def line(self, question: str, *, hide: bool = False) -> str:
        """Return nothing."""
        return ""


@dataclass(frozen=True, slots=True)
class Policy:
    """The user's limits for one host; plain data.

    ``explicit`` names the fields given on the command line, which take precedence over the inventory. ``warn_seconds`` is
    measured by the host's clock; ``run_started`` is controller time in seconds since the epoch.
    """

    check: bool = False
    diff: bool = False
    max_risk: Risk = Risk.SAFE
    last_resort: bool = False
    yes_destroy: frozenset[str] = frozenset()
    interactive: bool = False
    single_host: bool = True
    close_programs: bool = False
    warn_seconds: float = WARN_SECONDS
    run_started: float = 0.0
    explicit: frozenset[str] = frozenset()

    def for_host(self, variables: Mapping[str, Any]) -> Policy:
        """Return the policy with the host's own ``max_risk``, ``close_programs`` and ``warn_seconds``. Raises `UsageError`."""
        own: dict[str, Any] = {}
        if "max_risk" in variables and "max_risk" not in self.explicit:
            own["max_risk"] = _risk(variables["max_risk"])
        if "close_programs" in variables and "close_programs" not in self.explicit:
            own["close_programs"] = _switch(variables["close_programs"])
        if "warn_seconds" in variables and "warn_seconds" not in self.explicit:
            own["warn_seconds"] = _seconds(variables["warn_seconds"])
        elif variables.get("ansible_connection") == "local":
            own["warn_seconds"] = 0.0  # the desktop user started the run
        return dataclasses.replace(self, **own)


def _risk(value: object) -> Risk:
    try:
        return Risk.parse(str(value))
    except ValueError as error:
        raise UsageError(f"max_risk: {error}", next_step="correct max_risk in the inventory") from None


def _switch(value: object) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.strip().lower() in {"true", "yes", "false", "no"}:
        return value.strip().lower() in {"true", "yes"}
    raise UsageError(f"close_programs: expected true or false, got {value!r}", next_step="correct it in the inventory")


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        raise UsageError(
            f"warn_seconds: expected a number of seconds, got {value!r}", next_step="correct it in the inventory"
        ) from None


class PlanMembership(str, Enum):
    """Whether a saved plan contains a change."""

    PLANNED = "planned"
    LEFT_OUT = "left out"
    UNPLANNED = "unplanned"


def _select_all(host: str, path: str, change: Change) -> PlanMembership:
    return PlanMembership.PLANNED


def empty_diagnosis(host: Reader | None = None) -> Diagnosis:
    """Return a diagnosis without findings."""
    from remediation.model.finding import Diagnosis

    return Diagnosis()


def never_cancelled() -> bool:
    """Return that the run goes on."""
    return False


@dataclass(frozen=True, slots=True)
class Ports:
    """The services of a run.

    - ``emit`` returns once the event is on disk.
    - ``measure`` returns figures as `remediation.engine.benchmark.measure` does.
    - ``cancelled`` is True after Ctrl-C.
    - ``wait`` waits for some seconds or until the run is cancelled; pass it to the host's clock when waiting for a host.
    - ``crashed`` saves the traceback of an internal error and returns one sentence for it.
    - ``steps`` returns the step classes by name.
    - ``mask`` removes secrets from output.
    - ``asking`` serializes the questions of several hosts.
    - ``select`` returns whether a change at a host and task path belongs to the saved plan being applied.
    """

    emit: Callable[[Event], None]
    clock: Clock = field(default_factory=SystemClock)
    prompt: Prompt = field(default_factory=NoPrompt)
    diagnose: Callable[[Reader], Diagnosis] = empty_diagnosis
    measure: Callable[..., dict[str, Any]] = measure_figures
    cancelled: Callable[[], bool] = never_cancelled
    wait: Callable[[float], object] = time.sleep
    crashed: Crashed = crash_sentence
    steps: Callable[[], Mapping[str, type[Step[Any]]]] = registry
    asking: Lock = field(default_factory=Lock)
    select: Callable[[str, str, Change], PlanMembership] = _select_all
    mask: Masker = field(default_factory=Masker)


@dataclass(frozen=True, slots=True)
class TimedSnapshot:
    """A reader of a host with its answers so far, and the time of the controller's clock at which they were complete."""

    reader: Reader
    taken: float


@dataclass(slots=True)
class HostMemory:
    """What the engine remembers of one host during a run. `remediation.engine.journal.progress` rebuilds it from events.

    - ``consented``, ``refused``: the changes that the user allowed or refused.
    - ``started``: start of the run by the host's clock. ``begun``: time of the first observation by the clock used for
      waiting.
    - ``pending``: the changes that check mode has predicted so far.
    - ``changes``: how many changes were made.
    - ``done``, ``in_flight``: of an interrupted run, by task path: the changes of unfinished tasks, and the changes that were
      sent but whose result was not observed.
    - ``climbed``, ``climbing``: by ladder path, the rungs that were finished and the rung that was in progress.
    - ``seen``: the latest snapshot; None after the run has changed something or waited.
    - ``failed``: within a ladder, the changes that failed since the last successful change; None outside, where tasks may be
      retried.
    - ``target``, ``loaded``: the target and the loaded models as ``host_facts`` reported them in an earlier process of the
      run.
    """

    consented: set[tuple[str, str]] = field(default_factory=set)
    refused: set[tuple[str, str]] = field(default_factory=set)
    started: float | None = None
    begun: float | None = None
    pending: list[Change] = field(default_factory=list)
    changes: int = 0
    done: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    in_flight: dict[str, tuple[Change, ...]] = field(default_factory=dict)
    climbed: dict[str, tuple[str, ...]] = field(default_factory=dict)
    climbing: dict[str, str] = field(default_factory=dict)
    seen: TimedSnapshot | None = None
    failed: dict[tuple[str, str], Result] | None = None
    target: Mapping[str, Any] = field(default_factory=dict)
    loaded: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def snapshot(self, now: float, *, max_age: float) -> Reader | None:
        """Return the latest snapshot if it is at most `max_age` seconds old at `now`."""
        return self.seen.reader if self.seen is not None and now - self.seen.taken <= max_age else None

    def copy(self) -> HostMemory:
        """Return a copy that shares no mutable state."""
        return dataclasses.replace(
            self,
            consented=set(self.consented),
            refused=set(self.refused),
            pending=list(self.pending),
            done=dict(self.done),
            in_flight=dict(self.in_flight),
            climbed=dict(self.climbed),
            climbing=dict(self.climbing),
            failed=None if self.failed is None else dict(self.failed),
        )


def no_lease(seconds: float) -> None:
    """Do nothing: check mode and safe programs need no lease."""


def under(path: str, parent: str) -> bool:
    """Return whether the task `path` lies below the task `parent`."""
    return path.startswith(parent) and path[len(parent) : len(parent) + 1] in {"/", "."}


@dataclass(frozen=True, slots=True)
class StepContext:
    """One task on one host.

    ``path`` is the task's stable id within the run; ``timeout`` is its own limit in seconds. ``hold`` is called before each
    change with the seconds it may take, and with 0 afterwards; it keeps the host's lease (`remediation.engine.lease.renewal`)
    and raises `Blocked` if the lease is lost. ``snapshot`` is a reader of the host that several steps share.
    """

    host: str
    access: HostAccess
    policy: Policy
    ports: Ports
    memory: HostMemory = field(default_factory=HostMemory)
    play: str = ""
    task: str = ""
    path: str = ""
    timeout: float | None = None
    hold: Callable[[float], None] = no_lease
    snapshot: Reader | None = None

    def emit(self, kind: str, **data: Any) -> None:
        """Emit an event of this task on this host."""
        self.ports.emit(Event(kind, self.ports.clock.now(), host=self.host, play=self.play, task=self.task, data=data))

    def note(self, text: str, *, level: str = "info") -> None:
        """Emit a note; ``level`` is ``info`` or ``warning``."""
        self.emit("note", **NoteData(text=text, level=level))

    def contain_errors(self) -> AbstractContextManager[None]:
        """Turn an internal error into an `InternalError` of this host."""
        return contain_errors(self.host, self.ports.crashed)

    def rehearsal(self, snapshot: Reader | None = None) -> StepContext:
        """Return the same task in check mode without events: predicts what a rung would do, from one `snapshot`."""
        silent = dataclasses.replace(self.ports, emit=_discard)
        policy = dataclasses.replace(self.policy, check=True)
        return dataclasses.replace(self, policy=policy, ports=silent, memory=self.memory.copy(), snapshot=snapshot)

    def below(self, name: str) -> StepContext:
        """Return the context of a step that this task runs internally (a preload), with its own path."""
        return dataclasses.replace(self, path=f"{self.path}/{name}")


def _discard(event: Event) -> None:
    """Drop the events of a dry run."""
