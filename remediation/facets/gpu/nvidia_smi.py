"""What nvidia-smi prints, read field by field (facts/windows 4.1); its texts for people are not stable and not read."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from remediation.model.errors import CallFailed
from remediation.model.facts import Gpu
from remediation.model.text.digits import is_whole

MIB = 1024**2
FIELDS = (
    "index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "memory.reserved", "utilization.gpu",
    "driver_model.current", "compute_cap",
)  # fmt: skip
"""What is asked for; ``memory.reserved`` and ``compute_cap`` need a driver of 2021 or later."""
FALLBACK = ("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "utilization.gpu")
"""What every driver knows: one unknown field fails the whole query with code 2."""
UNKNOWN_FIELD = 2
AMOUNTS = ("memory.total", "memory.used", "memory.free")
_RESET = re.compile(r"\[? ?(?:gpu )?requires reset ?\]?", re.IGNORECASE)
_WORDS = 200
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


def query_call(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the command that asks for `fields` of every GPU."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def query_apps() -> tuple[str, ...]:
    """Return the command that lists the processes with a CUDA context."""
    return ("nvidia-smi", f"--query-compute-apps={','.join(APPS)}", "--format=csv,noheader,nounits")


def gpus(text: str, fields: Sequence[str], host: str = "") -> tuple[Gpu, ...]:
    """Return the GPUs of an answer to `query`; rows of another shape are left out. Raises `CallFailed` where no row can be read."""
    found: list[Gpu] = []
    try:
        for row in csv.reader(io.StringIO(text), skipinitialspace=True):
            if len(row) == len(fields):
                gpu = _gpu(dict(zip(fields, (cell.strip() for cell in row), strict=True)), len(found))
                if gpu is not None:
                    found.append(gpu)
    except csv.Error as error:
        raise _unreadable(text, host, str(error)) from error
    if not found and text.strip():
        raise _unreadable(text, host, "it names no card")
    return tuple(found)


def _unreadable(text: str, host: str, why: str) -> CallFailed:
    words = " ".join(text[:_WORDS].split())
    return CallFailed(
        f"the answer of nvidia-smi cannot be read: {why}" + (f" ({words})" if words else ""),
        host=host,
        next_step="run nvidia-smi there and look at what it says",
        output=words,
    )


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


def _gpu(cells: Mapping[str, str], place: int) -> Gpu | None:
    total, used, free = (number(cells.get(name, "")) for name in ("memory.total", "memory.used", "memory.free"))
    index = number(cells.get("index", ""))
    if index is None and not cells.get("uuid", "").startswith("GPU-"):
        return None  # no card's row
    reserved = number(cells.get("memory.reserved", ""))
    return Gpu(
        index=place if index is None else index,
        uuid=cells.get("uuid", ""),
        name=cells.get("name", ""),
        driver_version=_known(cells.get("driver_version", "")) or "",
        total=_bytes(total),
        used=_bytes(used),
        free=_bytes(free),
        reserved=_bytes(reserved),
        utilization=number(cells.get("utilization.gpu", "")),
        driver_model=_known(cells.get("driver_model.current", "")),
        compute_capability=_known(cells.get("compute_cap", "")),
        problem=_problem(cells),
    )


def _problem(cells: Mapping[str, str]) -> str:
    """Return why a card does not tell its memory, and what to do; "" where it does."""
    untold = [name for name in AMOUNTS if number(cells.get(name, "")) is None]
    marks = [cell for cell in cells.values() if cell.startswith("[")]
    said = ", ".join(dict.fromkeys([*(cells.get(name) or "nothing" for name in untold), *marks]))
    if any(map(_RESET.fullmatch, cells.values())):
        which = cells["uuid"] if number(cells["index"]) is None else cells["index"]
        return f"it needs a reset (nvidia-smi says {said}): restart the machine, or run nvidia-smi --gpu-reset -i {which}"
    if not untold:
        return ""
    return f"the driver does not tell {', '.join(untold)} (nvidia-smi says {said}): restart the machine if it told them before"


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib * MIB


def _known(text: str) -> str | None:
    """Return a cell's text, None for ``[N/A]``, ``[GPU requires reset]`` and whatever else stands in brackets."""
    return None if not text or text.startswith("[") or text.lower() in {"n/a", "not supported", "unknown error"} else text
