"""The Docker engine and Compose. A reader has no method that changes anything."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from remediation.model.facts import (
        ComposeProject,
        Container,
        ContainerStats,
        EngineFacts,
        Executed,
        Volume,
    )


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
