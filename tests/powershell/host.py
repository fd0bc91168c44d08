"""A host whose probes run under a real PowerShell, with stand-ins for what only Windows has.

A stand-in for a command is a PowerShell function, and a stand-in for a program a shell script: both are put where the probe looks.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Probe, ProbeReply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.facets.scripts import PARAMETERS, script
from remediation.facets.snapshot import Snapshot
from tests.powershell import shell

SMI = "Windows/System32/nvidia-smi.exe"
NO_CIM = "function Get-CimInstance { throw (New-Object Exception 'Access denied ') }"


class Host:
    """One host. ``commands`` is PowerShell text that each probe runs first; ``swaps`` are replacements in a probe's text."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.commands = NO_CIM
        self.swaps: Mapping[str, str] = {}
        self.before: Sequence[str] = ()
        self._connections: list[WorkerConnection] = []
        self.running = root / "running"
        self.running.touch()

    def program(self, text: str, path: str = SMI) -> None:
        """Put a shell script where Windows has a program; ``$RUNNING`` is a file that exists until the test is over."""
        place = self.root / path
        place.write_text(f"#!/bin/sh\nRUNNING={self.running}\n{text}\n", encoding="utf-8")
        place.chmod(0o755)

    @property
    def connection(self) -> WorkerConnection:
        """A new connection, whose worker sees the commands as they are now."""
        channel = ChildChannel("here", before=(*self.before, shell.program()))
        made = WorkerConnection("here", channel, scripts=self._text, opening=60.0, greeting=60.0)
        self._connections.append(made)
        return made

    @property
    def look(self) -> Snapshot:
        """A look at the host."""
        connection = self.connection
        return Snapshot(lambda: connection)

    def ask(self, name: str, data: Mapping[str, Any] | None = None, *, timeout: float = 30.0) -> Any:
        """Return the value of a probe."""
        (reply,) = self.connection.exchange([Probe(name, data or {}, timeout=timeout)])
        assert isinstance(reply, ProbeReply), reply
        return reply.value

    def close(self) -> None:
        self.running.unlink()
        for each in self._connections:
            each.close()

    def _text(self, name: str) -> str:
        text = script(name)
        for old, new in self.swaps.items():
            assert old in text
            text = text.replace(old, new)
        return text.replace(PARAMETERS, f"{PARAMETERS}{self.commands}\n", 1)


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    for name, folder in {"SystemRoot": "Windows", "ProgramFiles": "Program Files", "ProgramData": "ProgramData"}.items():
        (tmp_path / folder).mkdir()
        monkeypatch.setenv(name, str(tmp_path / folder))
    (tmp_path / SMI).parent.mkdir()
    made = Host(tmp_path)
    yield made
    made.close()
