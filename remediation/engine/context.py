"""What the engine is handed instead of reaching for it: clock, prompt, journal, diagnosis; and the user's limits.

`Ports` are never serialised; `Policy` and `StepCall` are plain data. A `StepContext` is one task on one host.
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
from remediation.engine.internal_errors import Crashed, contained, unrecorded
from remediation.model.change import Change, Risk
from remediation.model.clock import Clock, SystemClock
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.secrets.masking import Masker
from remediation.steps.registry import registry

if TYPE_CHECKING:
    from remediation.facets.access import HostAccess
    from remediation.facets.protocols import Reader, Writer
    from remediation.model.finding import Diagnosis
    from remediation.model.outcome import Result
    from remediation.steps.contract import Step

WARN_SECONDS = 60.0
"""How long somebody at the desktop is told ahead that a program will be closed (design 5)."""

RUN_STARTED = "run_started"
"""The host variable by which a `once_per_run` step knows the run's start: seconds since the epoch by the host's own clock."""

PENDING = "pending_changes"
"""The host variable that holds, in check mode, the changes predicted so far on this host as JSON (``docs/events.md``): a step
whose state hangs on them (a stack whose file would be edited) can so foresee what it would do."""


SNAPSHOT_TTL = 2.0
"""So many seconds a look at a host stands for it, while the run changes nothing there: a goal is judged by the look that showed the
step before it what its last change did. On a Windows host a look takes a second or more."""


class Prompt(Protocol):
    """Questions to whoever started the run."""

    @property
    def available(self) -> bool:
        """Whether somebody can be asked."""

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Ask yes or no under a list of details; anything but yes is no."""

    def typed(self, question: str, wanted: str) -> bool:
        """Ask to type `wanted` in; anything else is no."""


class NoPrompt:
    """Nobody is there to be asked: what needs an answer is refused."""

    available = False

    def confirm(self, question: str, details: Sequence[str] = ()) -> bool:
        """Return no."""
        return False

    def typed(self, question: str, wanted: str) -> bool:
        """Return no."""
        return False


@dataclass(frozen=True, slots=True)
class Policy:
    """The user's limits for one host; plain data.

    ``said`` names the fields that were given on the command line: the inventory's word does not override those.
    ``warn_seconds`` counts by the host's clock, ``run_started`` is the controller's time (seconds since the epoch).
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
    said: frozenset[str] = frozenset()

    def for_host(self, variables: Mapping[str, Any]) -> Policy:
        """Return the policy with the host's own ``max_risk``, ``close_programs`` and ``warn_seconds``; raises `UsageError`."""
        own: dict[str, Any] = {}
        if "max_risk" in variables and "max_risk" not in self.said:
            own["max_risk"] = _risk(variables["max_risk"])
        if "close_programs" in variables and "close_programs" not in self.said:
            own["close_programs"] = _switch(variables["close_programs"])
        if "warn_seconds" in variables and "warn_seconds" not in self.said:
            own["warn_seconds"] = _seconds(variables["warn_seconds"])
        elif variables.get("ansible_connection") == "local":
            own["warn_seconds"] = 0.0  # whoever sits there started the run (design 5: 60 on a remote host)
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
    raise UsageError(f"close_programs: true or false is wanted, not {value!r}", next_step="correct it in the inventory")


def _seconds(value: object) -> float:
    try:
        return max(0.0, float(str(value)))
    except ValueError:
        raise UsageError(
            f"warn_seconds: a number of seconds is wanted, not {value!r}", next_step="correct it in the inventory"
        ) from None


class Selected(str, Enum):
    """What a saved plan says of a change."""

    PLANNED = "planned"
    LEFT_OUT = "left out"
    UNPLANNED = "unplanned"


def _everything(host: str, path: str, change: Change) -> Selected:
    return Selected.PLANNED


class MeasurePort(Protocol):
    """Figures before and after, as `remediation.engine.benchmark.measure`."""

    def __call__(
        self,
        reader: Reader,
        writer: Writer | None,
        *,
        label: str,
        layers: Sequence[int] | None = None,
        simulated: bool = False,
        model: str | None = None,
    ) -> dict[str, Any]:
        """Return the figures of a ``measurement`` event."""


def nothing_proven(host: Reader | None = None) -> Diagnosis:
    """Return a diagnosis without a finding."""
    from remediation.model.finding import Diagnosis

    return Diagnosis()


def _not_cancelled() -> bool:
    return False


@dataclass(frozen=True, slots=True)
class Ports:
    """What a run is given. ``emit`` has the event on disk when it returns; ``cancelled`` turns True on Ctrl-C.

    ``wait`` waits for some seconds, or until the run is cancelled; whoever waits for a host hands it to the host's clock.
    ``crashed`` keeps the traceback of an exception in our own code and returns one sentence for it.
    ``steps`` are the step classes by name; ``mask`` takes secrets out of what is told; ``asking`` keeps the questions of several hosts apart; ``select`` answers whether
    a change of a host and task path belongs to the saved plan that is applied.
    """

    emit: Callable[[Event], None]
    clock: Clock = field(default_factory=SystemClock)
    prompt: Prompt = field(default_factory=NoPrompt)
    diagnose: Callable[[Reader], Diagnosis] = nothing_proven
    measure: MeasurePort = measure_figures
    cancelled: Callable[[], bool] = _not_cancelled
    wait: Callable[[float], object] = time.sleep
    crashed: Crashed = unrecorded
    steps: Callable[[], Mapping[str, type[Step[Any]]]] = registry
    asking: Lock = field(default_factory=Lock)
    select: Callable[[str, str, Change], Selected] = _everything
    mask: Masker = field(default_factory=Masker)


@dataclass(slots=True)
class HostMemory:
    """What the engine keeps of one host during a run; a fold of its events (`remediation.engine.journal.progress` rebuilds it).

    ``consented`` and ``refused`` are the changes that were asked for, ``started`` the run's start by the host's own clock, ``begun`` the first look by the clock to wait by, ``pending`` what check mode has predicted so far,
    ``changes`` counts them. ``done`` and ``in_flight`` are of a run that was cut off, by task path: changes
    of a task that never ended, and those that were sent with nobody there to see what became of them. ``climbed`` holds the
    rungs that were tried to the end by the path of their ladder, ``climbing`` the one that was under way. ``seen`` is the last
    look and when it ended by the controller's clock; None once the run has changed something, or let time pass. ``failed`` are,
    within a ladder, the changes that failed since something was changed last; None outside, where a task may be retried. ``target``
    and ``loaded`` are what an earlier process of the run found to be repaired and in memory, as ``host_facts`` told it.
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
    seen: tuple[Reader, float] | None = None
    failed: dict[tuple[str, str], Result] | None = None
    target: Mapping[str, Any] = field(default_factory=dict)
    loaded: dict[str, Mapping[str, Any]] = field(default_factory=dict)

    def reuse(self, now: float) -> Reader | None:
        """Return the last look where it may stand for one that would be taken `now`."""
        return self.seen[0] if self.seen is not None and now - self.seen[1] <= SNAPSHOT_TTL else None

    def copy(self) -> HostMemory:
        """Return a copy that shares nothing that is written to."""
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


def _unlocked(seconds: float) -> None:
    """Hold nothing: check mode takes no lease."""


def under(path: str, parent: str) -> bool:
    """Return whether the task `path` lies below the task `parent`."""
    return path.startswith(parent) and path[len(parent) : len(parent) + 1] in {"/", "."}


@dataclass(frozen=True, slots=True)
class StepContext:
    """One task on one host. ``path`` is the task's stable id within the run, ``timeout`` its own limit in seconds.

    ``hold`` is called before each change with the seconds it may take, and with 0 once it is over: the host's lease is kept
    meanwhile (`remediation.engine.lease.renewal`). It raises `Blocked` where the lease is lost. ``snapshot`` is a look at the host that several steps share.
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
    hold: Callable[[float], None] = _unlocked
    snapshot: Reader | None = None

    def emit(self, kind: str, **data: Any) -> None:
        """Tell one event of this task on this host."""
        self.ports.emit(Event(kind, self.ports.clock.now(), host=self.host, play=self.play, task=self.task, data=data))

    def note(self, text: str, *, level: str = "info") -> None:
        """Tell something worth knowing; ``level`` is ``info`` or ``warning``."""
        self.emit("note", text=text, level=level)

    def contained(self) -> AbstractContextManager[None]:
        """Turn an exception of our own code into an `InternalError` of this host."""
        return contained(self.host, self.ports.crashed)

    def rehearsal(self, snapshot: Reader | None = None) -> StepContext:
        """Return the same task in check mode, telling nobody: what a rung would do, judged by one `snapshot` beforehand."""
        silent = dataclasses.replace(self.ports, emit=_unheard)
        policy = dataclasses.replace(self.policy, check=True)
        return dataclasses.replace(self, policy=policy, ports=silent, memory=self.memory.copy(), snapshot=snapshot)

    def below(self, name: str) -> StepContext:
        """Return the context of a step that this task needs for itself (a preload), with a path of its own."""
        return dataclasses.replace(self, path=f"{self.path}/{name}")


def _unheard(event: Event) -> None:
    """Drop what a rehearsal would tell."""
