"""What a Docker engine, Compose and Docker Desktop say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


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
    administrator locked. ``engine`` says whether the engine answers. ``problems`` says why a part is not known, by its name in the
    probe (``Processes``, ``Settings``).
    """

    version: str
    state: str
    started: float | None = None
    engine: bool = False
    settings_path: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    locked: tuple[str, ...] = ()
    problems: Mapping[str, str] = field(default_factory=dict)
