"""Machines in their first state: a healthy Windows laptop, and the faults that can be put into it."""

from __future__ import annotations

from collections.abc import Callable

from remediation_lab.host.host import Host
from remediation_lab.scenarios.faults import FAULTS, FOLDER, MODEL, Fault, post
from remediation_lab.world.engine import OLLAMA_PORT
from remediation_lab.world.state import State

DEFAULT_FAULT = "vram-occupied"
_UP = ["docker", "compose", "-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml", "up", "-d"]
_UPTIME = 3 * 3600.0

COMPOSE = """\
# The application and its model server.
services:
  ollama:
    image: ollama/ollama:{release}
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
      - OLLAMA_MODEL=${{OLLAMA_MODEL}}
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
          memory: {limit}
          cpus: '6.0'
        reservations:
          memory: {reserved}
{devices}"""
DEVICES = """\
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
"""
_SIZES = ("120M", "512M", "4G", "12G")


def machine(
    name: str, *, now: float, scale: float, saved: Callable[[State], None], fault: str = DEFAULT_FAULT, uptime: float = _UPTIME
) -> Host:
    """Make a machine with a fault, as it is when its owner says that the model has become slow."""
    wrong = FAULTS[fault]
    state = State(name=name, now=now - uptime, booted=now - uptime)
    wrong.machine(state)
    made = Host(state, scale=scale, saved=saved)
    with made.clock.jumping():
        made.boot()
        _project(made, wrong)
        made.clock.sleep(120)
        made.call("run", argv=_UP, cwd=FOLDER, timeout=600)
        if made.serving.listening(OLLAMA_PORT) is not None:
            post(made, "/api/pull", {"model": MODEL, "stream": False})
        wrong.happened(made)
        made.clock.sleep(max(0.0, now - made.clock.now()))
    made.state.fault = fault
    made.state.writes.clear()
    made.save()
    return made


def _project(made: Host, wrong: Fault) -> None:
    made.files.put(f"{FOLDER}\\docker-compose.yml", COMPOSE.format(release=wrong.release).encode())
    more = "".join(f"      - {each}\n" for each in wrong.lines)
    text = COMPOSE_GPU.format(
        more=more, limit=wrong.limit, reserved=min("4G", wrong.limit, key=_SIZES.index), devices=DEVICES if wrong.devices else ""
    )
    made.files.put(f"{FOLDER}\\docker-compose.gpu.yml", text.encode())
    made.files.put(f"{FOLDER}\\.env", f"# which model the application asks for\nOLLAMA_MODEL={MODEL}\n".encode())
