"""The GPUs of one or many hosts as lines: memory, utilization, and the programs that use the memory."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from remediation.model.facts import GpuUse, Runner
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
        return [Line(sample.error, lead=f"{sample.host}  ", style="bad")]
    rows = [
        [
            sample.host if index == 0 else "",
            f"GPU {gpu.index}",
            gpu.name.removeprefix("NVIDIA ").removeprefix("GeForce "),
            _bar(gpu.used, gpu.total),
            f"{format_size(gpu.used)} of {format_size(gpu.total)}",
            f"busy {percent(gpu.utilization)}",
        ]
        for index, gpu in enumerate(sample.use.gpus)
    ]
    lines = [Line(row, verbatim=True) for row in columns(rows or [[sample.host, "no NVIDIA GPU"]])]
    lead = "  "
    lines += [Line(f"GPU {gpu.index}: {gpu.problem}", lead=lead, style="warn") for gpu in sample.use.gpus if gpu.problem]
    if sample.runners:
        text = " · ".join(f"{runner.model} {_share(runner)} on the GPU" for runner in sample.runners)
        lines.append(Line(text, lead=f"{lead}model    "))
        if sample.rate is not None:
            lines.append(Line(f"{sample.rate:.3g} tokens per second", lead=f"{lead}         "))
    elif sample.silent:
        lines.append(Line(sample.silent, lead=f"{lead}model    ", style="warn"))
    holders = sorted((item for item in sample.use.processes if item.vram), key=lambda item: item.vram or 0, reverse=True)
    if holders:
        text = " · ".join(f"{item.name} {format_size(item.vram)}" for item in holders[:MOST])
        more = f" · and {len(holders) - MOST} more" if len(holders) > MOST else ""
        lines.append(Line(f"{text}{more}", lead=f"{lead}held by  ", style="dim"))
    if not sample.use.reliable:
        lines.append(Line(f"memory per program is unreliable: {sample.use.why_unreliable}", lead=lead, style="warn"))
    return lines


def _share(runner: Runner) -> str:
    """Return how much of a model is on the GPU, in percent where the sizes would look equal."""
    on_gpu, whole = format_size(runner.size_vram), format_size(runner.size)
    if on_gpu != whole or runner.size_vram >= runner.size:
        return f"{on_gpu} of {whole}"
    return f"{min(99, round(100 * runner.size_vram / runner.size))} % of {whole}"


def _bar(used: int | None, total: int | None) -> str:
    filled = round(BAR * used / total) if total and used is not None else 0
    return f"▕{'█' * filled:{BAR}}▏"
