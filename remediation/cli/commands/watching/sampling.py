"""Takes samples of many hosts at an interval. A host that is slow to answer does not delay the others."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, wait
from typing import TYPE_CHECKING

from remediation.engine.workers import AWAKE, Workers
from remediation.model.errors import HostError, RemediationError, Unreachable

if TYPE_CHECKING:
    from remediation.cli.context import Session
    from remediation.facets.access import HostAccess
    from remediation.report.gpus import Sample

MOST_AT_ONCE = 100
TOKENS_EVERY = 10.0
"""Seconds at least between two measurements of the token rate of a host: each takes the model's time."""
ANSWER_WITHIN = 20.0


def sample_rounds(
    hosts: Session, names: Sequence[str], every: float, until: float, rate: TokenRates | None = None
) -> Iterator[list[Sample]]:
    """Yield the samples that arrived in each interval, until the monotonic time `until`; each host has one sample at least.

    A host whose sample is under way is not asked again. The last round waits for hosts that have not answered yet.
    """
    with hosts.open_on_use() as access, Workers(min(MOST_AT_ONCE, len(names))) as workers:
        take = hosts.contain_errors(lambda name: with_rate(sample(name, access(name)), rate), failed_sample)
        flying: dict[str, Future[Sample]] = {}
        seen: set[str] = set()
        while True:
            begun = time.monotonic()
            flying.update({name: workers.submit(take, name) for name in names if name not in flying})
            last = begun + every >= until
            while (time.monotonic() < begun + every or last) and not _enough(flying, seen, all_of_them=not last):
                wait(
                    [each for each in flying.values() if not each.done()],
                    timeout=min(AWAKE, max(0.01, begun + every - time.monotonic())),
                )
            done = [name for name, each in flying.items() if each.done()]
            seen.update(done)
            yield [flying.pop(name).result() for name in done]
            if last:
                workers.abandon()
                return
            time.sleep(max(0.0, begun + every - time.monotonic()))


def _enough(flying: dict[str, Future[Sample]], seen: set[str], *, all_of_them: bool) -> bool:
    """Return whether all samples have arrived, or at least one of each host."""
    return all(each.done() or (not all_of_them and name in seen) for name, each in flying.items())


def sample(name: str, access: HostAccess) -> Sample:
    """Take one sample; readings that fail are reported in the sample, never raised."""
    from remediation.report.gpus import Sample

    now = time.time()
    try:
        reader = access.reader
        use = reader.gpu.use()
    except HostError as error:
        return Sample(name, now, error=error.message, reached=not isinstance(error, Unreachable))
    try:
        return Sample(name, now, use, tuple(reader.ollama.running()))
    except HostError as silent:  # a host without Ollama still has GPUs
        return Sample(name, now, use, silent=silent.message)


def failed_sample(name: str, error: RemediationError) -> Sample:
    """Return the sample of a host that could not be read."""
    from remediation.report.gpus import Sample

    return Sample(name, time.time(), error=error.message, reached=not isinstance(error, Unreachable))


class TokenRates:
    """Measures the token rate of each host's loaded model now and then, as ``diagnose --probe-seconds`` does."""

    def __init__(self, hosts: Session, every: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._hosts = hosts
        self._every = max(TOKENS_EVERY, every)
        self._clock = clock
        self._due: dict[str, float] = {}

    def __call__(self, name: str) -> float | None:
        """Return tokens per second; None if no measurement is due, or if it was not possible. Thread-safe for one call per host."""
        if self._clock() < self._due.get(name, 0.0):
            return None
        from remediation.cli.commands.probe_figures import probe_figures
        from remediation.diagnosis.collect import collect

        try:
            with self._hosts.open_for_reading(name, note=_quiet) as access:
                evidence = collect(access.reader)
            figures = probe_figures(name, self._hosts, evidence, None, ANSWER_WITHIN)
        except HostError:
            return None
        finally:
            self._due[name] = self._clock() + self._every
        total = figures["total_50_tokens_s"]
        return 50 / total if total else None


def _quiet(note: str) -> None:
    """Ignore a note: the connection of the samples has reported it."""


def with_rate(taken: Sample, rate: TokenRates | None) -> Sample:
    """Return a sample with the token rate of its loaded model, if it is to be measured and a model is loaded."""
    from dataclasses import replace

    return replace(taken, rate=rate(taken.host)) if rate is not None and taken.runners else taken
