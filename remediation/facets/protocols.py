"""What a step sees of a host. A `Reader` has no method that changes anything; only `Step.apply` gets a `Writer`.

Facets raise `Unreachable`, `DeadlineExceeded`, `CallFailed` or `Blocked` (`remediation.model.errors`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from remediation.model.facts import (
    Blob,
    ComposeProject,
    Container,
    ContainerStats,
    DiskSpace,
    DockerDesktop,
    EngineFacts,
    Executed,
    FileEntry,
    Generation,
    GpuSample,
    GpuUse,
    Manifest,
    ModelEntry,
    ModelShow,
    Process,
    PullProgress,
    Runner,
    SessionFacts,
    SystemFacts,
    SystemLimits,
    Target,
    Volume,
)


class GpuReader(Protocol):
    """The NVIDIA devices and what holds their memory."""

    def use(self) -> GpuUse:
        """Return devices and processes with resident GPU memory."""

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        """Return every card's load and memory, once per `every` seconds for `seconds`, in one call to the host."""


class ProcessReader(Protocol):
    """Programs that run on the host."""

    def list(self) -> Sequence[Process]:
        """Return all processes."""


class ProcessWriter(ProcessReader, Protocol):
    """Programs that run on the host, and closing them."""

    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        """Ask the tree of `pid` to close, wait `grace` seconds; with `force` end it afterwards. Return whether it ended.

        Does nothing and returns True when that very process (PID and start time) is gone already. Never closes the caller
        itself or a parent of it: raises `Blocked`.
        """


class EngineReader(Protocol):
    """The Docker engine."""

    def facts(self) -> EngineFacts:
        """Return what the engine says about itself; raises `CallFailed` when it does not answer."""

    def containers(self) -> Sequence[Container]:
        """Return all containers, stopped ones too."""

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the last `tail` lines of a container's stdout and stderr."""

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> Executed:
        """Run a program that only looks (``nvidia-smi -L``, ``env``) inside a running container.

        A program that is not there is code 127 (126 where it may not be run), as a shell says it; raises `CallFailed` when
        the container does not run or the engine does not answer.
        """

    def stats(self, name: str) -> ContainerStats:
        """Return what a running container uses (``docker stats``, page cache not counted)."""

    def volumes(self) -> Sequence[Volume]:
        """Return the named volumes, each with the containers that mount it."""


class EngineWriter(EngineReader, Protocol):
    """The Docker engine: containers started and stopped, volumes made, filled and removed."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container."""

    def start(self, name: str) -> None:
        """Start one container; nothing where it runs."""

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        """Stop one container, killing it after `timeout` seconds; nothing where it does not run."""

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a local volume; nothing where it is there."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume with all it holds; nothing where it is not there; raises `CallFailed` while a container mounts it."""

    def copy_volume(self, source: str, target: str, *, image: str, paths: Sequence[str] = (".",), timeout: float = 3600.0) -> int:
        """Copy `paths` (relative to the volume's root) from one volume into another and return the bytes copied.

        Files that are there already with the same size stay; modes and times are kept; a path that is not in `source` is
        left out. Runs in a one-off container of `image`, which is on the host already: nothing is ever pulled for it, it has
        no network, and it is removed afterwards. Raises `CallFailed` with what was said (a full disk).
        """


class ComposeReader(Protocol):
    """Compose projects, by the ``docker compose`` plugin, and their files."""

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        """Return the resolved definition (``config --format json``); raises `CallFailed` with Compose's own words."""

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        """Return what Compose warns of (unset variables) while it reads the project."""

    def stale(self, project: ComposeProject) -> Sequence[str]:
        """Return the services whose container differs from the definition (``up --dry-run`` or config hashes)."""


class ComposeWriter(ComposeReader, Protocol):
    """Compose projects, and bringing them up and down. ``services`` empty means all of the project."""

    def up(
        self,
        project: ComposeProject,
        services: Sequence[str],
        *,
        recreate: bool = False,
        deps: bool = True,
        timeout: float = 600.0,
    ) -> None:
        """Create or recreate what differs (``up -d``); with `recreate` in any case, without `deps` these services alone."""

    def build(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 1800.0) -> None:
        """Build the images of services that have a build section (``build``); may take long, so it runs detached."""

    def start(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Start containers that are there (``start``)."""

    def stop(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop containers and keep them (``stop``)."""

    def remove(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop and remove containers (``rm --stop --force``), never their volumes."""

    def down(self, project: ComposeProject, *, timeout: float = 180.0) -> None:
        """Stop and remove the project's containers and networks (``down``), never its volumes: there is no ``-v`` here."""


class OllamaReader(Protocol):
    """The Ollama server of the target, by HTTP from the host itself."""

    def version(self) -> str:
        """Return its version; raises `CallFailed` when it does not answer."""

    def running(self) -> Sequence[Runner]:
        """Return what ``/api/ps`` lists."""

    def models(self) -> Sequence[ModelEntry]:
        """Return what ``/api/tags`` lists."""

    def show(self, model: str) -> ModelShow | None:
        """Return what ``/api/show`` says of a model, None when the server does not know it."""

    def log(self, *, tail: int = 4000) -> str:
        """Return the end of the server's log, from the container or the service."""

    def blobs(self, model: str, *, verify: bool = False, timeout: float = 900.0) -> Sequence[Blob] | None:
        """Return the layers of a stored model by its manifest on disk, None when there is no manifest.

        With `verify` each is hashed where it lies (inside the container, on the host), which takes a while: a pull never
        does (facts/ollama 3). A manifest that is damaged raises `CallFailed`.
        """

    def aside(self) -> Sequence[str]:
        """Return the digests of blobs that `OllamaWriter.set_aside` moved away."""

    def registry(self, model: str) -> Manifest | None:
        """Return a model as its registry holds it, None when no registry does; nothing is downloaded but the manifest.

        Raises `CallFailed` when the registry cannot be reached: that is not the same as None.
        """


class OllamaWriter(OllamaReader, Protocol):
    """The Ollama server: loading and asking models, fetching, making and deleting them."""

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str = "10m", timeout: float = 330.0) -> None:
        """Preload a model with these options; returns when it is loaded (facts/ollama 3)."""

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until ``/api/ps`` no longer lists it."""

    def generate(self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True) -> Generation:
        """Ask for tokens and return the figures; GPU and CPU are sampled meanwhile when `sample`."""

    def pull(self, model: str, *, progress: Callable[[PullProgress], None] | None = None, timeout: float = 7200.0) -> None:
        """Fetch a model by the server's own pull, going on where an interrupted one ended; returns when it is stored.

        A failure inside the stream (often under HTTP 200) raises `CallFailed` with its words: disk full, no such tag.
        """

    def delete(self, model: str) -> None:
        """Delete a model; layers that others use stay; nothing where the server does not know it."""

    def create(self, model: str, *, source: str, parameters: Mapping[str, Any], timeout: float = 300.0) -> None:
        """Make `model` from `source` with these parameters on top (``/api/create``, in the release's own form, facts/ollama 3)."""

    def set_aside(self, digest: str) -> None:
        """Move a blob out of the store's ``blobs`` into ``set-aside`` beside it, so that a pull fetches it anew.

        Not within ``blobs``: the server deletes what has no valid name there. Nothing where it was moved already.
        """

    def put_back(self, digest: str) -> None:
        """Move a blob that was set aside back, over what is there now."""

    def discard(self, digest: str) -> None:
        """Delete a blob that was set aside."""

    def restart(self, *, timeout: float = 60.0) -> None:
        """Restart the server, container or service, and wait until it answers."""


class DesktopReader(Protocol):
    """The login and the desktop."""

    def session(self) -> SessionFacts:
        """Return what this login may do and who sits at the desktop."""

    def docker(self) -> DockerDesktop | None:
        """Return Docker Desktop as it is, None where it is not installed."""


@runtime_checkable
class DesktopNotifier(Protocol):
    """A desktop on which a message can be shown; a `Writer`'s desktop may be one."""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show `message` to whoever sits at the desktop for `seconds`; return whether it could be shown."""


class DesktopWriter(DesktopReader, DesktopNotifier, Protocol):
    """The desktop: messages, and Docker Desktop stopped, started and set, in the session of whoever sits there (facts/windows 2)."""

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Stop Docker Desktop completely: its own command first, with our watchdog, then its processes (facts/windows 2.2).

        Containers are stopped by the caller before; ``wsl --shutdown`` is never used. Returns when no backend is left.
        """

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Start Docker Desktop in the desktop user's session and wait until the engine answers twice (facts/windows 2.3).

        Raises `Blocked` when nobody is logged on, `DeadlineExceeded` when the engine does not answer in time.
        """

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Write settings into Docker Desktop's file and return the backup's path; None as a value takes one out.

        The spelling of a key that is there is kept, whatever its case (facts/windows 3.1). Raises `Blocked` while Docker
        Desktop runs, because it would overwrite them.
        """


class SystemReader(Protocol):
    """The machine."""

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""

    def limits(self) -> SystemLimits:
        """Return what bounds the memory of containers."""


class SystemWriter(SystemReader, Protocol):
    """The machine, and restarting it."""

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and return when it answers again with a later boot time.

        Reconnects by itself; raises `DeadlineExceeded` when it does not come back, `Blocked` where the login may not.
        """


class FilesReader(Protocol):
    """Files on the host, by paths as the host writes them."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""

    def list(self, path: str) -> Sequence[FileEntry] | None:
        """Return the entries of a folder, None when there is no such folder."""

    def space(self, path: str) -> DiskSpace:
        """Return the space of the file system that `path` lies on (of its nearest parent that is there)."""


class FilesWriter(FilesReader, Protocol):
    """Files on the host, and replacing, renaming and removing them."""

    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        """Replace a file as a whole, keeping a copy at `backup` where given; folders above it are made."""

    def rename(self, path: str, to: str) -> None:
        """Rename a file; raises `CallFailed` when it is not there or `to` is."""

    def remove(self, path: str) -> None:
        """Remove a file; nothing where it is not there."""


class Reader(Protocol):
    """A host through its facets, read only."""

    @property
    def name(self) -> str:
        """The inventory's name of the host."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The host's variables (inventory and play), for what only the user can know."""

    @property
    def gpu(self) -> GpuReader:
        """The NVIDIA devices."""

    @property
    def processes(self) -> ProcessReader:
        """The programs."""

    @property
    def engine(self) -> EngineReader:
        """The Docker engine."""

    @property
    def compose(self) -> ComposeReader:
        """The Compose projects."""

    @property
    def ollama(self) -> OllamaReader:
        """The Ollama server."""

    @property
    def desktop(self) -> DesktopReader:
        """The login and the desktop."""

    @property
    def system(self) -> SystemReader:
        """The machine."""

    @property
    def files(self) -> FilesReader:
        """The files."""

    def target(self) -> Target:
        """Return what is to be repaired here, each part with its source."""


class Writer(Protocol):
    """A host through its facets, with the methods that change it. Not a `Reader` to be handed around: only `apply` has it."""

    @property
    def name(self) -> str:
        """The inventory's name of the host."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The host's variables."""

    @property
    def gpu(self) -> GpuReader:
        """The NVIDIA devices."""

    @property
    def processes(self) -> ProcessWriter:
        """The programs."""

    @property
    def engine(self) -> EngineWriter:
        """The Docker engine."""

    @property
    def compose(self) -> ComposeWriter:
        """The Compose projects."""

    @property
    def ollama(self) -> OllamaWriter:
        """The Ollama server."""

    @property
    def desktop(self) -> DesktopWriter:
        """The login and the desktop."""

    @property
    def system(self) -> SystemWriter:
        """The machine."""

    @property
    def files(self) -> FilesWriter:
        """The files."""

    def target(self) -> Target:
        """Return what is to be repaired here, each part with its source."""
