"""``check-host`` on a healthy host of each kind, and on one that has nothing that serves."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation_lab.scenarios import worlds
from tests.lab.conftest import NOW
from tests.lab.product import on

SERVER = {
    ("laptop-07", "docker-desktop", "healthy"): "the container ai-native-ollama",
    ("desktop-07", "native-windows", "healthy"): "the Ollama app",
    ("desktop-07", "native-windows", "service-num-gpu-1"): "the service Ollama",
    ("desktop-07", "native-windows", "task-num-gpu-1"): "the scheduled task",
    ("wsl-07", "wsl", "healthy"): "Ollama in the WSL distribution Ubuntu",
}


@pytest.mark.parametrize(("name", "world", "fault"), SERVER)
def test_a_host_that_serves_has_no_gap(name: str, world: str, fault: str, tmp_path: Path) -> None:
    machine = worlds.machine(name, world, now=NOW, scale=1000.0, saved=lambda _: None, fault=fault)
    machine.clock.grain = 0.05
    with on(machine, tmp_path) as remediate:
        code, (found,) = remediate("check-host")
    assert [check for check in found["checks"] if check["ok"] is False] == []
    assert (code, next(check["text"] for check in found["checks"] if check["name"] == "server")) == (
        0,
        SERVER[name, world, fault],
    )


def test_each_gap_names_what_it_blocks_and_its_cure(tmp_path: Path) -> None:
    machine = worlds.machine("desktop-07", "native-windows", now=NOW, scale=1000.0, saved=lambda _: None, fault="app-closed")
    with on(machine, tmp_path) as remediate:
        code, (found,) = remediate("check-host")
    gaps = [check for check in found["checks"] if check["ok"] is False]
    assert code == 2
    assert {"Docker engine", "Ollama"} <= {check["name"] for check in gaps}
    assert all(check["blocks"] and check["cure"] for check in gaps), gaps


def test_a_windows_server_at_another_port_is_named_and_docker_is_not_missed(tmp_path: Path) -> None:
    machine = worlds.machine("desktop-07", "native-windows", now=NOW, scale=1000.0, saved=lambda _: None, fault="other-port")
    machine.clock.grain = 0.05
    with on(machine, tmp_path, endpoint="http://127.0.0.1:11434") as remediate:
        code, (found,) = remediate("check-host")
    assert (code, [check["name"] for check in found["checks"] if check["ok"] is False]) == (2, ["Ollama"])
    (log,) = [check for check in found["checks"] if check["name"] == "server log"]
    assert log["text"].endswith("the server that writes the log which was found listens at port 11500")
    assert log["cure"].startswith("set endpoint: http://127.0.0.1:11500 in the inventory")
