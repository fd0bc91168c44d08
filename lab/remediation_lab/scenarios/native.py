"""What can be wrong with a Windows host that runs Ollama natively: in its settings, its starter, its log, or what happened on it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.host.services import listed
from remediation_lab.scenarios import conditions, faults
from remediation_lab.scenarios.faults import MODEL
from remediation_lab.wire import Json
from remediation_lab.world.native import database
from remediation_lab.world.native.servers import SYSTEM, NativeServers, profile
from remediation_lab.world.setup import Installation
from remediation_lab.world.state import Client, State

USER = "LAB\\maria"
OTHER = "phi3:3.8b"
FOLDER = "C:\\Users\\maria\\AppData\\Local\\Programs\\Ollama"
_SERVICE_LOG = "C:\\ProgramData\\ollama\\service.log"
_STORE = "C:\\ollama\\models"


@dataclass(frozen=True, slots=True)
class NativeFault:
    """One thing that is wrong: in what happened on a running machine, in the app's settings, or in the machine itself."""

    happened: Callable[[Host], None]
    machine: Callable[[State], None] = conditions.as_it_is
    """What is different before anything runs."""
    settings: Mapping[str, Json] | None = None
    """Values in the row of the app's settings."""


def app(**more: Json) -> Installation:
    """Return Ollama as its installer leaves it: the tray app of the desktop's user."""
    return Installation("app", USER, FOLDER, log=f"{profile(USER)}\\AppData\\Local\\Ollama\\server.log", **more)


def bare(state: State) -> None:
    """Take Docker Desktop and WSL away, and install Ollama."""
    state.engine.desktop, state.engine.up = None, False
    state.setup.wsl_service = state.setup.wsl_version = None
    state.setup.distributions = []
    state.variables = {"machine": {}, USER: {}}
    state.installations = [app()]


def user(**variables: str) -> Callable[[State], None]:
    """Set variables of the desktop's user."""
    return lambda state: state.variables[USER].update(variables)


def everybody(**variables: str) -> Callable[[State], None]:
    """Set variables of the machine."""
    return lambda state: state.variables["machine"].update(variables)


def service(*, log: bool = True, **environment: str) -> Callable[[State], None]:
    """Let NSSM run Ollama as a service, with its AppEnvironmentExtra."""

    def changed(state: State) -> None:
        given = {"OLLAMA_MODELS": _STORE, **environment}
        state.installations = [
            Installation("service", SYSTEM, "C:\\ollama", name="Ollama", environment=given, log=_SERVICE_LOG if log else "")
        ]
        state.services["ollama"] = listed("Ollama", "Ollama", "C:\\Program Files\\nssm\\win64\\nssm.exe", "Running")

    return changed


def task(**environment: str) -> Callable[[State], None]:
    """Let a scheduled task start Ollama with the machine; its output goes nowhere."""

    def changed(state: State) -> None:
        state.installations = [Installation("task", USER, "C:\\ollama", name="\\Ollama", environment=environment)]

    return changed


def by_hand(state: State) -> None:
    """Let the user run the server in a shell."""
    state.installations = [Installation("hand", USER, "C:\\ollama", environment={})]


def slow(state: State) -> None:
    """Let a token take about four seconds, as on a card that has throttled its clock."""
    state.slowness = 150.0


def version(number: str) -> Callable[[State], None]:
    """Install another release."""

    def changed(state: State) -> None:
        for each in state.installations:
            each.version = number

    return changed


def server(made: Host) -> Installation:
    """Return the installation whose server runs."""
    return next(each for each in made.state.installations if each.port)


def post(made: Host, path: str, body: Mapping[str, Any]) -> None:
    """Send the running server, in Windows or in a distribution, a request from the host."""
    port = made.state.guests[0].port if made.state.guests else server(made).port
    url = f"http://127.0.0.1:{port}{path}"
    made.network.request(method="POST", url=url, body=json.dumps(body), timeout=3600)


def send_request(made: Host, options: Mapping[str, Any] | None = None, *, model: str = MODEL, keep_alive: Json = -1) -> None:
    """Let an application ask a model for something."""
    given = {"num_predict": 4, **(options or {})}
    post(made, "/api/generate", {"model": model, "prompt": "Hello", "stream": False, "keep_alive": keep_alive, "options": given})


def one_layer(made: Host) -> None:
    """Let an application request one layer on the GPU."""
    send_request(made, {"num_gpu": 1})


def baked_in(made: Host) -> None:
    """Store the number of layers with the model."""
    post(made, "/api/create", {"model": MODEL, "from": MODEL, "parameters": {"num_gpu": 1}, "stream": False})
    send_request(made)


def client_repeats(made: Host) -> None:
    """Let a client request one layer again and again."""
    made.state.client = Client(every=120.0, options={"num_gpu": 1}, next=made.clock.now() + 120.0, model=MODEL)
    one_layer(made)


def occupied(made: Host) -> None:
    """Let other programs take the memory before the model is loaded."""
    faults.occupants(made)
    send_request(made)


def _orphan(made: Host) -> None:
    # the server was ended by force, and its runner lives on: the app's next server finds the card taken
    send_request(made)
    running = server(made)
    program = next(each for each in made.state.programs if each.pid == running.pid)
    made.processes.end_one(program)
    made.clock.sleep(5)
    made.processes.happen()
    send_request(made)


def _libraries_gone(made: Host) -> None:
    running = server(made)
    running.libraries = False
    made.files.remove_folder(f"{running.folder}\\lib\\ollama\\cuda_v12")
    made.files.remove_folder(f"{running.folder}\\lib\\ollama\\cuda_v13")
    made.native.stop(running)
    made.native.start(running)
    send_request(made)


def two_loaded(made: Host) -> None:
    """Load a second model in front of the first."""
    post(made, "/api/pull", {"model": OTHER, "stream": False})
    send_request(made, {"num_ctx": 2048, "num_gpu": 20}, model=OTHER)
    send_request(made, {"num_gpu": 10})


def _two_stored(made: Host) -> None:
    post(made, "/api/pull", {"model": OTHER, "stream": False})
    one_layer(made)


def _deleted(made: Host) -> None:
    # DELETE does not unload: /api/ps goes on to list what /api/tags has no more
    post(made, "/api/pull", {"model": OTHER, "stream": False})
    send_request(made, model=OTHER)
    url = f"http://127.0.0.1:{server(made).port}/api/delete"
    made.network.request(method="DELETE", url=url, body=json.dumps({"model": OTHER}), timeout=60)


def _hangs(made: Host) -> None:
    one_layer(made)
    server(made).hangs = True


def _truncated(made: Host) -> None:
    running = server(made)
    store = made.native.of(running)
    assert store is not None
    (model,) = store.models.all()
    path = f"{store.settings.models}\\blobs\\{model.file.digest.replace(':', '-')}"
    content = made.files.get(path) or b""
    made.files.put(path, content[: len(content) // 2])
    send_request(made)


def _app_closed(made: Host) -> None:
    made.native.stop(server(made))


def _variable_removed(made: Host) -> None:
    # the registry no longer has what the app read when it started: only a new start of the app helps
    del made.state.variables[USER]["OLLAMA_LLM_LIBRARY"]
    send_request(made)


def _and_service(made: Host) -> None:
    # the service had the port first: the app's own server ends with an error, again and again
    one_layer(made)


def _both(state: State) -> None:
    service()(state)
    state.installations.append(app())


FAULTS: Mapping[str, NativeFault] = {
    "num-gpu-1": NativeFault(one_layer),
    "num-gpu-1-model": NativeFault(baked_in),
    "num-gpu-1-client": NativeFault(client_repeats),
    "app-context": NativeFault(send_request, settings={"context_length": 32768}),
    "user-llm-library": NativeFault(send_request, machine=user(OLLAMA_LLM_LIBRARY="cuda")),
    "user-visible-devices": NativeFault(send_request, machine=user(CUDA_VISIBLE_DEVICES="1")),
    "machine-gpu-overhead": NativeFault(send_request, machine=everybody(OLLAMA_GPU_OVERHEAD="3221225472")),
    "variable-removed": NativeFault(_variable_removed, machine=user(OLLAMA_LLM_LIBRARY="cuda")),
    "vram-occupied": NativeFault(occupied),
    "orphan-runner": NativeFault(_orphan),
    "libraries-missing": NativeFault(_libraries_gone),
    "service-num-parallel": NativeFault(send_request, machine=service(OLLAMA_NUM_PARALLEL="8")),
    "service-parallel-no-log": NativeFault(send_request, machine=service(log=False, OLLAMA_NUM_PARALLEL="8")),
    "service-num-gpu-1": NativeFault(one_layer, machine=service()),
    "service-without-log": NativeFault(one_layer, machine=service(log=False)),
    "task-num-gpu-1": NativeFault(one_layer, machine=task()),
    "hand-num-gpu-1": NativeFault(one_layer, machine=by_hand),
    "app-and-service": NativeFault(_and_service, machine=_both),
    "other-port": NativeFault(one_layer, machine=user(OLLAMA_HOST="127.0.0.1:11500")),
    "two-models-loaded": NativeFault(two_loaded),
    "two-models-stored": NativeFault(_two_stored),
    "deleted-model-loaded": NativeFault(_deleted),
    "server-hangs": NativeFault(_hangs),
    "model-truncated": NativeFault(_truncated),
    "slow-tokens": NativeFault(one_layer, machine=slow),
    "app-closed": NativeFault(_app_closed),
    "healthy": NativeFault(send_request),
}


def machine(name: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str, uptime: float) -> Host:
    """Make a machine with a fault, as it is when its owner says that the model has become slow."""
    wrong = FAULTS[fault]
    state = State(name=name, now=now - uptime, booted=now - uptime, world="native-windows")
    bare(state)
    wrong.machine(state)
    made = Host(state, scale=scale, saved=saved)
    with made.clock.jumping():
        for each in state.installations:
            _installed(made, each, wrong.settings or {})
        made.clock.sleep(10)  # what starts with the machine starts after the services of Windows
        made.boot()
        for each in state.installations:
            if each.kind == "hand":
                made.native.start(each)
        made.clock.sleep(120)
        post(made, "/api/pull", {"model": MODEL, "stream": False})
        wrong.happened(made)
        made.clock.sleep(max(0.0, now - made.clock.now()))
    return made


def _installed(made: Host, each: Installation, settings: Mapping[str, Json]) -> None:
    names = [
        "ollama.exe",
        "lib\\ollama\\ggml-base.dll",
        *(f"lib\\ollama\\{one}\\ggml-cuda.dll" for one in ("cuda_v12", "cuda_v13")),
    ]
    for path in (*names, *(["ollama app.exe"] if each.kind == "app" else [])):
        made.files.put(f"{each.folder}\\{path}", b"MZ stand-in\n")
    if each.kind == "app":
        models = f"{profile(each.account)}\\.ollama\\models"
        made.files.put(NativeServers.database(each), database.new(each.version, **{"models": models, **settings}))
