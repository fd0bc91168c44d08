"""What a machine is: its login, its system, its GPUs and processes, its files; values that readers return."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class SessionFacts:
    """What the login may do on the host; ``wsl`` and ``credential_store`` say whether those are within its reach.

    ``problems`` says why a part is not known, by its name in the probe: without a ``DesktopUser`` and with a problem of that name
    nobody knows who sits at the desktop.
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
        """Why it is not known who sits at the desktop; "" where that is known, or where nobody does."""
        return self.problems.get("DesktopUser", "")


@dataclass(frozen=True, slots=True)
class SystemFacts:
    """The machine: ``os`` is ``windows`` or ``linux``; ``now`` and ``booted`` by the host's own clock.

    ``problems`` says why a part is not known, by its name in the probe.
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
    """What bounds the memory of containers: ``engine`` is the engine's machine, ``wsl`` what ``.wslconfig`` says of it.

    Bytes; None where it is not known or not set. ``wslconfig`` is the file's path.
    """

    host: int | None = None
    engine: int | None = None
    wsl: int | None = None
    wslconfig: str = ""


@dataclass(frozen=True, slots=True)
class Gpu:
    """One NVIDIA device; ``utilization`` in percent, ``compute_capability`` like ``8.6``.

    Amounts in bytes, None where the driver does not tell them; ``problem`` says why, and what to do.
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
    """A program that runs; (pid, started) is its identity because PIDs are reused. ``vram`` is resident GPU memory.

    ``spilled`` is GPU memory of it that lies in shared system memory (NonLocalUsage on Windows), where that is known.
    ``runner`` says whether its command line makes it a runner of Ollama, None where that is not known. ``orphan`` says that it is
    one whose server has ended.
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
        """The program's name without ``.exe``, lower case: ``chrome`` and ``Chrome.exe`` are one."""
        return self.name.lower().removesuffix(".exe")

    @property
    def is_runner(self) -> bool:
        """Whether it serves one model for Ollama; without its command line, by its name: a llama-server may be another program's."""
        if self.runner is not None:
            return self.runner
        of_ollama = "ollama" in (self.path or "").lower()
        return self.program == "ollama_llama_server" or (self.program == "llama-server" and of_ollama)


@dataclass(frozen=True, slots=True)
class GpuUse:
    """The GPUs and who uses them; ``reliable`` is False where per-process amounts contradict the device's own total."""

    gpus: tuple[Gpu, ...]
    processes: tuple[Process, ...] = ()
    reliable: bool = True
    why_unreliable: str = ""

    @property
    def free(self) -> int:
        """Free dedicated memory of the GPU with most free memory, in bytes; 0 without a GPU that tells it."""
        return max((gpu.free for gpu in self.gpus if gpu.free is not None), default=0)

    @property
    def used(self) -> int:
        """Memory in use on all GPUs that tell it, in bytes."""
        return sum(gpu.used for gpu in self.gpus if gpu.used is not None)

    @property
    def largest(self) -> int:
        """Memory of the largest GPU that tells it, in bytes; 0 without one."""
        return max((gpu.total for gpu in self.gpus if gpu.total is not None), default=0)

    @property
    def silent(self) -> Gpu | None:
        """A GPU that does not tell its memory, where none does."""
        told = any(gpu.free is not None and gpu.total is not None for gpu in self.gpus)
        return self.gpus[0] if self.gpus and not told else None


@dataclass(frozen=True, slots=True)
class GpuSample:
    """One card at one moment: ``at`` by the host's clock, ``utilization`` in percent, ``used`` in bytes."""

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
class DiskSpace:
    """The file system that a path lies on, in bytes."""

    total: int
    free: int
