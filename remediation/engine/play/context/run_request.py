"""The request for a run of a playbook, its summary, and the inventory interface it needs."""

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
"""Default number of hosts processed in parallel; each mostly waits for its host."""


class InventoryView(Protocol):
    """The inventory interface that plays need (`remediation.inventory.load.Inventory`)."""

    def select(self, pattern: str | Sequence[str], limit: str | None = None) -> tuple[str, ...]:
        """Return the hosts that a pattern selects, in its order, restricted by `limit`."""

    def layers(self, host: str) -> Sequence[Mapping[str, Any]]:
        """Return a host's variables, highest precedence first."""

    def magic(self, host: str) -> Mapping[str, Any]:
        """Return a host's variables that come from no file: its name, its groups, all groups."""

    def with_host(self, host: str, groups: Sequence[str], values: Mapping[str, Any]) -> InventoryView:
        """Return the inventory with a host in these groups and with these variables; itself if it has all of it."""

    def with_group(self, host: str, group: str, parents: Sequence[str]) -> InventoryView:
        """Return the inventory with a host in a group below its parents; itself if that is so already. Raises `UsageError`."""


class OpenHost(Protocol):
    """Opens a host lazily. With ``check``, its connection refuses calls that are marked as writes."""

    def __call__(self, host: str, variables: Mapping[str, Any], *, check: bool) -> HostAccess:
        """Return the host. Raises `RemediationError` if its variables do not describe a connection."""


@dataclass(frozen=True, slots=True)
class RunRequest:
    """One run of a playbook.

    ``sources`` are the inventories as named by the user, ``start_at`` is a task name, ``step`` asks before each task. ``cut_off`` is the time of the last
    event of an earlier, interrupted process of this run. ``token`` identifies this process of the run. ``verbosity`` counts
    -v. ``progress`` is the progress of each host in an earlier process of the same run.
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
    step: bool = False
    wait: float = 0.0
    verbosity: int = 0
    sources: tuple[str, ...] = ()
    progress: Mapping[str, Progress] = field(default_factory=dict)
    repeat: bool = False
    cut_off: float = 0.0


@dataclass(frozen=True, slots=True)
class RunSummary:
    """How a run ended: its exit code, and each host's counters and outcome. ``error`` is what ended the run as a whole."""

    exit_code: int
    hosts: Mapping[str, Mapping[str, int]]
    outcomes: Mapping[str, Outcome]
    seconds: float
    error: str = ""
