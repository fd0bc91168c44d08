"""A machine's own facets: GPU, processes, desktop, system, files. A reader has no method that changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from remediation.model.facts import (
        DiskSpace,
        DockerDesktop,
        FileEntry,
        GpuSample,
        GpuUse,
        Process,
        SessionFacts,
        SystemFacts,
        SystemLimits,
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
