"""What nvidia-smi prints, read field by field (facts/windows 4.1); its texts for people are not stable and not read."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediation.model.digits import is_whole
from remediation.model.facts import Gpu

MIB = 1024**2
FIELDS = (
    "index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "memory.reserved", "utilization.gpu",
    "driver_model.current", "compute_cap",
)  # fmt: skip
"""What is asked for; ``memory.reserved`` and ``compute_cap`` need a driver of 2021 or later."""
FALLBACK = ("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "utilization.gpu")
"""What every driver knows: one unknown field fails the whole query with code 2."""
UNKNOWN_FIELD = 2
APPS = ("gpu_uuid", "pid", "used_gpu_memory", "process_name")
"""The name last: it may contain commas."""

CODES: Mapping[int, str] = {
    4: "the login has no permission to ask the driver",
    8: "the GPU's power cable is not connected",
    9: "the NVIDIA driver is not loaded",
    12: "the NVML library is missing",
    13: "the NVML library is too old for this nvidia-smi",
    14: "the GPU's infoROM is corrupt",
    15: "the GPU has fallen off the bus",
}
"""Exit codes of nvidia-smi and what they mean."""


@dataclass(frozen=True, slots=True)
class App:
    """A process that holds GPU memory as nvidia-smi lists it; ``memory`` in bytes, None where the driver does not say."""

    pid: int
    name: str
    memory: int | None


def query(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the command that asks for `fields` of every GPU."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def query_apps() -> tuple[str, ...]:
    """Return the command that lists the processes with a CUDA context."""
    return ("nvidia-smi", f"--query-compute-apps={','.join(APPS)}", "--format=csv,noheader,nounits")


def gpus(text: str, fields: Sequence[str]) -> tuple[Gpu, ...]:
    """Return the GPUs of an answer to `query`; rows of another shape are left out."""
    found = []
    for row in csv.reader(io.StringIO(text), skipinitialspace=True):
        if len(row) == len(fields):
            gpu = _gpu(dict(zip(fields, (cell.strip() for cell in row), strict=True)))
            if gpu is not None:
                found.append(gpu)
    return tuple(found)


def apps(text: str) -> tuple[App, ...]:
    """Return the processes of an answer to `query_apps`."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",", len(APPS) - 1)]
        if len(parts) == len(APPS) and is_whole(parts[1]):
            memory = number(parts[2])
            found.append(App(int(parts[1]), parts[3], None if memory is None else memory * MIB))
    return tuple(found)


def number(text: str) -> int | None:
    """Return a whole number, None for ``[N/A]`` and its likes: unknown is never 0."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def refusal(rc: int, said: str) -> str:
    """Return in words why nvidia-smi ended with `rc`."""
    meaning = CODES.get(rc)
    if meaning and said:
        return f"{meaning} (nvidia-smi ended with {rc}: {said})"
    return meaning or said or f"nvidia-smi ended with {rc}"


def _gpu(cells: Mapping[str, str]) -> Gpu | None:
    total, used, free = (number(cells.get(name, "")) for name in ("memory.total", "memory.used", "memory.free"))
    index = number(cells.get("index", ""))
    if index is None or total is None or used is None or free is None:
        return None
    reserved = number(cells.get("memory.reserved", ""))
    return Gpu(
        index=index,
        uuid=cells.get("uuid", ""),
        name=cells.get("name", ""),
        driver_version=cells.get("driver_version", ""),
        total=total * MIB,
        used=used * MIB,
        free=free * MIB,
        reserved=None if reserved is None else reserved * MIB,
        utilization=number(cells.get("utilization.gpu", "")),
        driver_model=_known(cells.get("driver_model.current", "")),
        compute_capability=_known(cells.get("compute_cap", "")),
    )


def _known(text: str) -> str | None:
    return None if not text or text.strip("[]").lower() in {"n/a", "not supported", "unknown error"} else text
