"""The state of each host during a run, computed from its events so that the journal can restore it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from remediation.engine.context import HostMemory
from remediation.engine.journal.progress import Progress, task_key
from remediation.model.outcome import Outcome, Result
from remediation.playbook.model import Node, Role


@dataclass(slots=True)
class Recap:
    """A host's counters, as Ansible defines them: ``ok`` includes ``changed`` and ``ignored``; loop items are not counted."""

    ok: int = 0
    changed: int = 0
    skipped: int = 0
    failed: int = 0
    rescued: int = 0
    ignored: int = 0
    unreachable: int = 0
    blocked: int = 0

    def to_json(self) -> dict[str, int]:
        """Return the counters by name."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class TaskResult:
    """The result of one task, or of one item of its loop, on one host.

    ``result`` is what ``register`` stores and ``outcome`` one word; ``ignored`` means that the host continues after a
    failure. ``facts``, ``included`` and ``gathered`` are variables set by the task, ``notify`` the handlers to run.
    """

    outcome: Outcome
    result: Mapping[str, Any]
    reason: str = ""
    next_step: str = ""
    ignored: bool = False
    step_result: Result | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)
    included: Mapping[str, Any] = field(default_factory=dict)
    gathered: Mapping[str, Any] = field(default_factory=dict)
    notify: tuple[str, ...] = ()

    @property
    def changed(self) -> bool:
        """Whether something was (or would be) changed, even if the task failed."""
        return bool(self.result.get("changed"))


@dataclass(slots=True)
class HostState:
    """One host during the whole run. ``lost`` is the outcome that removed it from the run, with ``reason``.

    ``gathered`` are its facts, and ``gather`` gathers them when a template reads one that no task gathered.
    ``handlers``, ``roles`` (public) and ``included_roles`` are those that includes added to the current play; the handlers keep the
    vars of their include.
    ``cleared`` counts how often ``meta: clear_host_errors`` reset its failures. ``busy``: another run held its lease.
    ``interrupted``: Ctrl-C ended the run before the host's last task, so it is not verified.
    """

    name: str
    recap: Recap = field(default_factory=Recap)
    memory: HostMemory = field(default_factory=HostMemory)
    facts: dict[str, Any] = field(default_factory=dict)
    included: dict[str, Any] = field(default_factory=dict)
    gathered: dict[str, Any] = field(default_factory=dict)
    gather: Callable[[], Mapping[str, Any]] | None = None
    notified: dict[str, Any] = field(default_factory=dict)
    handlers: dict[str, tuple[Node, Any]] = field(default_factory=dict)
    roles: list[Role] = field(default_factory=list)
    included_roles: list[Role] = field(default_factory=list)
    finished: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    layers: tuple[int, int] | None = None
    pending: bool = False
    looked: bool = False
    ended: bool = False
    began: bool = False
    cleared: int = 0
    busy: bool = False
    interrupted: bool = False
    lost: Outcome | None = None
    reason: str = ""

    @property
    def alive(self) -> bool:
        """Whether the host still takes part."""
        return self.lost is None

    @property
    def outcome(self) -> Outcome:
        """The host's outcome so far."""
        if self.lost is not None:
            return self.lost
        if self.interrupted:
            return Outcome.UNVERIFIED
        if self.pending:
            return Outcome.WOULD_CHANGE
        return Outcome.CHANGED if self.recap.changed else Outcome.OK

    def clear(self) -> None:
        """Return the host to the run (``meta: clear_host_errors``); a failure whose ``always`` is running is cleared too."""
        self.lost, self.reason, self.ended, self.busy, self.interrupted = None, "", False, False, False
        self.cleared += 1

    def recorded_result(self, path: str, item: object = None) -> Mapping[str, Any] | None:
        """Return the recorded result of a task from an earlier process of this run, None if it had not ended."""
        return self.finished.get(task_key(path, item)) if self.finished else None


def restored_state(name: str, progress: Progress | None) -> HostState:
    """Return a host's state for a resumed run; the task that removed it from the run is retried."""
    if progress is None:
        return HostState(name)
    finished = dict(progress.finished)
    if progress.outcome and Outcome(progress.outcome).bad:
        bad = [key for key, data in finished.items() if Outcome(str(data["outcome"])).bad and not data.get("ignored")]
        for key in bad[-1:]:
            # loop items lie below their task's path: the whole task is retried
            for other in [known for known in finished if known == key or known.startswith(f"{key}/")]:
                del finished[other]
    return HostState(name, memory=progress.memory, finished=finished, looked=False)
