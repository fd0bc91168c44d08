"""The kinds of hosts that a lab can have: how their machines are made, and the faults of each kind."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.scenarios import native, wsl
from remediation_lab.scenarios.faults import FAULTS
from remediation_lab.world.state import State

UPTIME = 3 * 3600.0


@dataclass(frozen=True, slots=True)
class World:
    """One kind of host."""

    faults: Mapping[str, Any]
    default: str
    """The fault that a new machine has."""
    make: Callable[..., Host]


WORLDS: Mapping[str, World] = {
    "docker-desktop": World(FAULTS, scenario.DEFAULT_FAULT, scenario.machine),
    "native-windows": World(native.FAULTS, "num-gpu-1", native.machine),
    "wsl": World(wsl.FAULTS, "num-gpu-1", wsl.machine),
}


def machine(name: str, world: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str = "") -> Host:
    """Make a machine of a world with a fault, as it is when its owner says that the model has become slow."""
    kind = WORLDS[world]
    made = kind.make(name, now=now, scale=scale, saved=saved, fault=fault or kind.default, uptime=UPTIME)
    made.state.fault, made.state.world = fault or kind.default, world
    made.state.writes.clear()
    made.save()
    return made
