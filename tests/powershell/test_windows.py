"""The stand-in for Windows behaves as Windows does where a script depends on it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.powershell.windows import USER, Windows, disturbance


@pytest.fixture
def host(tmp_path: Path) -> Iterator[Windows]:
    windows = Windows(tmp_path)
    yield windows
    windows.close()


def test_who_is_logged_in_and_what_is_left(host: Windows) -> None:
    assert host.answer("session")["User"] == USER
    assert host.answer("system", disturbed=[disturbance("many", "Get-Service")])["Hostname"] == "DEV-07"
    assert host.answer("notify", {"message": "é'", "seconds": 5})["shown"]
    assert host.shown.read_text("utf-8").strip() == "é'"
    assert host.state()["tasks"] == []
    assert host.answer("notify", {"message": "x", "seconds": 5}, disturbed=[disturbance("empty", "Invoke-CimMethod")])
    assert any(call.startswith("Get-CimInstance\tWin32_ComputerSystem") for call in host.state()["calls"])
