"""The state of a Docker engine, Compose and Docker Desktop."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class EngineFacts:
    """A Docker engine that answers; ``memory_total`` is the memory of its (virtual) machine."""

    version: str
    os: str
    memory_total: int | None = None
    runtimes: tuple[str, ...] = ()
    name: str = ""
    server_errors: tuple[str, ...] = ()
    live_restore: bool = False
    cgroup_driver: str = ""
    default_runtime: str = ""
    cdi_devices: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Container:
    """The result of ``docker inspect``; ``environment`` in order, ``raw`` the whole record.

    ``created_at``, ``started_at`` and ``finished_at`` are in Docker's format (RFC 3339); ``volumes`` are the names of the
    mounted named volumes.
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
        """The Compose service of the container, from its label."""
        return self.labels.get("com.docker.compose.service")

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self.status == "running"


@dataclass(frozen=True, slots=True)
class ExecResult:
    """The result of a program inside a container."""

    code: int
    stdout: str
    stderr: str = ""


@dataclass(frozen=True, slots=True)
class ContainerStats:
    """A container's usage: memory without the page cache, ``memory_limit`` None if unlimited, CPU in percent of one core."""

    memory_used: int
    memory_limit: int | None = None
    cpu_percent: float | None = None


@dataclass(frozen=True, slots=True)
class Volume:
    """A named volume; ``users`` are the containers that mount it, including stopped ones; ``created_at`` in Docker's format."""

    name: str
    driver: str = "local"
    created_at: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    users: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ComposeProject:
    """A Compose project: its name, files in order, working folder and active profiles, as written on the host."""

    name: str
    files: tuple[str, ...]
    working_dir: str
    profiles: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DockerDesktop:
    """Docker Desktop; ``state`` is ``running``, ``starting``, ``stopping``, ``stopped`` or ``unknown``.

    ``started`` is the start time of its oldest backend process by the host's clock, None without one. ``settings`` are from
    the desktop user's settings file, which only holds non-default values; ``locked`` are the keys locked by an administrator.
    ``engine`` is whether the engine answers. ``problems`` maps unknown parts to reasons, by their names in the probe
    (``Processes``, ``Settings``).
    """

    version: str
    state: str
    started: float | None = None
    engine: bool = False
    settings_path: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
