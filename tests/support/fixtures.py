"""Fixtures of the live tests: import them into a conftest.py."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation_lab.free_ports import free_port
from tests.support import guide_host, nvml_library
from tests.support.engine import Engine, add_image, private_engine
from tests.support.project import Project

_FIRST_SUBNET = 211


def _subnet(offset: int) -> int:
    """Give each worker's engines a network of their own."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")
    return _FIRST_SUBNET + (2 * int(worker) + offset) % 40


@pytest.fixture(scope="session")
def gpu_engine() -> Iterator[Engine]:
    """A private engine that accepts GPU requests, with the Ollama image."""
    with private_engine(gpu_hook=True, subnet=_subnet(0)) as engine:
        add_image(engine)
        yield engine


@pytest.fixture(scope="session")
def plain_engine() -> Iterator[Engine]:
    """A private engine without the NVIDIA hook, with the Ollama image."""
    with private_engine(gpu_hook=False, subnet=_subnet(1)) as engine:
        add_image(engine)
        yield engine


@pytest.fixture
def guide_project(gpu_engine: Engine, tmp_path: Path) -> Iterator[Project]:
    """The guide's project in files, not up yet; its containers and its volume are removed afterwards."""
    folder = tmp_path / "activia1-main"
    folder.mkdir()
    gpu_engine.occupy(400 * 1024**2)
    project = Project(gpu_engine, folder, free_port())
    project.write()
    yield project
    project.down()


@pytest.fixture(scope="session")
def nvml(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The NVML stand-in, compiled once; see nvml_library.environment for its use."""
    return nvml_library.build(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def project_environment(guide_project: Project, nvml: Path) -> dict[str, str]:
    """What a subprocess needs to repair `guide_project`: DOCKER_HOST, PATH, the card through NVML, a separate home."""
    return guide_host.environment(guide_project.engine, nvml)
