"""Protocols of the Docker engine and Compose."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from remediation.model.facts import (
        ComposeProject,
        Container,
        ContainerStats,
        EngineFacts,
        ExecResult,
        Volume,
    )


class EngineReader(Protocol):
    """The Docker engine."""

    def facts(self) -> EngineFacts:
        """Return the engine's version, memory and runtimes. Raises `CallFailed` if it does not answer."""

    def containers(self) -> Sequence[Container]:
        """Return all containers, including stopped ones."""

    def inspect(self, name: str) -> Container | None:
        """Return one container, or None."""

    def logs(self, name: str, *, tail: int = 4000) -> str:
        """Return the last `tail` lines of a container's stdout and stderr."""

    def exec(self, name: str, argv: Sequence[str], *, timeout: float = 60.0) -> ExecResult:
        """Run a read-only program (``nvidia-smi -L``, ``env``) inside a running container.

        A missing program has exit code 127, one that may not run 126, as in a shell. Raises `CallFailed` if the container is not
        running or the engine does not answer.
        """

    def stats(self, name: str) -> ContainerStats:
        """Return a running container's resource use (``docker stats``, without the page cache)."""

    def volumes(self) -> Sequence[Volume]:
        """Return the named volumes with the containers that mount them."""


class EngineWriter(EngineReader, Protocol):
    """The Docker engine, with methods that change containers and volumes."""

    def restart(self, name: str, *, timeout: float = 30.0) -> None:
        """Restart one container."""

    def start(self, name: str) -> None:
        """Start a container. A running container is left as it is."""

    def stop(self, name: str, *, timeout: float = 30.0) -> None:
        """Stop a container, which is killed after `timeout` seconds. A stopped container is left as it is."""

    def recreate(self, name: str, changed: Mapping[str, Any]) -> None:
        """Replace a container by one that differs in these members of ``HostConfig``, with the same mounts, ports and networks.

        The old container is renamed (``NAME-before-recreation``), and removed when the new one runs. Raises `CallFailed` with the
        engine's words if it does not; the old container then runs again.
        """

    def give_back(self, name: str) -> None:
        """Let the container that a broken `recreate` renamed run again under its name."""

    def remove(self, name: str) -> None:
        """Remove a stopped container; its volumes stay."""

    def create_volume(self, name: str, *, labels: Mapping[str, str] | None = None) -> None:
        """Create a local volume unless it exists."""

    def remove_volume(self, name: str) -> None:
        """Remove a volume and its content, if it exists. Raises `CallFailed` while a container mounts it."""

    def copy_volume(self, source: str, target: str, *, image: str, paths: Sequence[str] = (".",), timeout: float = 3600.0) -> int:
        """Copy `paths` (relative to the volume's root) from one volume to another. Returns the number of bytes copied.

        Existing files of the same size are skipped, modes and times are kept, and missing paths are ignored. Runs in a one-off
        container of `image`, which must be present: nothing is pulled, the container has no network, and it is removed afterwards.
        Raises `CallFailed` with the error message, for example when the disk is full.
        """


class ComposeReader(Protocol):
    """Compose projects, through the ``docker compose`` plugin."""

    def config(self, project: ComposeProject) -> Mapping[str, Any]:
        """Return the resolved definition (``config --format json``). Raises `CallFailed` with Compose's error message."""

    def warnings(self, project: ComposeProject) -> Sequence[str]:
        """Return Compose's warnings about the project (unset variables)."""

    def stale(self, project: ComposeProject) -> Sequence[str]:
        """Return the services whose container differs from the definition, by configuration hash."""


class ComposeWriter(ComposeReader, Protocol):
    """Compose projects, with methods that bring them up and down. Empty ``services`` means all services."""

    def up(
        self,
        project: ComposeProject,
        services: Sequence[str],
        *,
        recreate: bool = False,
        deps: bool = True,
        timeout: float = 600.0,
    ) -> None:
        """Create or recreate services that differ (``up -d``); with `recreate` always, without `deps` only these services."""

    def build(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 1800.0) -> None:
        """Build the images of services with a build section (``build``). Runs detached, because it may take long."""

    def start(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Start existing containers (``start``)."""

    def stop(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop containers without removing them (``stop``)."""

    def remove(self, project: ComposeProject, services: Sequence[str], *, timeout: float = 120.0) -> None:
        """Stop and remove containers (``rm --stop --force``); volumes are kept."""

    def down(self, project: ComposeProject, *, timeout: float = 180.0) -> None:
        """Stop and remove the project's containers and networks (``down``); volumes are kept."""
