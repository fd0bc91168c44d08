"""The GPUs of one or many hosts as lines: memory, utilization, and the programs that use the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from remediation.model.facts import GpuUse, Runner
from remediation.model.translation import gettext, translated
from remediation.report.formatting import format_size, percent
from remediation.report.text import Line, columns

BAR = 12
MOST = 4
"""Programs named per host; the others are counted."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One sample of one host; ``error`` if it could not be read, ``silent`` if its Ollama does not answer.

    ``reached`` is False if there was no connection; ``rate`` is the tokens per second of the loaded model, if they were measured with this sample.
    """

    host: str
    time: float
    use: GpuUse | None = None
    runners: tuple[Runner, ...] = ()
    error: str = ""
    silent: str = ""
    rate: float | None = None
    reached: bool = True

    def to_json(self) -> dict[str, Any]:
        """Return the sample as JSON; sizes in bytes."""
        if self.use is None:
            return {"event": "sample", "time": self.time, "host": self.host, "error": self.error, "reached": self.reached}
        return {
            "event": "sample",
            "time": self.time,
            "host": self.host,
            "gpus": [
                {"index": gpu.index, "name": gpu.name, "total": gpu.total, "used": gpu.used, "free": gpu.free,
                 "utilization": gpu.utilization, "driver_version": gpu.driver_version, **({"problem": gpu.problem} if gpu.problem else {})}
                for gpu in self.use.gpus
            ],
            "processes": [
                {"pid": process.pid, "name": process.name, "vram": process.vram} for process in self.use.processes
            ],
            "models": [
                {"model": runner.model, "size": runner.size, "size_vram": runner.size_vram, "context_length": runner.context_length}
                for runner in self.runners
            ],
            **({"ollama": self.silent} if self.silent else {}),
            **({"tokens_per_second": self.rate} if self.rate is not None else {}),
        }  # fmt: skip


def sample_lines(sample: Sample) -> list[Line]:
    """Return the lines of one host."""
    if sample.use is None:
        return [Line(translated(sample.error), lead=f"{sample.host}  ", style="bad")]
    rows = [
        [
            sample.host if index == 0 else "",
            f"GPU {gpu.index}",
            gpu.name.removeprefix("NVIDIA ").removeprefix("GeForce "),
            _bar(gpu.used, gpu.total),
            gettext("{share} of {whole}", share=format_size(gpu.used), whole=format_size(gpu.total)),
            gettext("busy {share}", share=percent(gpu.utilization)),
        ]
        for index, gpu in enumerate(sample.use.gpus)
    ]
    lines = [Line(row, verbatim=True) for row in columns(rows or [[sample.host, gettext("no NVIDIA GPU")]])]
    lead = "  "
    words = (gettext("model"), gettext("held by"))
    labels = [f"{lead}{word:{max(map(len, words))}}  " for word in words]
    lines += [
        Line(f"GPU {gpu.index}: {translated(gpu.problem)}", lead=lead, style="warn") for gpu in sample.use.gpus if gpu.problem
    ]
    if sample.runners:
        text = " · ".join(
            gettext("{model} {share} on the GPU", model=runner.model, share=_share(runner)) for runner in sample.runners
        )
        lines.append(Line(text, lead=labels[0]))
        if sample.rate is not None:
            rate = gettext("{rate} tokens per second", rate=f"{sample.rate:.3g}")
            lines.append(Line(rate, lead=" " * len(labels[0])))
    elif sample.silent:
        lines.append(Line(translated(sample.silent), lead=labels[0], style="warn"))
    holders = sorted((item for item in sample.use.processes if item.vram), key=lambda item: item.vram or 0, reverse=True)
    if holders:
        text = " · ".join(f"{item.name} {format_size(item.vram)}" for item in holders[:MOST])
        more = f" · {gettext('and {count} more', count=len(holders) - MOST)}" if len(holders) > MOST else ""
        lines.append(Line(f"{text}{more}", lead=labels[1], style="dim"))
    if not sample.use.reliable:
        why = gettext("memory per program is unreliable: {reason}", reason=translated(sample.use.why_unreliable))
        lines.append(Line(why, lead=lead, style="warn"))
    return lines


def _share(runner: Runner) -> str:
    """Return how much of a model is on the GPU, in percent where the sizes would look equal."""
    on_gpu, whole = format_size(runner.size_vram), format_size(runner.size)
    if on_gpu != whole or runner.size_vram >= runner.size:
        return gettext("{share} of {whole}", share=on_gpu, whole=whole)
    return gettext("{share} of {whole}", share=percent(min(99, round(100 * runner.size_vram / runner.size))), whole=whole)


def _bar(used: int | None, total: int | None) -> str:
    filled = round(BAR * used / total) if total and used is not None else 0
    return f"▕{'█' * filled:{BAR}}▏"
