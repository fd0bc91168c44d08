"""Protocols of what serves Ollama, of systemd, and of the Docker daemon of a Linux host."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from remediation.model.facts import DaemonFacts, LinuxGpuSoftware, Serving


class ServicesReader(Protocol):
    """What serves Ollama on the host."""

    def serving(self) -> Serving:
        """Return what serves the model, with its settings and their sources."""


class ServicesWriter(ServicesReader, Protocol):
    """The services of the host, with methods that restart them."""

    def reload_units(self, *, own: bool = False) -> None:
        """Let systemd read its unit files again (``daemon-reload``). Running processes keep their environment."""

    def write_unit_file(self, path: str, content: bytes, *, backup: str | None = None, own: bool = False) -> None:
        """Write a drop-in or environment file of a unit, with its folder, and let systemd read its unit files again."""

    def restart_unit(self, name: str, *, own: bool = False) -> None:
        """Restart a unit. Raises `CallFailed` with systemctl's message and the next step."""

    def change_windows(
        self, *, values: Sequence[Mapping[str, Any]] = (), columns: Mapping[str, str] | None = None, restart: bool = False
    ) -> None:
        """Write settings of a native server on Windows, and restart it in the desktop session or as its service or task.

        `values` are variables of the registry (``key``, ``name``, ``value`` or None, ``kind``, ``list``), `columns` settings of the
        app, which is restarted for them.
        """


class DaemonReader(Protocol):
    """The Docker daemon of a Linux host, NVIDIA's container toolkit and kernel modules."""

    def software(self) -> LinuxGpuSoftware:
        """Return the daemon, the toolkit and the driver's modules. Raises `NotApplicable` on Windows."""

    def rejects(self, daemon: DaemonFacts, text: str) -> str:
        """Return why the daemon would not start with this ``daemon.json``, or "" if it would or cannot tell."""


class DaemonWriter(DaemonReader, Protocol):
    """The daemon, with methods that reload and restart it."""

    def reload(self, daemon: DaemonFacts) -> None:
        """Let the daemon read its file again. No container stops."""

    def restart(self, daemon: DaemonFacts) -> None:
        """Restart the daemon. Raises `Blocked` if nothing is known that starts it again."""

    def reload_module(self, module: str, unit: str) -> None:
        """Stop `unit` (if any), unload and load a kernel module, and start the unit again, also if that failed."""
