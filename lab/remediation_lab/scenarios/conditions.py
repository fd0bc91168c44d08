"""Initial conditions of a machine, set before any program runs on it."""

from __future__ import annotations

from collections.abc import Callable

from remediation_lab.world.state import MIB, State


def as_it_is(_: State) -> None:
    """Change nothing."""


def slow_tasks(state: State) -> None:
    """Let a task take longer than a script waits for it, as on a laptop that has just woken up."""
    state.tasks.seconds = 40.0


def refused_tasks(state: State) -> None:
    """Let no user register a task, as a policy can."""
    state.tasks.refused = True


def unreadable(state: State) -> None:
    """Leave empty what Windows may leave empty."""
    state.unknown = [
        "TotalVisibleMemorySize",
        "FreePhysicalMemory",
        "LastBootUpTime",
        "MaxConnections",
        "MaxEnvelopeSizekb",
    ]
    state.setup.wsl_generation = None


def unprepared(state: State) -> None:
    """Set WinRM up as an old image or a hardening policy leaves it; without WSL."""
    state.setup.quotas |= {"MaxMemoryPerShellMB": 150, "MaxProcessesPerShell": 5, "IdleTimeout": 60_000}
    state.setup.by_policy = ["IdleTimeout"]
    state.setup.wsl_service = state.setup.wsl_version = None
    state.setup.distributions = []


def held_back(state: State) -> None:
    """Hold PowerShell to its own language, as AppLocker does."""
    state.login.language_mode = "ConstrainedLanguage"


def card(name: str, compute: str, mib: int = 0) -> Callable[[State], None]:
    """Build in another card, with `mib` of memory."""

    def built_in(state: State) -> None:
        state.card.name, state.card.compute = name, compute
        state.card.total = mib * MIB or state.card.total

    return built_in


def old_driver(state: State) -> None:
    """Install a driver that is too old for CUDA 12."""
    state.card.driver, state.card.cuda = "472.12", "11.4"


def no_runtime(state: State) -> None:
    """Take the GPU from the engine."""
    state.engine.gpu_support = False


def slow_disk(state: State) -> None:
    """Let a model take a minute to load."""
    state.disk = 60e6
