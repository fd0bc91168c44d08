"""Calls of sample steps, and a world to carry them out in."""

from __future__ import annotations

from remediation.model.change import StepCall
from tests.engine.fakes.host import World
from tests.engine.sample_steps import Bench

FILE = StepCall("sample.file", {"path": "a.txt", "text": "new"})

CLOSED = StepCall("sample.closed", {"names": ["chrome"]})


def with_file(text: str = "old") -> Bench:
    return Bench(World(texts={"a.txt": text.encode()}))
