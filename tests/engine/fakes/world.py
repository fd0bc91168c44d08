"""The state of a host in memory, and time that passes by waiting only."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from remediation.model.errors import HostError
from remediation.model.facts import (
    ComposeProject,
    Container,
    ContainerStats,
    DiskSpace,
    DockerDesktop,
    ExecResult,
    GpuSample,
    KernelModule,
    Manifest,
    ModelShow,
    Process,
    Runner,
    ServiceStatus,
    Serving,
    SystemLimits,
    ToolkitFacts,
    WslDistribution,
)

GIB = 1024**3
MIB = 1024**2
MODEL = "mistral:7b-instruct-q4_K_M"
OLLAMA = "ai-native-ollama"
SERVICE = "com.docker.compose.service"
VOLUME = "ai-native_ollama_data"
BOOT = 1_700_000_000.0
TOOLKIT = ("nvidia-ctk", "nvidia-container-cli", "nvidia-container-runtime", "nvidia-container-runtime-hook")


class FakeClock:
    """Time that passes only by sleeping; what was put on the calendar happens on the way."""

    def __init__(self, start: float = BOOT + 86_400.0) -> None:
        self.start = start
        self.passed = 0.0
        self._calendar: list[tuple[float, Callable[[], None]]] = []

    def now(self) -> float:
        return self.start + self.passed

    def monotonic(self) -> float:
        return self.passed

    def sleep(self, seconds: float, wait: Callable[[float], object] = time.sleep) -> None:
        until = self.passed + seconds
        while due := sorted((item for item in self._calendar if item[0] <= until), key=lambda item: item[0]):
            self._calendar.remove(due[0])
            self.passed = max(self.passed, due[0][0])
            due[0][1]()
        self.passed = until

    def after(self, seconds: float, action: Callable[[], None]) -> None:
        """Let `action` happen once `seconds` have passed."""
        self._calendar.append((self.passed + seconds, action))


@dataclass(frozen=True)
class Stored:
    """A file of a model store: its size, and what hashing it gives; a manifest names its model and layers."""

    size: int
    digest: str
    model: str = ""
    layers: tuple[tuple[str, int], ...] = ()


@dataclass
class FakeVolume:
    """A volume: when it was made, and its files by path."""

    created_at: str
    files: dict[str, Stored] = field(default_factory=dict)
    labels: dict[str, str] = field(default_factory=dict)


@dataclass
class World:
    """The state of one host. ``writes`` lists what was written, in order; ``fails`` raises instead of one such call.

    ``shows`` are the metadata of every model that ever was (a registry's, too), ``models`` those that the server holds.
    """

    clock: FakeClock = field(default_factory=FakeClock)
    os: str = "windows"
    vram: int = 6 * GIB
    driver: str = "551.86"
    programs: dict[int, Process] = field(default_factory=dict)
    containers: dict[str, Container] = field(default_factory=dict)
    texts: dict[str, bytes] = field(default_factory=dict)
    served: dict[str, str] = field(default_factory=dict)
    units_changed: bool = False
    modes: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    folders: set[str] = field(default_factory=set)
    services: dict[str, ServiceStatus] = field(default_factory=dict)
    serving: Serving | None = None
    daemon_pid: int = 0
    daemon_keys: dict[str, Any] = field(default_factory=dict)
    daemon_flags: tuple[str, ...] = ()
    toolkit: ToolkitFacts = field(default_factory=lambda: ToolkitFacts(TOOLKIT))
    kernel_modules: dict[str, KernelModule] = field(default_factory=lambda: {"nvidia_uvm": KernelModule("nvidia_uvm", 0)})
    project: ComposeProject | None = None
    models: dict[str, ModelShow] = field(default_factory=dict)
    runners: dict[str, Runner] = field(default_factory=dict)
    seen: dict[str, Runner] = field(default_factory=dict)
    version: str = "0.13.5"
    log: str = ""
    desktop_user: str | None = "ana"
    session_problems: dict[str, str] = field(default_factory=dict)
    elevated: bool = True
    variables: dict[str, Any] = field(default_factory=dict)
    writes: list[str] = field(default_factory=list)
    looks: int = 0
    frozen: bool = False
    fails: dict[str, list[HostError]] = field(default_factory=dict)
    settles: dict[str, float] = field(default_factory=dict)
    stubborn: set[str] = field(default_factory=set)
    returning: set[str] = field(default_factory=set)
    notified: list[str] = field(default_factory=list)
    volumes: dict[str, FakeVolume] = field(default_factory=dict)
    aside: dict[str, Stored] = field(default_factory=dict)
    registry: dict[str, Manifest] = field(default_factory=dict)
    shows: dict[str, ModelShow] = field(default_factory=dict)
    answers: dict[tuple[str, ...], ExecResult] = field(default_factory=dict)
    stats: ContainerStats = field(default_factory=lambda: ContainerStats(2 * GIB, 12 * GIB, 5.0))
    engine_up: bool = True
    engine_memory: int = 8 * GIB
    docker: DockerDesktop | None = None
    keep_alive: str = ""
    limits: SystemLimits = field(default_factory=lambda: SystemLimits(host=16 * GIB))
    distributions: list[WslDistribution] = field(default_factory=list)
    disk: DiskSpace = field(default_factory=lambda: DiskSpace(500 * GIB, 100 * GIB))
    booted: float = BOOT
    samples: tuple[GpuSample, ...] = ()
    eval_rate: float = 40.0

    def __post_init__(self) -> None:
        self.volumes.setdefault(VOLUME, FakeVolume(stamp(BOOT)))

    def wrote(self, what: str) -> None:
        """Count a write; refused while nothing may write."""
        if self.frozen:
            msg = f"{what} was written by something that may only look"
            raise AssertionError(msg)
        self.writes.append(what)

    def may_fail(self, call: str) -> None:
        """Raise what was put up for this call, once each."""
        planned = self.fails.get(call)
        if planned:
            raise planned.pop(0)

    def expiry(self, keep_alive: str | None) -> str:
        """Return until when a model stays, as ``/api/ps`` lists it; in minutes, seconds, or for ever."""
        text = self.keep_alive if keep_alive is None else keep_alive
        if not text:
            return ""
        if text.startswith("-"):
            return "2319-03-11T15:50:50Z"
        return stamp(self.clock.now() + float(text[:-1]) * {"m": 60.0, "s": 1.0}[text[-1]])

    def soon(self, kind: str, action: Callable[[], None]) -> None:
        """Let a write take effect: at once, or after the seconds that this kind of write needs here."""
        delay = self.settles.get(kind, 0.0)
        if delay:
            self.clock.after(delay, action)
        else:
            action()

    @contextmanager
    def only_looking(self) -> Iterator[None]:
        """Refuse every write meanwhile."""
        self.frozen = True
        try:
            yield
        finally:
            self.frozen = False

    def start(self, name: str, *, vram: int | None = None, pid: int = 0, **facts: Any) -> Process:
        """Start a program."""
        pid = pid or 100 + 4 * len(self.programs)
        known = {"session_id": 1, "owner": "ana", "started": self.clock.now(), **facts}
        process = Process(pid=pid, name=name, vram=vram, **known)
        self.programs[pid] = process
        return process

    @property
    def store(self) -> dict[str, Stored]:
        """The files of the server's own volume."""
        return self.volumes[VOLUME].files if VOLUME in self.volumes else {}

    @property
    def used(self) -> int:
        """Dedicated memory in use, in bytes."""
        return sum(process.vram or 0 for process in self.programs.values()) + sum(r.size_vram for r in self.runners.values())

    def hold(self, manifest: Manifest, show: ModelShow) -> None:
        """Store a model: manifest, layers and metadata."""
        self.shows[manifest.model] = show
        self.models[manifest.model] = show
        layers = tuple((layer.digest, layer.size) for layer in manifest.layers)
        self.store[manifest_path(manifest.model)] = Stored(500, manifest.digest, manifest.model, layers)
        for layer in manifest.layers:
            self.store.setdefault(blob_path(layer.digest), Stored(layer.size, layer.digest))

    def reread(self) -> None:
        """Let the server see what its volume holds now."""
        files = self.volumes[VOLUME].files if VOLUME in self.volumes else {}
        self.models = {item.model: self.shows[item.model] for item in files.values() if item.model}
        self.runners = {name: runner for name, runner in self.runners.items() if name in self.models}


def stamp(seconds: float) -> str:
    """Return a time as Docker writes it."""
    return datetime.fromtimestamp(seconds, tz=timezone.utc).isoformat().replace("+00:00", "Z")


def manifest_path(model: str) -> str:
    """Return where a model's manifest lies within the volume."""
    name, _, tag = model.partition(":")
    return f"models/manifests/registry.ollama.ai/library/{name}/{tag or 'latest'}"


def blob_path(digest: str) -> str:
    """Return where a blob lies within the volume."""
    return f"models/blobs/{digest.replace(':', '-')}"


def container(service: str, environment: Mapping[str, str], *, name: str = "", started_at: str = "") -> Container:
    return Container(
        id=f"id-{service}", name=name or f"ai-native-{service}", image=f"{service}/{service}:latest", status="running",
        environment=dict(environment), labels={SERVICE: service}, gpu_requested=True, started_at=started_at or stamp(BOOT),
        created_at=started_at or stamp(BOOT), volumes=(VOLUME,) if service == "ollama" else (),
        ports={"11434/tcp": ("0.0.0.0:11434",)} if service == "ollama" else {},
    )  # fmt: skip
