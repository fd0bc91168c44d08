"""Samples as one page: a table of the hosts, and each host's memory, load and token rate over time."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timezone
from typing import Any

from remediation.model.translation import gettext, ngettext, translated
from remediation.report.formatting import duration, format_size, percent
from remediation.report.gpus import Sample
from remediation.report.page.charts import Series, lines
from remediation.report.page.memory import memory_picture
from remediation.report.page.render import render
from remediation.report.samples.history import busiest

POINTS = 240
"""Points of a line at most: each is the highest value of its interval."""
_TONES = ("model", "k1", "k2", "k3", "k4", "k5")
_LATEST = 253402214400.0
"""The last day of the year 9999: later times cannot be formatted."""

GOOD, PARTLY, NO_GPU, SILENT, LOST = "answers", "partly on the CPU", "no GPU", "no Ollama", "unreachable"


_WHOLE = 0.9
"""Share of a model from which it counts as on the GPU: some releases keep the embeddings in main memory."""


@dataclass(slots=True)
class _SampledHost:
    """The samples of one host, in the order of their times."""

    samples: list[Sample] = field(default_factory=list)

    @property
    def read(self) -> list[Sample]:
        return [sample for sample in self.samples if sample.use is not None]

    @property
    def word(self) -> str:
        last = self.samples[-1]
        if last.use is None and not last.reached:
            return LOST
        if last.use is None or not last.use.gpus:
            return NO_GPU
        if last.silent:
            return SILENT
        return PARTLY if any(model.size_vram < _WHOLE * model.size for model in last.runners) else GOOD


def samples_page(samples: Iterable[Sample]) -> str:
    """Return the page. Raises `ValueError` without a sample."""
    hosts: dict[str, _SampledHost] = {}
    for sample in samples:
        hosts.setdefault(sample.host, _SampledHost()).samples.append(sample)
    if not hosts:
        raise ValueError("no samples")
    for each in hosts.values():
        each.samples.sort(key=lambda sample: sample.time)
    start = min(each.samples[0].time for each in hosts.values())
    end = max(each.samples[-1].time for each in hosts.values())
    hosts = dict(sorted(hosts.items(), key=lambda host: _in_order(host[0])))
    parts = [_host(name, each, (start, end)) for name, each in hosts.items()]
    return render(
        "samples.html.j2",
        {
            "hosts": parts,
            "ids": {name: f"host-{number}" for number, name in enumerate(hosts, 1)},
            "words": [word for word in (GOOD, PARTLY, NO_GPU, SILENT, LOST) if any(part["word"] == word for part in parts)],
            "count": _count_text(sum(len(each.samples) for each in hosts.values())),
            "began": _clock(start),
            "took": duration(end - start),
            "ticks": [_clock(start + (end - start) * part, short=True) for part in (0, 0.5, 1)],
        },
    )


def _in_order(name: str) -> list[tuple[bool, int, str]]:
    """Return the key that sorts ``dev-9`` before ``dev-10``."""
    return [(part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d{1,9})", name)]


def _count_text(samples: int) -> str:
    return ngettext("{count} sample", "{count} samples", samples)


def _memory(used: Sequence[float]) -> str:
    if not used:
        return ""
    last, least, most = format_size(used[-1]), format_size(min(used)), format_size(max(used))
    if least == most:
        return last
    return gettext("{last} ({least} to {most})", last=last, least=least, most=most)


def _load(load: Sequence[float]) -> str:
    if not load:
        return ""
    last, mean = percent(load[-1]), percent(sum(load) / len(load))
    return last if last == mean else gettext("{last} (mean {mean})", last=last, mean=mean)


def _clock(seconds: float, *, short: bool = False) -> str:
    if not 0 <= seconds < _LATEST:
        return gettext("unknown time")
    when = datetime.fromtimestamp(seconds, tz=timezone.utc)
    return when.strftime("%H:%M:%S" if short else "%Y-%m-%d %H:%M:%S UTC")


def _host(name: str, host: _SampledHost, span: tuple[float, float]) -> dict[str, Any]:
    last = host.samples[-1]
    used = [value for sample in host.read if (value := _used(sample)) is not None]
    load = [value for sample in host.read if (value := busiest(sample)) is not None]
    rates = [sample.rate for sample in host.read if sample.rate is not None]
    latest = host.read[-1] if host.read else last
    return {
        "name": name,
        "word": host.word,
        "tone": {GOOD: "good", LOST: "bad"}.get(host.word, "warn"),
        "error": translated(last.error or last.silent),
        "gpus": ", ".join(gpu.name for gpu in latest.use.gpus) if latest.use else "",
        "memory": _memory(used),
        "memory_value": used[-1] if used else -1.0,
        "load": _load(load),
        "load_value": sum(load) / len(load) if load else -1.0,
        "models": ", ".join(
            gettext(
                "{model} {share} on the GPU", model=one.model, share=percent(100 * one.size_vram / one.size if one.size else None)
            )
            for one in latest.runners
        ),
        "rate": f"{rates[-1]:.3g}" if rates else "",
        "rate_value": rates[-1] if rates else -1.0,
        "charts": list(_charts(host, span)),
        "held": _memory_picture(latest),
        "states": _states(host),
    }


def _used(sample: Sample) -> float | None:
    known = [gpu.used for gpu in (sample.use.gpus if sample.use else ()) if gpu.used is not None]
    return float(sum(known)) if known else None


def _charts(host: _SampledHost, span: tuple[float, float]) -> Iterable[dict[str, Any]]:
    """Yield the charts of a host: memory and load of each GPU, and the token rate if it was measured."""
    cards = {gpu.index: gpu for sample in host.read for gpu in (sample.use.gpus if sample.use else ())}
    total = max((gpu.total or 0 for gpu in cards.values()), default=0)
    if total:
        series = [
            _series(host, gettext("GPU {index} memory", index=index), _of_card(index, "used"), span, number)
            for number, index in enumerate(cards)
        ]
        yield {
            "name": gettext("memory used"),
            "most": format_size(total),
            "single": False,
            "chart": lines(series, span, total, _description(gettext("memory used"), series, format_size)),
            "keys": _keys(series),
        }
        series = [
            _series(host, gettext("GPU {index} load", index=index), _of_card(index, "utilization"), span, number)
            for number, index in enumerate(cards)
        ]
        yield {
            "name": gettext("load"),
            "most": "100 %",
            "single": False,
            "chart": lines(series, span, 100.0, _description(gettext("load"), series, percent)),
            "keys": _keys(series),
        }
    rates = [sample.rate for sample in host.read if sample.rate is not None]
    if rates:
        series = [_series(host, gettext("tokens per second"), lambda sample: sample.rate, span, 3, bridge=True)]
        most = max(rates)
        yield {
            "name": gettext("tokens per second"),
            "most": f"{most:.3g}",
            "single": len(rates) == 1,
            "chart": lines(series, span, most, _description(gettext("tokens per second"), series, lambda value: f"{value:.3g}")),
            "keys": [],
        }


def _of_card(index: int, name: str) -> Callable[[Sample], float | None]:
    def read(sample: Sample) -> float | None:
        found = next((gpu for gpu in (sample.use.gpus if sample.use else ()) if gpu.index == index), None)
        return None if found is None else getattr(found, name)

    return read


def _series(
    host: _SampledHost,
    name: str,
    read: Callable[[Sample], float | None],
    span: tuple[float, float],
    number: int,
    *,
    bridge: bool = False,
) -> Series:
    """Return a line of at most `POINTS` points; ``bridge`` leaves samples without a value out instead of interrupting the line."""
    points = [(sample.time, read(sample)) for sample in host.samples]
    if bridge:
        points = [point for point in points if point[1] is not None]
    return Series(name, thin_out(points, span), _TONES[number % len(_TONES)])


def thin_out(points: Sequence[tuple[float, float | None]], span: tuple[float, float]) -> Sequence[tuple[float, float | None]]:
    """Return at most `POINTS` points: of each share of the time the highest, or None if no value is known there."""
    if len(points) <= POINTS:
        return points
    width = (span[1] - span[0]) / POINTS or 1.0
    highest: dict[int, tuple[float, float | None]] = {}
    for at, value in points:
        share = min(POINTS - 1, int((at - span[0]) / width))
        kept = highest.get(share)
        if kept is None or kept[1] is None or (value is not None and value > kept[1]):
            highest[share] = (at, value)
    return [highest[share] for share in sorted(highest)]


def _description(name: str, series: Sequence[Series], text: Callable[[float], str]) -> str:
    parts = []
    for each in series:
        known = [value for _, value in each.points if value is not None]
        if known:
            figures = {"least": text(min(known)), "most": text(max(known)), "last": text(known[-1])}
            parts.append(gettext("{series} from {least} to {most}, last {last}", series=each.name, **figures))
        else:
            parts.append(gettext("{series} unknown", series=each.name))
    return gettext("{quantity} over time: {series}", quantity=name, series="; ".join(parts))


def _keys(series: Sequence[Series]) -> list[dict[str, str]]:
    return [{"name": each.name, "tone": each.tone} for each in series] if len(series) > 1 else []


def _memory_picture(sample: Sample) -> dict[str, Any] | None:
    """Return the picture of who holds the memory in the last sample that was read."""
    if sample.use is None or not any(gpu.total and gpu.used is not None for gpu in sample.use.gpus):
        return None
    known = [gpu for gpu in sample.use.gpus if gpu.total and gpu.used is not None]
    memory = {
        "gpus": [gpu.name for gpu in known],
        "total": sum(gpu.total or 0 for gpu in known),
        "used": sum(gpu.used or 0 for gpu in known),
        "held": [{"name": one.name, "bytes": one.vram, "serves": one.is_runner or one.program.startswith(("vmmem", "ollama"))} for one in sample.use.processes if one.vram],
        "models": [{"model": one.model, "bytes": one.size_vram} for one in sample.runners],
    }  # fmt: skip
    return memory_picture({"after": {"memory": memory}})


def _states(host: _SampledHost) -> list[str]:
    """Return what went wrong in the samples, with how often, most frequent first."""
    counts = Counter(text for sample in host.samples if (text := sample.error or sample.silent))
    return [f"{_count_text(count)}: {translated(text)}" for text, count in counts.most_common(5)]
