"""The hosts of these tests: this machine, a real sshd on it, and a WinRM server whose worker starts this machine's programs."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.factory import open_connection
from remediation.connections.guard import Guard
from remediation.connections.settings import from_variables
from tests.connections.peer.winrm_server import WinRmPeer
from tests.connections.sshd import Sshd, sshd
from tests.connections.web import web

PASSWORD = "Pa55-word !\"'é"
WORKER = Path(__file__).parent / "peer" / "worker.py"
PROGRAMS = {"powershell": (sys.executable, "-I", str(WORKER))}

__all__ = ["web"]
StartPeer = Callable[..., WinRmPeer]


@pytest.fixture(scope="session")
def ssh_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture
def start_peer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StartPeer]:
    """Start WinRM servers; each must be left without a shell."""
    (tmp_path / "users").write_text(f":ops:{PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "users"))
    started: list[tuple[WinRmPeer, threading.Thread]] = []

    def start(**options: Any) -> WinRmPeer:
        environment = {"PEER_ONCE": str(tmp_path / "died"), **options.pop("environment", {})}
        server = WinRmPeer(options.pop("programs", PROGRAMS), {"ops": PASSWORD}, environment=environment, **options)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        started.append((server, thread))
        return server

    yield start
    for server, thread in started:
        server.close()
        thread.join()


def winrm_variables(server: WinRmPeer, **more: object) -> dict[str, object]:
    return {
        "ansible_connection": "winrm", "ansible_host": "127.0.0.1", "ansible_port": server.port, "ansible_winrm_scheme": "http",
        "ansible_user": "ops", "ansible_password": PASSWORD, "ansible_winrm_operation_timeout_sec": 2,
        "ansible_winrm_read_timeout_sec": 20, **more,
    }  # fmt: skip


def script(name: str) -> str:
    """Return a probe that answers with what it was; the peer's worker, which reads no PowerShell, answers so for every probe."""
    said = "@{ name = 'NAME'; script = $MyInvocation.MyCommand.ScriptBlock.ToString(); data = $Data }"
    return f"param($Data) # {name} ü\nConvertTo-Json -Depth 9 -Compress -InputObject {said.replace('NAME', name)}"


def opened(variables: dict[str, object], host: str = "box", **more: Any) -> Guard:
    return open_connection(from_variables(host, variables), scripts=script, **more)
