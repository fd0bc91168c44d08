"""Machines as they are before anybody looks: a healthy Windows laptop, and the faults that can be put into it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from remediation.lab.wire import Json
from remediation.lab.world.machine import Machine
from remediation.lab.world.state import MIB, Program, State

DEFAULT_FAULT = "vram-occupied"
MODEL = "mistral:7b-instruct-q4_K_M"
FOLDER = "C:\\dev\\activia1"
_UP = ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml", "up", "-d"]
_UPTIME = 3 * 3600.0

COMPOSE = """\
# The application and its model server.
services:
  ollama:
    image: ollama/ollama:0.13.5
    container_name: ai-native-ollama
    ports:
      - "11434:11434"
    volumes:
      - ollama_data:/root/.ollama
    restart: unless-stopped

  api:
    image: ai-native-api:latest
    container_name: ai-native-api
    environment:
      - OLLAMA_BASE_URL=http://ollama:11434
      - OLLAMA_MODEL=${OLLAMA_MODEL}
    ports:
      - "8000:8000"
    depends_on:
      - ollama
    restart: unless-stopped

volumes:
  ollama_data:
"""
COMPOSE_GPU = """\
# What the model server needs of the graphics card; used on top of docker-compose.yml.
services:
  ollama:
    environment:
      - OLLAMA_NUM_GPU=99                  # as many layers as fit
      - OLLAMA_GPU_MEMORY_FRACTION=0.85    # leave some for the desktop
      - OLLAMA_MAX_LOADED_MODELS=1         # one model at a time
      - OLLAMA_CONTEXT_LENGTH=4096         # memory against length of the talk
      - OLLAMA_DEBUG=1                     # say more in the log
{more}    deploy:
      resources:
        limits:
          memory: 12G
          cpus: '6.0'
        reservations:
          memory: 4G
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
"""
LIBRARY_LINE = "      - OLLAMA_LLM_LIBRARY=cuda            # force the CUDA backend\n"


def machine(name: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str = DEFAULT_FAULT) -> Machine:
    """Make a machine with a fault, as it is when its owner says that the model has become slow."""
    made = Machine(State(name=name, now=now - _UPTIME, booted=now - _UPTIME), scale=scale, saved=saved)
    with made.clock.jumping():
        _windows(made.state)
        _project(made, library=fault == "llm-library-cuda")
        made.clock.sleep(120)
        made.call("run", argv=_UP, cwd=FOLDER, timeout=600)
        _post(made, "/api/pull", {"model": MODEL, "stream": False})
        FAULTS[fault](made)
        made.clock.sleep(max(0.0, now - made.clock.now()))
    made.state.fault = fault
    made.state.writes.clear()
    made.save()
    return made


def _windows(state: State) -> None:
    booted = state.booted
    system = "NT AUTHORITY\\SYSTEM"
    windows = "C:\\Windows\\System32\\"

    def add(name: str, session: int, owner: str, path: str | None, **more: Json) -> Program:
        parent = more.pop("parent", 4)
        program = Program(state.pid(), parent, name, path, session, booted + 0.25 * len(state.programs), owner, **more)
        state.programs.append(program)
        return program

    add("System", 0, system, None)
    services = add("services.exe", 0, system, f"{windows}services.exe")
    for name, service in (
        ("svchost.exe", "WinRM"),
        ("svchost.exe", "Schedule"),
        ("svchost.exe", "Winmgmt"),
        ("lsass.exe", "SamSs"),
    ):
        add(name, 0, system, f"{windows}{name}", parent=services.pid, service=service)
    display = "C:\\Windows\\System32\\DriverStore\\FileRepository\\nvmi.inf_amd64\\Display.NvContainer\\NVDisplay.Container.exe"
    add(
        "NVDisplay.Container.exe",
        0,
        system,
        display,
        parent=services.pid,
        service="NVDisplay.ContainerLocalSystem",
        local=3 * MIB,
    )
    add("winrshost.exe", 0, state.login.user, f"{windows}winrshost.exe")
    add("vmmemWSL", 0, system, None)
    add("dwm.exe", 1, "Window Manager\\DWM-1", f"{windows}dwm.exe", local=56 * MIB, nonlocal_=38 * MIB)
    if state.login.desktop_user is not None:
        user = state.login.desktop_user
        explorer = add("explorer.exe", 1, user, "C:\\Windows\\explorer.exe", local=16 * MIB, windows=1)
        add("SearchHost.exe", 1, user, "C:\\Windows\\SystemApps\\SearchHost.exe", parent=explorer.pid, local=5 * MIB)
        docker = "C:\\Program Files\\Docker\\Docker\\"
        desktop = add("Docker Desktop.exe", 1, user, f"{docker}Docker Desktop.exe", parent=explorer.pid, local=7 * MIB, windows=1)
        add("com.docker.backend.exe", 1, user, f"{docker}resources\\com.docker.backend.exe", parent=desktop.pid)


def _project(made: Machine, *, library: bool) -> None:
    made.files.put(f"{FOLDER}\\docker-compose.yml", COMPOSE.encode())
    made.files.put(f"{FOLDER}\\docker-compose.gpu.yml", COMPOSE_GPU.format(more=LIBRARY_LINE if library else "").encode())
    made.files.put(f"{FOLDER}\\.env", f"# which model the application asks for\nOLLAMA_MODEL={MODEL}\n".encode())


def _post(made: Machine, path: str, body: Mapping[str, Any]) -> None:
    made.network.request(method="POST", url=f"http://127.0.0.1:11434{path}", body=json.dumps(body), timeout=3600)


def ask(made: Machine, options: Mapping[str, Any] | None = None) -> None:
    """Let the application ask the model for something; it keeps the model for good."""
    body = {
        "model": MODEL,
        "prompt": "Why is the sky blue?",
        "stream": False,
        "keep_alive": -1,
        "options": {"num_predict": 4, **(options or {})},
    }
    _post(made, "/api/generate", body)


def tree(made: Machine, name: str, path: str, parts: tuple[int, ...], **more: Json) -> Program:
    """Start a program with helpers; `parts` is the video memory of each in bytes, the window's owner first."""
    state, user = made.state, made.state.login.desktop_user
    now = made.clock.now()
    explorer = next((each.pid for each in state.programs if each.name == "explorer.exe"), 4)
    root = Program(state.pid(), explorer, name, path, 1, now, user, windows=1, local=parts[0], nonlocal_=parts[0] // 9, **more)
    state.programs.append(root)
    for index, size in enumerate(parts[1:], 1):
        state.programs.append(Program(state.pid(), root.pid, name, path, 1, now + 0.4 * index, user, local=size))
    return root


def _occupants(made: Machine, **chrome: Json) -> None:
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


def _vram_occupied(made: Machine) -> None:
    _occupants(made)
    ask(made)


def _chrome_comes_back(made: Machine) -> None:
    _occupants(made, returns_in=6.0)
    ask(made)


def _discord_hides(made: Machine) -> None:
    _occupants(made)
    for each in made.state.programs:
        if each.name == "Discord.exe":
            each.manner = "tray"
    ask(made)


def _nobody(made: Machine) -> None:
    # signed out with programs left over in a disconnected session: nobody who could be asked to close them
    _occupants(made)
    made.state.login.desktop_user = None
    ask(made)


def _num_gpu(made: Machine) -> None:
    ask(made, {"num_gpu": 1})


def _healthy(made: Machine) -> None:
    ask(made)


def _not_elevated(made: Machine) -> None:
    _occupants(made)
    made.state.login.elevated = False
    ask(made)


def _unloaded(made: Machine) -> None:
    _occupants(made)


def _engine_down(made: Machine) -> None:
    ask(made)
    for each in made.state.containers:
        made.engine.stop(each, code=137)
    made.state.engine.up = False
    made.state.programs = [each for each in made.state.programs if each.name != "vmmemWSL"]


def _counters(made: Machine) -> None:
    _occupants(made)
    made.state.card.counters = False
    ask(made)


FAULTS: Mapping[str, Callable[[Machine], None]] = {
    "vram-occupied": _vram_occupied,
    "num-gpu-1": _num_gpu,
    "llm-library-cuda": _healthy,
    "healthy": _healthy,
    "not-loaded": _unloaded,
    "chrome-comes-back": _chrome_comes_back,
    "discord-hides": _discord_hides,
    "nobody-logged-on": _nobody,
    "not-elevated": _not_elevated,
    "engine-down": _engine_down,
    "no-gpu-counters": _counters,
}
