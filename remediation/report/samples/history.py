"""The recent samples of each host, as sparklines for the live view of ``monitor``."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from remediation.model.translation import gettext, translated
from remediation.report.formatting import duration, format_size, percent
from remediation.report.gpus import Sample, sample_lines
from remediation.report.text import Line, columns

LEVELS = "▁▂▃▄▅▆▇█"
GAP = " "
LENGTH = 24
"""Samples in a sparkline."""
DETAILED = 6
"""Hosts up to which each has its detailed lines; more get one line each."""
NAMED = 2


def sparkline(values: Iterable[float | None], most: float) -> str:
    """Return the values as one character each, from 0 to `most`; a missing value is a gap."""
    scale = (len(LEVELS) - 1) / most if most > 0 else 0.0
    return "".join(GAP if value is None else LEVELS[round(scale * min(most, max(0.0, value)))] for value in values)


@dataclass(slots=True)
class HostHistory:
    """The latest sample of a host and the figures of those before it."""

    memory: deque[float | None] = field(default_factory=lambda: deque(maxlen=LENGTH))
    load: deque[float | None] = field(default_factory=lambda: deque(maxlen=LENGTH))
    rate: deque[float | None] = field(default_factory=lambda: deque(maxlen=LENGTH))
    last: Sample | None = None

    def add(self, sample: Sample) -> None:
        """Add a sample."""
        self.memory.append(memory_share(sample))
        self.load.append(busiest(sample))
        self.rate.append(sample.rate)
        self.last = sample

    @property
    def rates(self) -> str:
        """The token rates as a sparkline with the last one; empty if none was measured."""
        known = [value for value in self.rate if value is not None]
        return f"{sparkline(self.rate, max(known))} {known[-1]:.3g} tokens/s" if known else ""


def memory_share(sample: Sample) -> float | None:
    """Return the used share of the memory of all GPUs that report it; None if none does."""
    known = [gpu for gpu in sample.use.gpus if gpu.total and gpu.used is not None] if sample.use else []
    return sum(gpu.used or 0 for gpu in known) / sum(gpu.total or 0 for gpu in known) if known else None


def busiest(sample: Sample) -> float | None:
    """Return the load of the busiest GPU in percent; None if none reports it."""
    return max((gpu.utilization for gpu in (sample.use.gpus if sample.use else ()) if gpu.utilization is not None), default=None)


class SampleHistory:
    """The histories of all hosts, in the order of the inventory."""

    def __init__(self, hosts: Sequence[str], every: float) -> None:
        self._hosts: Mapping[str, HostHistory] = {host: HostHistory() for host in hosts}
        self._every = every

    def add(self, samples: Iterable[Sample]) -> None:
        """Add the samples of one round."""
        for sample in samples:
            self._hosts[sample.host].add(sample)

    def lines(self, now: float | None = None) -> list[Line]:
        """Return the lines of the live view."""
        now = time.time() if now is None else now
        if len(self._hosts) > DETAILED:
            rows = [_short(host, each, self._age_text(each, now)) for host, each in self._hosts.items()]
            return [
                Line(row, verbatim=True, style=style)
                for row, style in zip(columns(row for row, _ in rows), (s for _, s in rows), strict=True)
            ]
        return [line for host, each in self._hosts.items() for line in _long(host, each, self._age_text(each, now))]

    def _age_text(self, history: HostHistory, now: float) -> str:
        """Return the age of a sample that is older than two rounds."""
        age = now - history.last.time if history.last else 0.0
        return gettext("no answer for {time}", time=duration(age)) if age > max(2.5 * self._every, self._every + 2) else ""


def _long(host: str, history: HostHistory, late: str) -> list[Line]:
    if history.last is None:
        return [Line(gettext("connecting"), lead=f"{host}  ", style="dim")]
    lines = sample_lines(history.last)
    if history.last.use is not None:
        parts = [
            f"{gettext('memory')} {sparkline(history.memory, 1.0)}", f"{gettext('load')} {sparkline(history.load, 100.0)}", history.rates,
        ]  # fmt: skip
        lines.insert(1, Line("   ".join(part for part in parts if part.strip()), lead="  ", verbatim=True))
    return [*lines, *([Line(late, lead="  ", style="warn")] if late else [])]


def _short(host: str, history: HostHistory, late: str) -> tuple[list[str], str]:
    sample = history.last
    if sample is None:
        return [host, "", gettext("connecting")], "dim"
    if sample.use is None:
        return [host, sparkline(history.memory, 1.0), late or translated(sample.error)], "bad"
    if not sample.use.gpus:
        return [host, "", late or gettext("no NVIDIA GPU")], "warn"
    used = sum(gpu.used or 0 for gpu in sample.use.gpus)
    total = sum(gpu.total or 0 for gpu in sample.use.gpus)
    models = " ".join(
        f"{runner.model} {percent(100 * runner.size_vram / runner.size if runner.size else None)}" for runner in sample.runners
    )
    holders = sorted((one for one in sample.use.processes if one.vram), key=lambda one: -(one.vram or 0))[:NAMED]
    held = ", ".join(f"{one.name} {format_size(one.vram)}" for one in holders)
    model = models or (gettext("Ollama does not answer") if sample.silent else gettext("no model loaded"))
    cells = [
        host, f"{sparkline(history.memory, 1.0)} {used / 1024**3:.1f}/{total / 1024**3:.1f} GiB",
        f"{sparkline(history.load, 100.0)} {percent(busiest(sample))}", " · ".join(part for part in (late, model, history.rates, held) if part),
    ]  # fmt: skip
    return cells, "warn" if late or sample.silent else ""
