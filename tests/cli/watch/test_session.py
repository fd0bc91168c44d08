"""A watch that goes on while a fault comes back, and while another run works on its host. The clock of its rules is the test's."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from remediation.cli.context import open_session
from remediation.cli.options import WatchOptions
from remediation.cli.runner import RunOptions
from remediation.cli.watch.check import HostCheck, HostChecks, failed_check
from remediation.cli.watch.loop import Watch
from remediation.cli.watch.memory import WatchMemory
from remediation.cli.watch.rules import RepairRules
from remediation.engine.lease.lock import Claim, HostLock, leases_on
from remediation.model.errors import CallFailed
from remediation_lab import control

HOST, CAUSE = "laptop-07", "explicit_num_gpu"
COOL_DOWN = 600.0


class Rounds:
    """A watch of the lab's host, with the events of each round."""

    def __init__(self, watch: Watch, checks: HostChecks) -> None:
        self.watch, self.checks = watch, checks
        self.time = 1_800_000_000.0
        self.events: list[dict[str, Any]] = []

    def round(self) -> tuple[int, list[str]]:
        self.events.clear()
        code = self.watch.round(self.checks)
        return code, [event["event"] for event in self.events]


class FailedChecks(HostChecks):
    """Checks of hosts that answer and cannot be read."""

    def check(self, name: str) -> HostCheck:
        return failed_check(name, CallFailed(f"{name}: the Docker engine does not answer"))


@pytest.fixture
def rounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Rounds]:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    control.start(hosts=1)
    options = WatchOptions(inventory=("lab",))
    try:
        with open_session(options) as hosts:
            watch = Watch(hosts, RunOptions.of(options), RepairRules(cool_down=COOL_DOWN), WatchMemory(), lambda _: None)
            going = Rounds(watch, HostChecks(hosts))
            watch.report, watch.now = lambda event: going.events.append(dict(event)), lambda: going.time
            yield going
            hosts.looks.end()
    finally:
        control.stop()


def test_a_fault_that_comes_back_is_reported_during_the_cool_down_and_repaired_after_it(rounds: Rounds) -> None:
    control.fault(HOST, "num-gpu-1")
    assert rounds.round() == (0, ["repairing", "repaired"])
    first = rounds.events[1]["run"]
    rounds.time += 60
    assert rounds.round() == (0, [])
    control.fault(HOST, "num-gpu-1")
    assert rounds.round() == (2, ["flapping"])
    text = f"{HOST}: {CAUSE} came back 1 min 0 s after a repair (run {first}); not repaired again for 9 min 0 s (1/33 layers on the GPU"
    assert rounds.events[0]["text"].startswith(text)
    assert rounds.round() == (2, [])
    rounds.time += COOL_DOWN
    assert rounds.round() == (0, ["repairing", "repaired"])
    assert [(one.host, one.cause, one.repaired) for one in rounds.watch.memory.attempts] == [(HOST, CAUSE, True)] * 2
    assert rounds.round() == (0, [])


def test_a_host_that_cannot_be_read_is_not_well(rounds: Rounds) -> None:
    rounds.checks = FailedChecks(rounds.watch.hosts)
    assert rounds.round() == (2, ["unknown"])
    assert rounds.round() == (2, [])


def test_a_host_on_which_another_run_works_waits_for_it_without_a_cool_down(
    rounds: Rounds, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.engine.lease.lock.TTL", 3600.0)  # the host's clock is fast, and this machine may be slow
    control.fault(HOST, "num-gpu-1")
    with rounds.watch.hosts.open_for_reading(HOST, check=False) as access:
        other = HostLock(HOST, leases_on(access.connection), access.clock, Claim("7f3a", "ana@desk", "fix-offload"))
        other.take()
        assert rounds.round() == (2, ["repairing", "waiting"])
        assert rounds.events[1]["text"].startswith(f"{HOST}: {CAUSE}: ana@desk is working on this host: fix-offload (run 7f3a")
        assert rounds.round() == (2, [])
        assert rounds.watch.memory.attempts == []
        other.give_back()
    assert rounds.round() == (0, ["repaired"])
