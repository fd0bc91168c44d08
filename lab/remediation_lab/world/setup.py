"""How Windows is set up on a simulated machine: the login, the task scheduler, WinRM's quotas and WSL; plain data."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(slots=True)
class Login:
    """The remote login and who sits at the desktop."""

    user: str = "LAB\\ops"
    elevated: bool = True
    desktop_user: str | None = "LAB\\maria"
    language_mode: str = "FullLanguage"
    ps_version: str = "5.1.22621.4391"
    session: int = 0
    """The session in which it works: 0 for a login over the network."""
    restricted: bool = False
    """Whether it has no rights: Windows refuses it every CIM class, tasks, the service manager and Docker's pipe."""
    autologon: float | None = None
    """Seconds after a restart until the desktop's user logs on; None: no user logs on."""


@dataclass(slots=True)
class Installation:
    """An Ollama server outside of containers, and what starts it.

    ``kind`` is ``app`` (the tray app), ``service`` (a service program such as NSSM), ``task`` (the Task Scheduler) or ``hand`` (a shell).
    """

    kind: str
    account: str
    folder: str
    version: str = "0.13.5"
    name: str = ""
    """The name of the service or the task."""
    environment: dict[str, str] = field(default_factory=dict)
    """What its starter adds to the variables of Windows: NSSM's AppEnvironmentExtra, a shell's own."""
    inherited: dict[str, str] = field(default_factory=dict)
    """The environment that its starter had when it began: a variable that is set later does not reach it."""
    log: str = ""
    """The file that its output goes to; empty where it goes to none."""
    libraries: bool = True
    """Whether the folders with the CUDA libraries are there."""
    hangs: bool = False
    """Whether the running server accepts connections and answers none."""
    starter: int = 0
    pid: int = 0
    """The numbers of the starter's and the server's process; 0: it does not run."""
    port: int = 0
    """Where the server listens; 0: nowhere."""
    ollama: dict[str, Any] | None = None


@dataclass(slots=True)
class Distribution:
    """A distribution of WSL in which Ollama is installed, with a unit of systemd or without."""

    name: str
    version: int = 2
    systemd: bool = True
    """Whether systemd runs in it, with the unit ``ollama.service``; without it, a user starts the server."""
    release: str = "0.13.5"
    environment: dict[str, str] = field(default_factory=dict)
    """The ``Environment=`` lines of its unit."""
    driver: bool = False
    """Whether a driver for Linux was installed in it, whose libcuda hides that of the Windows driver."""
    started: float = 0.0
    """When its first process started; 0: it is stopped."""
    pid: int = 0
    port: int = 0
    journal: list[str] = field(default_factory=list)
    models: list[dict[str, Any]] = field(default_factory=list)
    ollama: dict[str, Any] | None = None


@dataclass(slots=True)
class Tasks:
    """The task scheduler, and what becomes of a one-shot task of the desktop's user."""

    refused: bool = False
    """Whether registering one is refused, as a policy can."""
    seconds: float = 0.0
    """How long it takes until a task has done its work: longer than a script waits, and it still runs then."""
    queued: bool = False
    """Whether a task that takes longer waits in the queue instead of running."""
    code: int = 0
    """What each task ends with before it does anything; 0: it does its work."""


def _quotas() -> dict[str, int]:
    return {
        "MaxShellsPerUser": 30, "MaxProcessesPerShell": 25, "MaxMemoryPerShellMB": 1024, "MaxConcurrentUsers": 10, "IdleTimeout": 7_200_000,
        "MaxConcurrentOperationsPerUser": 1500, "MaxConnections": 300, "MaxEnvelopeSizekb": 500, "MaxTimeoutms": 60_000,
    }  # fmt: skip


@dataclass(slots=True)
class Setup:
    """How Windows is set up: WinRM's quotas (facts/windows 1.4), and WSL with the desktop user's distributions."""

    quotas: dict[str, int] = field(default_factory=_quotas)
    by_policy: list[str] = field(default_factory=list)
    wsl_service: str | None = "WSLService"
    wsl_version: str | None = "2.3.26.0"
    wsl_generation: int | None = 2
    """The version of the distributions' format; None where the registry does not tell it."""
    distributions: list[str] = field(default_factory=lambda: ["docker-desktop"])
