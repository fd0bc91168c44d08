"""The faults that are planned, the calls that meet them, and clocks that do not wait."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from remediation.connections.calls import Call, Reply, Run
from remediation.connections.guard import Guard
from remediation.model.clock import SystemClock
from remediation.model.errors import HostError
from tests.connections.peer.winrm_server import OPERATION_QUOTA, SHELL_NOT_FOUND

ADD = "import sys; f = open(sys.argv[1], 'a'); f.write('x'); f.close(); print('added')"

FAULTS = [
    "drop-before", "drop-after", "400", "401", "500", "garbage", "truncated", str(SHELL_NOT_FOUND), str(OPERATION_QUOTA), "170", "2147943418",
    "995",
]  # fmt: skip

# Create, Command and two Sends and Receives: the opening one, and that of the call
MESSAGES = [("Create", 1), ("Command", 1), ("Send", 1), ("Receive", 1), ("Send", 2), ("Receive", 2), ("Delete", 1)]


def pairs(faults: Sequence[str], actions: Sequence[str]) -> Iterator[object]:
    """Yield each fault with each action; the normal tests have half of the pairs, with each fault and each action in some."""
    for number, fault in enumerate(faults):
        for place, action in enumerate(actions):
            marks = [] if (number + place) % 2 == 0 else [pytest.mark.every]
            yield pytest.param(fault, action, id=f"{action}-{fault}", marks=marks)


class Impatient(SystemClock):
    """Pauses between tries take no time here, they are counted; time passes when the test says so."""

    def __init__(self) -> None:
        super().__init__()
        self.slept: list[float] = []
        self.ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead

    def sleep(self, seconds: float) -> None:
        self.slept.append(seconds)


class Hurried(SystemClock):
    """Time flies from `hurry` on."""

    begun: float | None = None

    def hurry(self) -> None:
        self.begun = super().monotonic()

    def monotonic(self) -> float:
        now = super().monotonic()
        return now if self.begun is None else now + 20 * (now - self.begun)


def add(path: Path, *, writes: bool) -> Run:
    return Run((sys.executable, "-I", "-c", ADD, str(path)), writes=writes, timeout=5)


def ended(guard: Guard, call: Call) -> Reply | HostError:
    try:
        (reply,) = guard.exchange([call])
    except HostError as error:
        return error
    return reply
