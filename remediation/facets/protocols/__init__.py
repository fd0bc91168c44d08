"""The view of a host that steps get. A `Reader` has no methods that change anything; only `Step.apply` gets a `Writer`.

Facets raise `Unreachable`, `DeadlineExceeded`, `CallFailed` or `Blocked` (`remediation.model.errors`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from remediation.facets.protocols.docker import ComposeReader, ComposeWriter, EngineReader, EngineWriter
from remediation.facets.protocols.machine import (
    DesktopNotifier,
    DesktopReader,
    DesktopWriter,
    FilesReader,
    FilesWriter,
    GpuReader,
    ProcessReader,
    ProcessWriter,
    ServiceManagerReader,
    ServiceManagerWriter,
    SystemReader,
    SystemWriter,
)
from remediation.facets.protocols.ollama import OllamaReader, OllamaWriter
from remediation.facets.protocols.services import DaemonReader, DaemonWriter, ServicesReader, ServicesWriter

if TYPE_CHECKING:
    from remediation.model.change import Change
    from remediation.model.facts import Target


__all__ = [
    "ComposeReader",
    "ComposeWriter",
    "DaemonReader",
    "DaemonWriter",
    "DesktopNotifier",
    "DesktopReader",
    "DesktopWriter",
    "EngineReader",
    "EngineWriter",
    "FilesReader",
    "FilesWriter",
    "GpuReader",
    "LookContext",
    "OllamaReader",
    "OllamaWriter",
    "ProcessReader",
    "ProcessWriter",
    "Reader",
    "ServiceManagerReader",
    "ServiceManagerWriter",
    "ServicesReader",
    "ServicesWriter",
    "SystemReader",
    "SystemWriter",
    "Writer",
]


@dataclass(frozen=True, slots=True)
class LookContext:
    """The run as a step sees it (`remediation.steps.run_info`).

    ``run_started`` is the start of the run by the host's clock, set for ``once_per_run`` steps. ``pending`` are the changes that check
    mode has predicted so far on this host.
    """

    run_started: float | None = None
    pending: tuple[Change, ...] = ()


NO_CONTEXT = LookContext()
"""The context of a reader that belongs to no step."""


class Reader(Protocol):
    """A host and its facets, read only."""

    @property
    def context(self) -> LookContext:
        """What the engine knows besides the host."""

    @property
    def name(self) -> str:
        """The host's name in the inventory."""

    @property
    def variables(self) -> Mapping[str, Any]:
        """The host's variables from inventory and play."""

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

    @property
    def services(self) -> ServicesReader:
        """What serves Ollama, and systemd."""

    @property
    def service_manager(self) -> ServiceManagerReader:
        """systemd, or the service control manager."""

    @property
    def daemon(self) -> DaemonReader:
        """The Docker daemon of a Linux host."""

    def target(self) -> Target:
        """Return the target on this host, each part with its source."""


class Writer(Reader, Protocol):
    """A host and its facets with methods that change it. Only `Step.apply` gets one. Its ``context`` is empty: a change has in its data what it needs."""

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

    @property
    def services(self) -> ServicesWriter:
        """What serves Ollama, and systemd."""

    @property
    def service_manager(self) -> ServiceManagerWriter:
        """systemd, or the service control manager."""

    @property
    def daemon(self) -> DaemonWriter:
        """The Docker daemon of a Linux host."""
