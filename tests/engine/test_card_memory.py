"""Who holds the cards' memory, as a measurement reports it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pytest

from remediation.engine.card_memory import card_memory
from remediation.model.errors import CallFailed, HostError, Unreachable
from remediation.model.facts import Gpu, GpuUse, Process, Runner

MIB = 1024**2


@dataclass
class FakeReader:
    """The part of a host that is read: its GPUs and its loaded models."""

    answer: GpuUse | HostError
    models: list[Runner] | HostError = field(default_factory=list)

    @property
    def gpu(self) -> FakeReader:
        return self

    @property
    def ollama(self) -> FakeReader:
        return self

    def use(self) -> GpuUse:
        if isinstance(self.answer, HostError):
            raise self.answer
        return self.answer

    def running(self) -> list[Runner]:
        if isinstance(self.models, HostError):
            raise self.models
        return self.models


def gpu(index: int, total: int | None, used: int | None) -> Gpu:
    return Gpu(index, f"GPU-{index}", "RTX 3060", "551.86", total, used, None)


def memory(answer: GpuUse | HostError, models: list[Runner] | HostError | None = None) -> dict[str, Any] | None:
    return card_memory(FakeReader(answer, [] if models is None else models))  # type: ignore[arg-type] - the part of a host that is used


def test_programs_are_added_by_name_and_ollamas_own_are_marked() -> None:
    use = GpuUse(
        (gpu(0, 6144 * MIB, 3000 * MIB), gpu(1, None, None)),
        (
            Process(1, "chrome.exe", 1.0, vram=100 * MIB),
            Process(2, "chrome.exe", 1.0, vram=50 * MIB),
            Process(3, "vmmemWSL", 1.0, vram=2000 * MIB),
            Process(4, "idle.exe", 1.0),
        ),
    )
    found = memory(use, [Runner("m", 3000 * MIB, 1900 * MIB)])
    assert found == {
        "gpus": ["RTX 3060"], "total": 6144 * MIB, "used": 3000 * MIB, "reliable": True, "models": [{"model": "m", "bytes": 1900 * MIB}],
        "held": [{"name": "chrome.exe", "bytes": 150 * MIB, "serves": False}, {"name": "vmmemWSL", "bytes": 2000 * MIB, "serves": True}],
    }  # fmt: skip


def test_a_card_that_does_not_tell_has_no_memory() -> None:
    assert memory(GpuUse((gpu(0, None, None),))) is None
    assert memory(CallFailed("nvidia-smi is not installed")) is None


def test_a_silent_ollama_leaves_the_programs() -> None:
    found = memory(GpuUse((gpu(0, 100, 40),)), CallFailed("no answer"))
    assert found is not None
    assert (found["used"], found["models"]) == (40, [])


def test_a_lost_host_is_reported() -> None:
    with pytest.raises(Unreachable):
        memory(Unreachable("gone"))
