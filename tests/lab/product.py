"""The whole program on a machine of the lab in this process: its command line, with a worker in a thread instead of WinRM.

with on(machine, tmp_path) as remediate:
    code, events = remediate("fix-offload", "--max-risk", "disruptive")
"""

from __future__ import annotations

import contextlib
import io
import json
import os
import queue
import sys
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from remediation.cli.main import main
from remediation.connections.settings import ConnectionSettings
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.transport import DeliveryUnknown, ProcessExited, ReadTimeout
from remediation.facets.scripts import script
from remediation.model.clock import Clock, SystemClock
from remediation.model.extensions import extension_names
from remediation_lab.host.host import Host
from remediation_lab.powershell.worker import Worker
from remediation_lab.wire import Refusal

KIND = "remediation_lab_machine"
MACHINES: dict[str, Host] = {}
Events = list[dict[str, Any]]
Remediate = Callable[..., tuple[int, Events]]


class _Pipe(io.RawIOBase):
    """One direction between two threads."""

    def __init__(self) -> None:
        self.blocks: queue.Queue[bytes] = queue.Queue()
        self._rest = b""

    def readable(self) -> bool:
        return True

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self.blocks.put(bytes(data))
        return len(data)

    def readinto(self, buffer: Any) -> int:
        if not self._rest:
            self._rest = self.blocks.get()
        taken, self._rest = self._rest[: len(buffer)], self._rest[len(buffer) :]
        buffer[: len(taken)] = taken
        return len(taken)

    def end(self) -> None:
        self.blocks.put(b"")


class ThreadChannel:
    """See `remediation.connections.worker.transport.Channel`: the lab's PowerShell in a thread of this process."""

    def __init__(self, machine: Host, clock: Clock | None = None) -> None:
        self.clock = clock or SystemClock()
        self._machine = machine
        self._stdin, self._stdout, self._said = _Pipe(), _Pipe(), ""

    def start(self, command: Sequence[str], deadline: float) -> None:
        self._stdin, self._stdout, self._said = _Pipe(), _Pipe(), ""
        threading.Thread(target=self._run, args=(self._stdin, self._stdout), daemon=True).start()

    def _run(self, stdin: _Pipe, stdout: _Pipe) -> None:
        self._machine.clock.hurry(1)
        try:
            Worker(self._machine, io.BufferedReader(stdin), io.BufferedWriter(stdout)).run()
        except Refusal as refusal:
            self._said = refusal.message
        finally:
            self._machine.clock.hurry(-1)
            stdout.end()

    def send(self, data: bytes, deadline: float, *, end: bool = False) -> None:
        if data:
            self._stdin.write(data)
        if end:
            self._stdin.end()

    def receive(self, deadline: float) -> bytes:
        try:
            block = self._stdout.blocks.get(timeout=max(0.01, deadline - self.clock.monotonic()))
        except queue.Empty:
            raise ReadTimeout("no data from PowerShell") from None
        if not block:
            self._stdout.end()
            raise ProcessExited("PowerShell exited") if self._said else DeliveryUnknown("PowerShell closed its output")
        return block

    def errors(self) -> str:
        return self._said

    def as_logged_in(self) -> AbstractContextManager[bool]:
        return nullcontext(True)

    def abandon(self) -> None:
        self.close()

    def close(self) -> None:
        self._stdin.end()


def connect(settings: ConnectionSettings, note: Callable[[str], None]) -> WorkerConnection:
    """See `remediation.connections.factory.ConnectionFactory`."""
    return WorkerConnection(settings.name, ThreadChannel(MACHINES[settings.name]), scripts=script, note=note)


@contextlib.contextmanager
def on(machine: Host, folder: Path, **variables: object) -> Iterator[Remediate]:
    """Give the program's command line, whose inventory has this machine alone."""
    name = machine.state.name
    MACHINES[name] = machine
    _registered(folder)
    host = {"ansible_connection": KIND, "ansible_shell_type": "powershell", "lab_scale": machine.clock.scale}
    try:
        yield program(folder, {name: host}, **variables)
    finally:
        del MACHINES[name]


def program(folder: Path, hosts: Mapping[str, Mapping[str, object]], **variables: object) -> Remediate:
    """Return the program's command line with an inventory of these hosts; it returns the exit code and the events."""
    rules = {"max_risk": "disruptive", "close_programs": True, "warn_seconds": 0, **variables}
    inventory = folder / "hosts.json"
    inventory.write_text(json.dumps({"all": {"hosts": hosts, "vars": rules}}), encoding="utf-8")

    def remediate(*words: str) -> tuple[int, Events]:
        out, err = io.StringIO(), io.StringIO()
        with _home(folder), contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                where = () if words[0] in {"resume", "undo"} else ("--inventory", str(inventory))
                main(["remediate", *words, *where, "--json"])
            except SystemExit as end:
                code = int(end.code or 0)
        assert "Traceback" not in err.getvalue(), err.getvalue()
        assert out.getvalue(), err.getvalue()
        text = out.getvalue()
        return code, json.loads(text) if text.startswith("[") else [json.loads(line) for line in text.splitlines()]

    return remediate


def _registered(folder: Path) -> None:
    """Register the connection as an installed distribution would."""
    if KIND in extension_names("remediation.connections"):
        return
    made = folder / "site" / f"{KIND}-1.dist-info"
    made.mkdir(parents=True, exist_ok=True)
    (made / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {KIND}\nVersion: 1\n", encoding="utf-8")
    (made / "entry_points.txt").write_text(f"[remediation.connections]\n{KIND} = {__name__}:connect\n", encoding="utf-8")
    sys.path.append(str(made.parent))
    extension_names.cache_clear()


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    kept = dict(os.environ)
    own = {"XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder), "REMEDIATION_LEASE_FOLDER": str(folder / "lease")}
    os.environ.update(own)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(kept)
