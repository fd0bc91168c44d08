"""What a program needs to repair the guide's project on a private engine, and the faults that can be put into it."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.support import nvml_library
from tests.support.engine import Engine
from tests.support.project import GUIDE, HEALTHY, MODEL, Project

MIB = 1024**2
OTHERS = 400 * MIB
"""What other programs hold of the healthy card."""


def environment(engine: Engine, nvml: Path | None = None) -> dict[str, str]:
    """Return the environment in which docker, the SDK, NVML and `remediate` see this engine, its card, and a separate home.

    `nvml` is the library that `nvml_library.build` made; without it this machine has no NVIDIA driver.
    """
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("DOCKER_", "COMPOSE_", "XDG_", "OLLAMA_"))}
    scripts = str(Path(sys.executable).parent)
    path = os.pathsep.join([scripts, engine.environment["PATH"]])
    card = nvml_library.environment(nvml, engine.gpu / "gpu.txt") if nvml is not None else {}
    lease = {"REMEDIATION_LEASE_FOLDER": str(engine.folder / "lease")}  # runs on other engines of this machine are no rivals
    return {**kept, **engine.environment, **card, **lease, "PATH": path}


def healthy(project: Project) -> None:
    """The model is loaded whole."""
    _fresh(project, HEALTHY)
    load(project)


def num_gpu_1(project: Project) -> None:
    """A client requested one layer, and the model stays loaded with it for good."""
    _fresh(project, HEALTHY)
    load(project, {"num_gpu": 1})


def llm_library_cuda(project: Project) -> None:
    """The guide's own environment: the library that it names does not exist, so the model runs on the CPU."""
    _fresh(project, GUIDE)
    load(project)


def vram_occupied(project: Project) -> None:
    """Other programs hold so much of the card that one layer fits."""
    project.engine.occupy((6144 - 1100) * MIB)
    _fresh(project, HEALTHY, others=None)
    load(project)


def not_loaded(project: Project) -> None:
    """Nothing is loaded: whether the model would fit is not known."""
    _fresh(project, HEALTHY)


FAULTS: Mapping[str, Callable[[Project], None]] = {
    "healthy": healthy,
    "num-gpu-1": num_gpu_1,
    "llm-library-cuda": llm_library_cuda,
    "vram-occupied": vram_occupied,
    "not-loaded": not_loaded,
}


def load(project: Project, options: Mapping[str, object] | None = None) -> None:
    """Load the model for good."""
    project.post("/api/generate", {"model": MODEL, "stream": False, "keep_alive": -1, "options": dict(options or {})})


def layers(project: Project) -> str | None:
    """Return N/M of the last `offloaded` line, None where there is none."""
    found = [line for line in project.logs().splitlines() if "layers to GPU" in line and "offloaded" in line]
    return found[-1].split("offloaded ")[1].split()[0] if found else None


def _fresh(project: Project, lines: tuple[str, ...], *, others: int | None = OTHERS) -> None:
    if others is not None:
        project.engine.occupy(others)
    project.write(lines)
    project.up()
    project.post("/api/generate", {"model": MODEL, "stream": False, "keep_alive": 0})
