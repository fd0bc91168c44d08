"""The state of a machine: its login session, system, GPUs, processes and files."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """The login's rights on the host; ``wsl`` and ``credential_store`` are whether the login can reach those.

    ``problems`` maps unknown parts to reasons, by their names in the probe. If ``DesktopUser`` is missing and has a problem,
    the desktop user is unknown.
    """

    user: str
    elevated: bool
    desktop_user: str | None = None
    language_mode: str = ""
    shell_version: str = ""
    wsl: bool | None = None
    credential_store: bool | None = None
    problems: Mapping[str, str] = field(default_factory=dict)

    @property
    def desktop_problem(self) -> str:
        """Why the desktop user is unknown; "" if the user is known or no user is logged in."""
        return self.problems.get("DesktopUser", "")


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The machine: ``os`` is ``windows`` or ``linux``; ``now`` and ``booted`` are by the host's own clock.

    ``problems`` maps unknown parts to reasons, by their names in the probe.
    """

    os: str
    version: str
    hostname: str
    memory_total: int | None = None
    memory_free: int | None = None
    now: float = 0.0
    booted: float | None = None
    problems: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class SystemLimits:
    """The memory limits of containers: ``engine`` is the engine's machine, ``wsl`` the limit in ``.wslconfig``.

    Bytes; None if unknown or not set. ``wslconfig`` is the file's path.
    """

    host: int | None = None
    engine: int | None = None
    wsl: int | None = None
    wslconfig: str = ""


@dataclass(frozen=True, slots=True)
class WslDistribution:
    """A distribution of the Windows Subsystem for Linux. ``version`` is 1 or 2.

    ``started`` is the start of its first process by the host's clock, None if it does not run or does not report it.
    """

    name: str
    version: int
    running: bool
    started: float | None = None

    @property
    def of_docker(self) -> bool:
        """Whether Docker Desktop made it for its engine."""
        return self.name.lower().startswith("docker-desktop")


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device; ``utilization`` in percent, ``compute_capability`` like ``8.6``.

    Amounts are in bytes, None if the driver does not report them; ``problem`` is the reason with the fix.
    """

    index: int
    uuid: str
    name: str
    driver_version: str
    total: int | None
    used: int | None
    free: int | None
    reserved: int | None = None
    utilization: int | None = None
    driver_model: str | None = None
    compute_capability: str | None = None
    problem: str = ""


@dataclass(frozen=True, slots=True)
class Process:
    """A running process; (pid, started) identifies it because PIDs are reused. ``vram`` is resident GPU memory.

    ``spilled`` is its GPU memory in shared system memory (NonLocalUsage on Windows), if known. ``runner`` is whether its
    command line marks it as a runner of Ollama, None if unknown. ``orphan`` means that the runner's server has ended.
    ``session_id`` is that of Windows: 0 belongs to services. None on Linux, where a session is that of a terminal.
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
    runner: bool | None = None
    orphan: bool = False

    @property
    def key(self) -> str:
        """Identity as text: PID and start time."""
        return f"{self.pid}@{self.started:.3f}"

    @property
    def program(self) -> str:
        """The program's name without ``.exe``, in lower case."""
        return self.name.lower().removesuffix(".exe")

    @property
    def is_runner(self) -> bool:
        """Whether the process serves one model for Ollama.

        Without a command line, by name: a llama-server may be another program's.
        """
        if self.runner is not None:
            return self.runner
        of_ollama = "ollama" in (self.path or "").lower()
        return self.program == "ollama_llama_server" or (self.program == "llama-server" and of_ollama)


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The GPUs and their processes; ``reliable`` is False if per-process amounts contradict the device's total."""

    gpus: tuple[Gpu, ...]
    processes: tuple[Process, ...] = ()
    reliable: bool = True
    why_unreliable: str = ""

    @property
    def free(self) -> int:
        """Free dedicated memory of the GPU with the most free memory, in bytes; 0 if no GPU reports it."""
        return max((gpu.free for gpu in self.gpus if gpu.free is not None), default=0)

    @property
    def used(self) -> int:
        """Memory in use on all GPUs that report it, in bytes."""
        return sum(gpu.used for gpu in self.gpus if gpu.used is not None)

    @property
    def largest(self) -> int:
        """Memory of the largest GPU that reports it, in bytes; 0 if none does."""
        return max((gpu.total for gpu in self.gpus if gpu.total is not None), default=0)

    @property
    def silent(self) -> Gpu | None:
        """A GPU that does not report its memory, if none does."""
        measured = any(gpu.free is not None and gpu.total is not None for gpu in self.gpus)
        return self.gpus[0] if self.gpus and not measured else None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One GPU at one time: ``at`` by the host's clock, ``utilization`` in percent, ``used`` in bytes."""

    at: float
    index: int
    utilization: int | None
    used: int | None


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One entry of a folder; ``modified`` by the host's clock."""

    name: str
    size: int
    modified: float
    folder: bool = False


@dataclass(frozen=True, slots=True)
class FileStatus:
    """What is at a path: ``kind`` is ``file``, ``directory``, ``link`` or ``other``; owner and mode only on POSIX hosts.

    ``target`` is where a link leads as written in it. ``details`` has what the modules ``stat`` and ``win_stat`` return.
    """

    path: str
    kind: str
    size: int
    mode: int | None = None
    owner: str = ""
    group: str = ""
    uid: int | None = None
    gid: int | None = None
    inode: int | None = None
    target: str = ""
    checksum: str | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ServiceStatus:
    """A service: ``state`` is ``running``, ``stopped``, ``paused``, ``starting`` or ``stopping``.

    ``instance`` identifies its present start (systemd's InvocationID), "" where the host has none. ``details`` has what the modules
    ``systemd`` and ``win_service`` return.
    """

    name: str
    state: str
    enabled: bool = False
    masked: bool = False
    instance: str = ""
    start_mode: str = ""
    details: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class DiskSpace:
    """The file system of a path, in bytes."""

    total: int
    free: int
