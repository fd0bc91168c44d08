"""A stand-in on a clock that jumps, for tests of one process."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.models import ModelStore
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.replay import StepClock
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.ollama.snapshot import PlainMemory
from remediation_lab.ports import Device

MIB = 1024**2
MISTRAL = "mistral:7b-instruct"
PHI = "phi3:3.8b"
DEVICE = Device("NVIDIA GeForce RTX 3060 Laptop GPU", "GPU-11111111-2222-3333-4444-555555555555", "8.6", "12.5")
START = 1.8e9


@dataclass
class Played:
    """A started server with what it wrote and the machine it plays on."""

    server: OllamaServer
    memory: PlainMemory
    clock: StepClock
    written: list[tuple[str, str]] = field(default_factory=list)

    @property
    def log(self) -> str:
        return "\n".join(text for stream, text in self.written if stream == "stderr")

    def ask(self, path: str, body: Mapping[str, Any] | None = None, method: str = "POST") -> tuple[int, Any]:
        answer = self.server.handle(method, path, b"" if body is None else json.dumps(body).encode())
        text = answer.read().decode()
        if answer.headers.get("Content-Type") == "application/x-ndjson":
            return answer.status, [json.loads(each) for each in text.splitlines()]
        return answer.status, json.loads(text) if text.startswith("{") else text

    def load(self, model: str = MISTRAL, **options: float | str | None) -> tuple[int, Any]:
        return self.ask("/api/generate", {"model": model, "stream": False, "options": options})

    def ps(self) -> list[dict[str, Any]]:
        models: list[dict[str, Any]] = self.ask("/api/ps", method="GET")[1]["models"]
        return models


def play(  # what a server stands on, each by name
    *,
    version: str = "0.13.5",
    free: int = 5744,
    device: Device | None = DEVICE,
    models: tuple[str, ...] = (MISTRAL,),
    ram: Memory | None = None,
    total: int = 6144,
    gpu_runner: bool = True,
    **environment: str,
) -> Played:
    """Start a server on a card of `total` MiB with `free` of them left by other programs."""
    clock = StepClock(START)
    store = ModelStore()
    for name in models:
        model = store.fetch(name, START)
        assert model is not None
        store.put(model)
    memory = PlainMemory(total * MIB, (total - free) * MIB)
    written: list[tuple[str, str]] = []
    server = OllamaServer(
        version=version,
        environment=environment,
        device=device,
        memory=memory,
        clock=clock,
        models=store,
        log=lambda stream, text: written.append((stream, text)),
        pace=Pace(),
        ram=ram,
        gpu_runner=gpu_runner,
    )
    server.start()
    return Played(server, memory, clock, written)


def offloaded(log: str) -> list[str]:
    return re.findall(r"offloaded (\d+/\d+) layers", log)
