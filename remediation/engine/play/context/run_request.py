"""What a run of a playbook is asked for, what it comes to, and what it needs of the inventory."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from remediation.engine.context import Policy

if TYPE_CHECKING:
    from remediation.engine.journal.progress import Progress
    from remediation.facets.access import HostAccess
    from remediation.model.outcome import Outcome
    from remediation.playbook.model import Playbook

FORKS = 50
"""How many hosts are worked on at a time unless the user says otherwise; each waits for its host most of the time."""


class InventoryView(Protocol):
    """What the flow asks of an inventory (`remediation.inventory.load.Inventory`)."""

    def select(self, pattern: str, limit: str | None = None) -> tuple[str, ...]:
        """Return the hosts that a pattern names, in its order, as far as `limit` allows."""

    def layers(self, host: str) -> Sequence[Mapping[str, Any]]:
        """Return a host's variables, the strongest layer first."""

    def magic(self, host: str) -> Mapping[str, Any]:
        """Return what is known of a host without any variable file: its name, its groups, all groups."""


class OpenHost(Protocol):
    """Opens a host lazily; with ``check`` its connection refuses whatever is marked as a write."""

    def __call__(self, host: str, variables: Mapping[str, Any], *, check: bool) -> HostAccess:
        """Return the host; raises a `RemediationError` where its variables name no possible connection."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run of a playbook. ``sources`` are the inventories as they were named, ``start_at`` a task's name.

    ``cut_off`` is when an earlier process of this run told its last event, if it came to no end. ``token`` tells this process of
    the run from others. ``verbosity`` is how often -v was given. ``progress`` is how far each host had come in an earlier process
    of the same run, ``kept`` what `header` adds to the
    journal's own fields so that another process can go on.
    """

    command: str
    playbook: Playbook
    inventory: InventoryView
    run: str = ""
    token: str = ""
    limit: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    policy: Policy = field(default_factory=Policy)
    forks: int = FORKS
    tags: tuple[str, ...] = ()
    skip_tags: tuple[str, ...] = ()
    start_at: str = ""
    wait: float = 0.0
    verbosity: int = 0
    sources: tuple[str, ...] = ()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    repeat: bool = False
    cut_off: float = 0.0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: its exit code, each host's counters and its end. ``error`` says what ended the run as a whole."""

    exit_code: int
    hosts: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, Outcome]
    seconds: float
    error: str = ""
