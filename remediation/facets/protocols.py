"""What a step sees of a host. A `Reader` has no method that changes anything; only `Step.apply` gets a `Writer`.

Facets raise `Unreachable`, `DeadlineExceeded`, `CallFailed` or `Blocked` (`remediation.model.errors`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

from remediation.model.facts import (
    ComposeProject,
    Container,
    EngineFacts,
    Generation,
    GpuUse,
    ModelEntry,
    ModelShow,
    Process,
    Runner,
    SessionFacts,
    SystemFacts,
    Target,
)


class GpuReader(Protocol):
    """The NVIDIA devices and what holds their memory."""

    def use(self) -> GpuUse:
        """Return devices and processes with resident GPU memory."""


class ProcessReader(Protocol):
    """Programs that run on the host."""

    def list(self) -> Sequence[Process]:
        """Return all processes."""


class ProcessWriter(ProcessReader, Protocol):
    """Programs that run on the host, and closing them."""

    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        """Ask the tree of `pid` to close, wait `grace` seconds; with `force` end it afterwards. Return whether it ended.

        Does nothing and returns True when that very process (PID and start time) is gone already.
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


class EngineWriter(EngineReader, Protocol):
    """The Docker engine, and restarting containers."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container."""


class ComposeReader(Protocol):
    """Compose projects, by the ``docker compose`` plugin, and their files."""

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        """Return the resolved definition (``config --format json``); raises `CallFailed` with Compose's own words."""

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        """Return what Compose warns of (unset variables) while it reads the project."""

    def stale(self, project: ComposeProject) -> Sequence[str]:
        """Return the services whose container differs from the definition (``up --dry-run`` or config hashes)."""


class ComposeWriter(ComposeReader, Protocol):
    """Compose projects, and bringing them up."""

    def up(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 600.0) -> None:
        """Create or recreate what differs (``up -d``)."""


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


class OllamaWriter(OllamaReader, Protocol):
    """The Ollama server, and loading and asking models."""

    def load(self, model: str, *, options: Mapping[str, Any], keep_alive: str = "10m", timeout: float = 330.0) -> None:
        """Preload a model with these options; returns when it is loaded (facts/ollama 3)."""

    def unload(self, model: str, *, timeout: float = 60.0) -> None:
        """Unload a model and wait until ``/api/ps`` no longer lists it."""

    def generate(
        self, model: str, prompt: str, *, options: Mapping[str, Any], timeout: float, sample: bool = True
    ) -> Generation:
        """Ask for tokens and return the figures; GPU and CPU are sampled meanwhile when `sample`."""


class DesktopReader(Protocol):
    """The login and the desktop."""

    def session(self) -> SessionFacts:
        """Return what this login may do and who sits at the desktop."""


@runtime_checkable
class DesktopNotifier(Protocol):
    """A desktop on which a message can be shown; a `Writer`'s desktop may be one."""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show `message` to whoever sits at the desktop for `seconds`; return whether it could be shown."""


class SystemReader(Protocol):
    """The machine."""

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""


class FilesReader(Protocol):
    """Files on the host, by paths as the host writes them."""

    def read(self, path: str) -> bytes | None:
        """Return a file's bytes, None when there is no such file."""


class FilesWriter(FilesReader, Protocol):
    """Files on the host, and replacing them."""

    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        """Replace a file as a whole, keeping a copy at `backup` where given."""


class Reader(Protocol):
    """A host through its facets, read only."""

    @property
    def name(self) -> str:
        """The inventory's name of the host."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The host's variables (inventory and play), for what only the user can know."""

    @property
    def gpu(self) -> GpuReader: ...
    @property
    def processes(self) -> ProcessReader: ...
    @property
    def engine(self) -> EngineReader: ...
    @property
    def compose(self) -> ComposeReader: ...
    @property
    def ollama(self) -> OllamaReader: ...
    @property
    def desktop(self) -> DesktopReader: ...
    @property
    def system(self) -> SystemReader: ...
    @property
    def files(self) -> FilesReader: ...

    def target(self) -> Target:
        """Return what is to be repaired here, each part with its source."""


class Writer(Protocol):
    """A host through its facets, with the methods that change it. Not a `Reader` to be handed around: only `apply` has it."""

    @property
    def name(self) -> str: ...
    @property
    def variables(self) -> Mapping[str, Any]: ...
    @property
    def gpu(self) -> GpuReader: ...
    @property
    def processes(self) -> ProcessWriter: ...
    @property
    def engine(self) -> EngineWriter: ...
    @property
    def compose(self) -> ComposeWriter: ...
    @property
    def ollama(self) -> OllamaWriter: ...
    @property
    def desktop(self) -> DesktopReader: ...
    @property
    def system(self) -> SystemReader: ...
    @property
    def files(self) -> FilesWriter: ...
    def target(self) -> Target: ...
