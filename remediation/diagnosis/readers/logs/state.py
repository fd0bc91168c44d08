"""What has been read of a log so far: server processes, loads, requests, and which of them a line belongs to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace

from remediation.diagnosis.readers.logs.model import Device, Load, Request, ServerStart
from remediation.diagnosis.versions import Generation, Version
from remediation.model.finding import Quote

_MOST_LOADS = 400
_MOST_REQUESTS = 64


@dataclass(slots=True)
class State:
    """A log being read. A line opens a new load when its own stage has been passed by the current one.

    ``server`` counts the server processes seen so far; 0 means before any sign of a start.
    """

    server: int = 0
    loaded: int = 0
    starts: list[ServerStart] = field(default_factory=list)
    devices: list[Device] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    requests: list[Request] = field(default_factory=list)
    stages: set[str] = field(default_factory=set)
    models: dict[str, None] = field(default_factory=dict)
    blobs: dict[str, None] = field(default_factory=dict)
    free_seen: dict[str, list[int]] = field(default_factory=dict)
    time: str = ""

    def begin(self) -> None:
        """Note that another server process writes from here on: what the one before had loaded and found is gone."""
        self.server += 1
        self.devices = []
        self.blobs, self.free_seen = {}, {}
        self._close()

    def start(self, at: Quote, environment: Mapping[str, str]) -> None:
        """Note the settings that a server prints first of all."""
        self.begin()
        self.starts.append(ServerStart(at, environment, server=self.server))

    def listening(self, at: Quote, version: Version | None, address: str) -> None:
        """Note where the server listens, which it says once, and its version."""
        last = self.starts[-1] if self.starts else None
        if last is not None and last.server == self.server and not last.address:
            self.starts[-1] = replace(last, version=version, address=address)
            return
        self.begin()
        self.starts.append(ServerStart(at, {}, version, address, self.server))

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

    def finish(self, seconds: float | None, at: Quote | None = None) -> None:
        """Note that the runner answers: the current load is complete."""
        if self.loads and not self.loads[-1].finished:
            self.loads[-1].finished = True
            self.loads[-1].seconds = seconds
            self.loads[-1].started_at = at

    def fail(self, at: Quote | None = None) -> None:
        """Record that the load failed: later lines belong to another one."""
        if self.loads and not self.loads[-1].finished:
            self.loads[-1].failed_at = at
        self._close()

    def request(self, request: Request) -> None:
        """Note an answered request; the latest ones are kept."""
        self.requests.append(replace(request, server=self.server, load=self.loaded))
        if len(self.requests) > _MOST_REQUESTS:
            del self.requests[0]

    def _open(self, at: Quote) -> None:
        self._close()
        if len(self.loads) >= _MOST_LOADS:
            # a log of months: the first loads say what once was, the last ones what is
            del self.loads[_MOST_LOADS // 4]
        self.loaded += 1
        self.loads.append(Load(at=at, server=self.server, number=self.loaded, time=self.time))

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
