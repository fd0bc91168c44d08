"""Faults of a machine: one per cause of a slow GPU host, and one per program that resists being closed."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from remediation_lab.host.host import Host
from remediation_lab.ollama.damage import Damage
from remediation_lab.scenarios import conditions
from remediation_lab.wire import Json
from remediation_lab.world.state import MIB, Client, Program, State

MODEL = "mistral:7b-instruct-q4_K_M"
FOLDER = "C:\\dev\\activia1"
LIBRARY_LINE = "OLLAMA_LLM_LIBRARY=cuda            # force the CUDA backend"


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that is wrong: in what happened on a running machine, in its compose file, or in the machine itself."""

    happened: Callable[[Host], None]
    lines: tuple[str, ...] = ()
    """More entries of the ollama service's environment."""
    devices: bool = True
    """Whether the compose file asks for a GPU."""
    limit: str = "12G"
    """The container's memory limit."""
    release: str = "0.13.5"
    """The Ollama release in the image."""
    machine: Callable[[State], None] = conditions.as_it_is
    """What is different before anything runs."""


def post(made: Host, path: str, body: Mapping[str, Any]) -> None:
    """Send Ollama a request from the host."""
    made.network.request(method="POST", url=f"http://127.0.0.1:11434{path}", body=json.dumps(body), timeout=3600)


def send_request(made: Host, options: Mapping[str, Any] | None = None) -> None:
    """Let the application ask the model for something; it keeps the model for good."""
    body = {
        "model": MODEL,
        "prompt": "Why is the sky blue?",
        "stream": False,
        "keep_alive": -1,
        "options": {"num_predict": 4, **(options or {})},
    }
    post(made, "/api/generate", body)


def tree(made: Host, name: str, path: str, parts: tuple[int, ...], **more: Json) -> Program:
    """Start a program with helpers; `parts` is the video memory of each in bytes, the window's owner first."""
    state, user = made.state, made.state.login.desktop_user
    now = made.clock.now()
    explorer = next((each.pid for each in state.programs if each.name == "explorer.exe"), 4)
    root = Program(state.pid(), explorer, name, path, 1, now, user, windows=1, local=parts[0], nonlocal_=parts[0] // 9, **more)
    state.programs.append(root)
    for index, size in enumerate(parts[1:], 1):
        state.programs.append(Program(state.pid(), root.pid, name, path, 1, now + 0.4 * index, user, local=size))
    return root


def occupants(made: Host, **chrome: Json) -> None:
    """Let Chrome, Discord and VS Code hold the card."""
    # 1/33 of mistral 7B q4_K_M at 4096 fits between 1060 and 1207 MiB, 33/33 from 5521 MiB (facts/ollama 4.8):
    # here 1200 MiB are free with everything open, and 5599 MiB with only Code left
    user = "C:\\Users\\maria\\AppData\\Local\\"
    tree(
        made,
        "chrome.exe",
        "C:\\Program Files\\Google\\Chrome\\Application\\chrome.exe",
        (96 * MIB, 2244 * MIB, 64 * MIB),
        closes_in=4.0,
        **chrome,
    )
    tree(made, "Discord.exe", f"{user}Discord\\app-1.0.9175\\Discord.exe", (110 * MIB, 1885 * MIB), closes_in=2.0)
    tree(made, "Code.exe", f"{user}Programs\\Microsoft VS Code\\Code.exe", (36 * MIB, 326 * MIB), manner="asks")


def _vram_occupied(made: Host) -> None:
    occupants(made)
    send_request(made)


def _chrome_comes_back(made: Host) -> None:
    occupants(made, returns_in=6.0)
    send_request(made)


def _discord_hides(made: Host) -> None:
    occupants(made)
    for each in made.state.programs:
        if each.name == "Discord.exe":
            each.manner = "tray"
    send_request(made)


def _nobody(made: Host) -> None:
    # signed out with programs left over: their session has no shell, and no user can confirm that they close
    occupants(made)
    made.state.login.desktop_user = None
    made.state.programs = [each for each in made.state.programs if each.name not in {"explorer.exe", "SearchHost.exe"}]
    logon = "C:\\Windows\\System32\\LogonUI.exe"
    made.state.programs.append(
        Program(made.state.pid(), 4, "LogonUI.exe", logon, 2, made.clock.now(), "NT AUTHORITY\\SYSTEM", local=21 * MIB)
    )
    send_request(made)


def _num_gpu(made: Host) -> None:
    send_request(made, {"num_gpu": 1})


def _as_it_stands(_: Host) -> None:
    """Nothing more has happened."""


def _not_elevated(made: Host) -> None:
    occupants(made)
    made.state.login.elevated = False
    send_request(made)


def _without_rights(made: Host) -> None:
    # as a domain user who may log in over the network and nothing else; the machine is the same
    occupants(made)
    send_request(made)
    made.state.login.elevated = False
    made.state.login.restricted = True
    made.state.closed = ["C:\\dev"]


def _needs_reset(made: Host) -> None:
    _stopped_answering(made, reset=True)


def _in_use(made: Host) -> None:
    occupants(made)
    path = made.desktop.settings_path
    made.files.put(path, json.dumps({"AutoStart": False}).encode())
    made.state.in_use = [path]
    send_request(made)


def _unloaded(made: Host) -> None:
    occupants(made)


def _engine_down(made: Host) -> None:
    send_request(made)
    made.desktop.stop(forced=True)


def _counters(made: Host) -> None:
    occupants(made)
    made.state.card.counters = False
    send_request(made)


def _baked_in(made: Host) -> None:
    # as a Modelfile with PARAMETER num_gpu 1 under the name that everybody uses
    post(made, "/api/create", {"model": MODEL, "from": MODEL, "parameters": {"num_gpu": 1}, "stream": False})
    send_request(made)


def _client_repeats(made: Host) -> None:
    made.state.client = Client(every=120.0, options={"num_gpu": 1}, next=made.clock.now() + 120.0)
    send_request(made, {"num_gpu": 1})


def _long_context(made: Host) -> None:
    send_request(made, {"num_ctx": 32768})


def _other_model(made: Host) -> None:
    post(made, "/api/pull", {"model": "phi3:3.8b", "stream": False})
    post(made, "/api/generate", {"model": "phi3:3.8b", "stream": False, "keep_alive": -1})
    # with a requested number of layers, a model is loaded in addition to another one instead of replacing it
    send_request(made, {"num_gpu": 10})


def _damaged(damage: Damage) -> Callable[[Host], None]:
    def happened(made: Host) -> None:
        for server in made.engine.servers():
            server.stop()
            store = server.models
            for model in store.all():
                store.put(replace(model, damage=damage))
        made.engine.keep()
        for container in made.state.containers:
            if container.running:
                made.engine.restart(container)
        send_request(made)

    return happened


def _lost_card(made: Host) -> None:
    _stopped_answering(made)


def _stopped_answering(made: Host, *, reset: bool = False) -> None:
    made.state.card.fallen, made.state.card.reset = not reset, reset
    for container in made.state.containers:
        if container.running and container.wants_gpu:
            made.engine.restart(container)
    send_request(made)


def _desktop_hangs(made: Host) -> None:
    send_request(made)
    made.desktop.stop(forced=True)
    made.state.engine.hangs = True


def _immortal(made: Host) -> None:
    occupants(made, manner="ignores", immortal=True)
    send_request(made)


def _reused(made: Host) -> None:
    # each program that ends leaves its number to a program that may not be closed
    occupants(made, successor="OUTLOOK.EXE")
    send_request(made)


def _margin(made: Host) -> None:
    # all layers fit under v0.24 with this setting: v0.30 leaves 1 GiB free where 457 MiB were enough (facts/ollama 4.5)
    tree(
        made,
        "Code.exe",
        "C:\\Users\\maria\\AppData\\Local\\Programs\\Microsoft VS Code\\Code.exe",
        (36 * MIB, 326 * MIB),
        manner="asks",
    )
    send_request(made)


def _hidden(made: Host) -> None:
    occupants(made)
    for each in made.state.programs:
        if each.name == "Discord.exe":
            each.counted = False
    send_request(made)


FAULTS: Mapping[str, Fault] = {
    "vram-occupied": Fault(_vram_occupied),
    "num-gpu-1": Fault(_num_gpu),
    "num-gpu-1-model": Fault(_baked_in),
    "num-gpu-1-client": Fault(_client_repeats),
    "llm-library-cuda": Fault(send_request, lines=(LIBRARY_LINE,)),
    "healthy": Fault(send_request),
    "not-loaded": Fault(_unloaded),
    "context-32768": Fault(send_request, lines=("OLLAMA_CONTEXT_LENGTH=32768",)),
    "context-request": Fault(_long_context),
    "num-parallel-8": Fault(send_request, lines=("OLLAMA_NUM_PARALLEL=8",)),
    "gpu-overhead": Fault(send_request, lines=("OLLAMA_GPU_OVERHEAD=3221225472",)),
    "memory-limit": Fault(_vram_occupied, limit="512M"),
    "runner-killed": Fault(send_request, limit="120M"),
    "no-gpu-request": Fault(send_request, devices=False),
    "no-gpu-runtime": Fault(_as_it_stands, machine=conditions.no_runtime),
    "visible-devices": Fault(send_request, lines=("CUDA_VISIBLE_DEVICES=1",)),
    "card-too-small": Fault(send_request, machine=conditions.card("NVIDIA GeForce GTX 1650", "7.5", 4096)),
    "card-tight": Fault(send_request, machine=conditions.card("Quadro P2000", "6.1", 5120)),
    "card-unsupported": Fault(send_request, machine=conditions.card("NVIDIA GeForce GTX 780", "3.5")),
    "driver-too-old": Fault(send_request, machine=conditions.old_driver),
    "driver-lost": Fault(_lost_card),
    "card-needs-reset": Fault(_needs_reset),
    "other-model": Fault(_other_model, lines=("OLLAMA_MAX_LOADED_MODELS=2",)),
    "model-corrupt": Fault(_damaged(Damage.BLOB_MAGIC)),
    "model-truncated": Fault(_damaged(Damage.BLOB_CUT)),
    "model-blob-missing": Fault(_damaged(Damage.BLOB_MISSING)),
    "slow-disk": Fault(send_request, machine=conditions.slow_disk),
    "margin-0.32": Fault(_margin, release="0.32.0"),
    "vram-occupied-0.32": Fault(_vram_occupied, release="0.32.0"),
    "num-gpu-1-0.32": Fault(_num_gpu, release="0.32.0"),
    "vram-occupied-0.12": Fault(_vram_occupied, release="0.12.10"),
    "chrome-comes-back": Fault(_chrome_comes_back),
    "discord-hides": Fault(_discord_hides),
    "discord-uncounted": Fault(_hidden),
    "chrome-immortal": Fault(_immortal),
    "pid-reused": Fault(_reused),
    "nobody-logged-on": Fault(_nobody),
    "not-elevated": Fault(_not_elevated),
    "no-rights": Fault(_without_rights),
    "task-refused": Fault(_vram_occupied, machine=conditions.refused_tasks),
    "task-slow": Fault(_vram_occupied, machine=conditions.slow_tasks),
    "settings-in-use": Fault(_in_use),
    "values-missing": Fault(_vram_occupied, machine=conditions.unreadable),
    "constrained-language": Fault(_vram_occupied, machine=conditions.held_back),
    "unprepared": Fault(_vram_occupied, machine=conditions.unprepared),
    "engine-down": Fault(_engine_down),
    "desktop-hangs": Fault(_desktop_hangs),
    "no-gpu-counters": Fault(_counters),
}
