"""What a simulated machine is made of: plain data that goes to disk and comes back. Sizes are bytes, times lab seconds."""

from __future__ import annotations

import ntpath
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, TypeVar

from remediation_lab.world.setup import Distribution, Installation, Login, Setup, Tasks

MIB = 1024**2
GIB = 1024**3

_T = TypeVar("_T")


@dataclass(slots=True)
class Program:
    """A running program.

    ``manner`` is its reaction to a request to close its windows: ``closes`` after `closes_in` seconds, ``tray`` (hides and keeps
    `keeps` of its video memory), ``asks`` (shows a question about unsaved work and stays), ``ignores``.  With `returns_in` it is
    started again so many seconds after it ended.
    """

    pid: int
    parent: int
    name: str
    path: str | None
    session: int
    started: float
    owner: str | None = None
    service: str | None = None
    windows: int = 0
    asked: int = 0
    """How many requests to close its windows have got."""
    local: int = 0
    nonlocal_: int = 0
    manner: str = "closes"
    closes_in: float = 2.0
    keeps: float = 0.3
    returns_in: float | None = None
    immortal: bool = False
    """Whether even ending it by force is refused."""
    successor: str = ""
    """A program that gets its number as soon as it has ended."""
    counted: bool = True
    """Whether Windows has a row for its video memory; without one the amount is unknown."""
    command: str = ""
    """Its command line, where it is not its path alone."""
    holds: str = ""
    """Its name among those that hold video memory, in addition to `local`."""


@dataclass(slots=True)
class Due:
    """An event that is due at a time.

    ``ask``, ``end`` or ``hide`` a tree, ``return`` of a program with its tree; and what the machine does: ``engine`` (Docker Desktop's
    engine answers), ``logon`` (a user logs on), ``reboot``, ``docker start`` and ``docker stop`` (what a slow task does at last).
    """

    at: float
    what: str
    pid: int = 0
    programs: list[dict[str, Any]] = field(default_factory=list)


@dataclass(slots=True)
class Container:
    """A container.

    ``definition`` is its resolved Compose service, ``volumes`` the full names of the volumes that it names, ``log`` [stream, time, line].
    """

    id: str
    name: str
    image: str
    created: float
    environment: dict[str, str]
    labels: dict[str, str]
    definition: dict[str, Any]
    volumes: dict[str, str] = field(default_factory=dict)
    status: str = "created"
    started: float = 0.0
    finished: float = 0.0
    exit_code: int = 0
    error: str = ""
    restarts: int = 0
    address: int = 2
    pid: int = 0
    oom_killed: bool = False
    wanted: bool = False
    """Whether it ran when the engine went: with a restart policy it comes back with the engine."""
    log: list[list[Any]] = field(default_factory=list)
    ollama: dict[str, Any] | None = None

    @property
    def running(self) -> bool:
        """Whether its process runs."""
        return self.status == "running"

    @property
    def wants_gpu(self) -> bool:
        """Whether the container requests a GPU."""
        return bool(self.gpu_requests)

    @property
    def gpu_requests(self) -> list[dict[str, Any]]:
        """The device reservations of its definition."""
        resources = (self.definition.get("deploy") or {}).get("resources") or {}
        short = [{"capabilities": ["gpu"], **each} for each in self.definition.get("gpus") or ()]
        return [*((resources.get("reservations") or {}).get("devices") or ()), *short]


@dataclass(slots=True)
class Volume:
    """A named volume; ``models`` is what the Ollama stand-in keeps there."""

    name: str
    created: float
    labels: dict[str, str]
    models: list[dict[str, Any]] = field(default_factory=list)
    aside: dict[str, str] = field(default_factory=dict)
    loose: dict[str, str] = field(default_factory=dict)
    """Blobs of weights that were moved out of the store, and those that no manifest names, each with its damage."""


@dataclass(slots=True)
class Client:
    """The application as a client: it sends the model a request every so often, with its own options."""

    every: float
    next: float
    options: dict[str, Any] = field(default_factory=dict)
    model: str = ""
    """The model that it asks for; empty: the one in the environment of the application's container."""


@dataclass(slots=True)
class Card:
    """The NVIDIA card under WDDM; ``reserve`` is what the driver keeps to itself."""

    name: str = "NVIDIA GeForce RTX 3060 Laptop GPU"
    uuid: str = "GPU-5f0a1c5e-9d6b-4a57-b1d0-3f2c7a41e6d2"
    driver: str = "551.86"
    cuda: str = "12.4"
    compute: str = "8.6"
    total: int = 6144 * MIB
    reserve: int = 96 * MIB
    luid: str = "0x00000000_0x0000C3F5"
    other_luid: str = "0x00000000_0x0000B7A1"
    bus: str = "00000000:01:00.0"
    fallen: bool = False
    reset: bool = False
    """Whether it has to be reset before it works again: nvidia-smi lists it and tells no amounts."""
    installed: bool = True
    """Whether NVIDIA's driver, and nvidia-smi with it, is installed."""
    counters: bool = True


@dataclass(slots=True)
class Engine:
    """Docker Desktop's engine."""

    up: bool = True
    version: str = "27.4.0"
    api: str = "1.47"
    compose: str = "2.31.0-desktop.2"
    gpu_support: bool = True
    memory: int = 16_650_723_328
    cpus: int = 16
    desktop: str | None = "4.37.1"
    """Docker Desktop's version; None where it is not installed."""
    starts_in: float = 25.0
    hangs: bool = False
    """Whether its engine never answers, however often it is started."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What Docker Desktop holds in memory while it runs, and writes over its file when it stops (facts/windows 3.1)."""


@dataclass(slots=True)
class State:
    """One machine."""

    name: str
    now: float
    booted: float
    caption: str = "Microsoft Windows 11 Pro"
    version: str = "10.0.22631"
    memory_total: int = 33_285_996 * 1024
    memory_free: int = 19_107_428 * 1024
    ollama_version: str = "0.13.5"
    login: Login = field(default_factory=Login)
    tasks: Tasks = field(default_factory=Tasks)
    setup: Setup = field(default_factory=Setup)
    card: Card = field(default_factory=Card)
    engine: Engine = field(default_factory=Engine)
    programs: list[Program] = field(default_factory=list)
    due: list[Due] = field(default_factory=list)
    containers: list[Container] = field(default_factory=list)
    volumes: list[Volume] = field(default_factory=list)
    images: list[str] = field(default_factory=list)
    """Images that are there without a container."""
    networks: dict[str, float] = field(default_factory=dict)
    files: dict[str, dict[str, Any]] = field(default_factory=dict)
    closed: list[str] = field(default_factory=list)
    """Folders that only administrators may enter."""
    in_use: list[str] = field(default_factory=list)
    """Files that another program holds open without sharing."""
    unknown: list[str] = field(default_factory=list)
    """Properties that Windows leaves empty on this machine, by their names in CIM, in WinRM's configuration and in the registry."""
    services: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Services that were read or changed, by their names in small letters, with CIM's properties."""
    installations: list[Installation] = field(default_factory=list)
    """Ollama servers outside of containers."""
    guests: list[Distribution] = field(default_factory=list)
    """The distributions of WSL besides Docker Desktop's."""
    guest_memory: int = 0
    """The memory of WSL's machine since it started; 0: it does not run."""
    guest_booted: float = 0.0
    variables: dict[str, dict[str, str]] = field(default_factory=dict)
    """Environment variables in the registry: of ``machine``, and of each user by name."""
    client: Client | None = None
    slowness: float = 1.0
    """How many times longer a native server takes for a token than the card allows."""
    disk: float = 1.5e9
    """Bytes per second that a model is read with."""
    disk_total: int = 475 * GIB
    disk_free: int = 118 * GIB
    drives: dict[str, list[int]] = field(default_factory=lambda: {"D:": [931 * GIB, 402 * GIB]})
    """Total and free bytes of the drives besides C:."""
    between: dict[str, str] = field(default_factory=dict)
    """What stands before the model's server, by path: ``redirect PLACE``, ``reset``, ``hang``, or ``gzip TEXT`` (a compressed body)."""
    online: bool = True
    """Whether the internet is within reach."""
    messages: list[str] = field(default_factory=list)
    """Messages that were shown to the user at the desktop."""
    boots: int = 1
    down_until: float = 0.0
    held: dict[str, int] = field(default_factory=dict)
    writes: dict[str, int] = field(default_factory=dict)
    next_pid: int = 9000
    serial: int = 0
    fault: str = ""
    world: str = "docker-desktop"

    def to_json(self) -> dict[str, Any]:
        """Return the machine as JSON values."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> State:
        """Take back what `to_json` returned; unknown fields of an older lab are left out."""
        parts: dict[str, Any] = dict(data)
        parts["login"] = _of(Login, parts.get("login", {}))
        parts["tasks"] = _of(Tasks, parts.get("tasks", {}))
        parts["setup"] = _of(Setup, parts.get("setup", {}))
        parts["card"] = _of(Card, parts.get("card", {}))
        parts["engine"] = _of(Engine, parts.get("engine", {}))
        for key, kind in (
            ("programs", Program),
            ("due", Due),
            ("containers", Container),
            ("volumes", Volume),
            ("installations", Installation),
            ("guests", Distribution),
        ):
            parts[key] = [_of(kind, each) for each in parts.get(key, ())]
        if parts.get("client") is not None:
            parts["client"] = _of(Client, parts["client"])
        return _of(cls, parts)

    def pid(self) -> int:
        """Return a process number that was never used here; multiples of 4, as on Windows."""
        self.next_pid += 4
        return self.next_pid

    def wrote(self, kind: str) -> None:
        """Count a write."""
        self.writes[kind] = self.writes.get(kind, 0) + 1


def _of(kind: type[_T], data: Mapping[str, Any]) -> _T:
    known = {each.name for each in fields(kind)}  # type: ignore[arg-type]  # every kind handed in is a dataclass
    return kind(**{key: value for key, value in data.items() if key in known})


def normal(path: str) -> str:
    """Return the key of a Windows path: absolute, one kind of slash, case folded."""
    return ntpath.normpath(path).casefold()
