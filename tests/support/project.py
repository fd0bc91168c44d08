"""The guide's Compose project on a private engine, and the HTTP calls of its clients."""

from __future__ import annotations

import json
import subprocess
import threading
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.engine import IMAGE, Engine

FILES = ("-f", "docker-compose.yml", "-f", "docker-compose.gpu.yml")
MODEL = "mistral:7b-instruct"
CONTAINER = "ai-native-ollama"
_READY_SECONDS = 20.0

_BASE = """\
# The stack: the model server and the service that uses it
services:
  ollama:
    image: {image}
    container_name: ai-native-ollama
    ports:
      - "127.0.0.1:{port}:11434"
    volumes:
      - ollama_data:/root/.ollama
    restart: unless-stopped
    stop_grace_period: 1s
  api:
    image: {image}
    container_name: ai-native-api
    entrypoint: ["sh", "-c", "trap 'exit 0' TERM; sleep infinity & wait"]
    environment:
      - OLLAMA_BASE_URL=http://ollama:11434
      - OLLAMA_MODEL=${{OLLAMA_MODEL:-mistral:7b-instruct}}
    depends_on:
      - ollama
    restart: unless-stopped
    stop_grace_period: 1s
volumes:
  ollama_data:
"""

_GPU = """\
# What the GPU needs
services:
  ollama:
    environment:
      - NVIDIA_VISIBLE_DEVICES=all
      - NVIDIA_DRIVER_CAPABILITIES=compute,utility
{environment}
    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
"""

HEALTHY = ("OLLAMA_MAX_LOADED_MODELS=1         # one model", "OLLAMA_CONTEXT_LENGTH=4096         # memory against quality")
GUIDE = (
    "OLLAMA_NUM_GPU=99                  # as many layers as possible",
    "OLLAMA_GPU_MEMORY_FRACTION=0.85    # 85% of the VRAM",
    "OLLAMA_MAX_LOADED_MODELS=1         # one model",
    "OLLAMA_CONTEXT_LENGTH=4096         # memory against quality",
    "OLLAMA_DEBUG=1                     # detailed logs",
    "OLLAMA_LLM_LIBRARY=cuda            # force the CUDA backend",
)


@dataclass(frozen=True, slots=True)
class Project:
    """The guide's files in a folder, brought up on an engine; `port` is where Ollama answers on this machine."""

    engine: Engine
    folder: Path
    port: int

    def write(self, environment: tuple[str, ...] = HEALTHY) -> None:
        """Write the two compose files and `.env`."""
        (self.folder / "docker-compose.yml").write_text(_BASE.format(image=IMAGE, port=self.port), encoding="utf-8")
        lines = "\n".join(f"      - {each}" for each in environment)
        (self.folder / "docker-compose.gpu.yml").write_text(_GPU.format(environment=lines), encoding="utf-8")
        (self.folder / ".env").write_text(f"OLLAMA_MODEL={MODEL}\n", encoding="utf-8")

    def compose(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run `docker compose` with both files in the project's folder."""
        return self.engine.docker("compose", *FILES, *arguments, folder=self.folder, check=check)

    def up(self, *, pull: bool = True) -> None:
        """Bring the project up, wait until Ollama answers, and pull the model where it is missing."""
        self.compose("up", "-d")
        self.wait()
        if pull and MODEL not in [each["name"] for each in self.get("/api/tags")["models"]]:
            self.post("/api/pull", {"model": MODEL, "stream": False})

    def down(self) -> None:
        """Take everything down, the volume too."""
        self.compose("down", "-v", "--timeout", "0")

    def wait(self) -> None:
        """Wait until Ollama listens."""
        self.on_chunk("inference compute")

    def on_chunk(self, text: str) -> None:
        """Follow the container's log, both streams, up to a line with `text`."""
        command = ["docker", "logs", "--follow", CONTAINER]
        environment = dict(self.engine.environment)
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=environment, text=True) as reader:
            watchdog = threading.Timer(_READY_SECONDS, reader.kill)
            watchdog.start()
            assert reader.stdout is not None
            heard = any(text in line for line in reader.stdout)
            watchdog.cancel()
            reader.kill()
        assert heard, f"no {text!r} in Ollama's log: {self.logs()}"

    def logs(self) -> str:
        """Return what the Ollama container wrote."""
        done = self.engine.docker("logs", CONTAINER, check=False)
        return str(done.stdout + done.stderr)

    def get(self, path: str) -> Any:  # any JSON document
        """GET a JSON document from Ollama."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", timeout=30) as answer:
            return json.load(answer)

    def post(self, path: str, body: dict[str, Any]) -> Any:  # any JSON document
        """POST JSON to Ollama and return the JSON answer."""
        request = urllib.request.Request(
            f"http://127.0.0.1:{self.port}{path}", json.dumps(body).encode(), {"Content-Type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=60) as answer:  # http on loopback
            return json.load(answer)
