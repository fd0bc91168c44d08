"""The interfaces that the lab's parts require of a simulated machine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol


class VideoMemory(Protocol):
    """The memory of one GPU, in bytes, shared by every program on the machine."""

    def total(self) -> int:
        """Return the size of the card's memory in bytes."""

    def free(self) -> int:
        """Return the bytes that no program holds now."""

    def hold(self, owner: str, size: int) -> None:
        """Let `owner` hold `size` bytes from now on, instead of what it held before; 0 releases."""


@dataclass(frozen=True, slots=True)
class Device:
    """One GPU as CUDA names it: `compute` is its capability (8.6), `cuda` the driver's CUDA version (12.5)."""

    name: str
    uuid: str
    compute: str
    cuda: str


class LabClock(Protocol):
    """The lab's time; it may pass faster than ours."""

    def now(self) -> float:
        """Return the lab's seconds since the epoch."""

    def sleep(self, seconds: float) -> None:
        """Let `seconds` of the lab's time pass."""
