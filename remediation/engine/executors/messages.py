"""The messages between a controller and its workers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any

from remediation.engine.context import PlanMembership
from remediation.engine.executors.parcels import NOT_SENT, Parcel, SentError, pack
from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.results import jsonable
from remediation.engine.play.context.run_request import RunRequest
from remediation.engine.play.waves.scheduler import Stop
from remediation.engine.play.waves.together import MeetingFailure
from remediation.model.change import Change
from remediation.model.event import Event

_OF_THE_PLAY = frozenset({"name", "gather", "handlers", "roles", "notified"})
"""Parts of a host's state that belong to a walk, and begin empty in the next play."""


@dataclass(frozen=True, slots=True)
class Begin:
    """The run. ``now`` is the controller's time, ``names`` are all hosts of the inventory."""

    request: RunRequest
    owner: str
    now: float
    names: Sequence[str]
    groups: Mapping[str, Sequence[str]]
    prompts: bool
    select: Callable[[str, str, Change], PlanMembership]


@dataclass(frozen=True, slots=True)
class BeginPlay:
    """A play of the run, and its hosts."""

    index: int
    hosts: Sequence[str]
    title: str


@dataclass(frozen=True, slots=True)
class BeginWave:
    """The next wave of the current play."""

    batch: Sequence[str]


@dataclass(frozen=True, slots=True)
class KnownHost:
    """A host's inventory variables: its layers as numbers of tables, and its magic variables without the groups."""

    layers: Sequence[int]
    magic: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Know:
    """The inventory variables of some hosts; ``tables`` are those that the worker does not have yet."""

    hosts: Mapping[str, KnownHost]
    tables: Mapping[int, Mapping[str, Any]]


@dataclass(frozen=True, slots=True)
class RunSegment:
    """Continue a host's walk with ``answer``, or begin it with the host's ``state``.

    ``last`` is whether this is the host's last play. ``others`` are the states of other hosts that changed, for templates that read
    them, ``failures`` are those of the wave's tasks, and ``excluded`` the hosts that left the play.
    """

    host: str
    answer: Any = None
    state: Mapping[str, Any] | None = None
    last: bool = True
    others: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    failures: Mapping[tuple[str, str], MeetingFailure] = field(default_factory=dict)
    excluded: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class GiveBack:
    """Return the lease that an earlier process of the run left on a host."""

    number: int
    host: str


@dataclass(frozen=True, slots=True)
class Work:
    """Call a function with a worker's way to open hosts, and the arguments."""

    number: int
    function: Callable[..., Any]
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Cancel:
    """Stop after the current change of each host, as after Ctrl-C."""


@dataclass(frozen=True, slots=True)
class End:
    """Return the leases and close the hosts."""

    hasty: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer to a request of a worker, or to a `Work` or `GiveBack` of the controller."""

    number: int
    value: Any = None
    error: SentError | None = None


@dataclass(frozen=True, slots=True)
class EventMessage:
    """An event that needs no answer."""

    event: Event


@dataclass(frozen=True, slots=True)
class WorkerRequest:
    """A request that the worker's host waits for: a durable event, a question, the fate of a run, or an internal error."""

    number: int
    kind: str
    arguments: tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class SecretsMessage:
    """Secrets that the worker masks from now on; so must the controller."""

    secrets: Sequence[str]


@dataclass(frozen=True, slots=True)
class HostReadings:
    """The redacted readings of a host's first diagnosis."""

    host: str
    text: str


@dataclass(frozen=True, slots=True)
class SegmentEnd:
    """A segment of a host's walk ended at ``stop``, with the host's state."""

    host: str
    stop: Stop
    state: Mapping[str, Any]
    excluded: bool = False
    over: bool = False
    fatal: bool = False
    failures: Mapping[tuple[str, str], MeetingFailure] = field(default_factory=dict)
    error: SentError | None = None


@dataclass(frozen=True, slots=True)
class SessionEnded:
    """The leases are returned and the hosts are closed."""


def portable_state(state: HostState, *, finished: bool) -> dict[str, Any]:
    """Return a host's state for the other side; only a worker that begins a walk needs what ``finished`` holds."""
    found = {item.name: getattr(state, item.name) for item in fields(state) if item.name not in _OF_THE_PLAY}
    found["memory"] = replace(state.memory.copy(), seen=None, failed=None)
    for name in ("facts", "included", "gathered"):
        found[name] = dict(found[name])
    if not finished:
        del found["finished"]
    return found


def restore_state(state: HostState, found: Mapping[str, Any]) -> None:
    """Take over a state from the other side."""
    for name, value in found.items():
        setattr(state, name, value)


def sendable(message: Any, state: Mapping[str, Any]) -> Parcel:
    """Return a message as a parcel; variables in its `state` that cannot be sent become text, as in an event."""
    try:
        return pack(message)
    except NOT_SENT:
        return pack(replace(message, state={name: _plain(name, value) for name, value in state.items()}))


def _plain(name: str, value: Any) -> Any:
    if name not in {"facts", "included", "gathered"}:
        return value
    return {key: each if _can_be_sent(each) else jsonable(each) for key, each in value.items()}


def _can_be_sent(value: Any) -> bool:
    try:
        pack(value)
    except NOT_SENT:
        return False
    return True
