"""The hosts on which the same tests run: the lab's Windows laptop over WinRM, and this machine with a real engine,
by libraries and by commands over SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from remediation.facets.host_factory import Host, open_host
from remediation_lab import control
from tests.connections.sshd import Sshd
from tests.support.project import CONTAINER, MODEL, Project

LAB_MODEL = "mistral:7b-instruct-q4_K_M"


@dataclass(frozen=True)
class Bed:
    """A host, and facts about it that were not read by the facets."""

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

    def open(self, *, check: bool = False, **more: Any) -> Host:
        return open_host(self.name, {**self.variables, **more}, check=check)


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


def of_project(project: Project, server: Sshd | None = None) -> Bed:
    """This machine with a real engine: by libraries, or by commands through `server`."""
    folder = str(project.folder)
    way = {"ansible_connection": "local"} if server is None else server.variables()
    where = {"docker_host": project.engine.host, "docker_config": project.engine.environment["DOCKER_CONFIG"]}
    return Bed(
        "native" if server is None else "ssh", "localhost" if server is None else "linux-01", {**way, **where}, MODEL,
        (f"{folder}/docker-compose.yml", f"{folder}/docker-compose.gpu.yml"), folder,
    )  # fmt: skip
