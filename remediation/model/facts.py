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
    """A program that runs; (pid, started) is its identity because PIDs are reused. ``vram`` is resident GPU memory.

    ``spilled`` is GPU memory of it that lies in shared system memory (NonLocalUsage on Windows), where that is known.
    """

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
    spilled: int | None = None

    @property
    def key(self) -> str:
        """Identity as text: PID and start time."""
        return f"{self.pid}@{self.started:.3f}"

    @property
    def program(self) -> str:
        """The program's name without ``.exe``, lower case: ``chrome`` and ``Chrome.exe`` are one."""
        return self.name.lower().removesuffix(".exe")


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
class GpuSample:
    """One card at one moment: ``at`` by the host's clock, ``utilization`` in percent, ``used`` in bytes."""

    at: float
    index: int
    utilization: int | None
    used: int | None


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
class Blob:
    """One layer of a stored model: ``size`` as its manifest says, ``present`` bytes on disk, None where it is missing.

    ``actual`` is the digest of what lies on disk, None where it was not hashed. Digests read ``sha256:<64 hex>``.
    """

    digest: str
    size: int
    media_type: str = ""
    present: int | None = None
    actual: str | None = None

    @property
    def sound(self) -> bool | None:
        """Whether what lies on disk is what the manifest names; None where only its hash could tell."""
        if self.present is None or self.present != self.size:
            return False
        return None if self.actual is None else self.actual == self.digest


@dataclass(frozen=True, slots=True)
class Manifest:
    """A model as a registry holds it: the digest of its manifest (as ``/api/tags`` shows it) and its layers."""

    model: str
    digest: str
    layers: tuple[Blob, ...] = ()

    @property
    def size(self) -> int:
        """Bytes to download at most."""
        return sum(layer.size for layer in self.layers)


@dataclass(frozen=True, slots=True)
class PullProgress:
    """One line of a pull: ``completed`` and ``total`` in bytes of the layer ``digest``, None where the line names none."""

    status: str
    digest: str = ""
    completed: int | None = None
    total: int | None = None


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
    """What ``docker inspect`` says; ``environment`` in order, ``raw`` the whole record.

    ``created_at``, ``started_at`` and ``finished_at`` as Docker writes them (RFC 3339); ``volumes`` are the names of the
    named volumes that it mounts.
    """

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
    created_at: str = ""
    finished_at: str = ""
    volumes: tuple[str, ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict)

    @property
    def service(self) -> str | None:
        """The Compose service it belongs to, from its label."""
        return self.labels.get("com.docker.compose.service")


@dataclass(frozen=True, slots=True)
class Executed:
    """What a program inside a container came to."""

    code: int
    stdout: str
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """What a container uses: memory without the page cache, ``memory_limit`` None where it has none, CPU in percent of one core."""

    memory_used: int
    memory_limit: int | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume; ``users`` are the containers that mount it, stopped ones too, ``created_at`` as Docker writes it."""

    name: str
    driver: str = "local"
    created_at: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """A Compose project: its name, files in order, working folder and active profiles, all as the host writes them."""

    name: str
    files: tuple[str, ...]
    working_dir: str
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerDesktop:
    """Docker Desktop (facts/windows 2 and 3): ``state`` is ``running``, ``starting``, ``stopping``, ``stopped`` or ``unknown``.

    ``started`` is when its oldest backend process started, by the host's clock, None while there is none. ``settings`` are
    those of the desktop user's settings file (only what is not a default stands there), ``locked`` the keys that an
    administrator locked. ``engine`` says whether the engine answers.
    """

    version: str
    state: str
    started: float | None = None
    engine: bool = False
    settings_path: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    locked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class SystemLimits:
    """What bounds the memory of containers: ``engine`` is the engine's machine, ``wsl`` what ``.wslconfig`` says of it.

    Bytes; None where it is not known or not set. ``wslconfig`` is the file's path.
    """

    host: int | None = None
    engine: int | None = None
    wsl: int | None = None
    wslconfig: str = ""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of a folder; ``modified`` by the host's clock."""

    name: str
    size: int
    modified: float
    folder: bool = False


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system that a path lies on, in bytes."""

    total: int
    free: int


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
