"""A run whose controller kills itself at one event: ``python -m tests.engine.killed_controller FOLDER RUNS EVENT before|after``.

The host is a folder on disk, so it outlives the controller as a real host does.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator, MutableMapping
from dataclasses import dataclass, replace
from pathlib import Path

from remediation.engine.context import HostMemory
from remediation.engine.journal.journal import Journal, read_events
from remediation.engine.journal.progress import progress_of
from remediation.engine.step.executor import execute_step
from remediation.model.change import StepCall
from remediation.model.event import Event
from tests.engine.fakes.host import World
from tests.engine.sample_steps import Bench

NAMES = ("a", "b", "c")


class Folder(MutableMapping[str, bytes]):
    """Files of a host as a mapping."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def __getitem__(self, name: str) -> bytes:
        path = self._folder / name
        if not path.exists():
            raise KeyError(name)
        return path.read_bytes()

    def __setitem__(self, name: str, content: bytes) -> None:
        (self._folder / name).write_bytes(content)

    def __delitem__(self, name: str) -> None:
        (self._folder / name).unlink()

    def __iter__(self) -> Iterator[str]:
        return (path.name for path in self._folder.iterdir())

    def __len__(self) -> int:
        return sum(1 for _ in self)


@dataclass
class DiskWorld(World):
    """A world whose files and list of writes lie on disk."""

    def wrote(self, what: str) -> None:
        with (Path(self.variables["log"])).open("a", encoding="utf-8") as log:
            log.write(f"{what}\n")


def world(folder: Path) -> DiskWorld:
    files = folder / "files"
    files.mkdir(exist_ok=True)
    made = DiskWorld(variables={"log": str(folder / "writes")})
    made.texts = Folder(files)  # type: ignore[assignment] - the tests only use it as a mapping
    return made


def run(folder: Path, journal: Journal, *, dies_at: int = 0, written: bool = False) -> None:
    """Write every file once, going on where the journal ends."""
    known = progress_of(read_events(journal.folder)).get("laptop-07")
    bench = Bench(world(folder), memory=known.memory if known else HostMemory())
    count = 0

    def emit(event: Event) -> None:
        nonlocal count
        count += 1
        if count == dies_at and not written:
            os.kill(os.getpid(), signal.SIGKILL)
        journal.write(event)
        if count == dies_at:
            os.kill(os.getpid(), signal.SIGKILL)

    for name in NAMES:
        if known and name in known.finished:
            continue
        context = bench.context(path=name)
        context = replace(context, ports=replace(context.ports, emit=emit))
        context.emit("task_start", path=name)
        result = execute_step(StepCall("sample.file", {"path": name, "text": "new"}), context)
        context.emit("task_result", path=name, outcome=str(result.outcome))


if __name__ == "__main__":
    where, runs, event, when = sys.argv[1:]
    run(Path(where), Journal.create({}, {}, root=Path(runs)), dies_at=int(event), written=when == "after")
