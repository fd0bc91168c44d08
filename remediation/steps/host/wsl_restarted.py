"""Restarts WSL: one distribution, or the virtual machine with all distributions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Need, Risk, needs
from remediation.model.errors import NotApplicable
from remediation.model.facts import WslDistribution
from remediation.steps.contract import Step, param, step
from remediation.steps.host.docker_desktop import RUNNING, STOPPED
from remediation.steps.run_info import run_started

_GRAIN = 1.0
"""Start times come from the uptime of WSL's machine, whose clock may lag behind that of Windows."""


@dataclass(frozen=True, slots=True)
class Distributions:
    """The distributions that a restart ends or starts, the start of the run, and the running containers of Docker Desktop.

    Containers are affected only if the distribution of Docker Desktop is.
    """

    affected: Sequence[WslDistribution]
    since: float
    containers: tuple[str, ...] = ()

    @property
    def old(self) -> tuple[str, ...]:
        """The running distributions that were not started in this run."""
        return tuple(each.name for each in self.affected if each.running and not self._fresh(each))

    @property
    def unknown(self) -> tuple[str, ...]:
        """The running distributions that do not report their start."""
        return tuple(each.name for each in self.affected if each.running and each.started is None)

    def _fresh(self, one: WslDistribution) -> bool:
        return one.started is not None and one.started >= self.since - _GRAIN


@step("wsl.restarted", risk=Risk.DISRUPTIVE, needs=needs(Need.WSL), settle=60.0, once_per_run=True, deadline=900.0)
class WslRestarted(Step[Distributions]):
    """Each running distribution of WSL was started during this run, so that ``.wslconfig`` and a new driver are in use.

    Without a name, ``wsl --shutdown`` ends all distributions of the login's user with their virtual machine, and those that ran are
    started again. Programs in them that no service manager starts, and open terminals, are lost. The containers of Docker Desktop are
    stopped first; use ``docker_desktop.restarted`` afterwards to start them again. With a name, ``wsl --terminate`` ends this
    distribution only, and a stopped one is started. Other users' distributions are not affected.
    """

    distribution: str = param("restart only this distribution", default="", example="Ubuntu")

    def observe(self, host: Reader) -> Distributions:
        found = host.system.distributions()
        if not found:
            raise NotApplicable("does not apply, because this login has no distributions of WSL", host=host.name)
        if self.distribution and all(each.name != self.distribution for each in found):
            names = ", ".join(each.name for each in found)
            raise NotApplicable(
                f"does not apply, because {self.distribution} is not a distribution here: {names}", host=host.name
            )
        affected = tuple(each for each in found if each.name == self.distribution or (each.running and not self.distribution))
        docker = any(each.of_docker and each.running for each in affected)
        containers = host.engine.containers() if docker and _engine_answers(host) else ()
        return Distributions(affected, run_started(host), tuple(one.name for one in containers if one.running))

    def is_met(self, state: Distributions) -> bool:
        return not state.old and (not self.distribution or all(each.running for each in state.affected))

    def plan(self, state: Distributions) -> Iterator[Change]:
        if self.is_met(state):
            return
        names = [each.name for each in state.affected if not each.of_docker]
        if not state.old:
            yield Change(
                f"start {', '.join(names)}", subject="WSL", before=STOPPED, after=RUNNING, risk=Risk.SAFE, data={"start": names}
            )
            return
        what = f"wsl --terminate {self.distribution}" if self.distribution else "wsl --shutdown"
        ended = ", ".join(each.name for each in state.affected if each.running)
        lost = ""
        if state.containers:
            lost = f"; stops the containers {', '.join(state.containers)}, which docker_desktop.restarted starts again"
        again = f"; starts {', '.join(names)} again" if names else ""
        yield Change(
            f"{what}: ends {ended}, with all programs and unsaved work in them{lost}{again}", subject="WSL", before=RUNNING,
            after=RUNNING if names else STOPPED, data={"containers": list(state.containers), "start": names},
        )  # fmt: skip

    def apply(self, host: Writer, change: Change) -> None:
        if "containers" in change.data:
            for name in change.data["containers"]:
                host.engine.stop(name)
            host.system.stop_distributions(self.distribution)
        for name in change.data["start"]:
            host.system.start_distribution(name)

    def describe(self, state: Distributions) -> str:
        if not state.affected:
            return "no distribution runs; .wslconfig applies at the next start"
        parts = [f"{each.name} {'runs' if each.running else 'is stopped'}" for each in state.affected]
        if state.old:
            parts.append(f"not restarted in this run: {', '.join(state.old)}")
        if state.unknown:
            parts.append(f"start time unknown: {', '.join(state.unknown)}")
        return "; ".join(parts)

    def values(self, state: Distributions) -> dict[str, Any]:
        """Register the names of the distributions."""
        return {"distributions": [each.name for each in state.affected]}


def _engine_answers(host: Reader) -> bool:
    desktop = host.desktop.docker()
    return desktop is not None and desktop.engine
