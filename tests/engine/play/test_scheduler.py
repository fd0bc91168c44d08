"""What driving the walks of many hosts costs: no more per host for a large fleet than for a small one."""

from __future__ import annotations

import sys
from typing import Any

from remediation.engine.play.control_flow import Walk
from remediation.engine.play.waves.scheduler import run_walks


def walk(walked: list[int], number: int) -> Walk:
    walked.append(number)
    yield from ()


def calls(hosts: int) -> int:
    """Return how many functions the driving thread enters for so many hosts."""
    walked: list[int] = []
    entered = 0

    def count(frame: object, event: str, argument: Any) -> None:
        nonlocal entered
        entered += event in {"call", "c_call"}

    walks = {str(number): walk(walked, number) for number in range(hosts)}
    sys.setprofile(count)
    try:
        run_walks(walks, 8)
    finally:
        sys.setprofile(None)
    assert sorted(walked) == list(range(hosts))
    return entered


def test_five_times_the_hosts_cost_six_times_at_most() -> None:
    assert calls(1500) <= 6 * calls(300)
