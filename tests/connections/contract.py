"""The ways to this very machine that the contract suite runs over, by name."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from remediation.connections.guard import Guard
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from tests.connections.conftest import PROGRAMS, StartPeer, opened, script, winrm_variables
from tests.powershell import shell

WAYS = ("local", "ssh", "winrm-worker", "winrm-one-call", "winrm-noise", "child")
REAL = ("powershell", "winrm-powershell")
"""A real PowerShell runs the worker: as a child, and behind the WinRM server. Each start takes a second, so `every` asks for them."""
ALL = (*WAYS, *(pytest.param(each, marks=pytest.mark.every) for each in REAL))


def way(name: str, request: pytest.FixtureRequest) -> Iterator[Guard]:
    """Open one way; it is closed afterwards, and a WinRM server must be left without a shell."""
    server = None
    if name == "local":
        connection = opened({"ansible_connection": "local"})
    elif name == "ssh":
        connection = opened(request.getfixturevalue("ssh_server").variables())
    elif name in {"child", "powershell"}:
        before = PROGRAMS["powershell"] if name == "child" else (shell.program(),)
        channel = ChildChannel("box", before=before)
        connection = Guard(WorkerConnection("box", channel, scripts=script), check=False)
    else:
        start: StartPeer = request.getfixturevalue("start_peer")
        environment = {
            "winrm-worker": {},
            "winrm-powershell": {},
            "winrm-one-call": {"PEER_DEAF": "1"},
            "winrm-noise": {"PEER_NOISE": "a banner"},
        }[name]
        programs = {"powershell": (shell.program(),)} if name == "winrm-powershell" else PROGRAMS
        server = start(programs=programs, environment=environment, slice_size=9_973 if name == "winrm-noise" else None)
        connection = opened(winrm_variables(server))
        if name == "winrm-one-call":
            connection._inner._greeting = 0.2  # type: ignore[attr-defined]  # 15 s are for real hosts
    yield connection
    connection.close()
    if server is not None:
        assert server.shells == {}
