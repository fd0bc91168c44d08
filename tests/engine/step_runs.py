"""Playbooks of sample steps run on hosts in memory: the whole flow, with nothing on a wire."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from remediation.connections.calls import Call, Completed, Failed, FileContent, ReadFile, Reply, Run, WriteFile
from remediation.engine.context import Policy, Ports
from remediation.engine.play.context.run_request import RunRequest, RunSummary
from remediation.engine.play.runner import run_playbook
from remediation.inventory.load import load_inventory
from remediation.model.change import Risk
from remediation.model.errors import WriteRefused
from remediation.model.event import Event
from remediation.model.finding import Diagnosis
from remediation.playbook.load import load_playbook
from tests.engine.fakes.host import FakeAccess, World
from tests.engine.sample_steps import TOYS, Scripted


class Machine:
    """A connection to a host in memory: folders for leases, files, and programs, which the world records."""

    platform = "posix"

    def __init__(self, world: World, name: str, *, check: bool) -> None:
        self.world, self.host, self.check = world, name, check
        self.round_trips = 0

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.round_trips += 1
        if self.check and any(call.writes for call in calls):
            raise WriteRefused("a write in check mode")
        return [self._one(call) for call in calls]

    def close(self) -> None:
        pass

    def _one(self, call: Call) -> Reply:
        files = self.world.variables.setdefault("disk", {})
        if isinstance(call, ReadFile):
            return FileContent(files[call.path]) if call.path in files else FileContent(missing=True)
        if isinstance(call, WriteFile):
            files[call.path] = call.content
            return Completed(0, b"", b"")
        if not isinstance(call, Run):
            return Failed("error", "no such call here")
        return self._run(call)

    def _run(self, call: Run) -> Reply:
        name, *words = call.argv
        if words[2:3] == ["lease"]:
            return Completed(0, self._leased(words[3], words[6:], call.stdin).encode(), b"")
        if name == "false":
            return Completed(1, b"", b"")
        self.world.wrote(f"ran {name} {' '.join(words)}")
        return Completed(0, " ".join(words).encode(), b"")

    def _leased(self, verb: str, words: list[str], stdin: bytes) -> str:
        """Answer as ``lease.sh``."""
        leases: dict[int, bytes | None] = self.world.variables.setdefault("leases", {})
        if verb == "make":
            word = "there" if int(words[0]) in leases else "made"
            leases.setdefault(int(words[0]), None)
            return f"{word}\t/leases\t\n"
        numbers = [int(word) for word in words]
        if verb == "write":
            leases[numbers[0]] = stdin
        shown = {number: leases[number] for number in (*numbers[1:2], max(leases, default=0)) if number in leases}
        for number in numbers[2:] if verb == "write" else numbers:
            leases.pop(number, None)
        lines = [f"now\t{self.world.clock.now():.0f}", "own\t/leases", *(f"entry\t{number}" for number in leases)]
        for number, content in shown.items():
            lines.append(f"lease\t/leases\t{number}\t-\t{'' if content else 'missing'}\t{(content or b'').decode()}")
        return "".join(f"{line}\t\n" for line in lines)


class FlowAccess(FakeAccess):
    """A host in memory with a connection."""

    notes: Sequence[str] = ()

    def __init__(self, world: World, name: str, *, check: bool) -> None:
        super().__init__(world, check=check)
        self.connection = Machine(world, name, check=check)


@dataclasses.dataclass
class Flow:
    """A playbook and its hosts."""

    playbook: Path
    worlds: Mapping[str, World]
    diagnosis: Diagnosis = dataclasses.field(default_factory=Diagnosis)
    prompt: Scripted = dataclasses.field(default_factory=Scripted)
    cancelled: Callable[[], bool] = lambda: False

    @classmethod
    def of(cls, folder: Path, text: str, *names: str, **worlds: World) -> Flow:
        folder.mkdir(exist_ok=True)
        path = folder / "play.yml"
        path.write_text(text, encoding="utf-8")
        return cls(path, {**{name: World() for name in names}, **worlds})

    def request(self, **more: Any) -> RunRequest:
        clock = next(iter(self.worlds.values())).clock
        policy = {"run_started": clock.start, "max_risk": Risk.DISRUPTIVE, "warn_seconds": 0.0, **more.pop("policy", {})}
        values = {
            "command": "play",
            "playbook": load_playbook(self.playbook, steps=lambda: TOYS),
            "inventory": load_inventory(["".join(f"{name}," for name in self.worlds)], playbook_dir=self.playbook.parent),
            "run": "7f3a",
            "policy": Policy(**policy),
            **more,
        }
        return RunRequest(**values)

    def ports(self, emit: Callable[[Event], None]) -> Ports:
        clock = next(iter(self.worlds.values())).clock
        return Ports(
            emit=emit,
            clock=clock,
            prompt=self.prompt,
            diagnose=lambda _host: self.diagnosis,
            steps=lambda: TOYS,
            cancelled=self.cancelled,
        )

    def open(self, host: str, variables: Mapping[str, Any], *, check: bool) -> FlowAccess:
        return FlowAccess(self.worlds[host], host, check=check)

    def run(self, emit: Callable[[Event], None], **more: Any) -> RunSummary:
        return run_playbook(self.request(**more), self.ports(emit), self.open)
