"""What serves Ollama on a host, and where its settings come from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum


class Manager(str, Enum):
    """What starts the server and gives it its environment."""

    COMPOSE = "a Compose service"
    CONTAINER = "a container without Compose"
    SYSTEMD = "a systemd unit"
    WINDOWS_APP = "the Windows app"
    WINDOWS_SERVICE = "a Windows service"
    WINDOWS_TASK = "a scheduled task"
    WSL = "a distribution of WSL"
    PROCESS = "a process started by hand"
    NOTHING = "nothing"

    def __str__(self) -> str:
        return self.value


@dataclass(frozen=True, slots=True)
class SourcedSetting:
    """One setting and the place that defines it. ``wins`` is whether the server reads this one.

    ``file`` is the file or the registry key that has it, empty if none does; ``kind`` is the type of a registry value.
    """

    name: str
    value: str
    source: str
    wins: bool
    file: str = ""
    kind: str = ""


PODMAN = "Podman"
"""The engine whose containers this program does not change."""


@dataclass(frozen=True, slots=True)
class ServerProcess:
    """A running ``ollama serve``.

    ``unit`` is the systemd unit of its control group, ``log`` the file that its output goes to; both are empty if there is none.
    ``environment`` has only the variables that Ollama reads, None if this login may not read it. ``engine`` is the kind of
    engine whose container it runs in, "" outside containers. ``of_user`` means that ``unit`` belongs to a user's manager.
    """

    pid: int
    user: str
    path: str = ""
    unit: str = ""
    log: str = ""
    environment: Mapping[str, str] | None = None
    engine: str = ""
    of_user: bool = False

    @property
    def contained(self) -> bool:
        """Whether it runs in a container."""
        return bool(self.engine)


@dataclass(frozen=True, slots=True)
class ServiceUnit:
    """A systemd unit that runs Ollama: ``files`` maps the paths of its fragment, drop-ins and environment files to their texts.

    ``environment`` is what systemd passes to the process after these files are read again. ``own`` means the login's user manager.
    ``masked`` means that systemd does not start it, and shows none of its settings.
    """

    name: str
    state: str = ""
    pid: int | None = None
    fragment: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)
    settings: tuple[SourcedSetting, ...] = ()
    files: Mapping[str, str] = field(default_factory=dict)
    needs_reload: bool = False
    own: bool = False
    masked: bool = False

    @property
    def short(self) -> str:
        """The name without ``.service``."""
        return self.name.removesuffix(".service")

    @property
    def snap(self) -> str:
        """The snap that the unit belongs to, "" if to none. ``snap set`` changes its settings; it overrides those of systemd."""
        return self.name.split(".")[1] if self.name.startswith("snap.") else ""

    @property
    def how_to_start(self) -> str:
        """The command that starts it; systemd starts no masked unit."""
        if self.masked:
            return f"sudo systemctl unmask {self.short} && sudo systemctl start {self.short}"
        return f"sudo systemctl start {self.short}"


@dataclass(frozen=True, slots=True)
class WindowsServer:
    """Where a native server on Windows gets its settings from.

    ``key`` is the registry key of the environment that steps write: of the app's user, or of the service. ``database`` is the
    app's settings database ("" if there is none), ``schema`` its version, ``row`` its settings by column. ``unread`` says why the
    database could not be read. ``app`` is the path of the app.
    """

    user: str
    key: str
    app: str = ""
    database: str = ""
    schema: int | None = None
    row: Mapping[str, str] = field(default_factory=dict)
    unread: str = ""


@dataclass(frozen=True, slots=True)
class WslConfig:
    """What the desktop user's ``.wslconfig`` decides about a server in a distribution. ``path`` is the file's.

    ``memory`` is the limit of WSL's virtual machine in bytes. ``cut_off`` is the line that keeps Windows from reaching servers in
    distributions, "" without one.
    """

    path: str
    memory: int | None = None
    cut_off: str = ""


@dataclass(frozen=True, slots=True)
class WslServer:
    """Ollama in a distribution of WSL, seen from Windows. ``version`` is that of the distribution, 1 or 2.

    ``unit`` is its systemd unit, None without one. ``library`` is the path of ``libcuda.so.1`` that its linker finds first, "" if it
    finds none, None if it is unknown. ``pid`` is the server's process in the distribution, None without one. ``memory`` is that of
    WSL's virtual machine in bytes, and ``config`` its settings; both are None if they could not be read.
    """

    version: int
    running: bool
    unit: ServiceUnit | None = None
    library: str | None = None
    pid: int | None = None
    memory: int | None = None
    config: WslConfig | None = None

    @property
    def foreign_library(self) -> str:
        """The library of a driver for Linux that hides that of the Windows driver, else ""."""
        return self.library if self.library and not self.library.startswith("/usr/lib/wsl/") else ""


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """No server was found at the addressed port; ``who`` listens at another one."""

    wanted: int
    found: int
    who: str

    def __str__(self) -> str:
        return f"no Ollama server was found here at port {self.wanted}; {self.who} listens at port {self.found}"

    @property
    def next_step(self) -> str:
        """What to do next."""
        return f"set endpoint: http://127.0.0.1:{self.found} in the inventory to use that server, or start the one at port {self.wanted}"


@dataclass(frozen=True, slots=True)
class Serving:
    """What serves the model on this host.

    ``name`` is the container, unit, service or task; ``process`` the running server. ``others`` are further native servers: a second
    installation. ``wsl`` is whether the host is a distribution of the Windows Subsystem for Linux. ``settings`` are the known
    settings with their sources. ``windows`` has their places on Windows, None elsewhere or if they could not be read. ``guest`` is
    the server in a distribution of the Windows host, whose name is ``name``. ``elsewhere`` is the server that was
    found where none listens at the addressed port: what serves there is not known (`Manager.NOTHING`). ``contained`` is the server
    in a container of an engine that this login does not reach.
    """

    manager: Manager
    name: str = ""
    process: ServerProcess | None = None
    unit: ServiceUnit | None = None
    others: tuple[ServerProcess, ...] = ()
    wsl: bool = False
    settings: tuple[SourcedSetting, ...] = ()
    windows: WindowsServer | None = None
    guest: WslServer | None = None
    elsewhere: Elsewhere | None = None
    contained: ServerProcess | None = None

    @property
    def words(self) -> str:
        """The server in words ("the service ollama")."""
        if self.manager in {Manager.COMPOSE, Manager.CONTAINER}:
            return f"the container {self.name}"
        if self.manager in {Manager.SYSTEMD, Manager.WINDOWS_SERVICE}:
            return f"the service {self.name.removesuffix('.service')}"
        if self.manager is Manager.WINDOWS_APP:
            return "the Ollama app"
        if self.manager is Manager.WSL:
            return f"Ollama in the WSL distribution {self.name}"
        if self.manager is Manager.WINDOWS_TASK:
            return f"the scheduled task {self.name}".rstrip()
        if self.contained is not None:
            return f"a container of {self.contained.engine} that this login does not reach (process {self.contained.pid})"
        if self.users_unit and self.process is not None:
            return f"the user service {self.users_unit} of {self.process.user}"
        if self.process is not None:
            return f"the process {self.process.pid} that {self.process.user} started"
        return "the server"

    @property
    def users_unit(self) -> str:
        """The unit of another user's manager that started the process, without ``.service``; "" if none did."""
        one = self.process
        return one.unit.removesuffix(".service") if one is not None and one.of_user and self.manager is Manager.PROCESS else ""

    @property
    def how_to_log(self) -> str:
        """How to send the output of the server to a file, by what starts it."""
        if self.manager is Manager.WINDOWS_SERVICE:
            return rf"let the service write a file (for NSSM: nssm set {self.name} AppStderr C:\ProgramData\ollama.log), then restart it"
        if self.manager is Manager.WINDOWS_TASK:
            return r'let the task write a file: its action is cmd /c "ollama serve > C:\ProgramData\ollama.log 2>&1"'
        return "start it with its output in a file: ollama serve > ollama.log 2>&1"

    @property
    def how_to_restart(self) -> str:
        """How to restart a native server, by what starts it; "" if that is not known."""
        unit = self.name.removesuffix(".service")
        if self.contained is not None:
            program = "podman" if self.contained.engine == PODMAN else "docker"
            return f"{program} restart NAME, as the user whose container it is ({program} ps lists it)"
        if self.manager is Manager.WSL:
            return f"wsl -d {self.name} -u root -- systemctl restart {self.guest_unit}"
        if self.unit is not None and self.unit.snap:
            return f"sudo snap restart {self.unit.snap}"
        if self.users_unit:
            return f"systemctl --user restart {self.users_unit}, as its user"
        if self.manager is Manager.SYSTEMD:
            own = self.unit is not None and self.unit.own
            return f"systemctl --user restart {unit}" if own else f"sudo systemctl restart {unit}"
        if self.manager is Manager.WINDOWS_SERVICE and self.name:
            return f"Restart-Service {self.name}"
        if self.manager in {Manager.WINDOWS_SERVICE, Manager.WINDOWS_TASK, Manager.PROCESS} and self.process is not None:
            return f"end the process {self.process.pid} and start the server again the way it was started"
        return ""

    @property
    def guest_unit(self) -> str:
        """The unit in the distribution without ``.service``; the usual name if it is unknown."""
        return self.guest.unit.short if self.guest is not None and self.guest.unit is not None else "ollama"

    @property
    def declared(self) -> Mapping[str, str]:
        """The known part of the environment that the server gets at its next start."""
        if self.unit is not None:
            return self.unit.environment
        if self.settings:
            return {one.name: one.value for one in self.settings if one.wins}
        return (self.process.environment if self.process is not None else None) or {}


def reach_advice(contained: ServerProcess) -> str:
    """Return how to change the settings of a server in a container of an engine that the login does not reach."""
    if contained.engine == PODMAN:
        return "change Environment= in its quadlet (/etc/containers/systemd or ~/.config/containers/systemd) and restart its unit, or run it again with podman run -e"
    return "give the login access to its engine, or set its address in the inventory (rootless Docker: docker_host: unix:///run/user/UID/docker.sock)"


SNAP_KEYS: Mapping[str, str] = {
    "OLLAMA_HOST": "host",
    "OLLAMA_MODELS": "models",
    "OLLAMA_ORIGINS": "origins",
    "OLLAMA_DEBUG": "debug",
    "OLLAMA_CONTEXT_LENGTH": "context-length",
    "CUDA_VISIBLE_DEVICES": "cuda-visible-devices",
}
"""The settings that the launcher of the snap passes to the server, with their names in ``snap set`` (facts/native 2.4)."""


def snap_advice(snap: str, settings: Mapping[str, str | None]) -> str:
    """Return how to set or, for None, remove settings of the snap of Ollama."""
    known = {name: value for name, value in settings.items() if name in SNAP_KEYS}
    put = [f"{SNAP_KEYS[name]}={value}" for name, value in known.items() if value is not None]
    gone = [SNAP_KEYS[name] for name, value in known.items() if value is None]
    parts = [f"sudo snap set {snap} {' '.join(put)}"] if put else []
    parts += [f"sudo snap unset {snap} {' '.join(gone)}"] if gone else []
    text = f"run {' && '.join([*parts, f'sudo snap restart {snap}'])}" if parts else ""
    rest = ", ".join(name for name in settings if name not in known)
    other = f"the snap passes no {rest}: install Ollama with its own installer, which has it (curl -fsSL https://ollama.com/install.sh | sh)"
    return "; ".join(filter(None, (text, other if rest else "")))


def restart_advice(container: str, *, windows: bool, unit: str = "ollama") -> str:
    """Return the next step that restarts the server, in its container if it has one."""
    if container:
        return f"restart the server: docker restart {container}"
    if windows:
        return "restart the server: quit Ollama from its tray icon (or end ollama.exe) and start it again"
    return f"restart the server: sudo systemctl restart {unit} (or end ollama serve and start it again)"
