from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from remediation_lab import control
from remediation_lab.free_ports import free_port
from tests.connections.sshd import Sshd, sshd
from tests.facets import real_hosts
from tests.facets.real_hosts import Bed
from tests.support.engine import Engine
from tests.support.fixtures import gpu_engine, nvml, plain_engine
from tests.support.project import Project

__all__ = ["gpu_engine", "nvml", "plain_engine"]


@pytest.fixture(scope="package")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Lab]:
    folder = tmp_path_factory.mktemp("lab")
    yield control.start(folder, hosts=1, scale=100)
    control.stop(folder)


@pytest.fixture(scope="package")
def guide(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The guide's project, up, on a private engine."""
    engine: Engine = request.getfixturevalue("gpu_engine")
    folder = tmp_path_factory.mktemp("guide") / "activia1-main"
    folder.mkdir()
    made = Project(engine, folder, free_port())
    made.write()
    made.up()
    yield made
    made.down()


@pytest.fixture(scope="package")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    """A real sshd on loopback, into this machine."""
    with sshd(tmp_path_factory.mktemp("sshd")) as started:
        yield started


@pytest.fixture(
    params=["lab", pytest.param("native", marks=pytest.mark.live), pytest.param("ssh", marks=pytest.mark.live)],
    scope="module",
)
def bed(request: pytest.FixtureRequest) -> Bed:
    """Each host in turn; the real engine's tests are left out where there is none."""
    if request.param == "lab":
        return real_hosts.of_lab(request.getfixturevalue("lab"))
    server = request.getfixturevalue("server") if request.param == "ssh" else None
    return real_hosts.of_project(request.getfixturevalue("guide"), server)


@pytest.fixture(params=["native", "ssh"])
def real(request: pytest.FixtureRequest) -> Bed:
    """The real engine alone, where a test reaches into it."""
    server = request.getfixturevalue("server") if request.param == "ssh" else None
    return real_hosts.of_project(request.getfixturevalue("guide"), server)


@pytest.fixture
def host(bed: Bed) -> Iterator[Any]:
    bed.clean()
    opened = bed.open()
    yield opened
    opened.close()
