"""One part of a host as typed objects: what facets read. Sizes are bytes, times seconds since the epoch by the host's clock.

A value that is not known is ``None``, never 0 (under WDDM an unknown amount of VRAM must not be summed as nothing).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the login may do on the host; ``wsl`` and ``credential_store`` say whether those are within its reach."""

    user: str
    elevated: bool
    desktop_user: str | None = None
    language_mode: str = ""
    shell_version: str = ""
    wsl: bool | None = None
    credential_store: bool | None = None


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The machine: ``os`` is ``windows`` or ``linux``; ``now`` and ``booted`` by the host's own clock."""

    os: str
    version: str
    hostname: str
    memory_total: int | None = None
    memory_free: int | None = None
    now: float = 0.0
    booted: float | None = None


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device; ``utilization`` in percent, ``compute_capability`` like ``8.6``."""

    index: int
    uuid: str
    name: str
    driver_version: str
    total: int
    used: int
    free: int
    reserved: int | None = None
    utilization: int | None = None
    driver_model: str | None = None
    compute_capability: str | None = None


@dataclass(frozen=True, slots=True)
class Process:
    """A program that runs; (pid, started) is its identity because PIDs are reused. ``vram`` is resident GPU memory."""

    pid: int
    name: str
    started: float
    parent: int | None = None
    path: str | None = None
    session_id: int | None = None
    owner: str | None = None
    service: str | None = None
    has_window: bool = False
    vram: int | None = None

    @property
    def key(self) -> str:
        """Identity as text: PID and start time."""
        return f"{self.pid}@{self.started:.3f}"

    @property
    def program(self) -> str:
        """The program's name without ``.exe``, lower case: ``chrome`` and ``Chrome.exe`` are one."""
        name = self.name.lower()
        return name[:-4] if name.endswith(".exe") else name


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The GPUs and who uses them; ``reliable`` is False where per-process amounts contradict the device's own total."""

    gpus: tuple[Gpu, ...]
    processes: tuple[Process, ...] = ()
    reliable: bool = True
    why_unreliable: str = ""

    @property
    def free(self) -> int:
        """Free dedicated memory of the GPU with most free memory, in bytes; 0 without a GPU."""
        return max((gpu.free for gpu in self.gpus), default=0)


@dataclass(frozen=True, slots=True)
class Runner:
    """One loaded model as ``/api/ps`` lists it (facts/ollama 3); ``expires_at`` as sent (RFC 3339)."""

    model: str
    size: int
    size_vram: int
    context_length: int | None = None
    digest: str = ""
    expires_at: str = ""


@dataclass(frozen=True, slots=True)
class ModelEntry:
    """One stored model as ``/api/tags`` lists it; ``size`` on disk."""

    name: str
    size: int
    digest: str
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ModelShow:
    """What ``/api/show`` says: ``parameters`` parsed to name -> text, ``info`` the GGUF metadata."""

    model: str
    parameters: Mapping[str, str]
    info: Mapping[str, Any]
    details: Mapping[str, Any] = field(default_factory=dict)
    modelfile: str = ""


@dataclass(frozen=True, slots=True)
class Generation:
    """The figures of one request, from Ollama's own durations (seconds); None where not known.

    ``first_token`` is stamped at the first streamed chunk by whoever ran the request on the host.
    """

    tokens: int
    total: float
    load: float
    prompt_eval: float
    eval: float
    first_token: float | None = None
    done_reason: str = ""
    gpu_percent: float | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """A Docker engine that answers; ``memory_total`` is what its (virtual) machine has."""

    version: str
    api_version: str
    os: str
    memory_total: int | None = None
    runtimes: tuple[str, ...] = ()
    name: str = ""
    server_errors: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """What ``docker inspect`` says; ``environment`` in order, ``raw`` the whole record."""

    id: str
    name: str
    image: str
    status: str
    environment: Mapping[str, str]
    labels: Mapping[str, str]
    gpu_requested: bool
    ports: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    started_at: str = ""
    exit_code: int | None = None
    oom_killed: bool = False
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str | None:
        """The Compose service it belongs to, from its label."""
        return self.labels.get("com.docker.compose.service")


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """A Compose project: its name, files in order, and working folder, all as the host writes them."""

    name: str
    files: tuple[str, ...]
    working_dir: str


@dataclass(frozen=True, slots=True)
class Found:
    """A value of the target and where it came from ("from .env: OLLAMA_MODEL")."""

    value: Any
    source: str


@dataclass(frozen=True, slots=True)
class Target:
    """What is to be repaired on a host (design 7); each part says where it came from, ``None`` where there is none.

    ``endpoint`` is a URL as reached from the host itself; ``container`` a container name; ``project`` a ComposeProject;
    ``service`` the Ollama service of the project; ``application`` the service that uses it.
    """

    model: Found | None = None
    endpoint: Found | None = None
    container: Found | None = None
    project: Found | None = None
    service: Found | None = None
    application: Found | None = None
    candidates: tuple[str, ...] = ()
