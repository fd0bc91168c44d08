"""One machine of the lab twice: under the lab's stand-in for PowerShell, and under a real one. What they answer is compared.

with Pair(tmp_path) as pair:
    pair.set("no-rights")
    assert pair.differences("session", {}) == []
"""

from __future__ import annotations

import copy
import dataclasses
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from remediation.connections.calls import Call, Probe, ProbeReply, Reply
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from remediation.facets.scripts import script
from remediation_lab.host.host import Host
from remediation_lab.host.windows import SHELL
from remediation_lab.owner.owner import ADDRESS, Owner
from remediation_lab.powershell import interpreter
from remediation_lab.powershell.start import HOST, WORLD
from remediation_lab.winrm.server import POWERSHELL
from remediation_lab.world.state import State
from tests.lab.conftest import made
from tests.powershell import shell

NAME = "laptop-07"
_TIMES = {
    "Now",
    "At",
    "elapsed",
    "first_byte",
    "last_byte",
    "CreationDate",
    "LastBootUpTime",
    "LastWriteTime",
    "Created",
    "Accessed",
    "Written",
}
"""Values that depend on how fast this computer is, or that are rounded to what a DateTime holds."""
_SECONDS = 30.0
_SCALE = 10.0
_PATIENCE = 5.0
_LOOK = 0.02


def plain(value: object) -> Any:
    """Return a reply as JSON values."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            "kind": type(value).__name__,
            **{each.name: plain(getattr(value, each.name)) for each in dataclasses.fields(value)},
        }
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    return [plain(each) for each in value] if isinstance(value, list | tuple) else value


def differences(one: object, other: object, at: str = "") -> Iterator[str]:
    """Yield where two JSON values differ in keys, types or values, as ``path: one | other``."""
    last = at.rpartition(".")[2]
    if isinstance(one, dict) and isinstance(other, dict):
        for key in sorted({*one, *other}):
            yield from differences(one.get(key, "(no key)"), other.get(key, "(no key)"), f"{at}.{key}" if at else key)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for number, pair in enumerate(zip(one, other, strict=True)):
            yield from differences(*pair, f"{at}[{number}]")
    elif isinstance(one, int | float) and isinstance(other, int | float) and last in _TIMES:
        if abs(one - other) > _SECONDS:
            yield f"{at}: {one} | {other}"
    elif type(one) is not type(other) or one != other:
        yield f"{at}: {str(one)[:200]!r} | {str(other)[:200]!r}"


class _Side:
    """One of the two: a machine behind its own socket, and a worker on it."""

    def __init__(self, folder: Path, start: Callable[[Sequence[str]], Sequence[str]], more: Mapping[str, str]) -> None:
        folder.mkdir()
        self._owner = Owner(folder, [NAME], scale=_SCALE)
        self._thread = threading.Thread(target=self._owner.service.serve, daemon=True)
        self._thread.start()
        self._owner.service.publish()
        words = {WORLD: str(folder / ADDRESS), HOST: NAME, "PYTHONPATH": ":".join(filter(None, sys.path)), **more}
        self.connection = WorkerConnection("here", _Started(start, words), scripts=script, opening=60.0, greeting=60.0)

    @property
    def machine(self) -> Host:
        return self._owner._machines[NAME]

    @machine.setter
    def machine(self, value: Host) -> None:
        self._owner._machines[NAME] = value

    def close(self) -> None:
        self.connection.close()
        self._owner.close()
        self._thread.join()


class _Started(ChildChannel):
    def __init__(self, start: Callable[[Sequence[str]], Sequence[str]], variables: Mapping[str, str]) -> None:
        super().__init__("here", before=("env", *(f"{name}={value}" for name, value in variables.items())))
        self._start = start

    def start(self, command: Sequence[str], deadline: float) -> None:
        super().start(("powershell.exe", *self._start(command[1:])), deadline)


class Pair:
    """Both sides. Starting the real one takes a second, so one pair serves all machines."""

    def __init__(self, folder: Path) -> None:
        program = shell.program()
        assert interpreter.prepare(program) == ""
        self.real = _Side(folder / "real", lambda words: interpreter.words(program, words), interpreter.environment(program))
        self.ours = _Side(folder / "ours", lambda words: [*POWERSHELL, *words], {})

    def close(self) -> None:
        self.real.close()
        self.ours.close()

    def set(self, fault: str, change: Callable[[State], None] = lambda _: None) -> None:
        """Make both machines new with a fault."""
        first = made(fault, scale=_SCALE)
        change(first.state)
        again = Host(State.from_json(copy.deepcopy(first.call("state"))), scale=_SCALE)
        again.clock.grain = first.clock.grain
        self.real.machine, self.ours.machine = first, again

    def both(self, call: Call) -> tuple[Reply, Reply]:
        """Return what the stand-in and the real PowerShell reply."""
        (ours,), (real,) = self.ours.connection.exchange([call]), self.real.connection.exchange([call])
        return ours, real

    def differences(self, call: Call) -> list[str]:
        """Return how the two replies differ, and what is different on the machines afterwards."""
        ours, real = (plain(each) for each in self.both(call))
        if isinstance(real.get("value"), dict) and "Processes" in real["value"]:  # the stand-in lists no process for its shell
            real["value"]["Processes"] = [each for each in real["value"]["Processes"] if each["Name"] != SHELL]
        name = call.name if isinstance(call, Probe) else type(call).__name__.lower()
        found = [f"{name} {each}" for each in differences(ours, real)]
        return [*found, *(f"{name} leaves {each}" for each in self._left(call))]

    def _left(self, call: Call) -> list[str]:
        """Return what is different on the machines once both have come to rest: a task goes on after its script's answer."""
        slow = bool(getattr(call, "writes", False) and self.ours.machine.state.tasks.seconds)
        until = time.monotonic() + _PATIENCE
        while True:
            if slow:
                for side in (self.ours, self.real):
                    side.machine.clock.sleep(_SECONDS)
            ours, real = left(self.ours.machine), left(self.real.machine)
            found = list(differences(ours, real))
            if (not found and (not slow or not ours["due"])) or time.monotonic() > until:
                return found
            time.sleep(_LOOK)

    def value(self, call: Probe) -> Any:
        """Return the value of a probe under the real PowerShell."""
        _, real = self.both(call)
        assert isinstance(real, ProbeReply), real
        return real.value


def left(machine: Host) -> dict[str, Any]:
    """Return what a call may have changed: programs, files, messages, the engine."""
    machine.call("clock")
    state = machine.state
    return {
        "programs": sorted(each.name for each in state.programs),
        "files": {path: each["content"] for path, each in sorted(state.files.items())},
        "messages": state.messages,
        "engine": state.engine.up,
        "due": sorted(each.what for each in state.due),
    }
