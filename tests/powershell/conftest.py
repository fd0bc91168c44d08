"""The stand-in for Windows, for tests of what the probes answer."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Iterator

import pytest

from tests.powershell.windows import Windows


@pytest.fixture(scope="module")
def _windows(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Windows]:
    host = Windows(tmp_path_factory.mktemp("windows"))
    yield host
    host.close()


@pytest.fixture
def windows(_windows: Windows) -> Iterator[Windows]:
    """Yield the stand-in as it is at first; one PowerShell serves all tests of a module, since its start takes a second."""
    world = copy.deepcopy(_windows.world)
    taskkill = _windows.system / "System32" / "taskkill.exe"
    text = taskkill.read_text("utf-8")
    yield _windows
    _windows.world = world
    _windows.restore()
    _windows.program(taskkill, text)
    for folder in (_windows.programs, _windows.profile, _windows.data):
        shutil.rmtree(folder)
        folder.mkdir()
