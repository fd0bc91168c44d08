"""A host in memory that implements the facets honestly: what is written is what is read, and time passes by waiting.

Readers have no method that writes. Every write goes through `World.wrote`, which refuses while the world is frozen: so a
look or a plan that changed anything would be caught however it did it.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from remediation.facets.protocols import NO_CONTEXT, LookContext, Reader
from remediation.model.errors import WriteRefused
from remediation.model.facts import Found, Target
from tests.engine.fakes.compose import FakeCompose, WritableCompose
from tests.engine.fakes.daemon import FakeDaemon, WritableDaemon
from tests.engine.fakes.docker import FakeEngine, WritableEngine
from tests.engine.fakes.machine import (
    FakeDesktop,
    FakeFiles,
    FakeGpu,
    FakeProcesses,
    FakeServiceManager,
    FakeSystem,
    WritableDesktop,
    WritableFiles,
    WritableProcesses,
    WritableServiceManager,
    WritableSystem,
)
from tests.engine.fakes.ollama import LAYERS, WEIGHTS, FakeOllama, WritableOllama
from tests.engine.fakes.services import FakeServices, WritableServices
from tests.engine.fakes.world import BOOT, GIB, MIB, MODEL, OLLAMA, SERVICE, VOLUME, FakeClock, World, container, stamp

__all__ = [
    "BOOT", "GIB", "LAYERS", "MIB", "MODEL", "OLLAMA", "SERVICE", "VOLUME", "WEIGHTS", "FakeAccess", "FakeClock", "FakeReader",
    "FakeWriter", "World", "container", "stamp", "within",
]  # fmt: skip


class FakeReader:
    """A host, read only."""

    def __init__(self, world: World, context: LookContext = NO_CONTEXT) -> None:
        self.name = "laptop-07"
        self.context = context
        self.variables: Mapping[str, Any] = world.variables
        self.gpu = FakeGpu(world)
        self.processes = FakeProcesses(world)
        self.engine = FakeEngine(world)
        self.compose = FakeCompose(world)
        self.ollama = FakeOllama(world)
        self.desktop = FakeDesktop(world)
        self.system = FakeSystem(world)
        self.files = FakeFiles(world)
        self.services = FakeServices(world)
        self.service_manager = FakeServiceManager(world)
        self.daemon = FakeDaemon(world)
        self._world = world

    def target(self) -> Target:
        world = self._world
        model = world.variables.get("model") or next(iter(world.models), None)
        found = Target(
            model=Found(model, "given") if model else None,
            endpoint=Found("http://127.0.0.1:11434", "published by the container"),
        )
        if world.project is None:
            return found
        return replace(
            found,
            container=Found(OLLAMA, "runs an ollama image"),
            project=Found(world.project, "from the container's labels"),
            service=Found("ollama", "from the container's labels"),
        )


class FakeWriter(FakeReader):
    """A host with its writers."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.processes = WritableProcesses(world)
        self.engine = WritableEngine(world)
        self.compose = WritableCompose(world)
        self.ollama = WritableOllama(world)
        self.desktop = WritableDesktop(world)
        self.system = WritableSystem(world)
        self.files = WritableFiles(world)
        self.services = WritableServices(world)
        self.service_manager = WritableServiceManager(world)
        self.daemon = WritableDaemon(world)


def within(reader: Reader, context: LookContext) -> Reader:
    """Return the reader, or a copy that has another `context`."""
    if reader.context == context:
        return reader
    found = copy.copy(reader)
    found.context = context  # type: ignore[misc]  # the readers of these tests have it as an attribute
    return found


class FakeAccess:
    """An opened host; in check mode it has no writer."""

    def __init__(self, world: World, *, check: bool = False) -> None:
        self.world = world
        self.reader = FakeReader(world)
        self.clock = world.clock
        self.check = check

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None, context: LookContext = NO_CONTEXT) -> Reader:
        return within(self.reader if snapshot is None else snapshot, context)

    @property
    def round_trips(self) -> int:
        return self.world.looks + len(self.world.writes)

    def writer(self, on_progress: object = None) -> FakeWriter:
        if self.check:
            raise WriteRefused("a write in check mode")
        return FakeWriter(self.world)

    def close(self) -> None:
        """Nothing is open."""
