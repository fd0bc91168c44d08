"""Hosts in memory of which each look is another, so that it shows which looks were shared."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.facets.protocols import NO_CONTEXT, LookContext, Reader
from remediation.model.errors import CallFailed
from remediation.model.facts import Runner
from tests.engine.fakes.host import FakeAccess, FakeReader, World, within
from tests.engine.fakes.ollama import FakeOllama
from tests.engine.step_runs import FlowAccess


class Looked(FakeAccess):
    """A host that keeps for what it was looked at, and through which look."""

    looks: list[tuple[str, Reader]]

    @property
    def reader(self) -> FakeReader:
        return FakeReader(self.world)

    @reader.setter
    def reader(self, first: FakeReader) -> None:
        self.looks = []

    def reader_for(self, purpose: str, *, snapshot: Reader | None = None, context: LookContext = NO_CONTEXT) -> Reader:
        found = self.reader if snapshot is None else snapshot
        self.looks.append((purpose, found))
        return within(found, context)

    def numbered(self) -> list[str]:
        """Return what was looked for, each with the number of the look."""
        numbers = {id(reader): number for number, reader in enumerate(dict.fromkeys(reader for _, reader in self.looks))}
        return [f"{purpose} {numbers[id(reader)]}" for purpose, reader in self.looks]


class LookedFlow(Looked, FlowAccess):
    """The same with a connection."""


class Deaf(FakeOllama):
    """An Ollama that does not answer."""

    def running(self) -> Sequence[Runner]:
        raise CallFailed("no answer")


class Silent(FakeReader):
    """A look in which Ollama did not answer."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.ollama = Deaf(world)
