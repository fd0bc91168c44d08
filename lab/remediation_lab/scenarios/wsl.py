"""What can be wrong with Ollama in a distribution of WSL: in its unit, in the distribution, in ``.wslconfig``, or what happened there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.scenarios import conditions
from remediation_lab.scenarios.faults import MODEL
from remediation_lab.scenarios.native import USER, baked_in, client_repeats, occupied, one_layer, post, send_request, two_loaded
from remediation_lab.world.setup import Distribution
from remediation_lab.world.state import State

NAME = "Ubuntu"
CONFIG = "C:\\Users\\maria\\.wslconfig"


@dataclass(frozen=True, slots=True)
class WslFault:
    """One thing that is wrong: in what happened on a running machine, in the machine itself, or in ``.wslconfig``."""

    happened: Callable[[Host], None]
    machine: Callable[[State], None] = conditions.as_it_is
    """What is different before anything runs."""
    config: str = ""


def bare(state: State) -> None:
    """Take Docker Desktop away, and install Ollama in a distribution of the desktop's user, who is also the login."""
    state.engine.desktop, state.engine.up = None, False
    state.login.user = USER
    state.setup.distributions = [NAME]
    state.guests = [Distribution(NAME)]


def guest(made: Host) -> Distribution:
    """Return the distribution."""
    return made.state.guests[0]


def _unit(**environment: str) -> Callable[[State], None]:
    return lambda state: state.guests[0].environment.update(environment)


def _distribution(**fields: Any) -> Callable[[State], None]:
    def changed(state: State) -> None:
        for name, value in fields.items():
            setattr(state.guests[0], name, value)
        state.setup.wsl_generation = state.guests[0].version

    return changed


def _stopped(made: Host) -> None:
    made.guests.shut_down()


def _unit_stopped(made: Host) -> None:
    made.guests.unserve(guest(made))


def _nothing(_: Host) -> None:
    """Ask for nothing: Windows does not reach the server."""


FAULTS: Mapping[str, WslFault] = {
    "num-gpu-1": WslFault(one_layer),
    "num-gpu-1-model": WslFault(baked_in),
    "num-gpu-1-client": WslFault(client_repeats),
    "unit-llm-library": WslFault(send_request, machine=_unit(OLLAMA_LLM_LIBRARY="cuda")),
    "unit-gpu-overhead": WslFault(send_request, machine=_unit(OLLAMA_GPU_OVERHEAD="3221225472")),
    "vram-occupied": WslFault(occupied),
    "memory-limit": WslFault(occupied, config="[wsl2]\nmemory=1GB\n"),
    "linux-driver": WslFault(send_request, machine=_distribution(driver=True)),
    "version-1": WslFault(send_request, machine=_distribution(version=1)),
    "by-hand": WslFault(one_layer, machine=_distribution(systemd=False)),
    "two-models-loaded": WslFault(two_loaded),
    "distribution-stopped": WslFault(_stopped),
    "unit-stopped": WslFault(_unit_stopped),
    "not-forwarded": WslFault(_nothing, config="[wsl2]\nlocalhostForwarding=false\n"),
    "healthy": WslFault(send_request),
}


def machine(name: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str, uptime: float) -> Host:
    """Make a machine with a fault, as it is when its owner says that the model has become slow."""
    wrong = FAULTS[fault]
    state = State(name=name, now=now - uptime, booted=now - uptime, world="wsl")
    bare(state)
    wrong.machine(state)
    made = Host(state, scale=scale, saved=saved)
    with made.clock.jumping():
        made.boot()
        one = guest(made)
        if wrong.config:
            made.files.put(CONFIG, wrong.config.encode())
        made.guests.start(one)
        if not one.systemd:
            made.guests.serve(one)
        made.clock.sleep(120)
        if made.guests.reached(one):
            post(made, "/api/pull", {"model": MODEL, "stream": False})
        wrong.happened(made)
        made.clock.sleep(max(0.0, now - made.clock.now()))
    return made
