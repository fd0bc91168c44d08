"""What can be wrong with Ollama in a distribution of WSL: in its unit, in the distribution, in ``.wslconfig``, or what happened there."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.wire import Json
from remediation_lab.world import conditions, faults
from remediation_lab.world.faults import MODEL
from remediation_lab.world.machine import Machine
from remediation_lab.world.native.faults import OTHER, USER, post
from remediation_lab.world.setup import Distribution
from remediation_lab.world.state import Client, State

NAME = "Ubuntu"
CONFIG = "C:\\Users\\maria\\.wslconfig"


@dataclass(frozen=True, slots=True)
class WslFault:
    """One thing that is wrong: in what happened on a running machine, in the machine itself, or in ``.wslconfig``."""

    happened: Callable[[Machine], None]
    machine: Callable[[State], None] = conditions.as_it_is
    """What is different before anything runs."""
    config: str = ""


def bare(state: State) -> None:
    """Take Docker Desktop away, and install Ollama in a distribution of the desktop's user, who is also the login."""
    state.engine.desktop, state.engine.up = None, False
    state.login.user = USER
    state.setup.distributions = [NAME]
    state.guests = [Distribution(NAME)]


def guest(made: Machine) -> Distribution:
    """Return the distribution."""
    return made.state.guests[0]


def ask(made: Machine, options: Mapping[str, Any] | None = None, *, model: str = MODEL, keep_alive: Json = -1) -> None:
    """Let an application in Windows ask a model for something."""
    given = {"num_predict": 4, **(options or {})}
    _post(made, "/api/generate", {"model": model, "prompt": "Hello", "stream": False, "keep_alive": keep_alive, "options": given})


def _post(made: Machine, path: str, body: Mapping[str, Any]) -> None:
    post(made, path, body, port=guest(made).port)


def _unit(**environment: str) -> Callable[[State], None]:
    return lambda state: state.guests[0].environment.update(environment)


def _distribution(**fields: Any) -> Callable[[State], None]:
    def changed(state: State) -> None:
        for name, value in fields.items():
            setattr(state.guests[0], name, value)
        state.setup.wsl_generation = state.guests[0].version

    return changed


def _one_layer(made: Machine) -> None:
    ask(made, {"num_gpu": 1})


def _baked_in(made: Machine) -> None:
    _post(made, "/api/create", {"model": MODEL, "from": MODEL, "parameters": {"num_gpu": 1}, "stream": False})
    ask(made)


def _client_repeats(made: Machine) -> None:
    made.state.client = Client(every=120.0, options={"num_gpu": 1}, next=made.clock.now() + 120.0, model=MODEL)
    _one_layer(made)


def _occupied(made: Machine) -> None:
    faults.occupants(made)
    ask(made)


def _two_loaded(made: Machine) -> None:
    _post(made, "/api/pull", {"model": OTHER, "stream": False})
    ask(made, {"num_ctx": 2048, "num_gpu": 20}, model=OTHER)
    ask(made, {"num_gpu": 10})


def _stopped(made: Machine) -> None:
    made.guests.shut_down()


def _unit_stopped(made: Machine) -> None:
    made.guests.unserve(guest(made))


def _nothing(_: Machine) -> None:
    """Ask for nothing: Windows does not reach the server."""


FAULTS: Mapping[str, WslFault] = {
    "num-gpu-1": WslFault(_one_layer),
    "num-gpu-1-model": WslFault(_baked_in),
    "num-gpu-1-client": WslFault(_client_repeats),
    "unit-llm-library": WslFault(ask, machine=_unit(OLLAMA_LLM_LIBRARY="cuda")),
    "unit-gpu-overhead": WslFault(ask, machine=_unit(OLLAMA_GPU_OVERHEAD="3221225472")),
    "vram-occupied": WslFault(_occupied),
    "memory-limit": WslFault(_occupied, config="[wsl2]\nmemory=1GB\n"),
    "linux-driver": WslFault(ask, machine=_distribution(driver=True)),
    "version-1": WslFault(ask, machine=_distribution(version=1)),
    "by-hand": WslFault(_one_layer, machine=_distribution(systemd=False)),
    "two-models-loaded": WslFault(_two_loaded),
    "distribution-stopped": WslFault(_stopped),
    "unit-stopped": WslFault(_unit_stopped),
    "not-forwarded": WslFault(_nothing, config="[wsl2]\nlocalhostForwarding=false\n"),
    "healthy": WslFault(ask),
}


def machine(name: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str, uptime: float) -> Machine:
    """Make a machine with a fault, as it is when its owner says that the model has become slow."""
    wrong = FAULTS[fault]
    state = State(name=name, now=now - uptime, booted=now - uptime, world="wsl")
    bare(state)
    wrong.machine(state)
    made = Machine(state, scale=scale, saved=saved)
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
            _post(made, "/api/pull", {"model": MODEL, "stream": False})
        wrong.happened(made)
        made.clock.sleep(max(0.0, now - made.clock.now()))
    return made
