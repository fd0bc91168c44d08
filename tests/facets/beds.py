"""The hosts on which the same tests run: the lab's Windows laptop over WinRM, and this machine with a real engine in two forms."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.connections.open import open_connection
from remediation.connections.settings import from_variables
from remediation.facets.host import HostReader, HostWriter, Place
from remediation.facets.look import Look
from remediation.facets.open import Host, open_host
from remediation.facets.scripts import script
from remediation.lab import control
from remediation.model.clock import SystemClock
from tests.support.project import CONTAINER, MODEL, Project

LAB_MODEL = "mistral:7b-instruct-q4_K_M"


@dataclass(frozen=True)
class Bed:
    """A host, and what is known of it by another way than the facets."""

    kind: str
    name: str
    variables: Mapping[str, Any]
    model: str
    files: tuple[str, ...]
    folder: str
    clean: Callable[[], None] = field(default=lambda: None)
    container: str = CONTAINER
    version: str = "0.13.5"
    windows: bool = False
    commands: bool = False

    def open(self, *, check: bool = False, **more: Any) -> Host | CommandHost:  # noqa: ANN401 - host variables
        """Open the host; with ``commands`` in the form that asks programs although libraries are at hand."""
        variables = {**self.variables, **more}
        return CommandHost(self.name, variables) if self.commands else open_host(self.name, variables, check=check)


class CommandHost:
    """This machine, looked at as a remote one is: by commands alone."""

    def __init__(self, name: str, variables: Mapping[str, Any]) -> None:
        self.connection = open_connection(from_variables(name, variables), scripts=script)
        environment = {"DOCKER_HOST": variables["docker_host"], "DOCKER_CONFIG": variables["docker_config"]}
        self._place = Place(name, variables, windows=False, local=False, clock=SystemClock(), environment=environment)

    @property
    def reader(self) -> HostReader:
        return HostReader(self._place, Look(lambda: self.connection))

    @property
    def round_trips(self) -> int:
        return self.connection.round_trips

    def writer(self) -> HostWriter:
        return HostWriter(self._place, Look(lambda: self.connection, keep=False))

    def close(self) -> None:
        self.connection.close()


def lab_variables(lab: control.Lab) -> dict[str, Any]:
    host = lab.hosts[0]
    return {
        "ansible_connection": "winrm", "ansible_host": host.address, "ansible_port": host.port, "ansible_winrm_scheme": "http",
        "ansible_user": lab.user, "ansible_password": lab.password, "lab_scale": lab.scale,
    }  # fmt: skip


def of_lab(lab: control.Lab) -> Bed:
    folder = "C:\\dev\\activia1"
    name = lab.hosts[0].name
    return Bed(
        "lab", name, lab_variables(lab), LAB_MODEL,
        (f"{folder}\\docker-compose.yml", f"{folder}\\docker-compose.gpu.yml"), folder,
        clean=lambda: control.fault(name, "vram-occupied", lab.folder), windows=True,
    )  # fmt: skip


def of_project(project: Project, *, commands: bool) -> Bed:
    folder = str(project.folder)
    variables = {
        "ansible_connection": "local", "docker_host": project.engine.host, "docker_config": project.engine.environment["DOCKER_CONFIG"],
    }  # fmt: skip
    return Bed(
        "commands" if commands else "native", "localhost", variables, MODEL,
        (f"{folder}/docker-compose.yml", f"{folder}/docker-compose.gpu.yml"), folder, commands=commands,
    )  # fmt: skip
