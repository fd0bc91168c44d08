"""Protocols of the machine's facets: GPU, processes, desktop, system, files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

if TYPE_CHECKING:
    from remediation.model.facts import (
        DiskSpace,
        DockerDesktop,
        FileEntry,
        FileStatus,
        GpuSample,
        GpuUse,
        Process,
        ServiceStatus,
        SessionFacts,
        SystemFacts,
        SystemLimits,
        WslDistribution,
    )


class GpuReader(Protocol):
    """The NVIDIA devices and the processes that use their memory."""

    def use(self) -> GpuUse:
        """Return devices and processes with resident GPU memory."""

    def sample(self, *, seconds: float, every: float = 1.0) -> Sequence[GpuSample]:
        """Sample every card's load and memory, every `every` seconds for `seconds`, in one call to the host."""


class ProcessReader(Protocol):
    """Running programs."""

    def list(self) -> Sequence[Process]:
        """Return all processes."""


class ProcessWriter(ProcessReader, Protocol):
    """Running programs, with a method to close them."""

    def close(self, pid: int, started: float, *, grace: float, force: bool = False) -> bool:
        """Ask the tree of `pid` to close and wait `grace` seconds; with `force`, kill it afterwards. Returns whether it ended.

        Returns True at once if this process (PID and start time) has already ended. Raises `Blocked` for the caller itself and its
        parents, which are never closed.
        """


class DesktopReader(Protocol):
    """The login and the desktop."""

    def session(self) -> SessionFacts:
        """Return the login's rights and the desktop user."""

    def docker(self) -> DockerDesktop | None:
        """Return the state of Docker Desktop, or None if it is not installed."""


@runtime_checkable
class DesktopNotifier(Protocol):
    """A desktop that can show messages. A `Writer`'s desktop may be one."""

    def notify(self, message: str, *, seconds: float) -> bool:
        """Show `message` to the desktop user for `seconds`. Returns whether it was shown."""


class DesktopWriter(DesktopReader, DesktopNotifier, Protocol):
    """The desktop, with methods that show messages and stop, start and configure Docker Desktop in the desktop user's session."""

    def stop_docker(self, *, timeout: float = 180.0) -> None:
        """Stop Docker Desktop completely: first with its own command, limited in time, then by killing its processes.

        The caller stops the containers first. ``wsl --shutdown`` is never used. Returns when no backend process is left.
        """

    def start_docker(self, *, timeout: float = 300.0) -> None:
        """Start Docker Desktop in the desktop user's session and wait until the engine answers twice in a row.

        Raises `Blocked` if no user is logged on, and `DeadlineExceeded` if the engine does not answer in time.
        """

    def set_docker(self, settings: Mapping[str, Any]) -> str:
        """Write settings to Docker Desktop's file and return the path of the backup. None removes a setting.

        Existing keys are matched regardless of case and keep their spelling. Raises `Blocked` while Docker Desktop is running,
        because it would overwrite the file.
        """


class SystemReader(Protocol):
    """The machine."""

    def facts(self) -> SystemFacts:
        """Return operating system, memory and the host's clock."""

    def limits(self) -> SystemLimits:
        """Return the limits of container memory."""

    def distributions(self) -> Sequence[WslDistribution]:
        """Return the distributions of WSL that belong to this login; none on other systems than Windows."""


class SystemWriter(SystemReader, Protocol):
    """The machine, with a method to restart it."""

    def reboot(self, *, delay: float = 5.0, message: str = "", timeout: float = 900.0) -> None:
        """Restart the machine and wait until it answers with a later boot time.

        Reconnects automatically. Raises `DeadlineExceeded` if it does not come back, and `Blocked` if the login lacks the right.
        """

    def stop_distributions(self, name: str = "") -> None:
        """End one distribution of WSL, or all of this login with their virtual machine."""

    def start_distribution(self, name: str) -> None:
        """Start a distribution of WSL."""


class ServiceManagerReader(Protocol):
    """The manager of the host's services: systemd, or the service control manager of Windows."""

    def status(self, name: str, *, user: bool = False) -> ServiceStatus | None:
        """Return a service, or None if there is none. With `user`, a service of the login's own systemd."""


class ServiceManagerWriter(ServiceManagerReader, Protocol):
    """The service manager, with methods that change services."""

    def act(self, name: str, verb: str, *, user: bool = False, force: bool = False) -> None:
        """Start, stop, pause, restart, reload, enable, disable, mask, unmask or remove a service."""

    def configure(self, name: str, settings: Mapping[str, str], *, create: bool = False) -> None:
        """Create or change a Windows service: ``start_mode``, ``path``, ``display_name``, ``description`` and ``username``."""


class FilesReader(Protocol):
    """Files on the host. Paths have the host's notation."""

    def read(self, path: str) -> bytes | None:
        """Return a file's content, or None if it does not exist."""

    def list(self, path: str) -> Sequence[FileEntry] | None:
        """Return a folder's entries, or None if it does not exist."""

    def status(
        self, path: str, *, follow: bool = False, algorithm: str | None = None, details: bool = False
    ) -> FileStatus | None:
        """Return what is at a path, or None if there is nothing.

        With `follow`, a link's target is described. `algorithm` (``sha1``, ``md5``, ...) asks for a file's checksum, `details` for its
        type and attributes, where the host has the programs for them.
        """

    def space(self, path: str) -> DiskSpace:
        """Return the disk space of the file system that contains `path` or its nearest existing parent."""


class FilesWriter(FilesReader, Protocol):
    """Files on the host, with methods that replace, rename and remove them."""

    def write(self, path: str, content: bytes, *, backup: str | None = None) -> None:
        """Replace a file, with a copy of the old one at `backup` if given. Missing parent folders are created."""

    def rename(self, path: str, to: str) -> None:
        """Rename a file. Raises `CallFailed` if it does not exist or `to` does."""

    def remove(self, path: str) -> None:
        """Remove a file, if it exists."""

    def remove_folder(self, path: str, *, empty: bool = False) -> None:
        """Remove a folder with its content; with `empty`, only a folder without content. Links in it are not followed."""

    def create_folder(self, path: str) -> None:
        """Create a folder and its parents, unless it exists."""

    def set_attributes(self, path: str, *, mode: int | None = None, owner: str | None = None, group: str | None = None) -> None:
        """Set mode and owner of a file or folder on a POSIX host. Links are followed."""

    def link(self, path: str, target: str, *, hard: bool = False) -> None:
        """Create a link at `path`, replacing a link or file that is there."""
