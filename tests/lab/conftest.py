"""A machine in this process, a WinRM server in this process, and a whole lab in separate processes."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation_lab import control
from remediation_lab.host.host import Host
from remediation_lab.scenarios import docker_desktop as scenario
from remediation_lab.winrm.server import WinRmServer

NOW = 1.8e9
PASSWORD = "Pa55-word"
_SAY = "import sys; sys.stdout.write(' '.join(sys.argv[1:])); sys.stderr.write('oops'); sys.exit(3)"
_CAT = "import sys; [(sys.stdout.buffer.write(line.upper()), sys.stdout.flush()) for line in sys.stdin.buffer]"
_BIG = "import sys; sys.stdout.buffer.write('é'.encode() * int(sys.argv[1]))"
_DIE = "import os; os.kill(os.getpid(), 9)"
_ENVIRONMENT = "import os; print(os.environ['WORD'])"
PROGRAMS = {
    name: (sys.executable, "-c", text)
    for name, text in {
        "say": _SAY,
        "cat": _CAT,
        "big": _BIG,
        "die": _DIE,
        "environment": _ENVIRONMENT,
        "powershell": _SAY,
    }.items()
}


def made(fault: str = scenario.DEFAULT_FAULT, *, scale: float = 2000.0) -> Host:
    """A machine in this process whose time flies while something sleeps, and does not pass while this computer is busy."""
    machine = scenario.machine("laptop-07", now=NOW, scale=scale, saved=lambda _: None, fault=fault)
    machine.clock.grain = 0.05
    return machine


@pytest.fixture
def machine() -> Host:
    return made()


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[WinRmServer]:
    (tmp_path / "users").write_text(f":ops:{PASSWORD}\nLAB:ops:{PASSWORD}\n", encoding="utf-8")
    monkeypatch.setenv("NTLM_USER_FILE", str(tmp_path / "users"))
    listener = WinRmServer(("127.0.0.1", 0), "LAPTOP-07", programs=PROGRAMS)
    thread = threading.Thread(target=listener.serve_forever, args=(0.02,))
    thread.start()
    yield listener
    listener.stop()
    thread.join()


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[control.Lab]:
    folder = tmp_path_factory.mktemp("lab")
    yield control.start(folder, hosts=2, scale=100)
    control.stop(folder)
