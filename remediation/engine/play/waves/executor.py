"""Where the walks of a wave run: in threads of this process, or elsewhere (`remediation.engine.executors`)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Any, Protocol

from remediation.engine.play.context.host_state import HostState
from remediation.engine.play.context.run_state import PlayState, RunState
from remediation.engine.play.control_flow import Walk
from remediation.engine.play.waves.scheduler import run_walks


@dataclass(frozen=True, slots=True)
class Wave:
    """The hosts of one wave, and what ends them.

    ``later`` are the hosts of later plays, ``walk`` returns a host's walk through the play in this process, and ``end`` emits the end
    of a host that an executor lost.
    """

    play: PlayState
    hosts: Sequence[HostState]
    later: AbstractSet[str]
    walk: Callable[[HostState], Walk]
    end: Callable[[HostState], None]


class Executor(Protocol):
    """Runs the hosts of one run. Its leases are returned and its hosts closed by `close`."""

    def run(self, wave: Wave) -> None:
        """Run the walks of a wave to their ends. An exception that ends the whole run is raised."""

    def release_stale_leases(self, stage: RunState, variables: Callable[[str], Mapping[str, Any]]) -> None:
        """Return the leases that an earlier process of this run left on its hosts."""

    def close(self, *, hasty: bool = False) -> None:
        """Return all leases and close all hosts; `hasty` allows a few seconds."""


class LocalExecutor:
    """Runs hosts in threads of this process."""

    def run(self, wave: Wave) -> None:
        """Run the walks."""
        run_walks({state.name: wave.walk(state) for state in wave.hosts}, wave.play.stage.request.forks)

    def release_stale_leases(self, stage: RunState, variables: Callable[[str], Mapping[str, Any]]) -> None:
        """Return the leases."""
        stage.opened.release_stale_leases(stage.request.progress, variables)

    def close(self, *, hasty: bool = False) -> None:
        """Do nothing: the run closes the hosts that this process opened."""
