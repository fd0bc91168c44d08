"""What has been read of a log so far: the loads, and which of them a line belongs to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

from remediation.diagnosis.logs.model import Device, Load, ServerStart
from remediation.diagnosis.versions import Generation, Version
from remediation.model.finding import Quote

_MOST_LOADS = 400


@dataclass(slots=True)
class State:
    """A log being read. A line opens a new load when its own stage has been passed by the current one."""

    starts: list[ServerStart] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    stages: set[str] = field(default_factory=set)
    models: dict[str, None] = field(default_factory=dict)
    blobs: dict[str, None] = field(default_factory=dict)
    free_seen: dict[str, list[int]] = field(default_factory=dict)

    def start(self, at: Quote, environment: dict[str, str]) -> None:
        """Note a server start: what was loaded is gone."""
        self.starts.append(ServerStart(at, environment))
        self.devices = []
        self._close()

    def listening(self, at: Quote, version: Version | None) -> None:
        """Note the version that the server says."""
        if self.starts and self.starts[-1].version is None:
            self.starts[-1] = replace(self.starts[-1], version=version)
        else:
            self.starts.append(ServerStart(at, {}, version))

    def load(self, at: Quote) -> Load:
        """Return the load that a line belongs to; a line after the end of a load belongs to the next one."""
        if not self.loads or self.loads[-1].finished:
            self._open(at)
        return self.loads[-1]

    def stage(self, name: str, at: Quote) -> Load:
        """Return the load that reaches stage `name` with this line."""
        if name in self.stages:
            self._open(at)
        load = self.load(at)
        self.stages.add(name)
        return load

    def finish(self, seconds: float | None) -> None:
        """Note that the runner answers: the current load is complete."""
        if self.loads and not self.loads[-1].finished:
            self.loads[-1].finished = True
            self.loads[-1].seconds = seconds

    def fail(self) -> None:
        """Note that the load came to nothing: what is printed from now on belongs to another one."""
        self._close()

    def _open(self, at: Quote) -> None:
        self._close()
        if len(self.loads) >= _MOST_LOADS:
            # a log of months: the first loads say what once was, the last ones what is
            del self.loads[_MOST_LOADS // 4]
        self.loads.append(Load(at=at))

    def _close(self) -> None:
        self.stages = set()
        if self.loads:
            self.loads[-1].finished = True


def offloaded(load: Load, layers: int, of: int, at: Quote) -> None:
    """Note a result line; the last one of a load wins (facts/ollama 2.3)."""
    load.offloaded, load.offloaded_at = (layers, of), at


def mark(load: Load, generation: Generation) -> None:
    """Note the generation that a line's shape proves."""
    if load.generation is None:
        load.generation = generation


Handler = Callable[[State, str, Quote], None]
