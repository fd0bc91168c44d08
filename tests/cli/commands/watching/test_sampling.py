"""Samples at an interval: a host that does not answer delays no other."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from remediation.cli.commands.watching.monitor import interval
from remediation.cli.commands.watching.sampling import TokenRates, sample_rounds, with_rate
from remediation.model.errors import RemediationError, Unreachable
from remediation.model.facts import GpuUse, Runner
from remediation.report.gpus import Sample


@dataclass
class FakeAccess:
    """A host whose GPUs are read by `use`."""

    use_gpus: Callable[[], GpuUse]

    @property
    def reader(self) -> FakeAccess:
        return self

    gpu = ollama = reader

    def use(self) -> GpuUse:
        return self.use_gpus()

    def running(self) -> list[Runner]:
        return []


@dataclass
class FakeSession:
    """The part of a session that sampling uses."""

    hosts: dict[str, FakeAccess] = field(default_factory=dict)

    @contextmanager
    def open_on_use(self) -> Iterator[Callable[[str], FakeAccess]]:
        yield self.hosts.__getitem__

    def contain_errors(
        self, work: Callable[[str], Sample], failed: Callable[[str, RemediationError], Sample]
    ) -> Callable[[str], Sample]:
        return work


def taken(session: FakeSession, until: float = 0.0, every: float = 0.01) -> Sequence[list[Sample]]:
    found: Any = sample_rounds(session, list(session.hosts), every, until)  # type: ignore[arg-type] - the part of a session that is used
    return list(found)


def test_each_host_has_a_sample_even_if_the_time_is_up() -> None:
    def lost() -> GpuUse:
        raise Unreachable("no route")

    (samples,) = taken(FakeSession({"a": FakeAccess(lambda: GpuUse(())), "b": FakeAccess(lost)}))
    assert [(sample.host, sample.error, sample.reached) for sample in samples] == [("a", "", True), ("b", "no route", False)]


def test_a_slow_host_delays_no_other_and_is_not_asked_twice() -> None:
    release = threading.Event()
    asked: list[str] = []

    def slow() -> GpuUse:
        asked.append("slow")
        release.wait(20)
        return GpuUse(())

    session = FakeSession({"fast": FakeAccess(lambda: GpuUse(())), "slow": FakeAccess(slow)})
    seen: list[str] = []
    for samples in sample_rounds(session, list(session.hosts), 0.01, float("inf")):  # type: ignore[arg-type] - the part of a session that is used
        seen += [sample.host for sample in samples]
        if seen.count("fast") == 3:
            assert "slow" not in seen
            assert asked == ["slow"]
            release.set()
        if "slow" in seen:
            break


def test_the_token_rate_is_measured_only_with_a_loaded_model_and_only_when_due() -> None:
    times = iter([0.0, 5.0])
    rates = TokenRates(None, 1.0, clock=lambda: next(times))  # type: ignore[arg-type] - this test connects to no host
    rates._due["a"] = 10.0
    loaded = Sample("a", 0.0, GpuUse(()), (Runner("m", 1, 1),))
    assert with_rate(loaded, rates).rate is None
    assert with_rate(Sample("a", 0.0, GpuUse(())), rates) == Sample("a", 0.0, GpuUse(()))
    assert next(times) == 5.0


def test_a_large_fleet_is_sampled_less_often() -> None:
    assert [interval(count) for count in (1, 10, 50, 300)] == [2.0, 2.0, 10.0, 60.0]
