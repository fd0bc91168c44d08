"""A host whose probes run under a real PowerShell, with stand-ins for what only Windows has.

A stand-in for a command is a PowerShell function, and a stand-in for a program a shell script: both are put where the probe looks.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Probe, ProbeReply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.connections.worker.protocol import Scripts
from remediation.facets.scripts import PARAMETERS, script
from remediation.facets.snapshot import Snapshot
from tests.powershell import shell

SMI = "Windows/System32/nvidia-smi.exe"
NO_CIM = "function Get-CimInstance { throw (New-Object Exception 'Access denied ') }"


class Host:
    """One host. ``commands`` is PowerShell text that each probe runs first; ``swaps`` are replacements in a probe's text.

    ``before`` are words before the start of PowerShell. One PowerShell serves the tests of a module, since its start takes a second,
    and another one those with the same ``before``.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders = {"SystemRoot": "Windows", "ProgramFiles": "Program Files", "ProgramData": "ProgramData"}
        self._connections: dict[tuple[str, ...], WorkerConnection] = {}
        self._tests = 0
        self.begin()

    def begin(self) -> None:
        """Be as at first, for the next test."""
        self._tests += 1
        self.commands = NO_CIM
        self.swaps: Mapping[str, str] = {}
        self.before: tuple[str, ...] = ()
        for left in self.root.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        for folder in self._folders.values():
            (self.root / folder).mkdir()
        (self.root / SMI).parent.mkdir()
        self.running = self.root / f"running-{self._tests}"
        self.running.touch()

    def end(self) -> None:
        """Let the programs of a test end."""
        self.running.unlink()

    def program(self, text: str, path: str = SMI) -> None:
        """Put a shell script where Windows has a program; ``$RUNNING`` is a file that exists until the test is over."""
        place = self.root / path
        place.write_text(f"#!/bin/sh\nRUNNING={self.running}\n{text}\n", encoding="utf-8")
        place.chmod(0o755)

    @property
    def connection(self) -> WorkerConnection:
        """A connection whose worker sees the commands as they are now."""
        if self.before not in self._connections:
            folders = (f"{name}={self.root / folder}" for name, folder in self._folders.items())
            channel = ChildChannel("here", before=(*self.before, "env", *folders, shell.program()))
            made = WorkerConnection("here", channel, scripts=self._text, opening=60.0, greeting=60.0)
            self._connections[self.before] = made
        found = self._connections[self.before]
        found._scripts = Scripts(self._text)
        return found

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
        """End every PowerShell."""
        for each in self._connections.values():
            each.close()

    def _text(self, name: str) -> str:
        text = script(name)
        for old, new in self.swaps.items():
            assert old in text
            text = text.replace(old, new)
        return text.replace(PARAMETERS, f"{PARAMETERS}{self.commands}\n", 1)


@pytest.fixture(scope="module")
def _host() -> Iterator[Host]:
    # not below pytest's own folder, which each start of pytest closes to other users
    with tempfile.TemporaryDirectory(prefix="host-") as folder:
        made = Host(Path(folder))
        yield made
        made.close()


@pytest.fixture
def host(_host: Host) -> Iterator[Host]:
    _host.begin()
    yield _host
    _host.end()
