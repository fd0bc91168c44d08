"""Parses nvidia-smi's query output by field. Its human-readable output is not stable and not used."""

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
"""The queried fields. ``memory.reserved`` and ``compute_cap`` need a driver of 2021 or later."""
FALLBACK = ("index", "uuid", "name", "driver_version", "memory.total", "memory.used", "memory.free", "utilization.gpu")
"""The fields every driver supports. One unknown field fails the whole query with exit code 2."""
UNKNOWN_FIELD = 2
AMOUNTS = ("memory.total", "memory.used", "memory.free")
_RESET = re.compile(r"\[? ?(?:gpu )?requires reset ?\]?", re.IGNORECASE)
_WORDS = 200
APPS = ("gpu_uuid", "pid", "used_gpu_memory", "process_name")
"""The name comes last, because it may contain commas."""

CODES: Mapping[int, str] = {
    4: "the login has no permission to query the driver",
    8: "the GPU's power cable is not connected",
    9: "the NVIDIA driver is not loaded",
    12: "the NVML library is missing",
    13: "the NVML library is too old for this nvidia-smi",
    14: "the GPU's infoROM is corrupt",
    15: "the GPU has fallen off the bus",
}
"""Exit codes of nvidia-smi (NVIDIA: nvidia-smi manual, "RETURN VALUE")."""


@dataclass(frozen=True, slots=True)
class App:
    """A process with GPU memory in nvidia-smi's list. ``memory`` is in bytes, None if the driver does not report it."""

    pid: int
    name: str
    memory: int | None


def query_call(fields: Sequence[str]) -> tuple[str, ...]:
    """Return the command that queries `fields` of every GPU."""
    return ("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader,nounits")


def query_apps() -> tuple[str, ...]:
    """Return the command that lists the processes with a CUDA context."""
    return ("nvidia-smi", f"--query-compute-apps={','.join(APPS)}", "--format=csv,noheader,nounits")


def gpus(text: str, fields: Sequence[str], host: str = "") -> tuple[Gpu, ...]:
    """Parse the output of `query_call`. Malformed rows are skipped. Raises `CallFailed` if no row can be parsed."""
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
        raise _unreadable(text, host, "it lists no card")
    return tuple(found)


def _unreadable(text: str, host: str, why: str) -> CallFailed:
    words = " ".join(text[:_WORDS].split())
    return CallFailed(
        f"cannot parse the output of nvidia-smi: {why}" + (f" ({words})" if words else ""),
        host=host,
        next_step="run nvidia-smi on the host and check its output",
        output=words,
    )


def apps(text: str) -> tuple[App, ...]:
    """Parse the output of `query_apps`."""
    found = []
    for line in text.splitlines():
        parts = [part.strip() for part in line.split(",", len(APPS) - 1)]
        if len(parts) == len(APPS) and is_whole(parts[1]):
            memory = number(parts[2])
            found.append(App(int(parts[1]), parts[3], None if memory is None else memory * MIB))
    return tuple(found)


def number(text: str) -> int | None:
    """Return a whole number, or None for ``[N/A]`` and similar texts. Unknown is never 0."""
    try:
        return int(float(text))
    except (ValueError, OverflowError):
        return None


def refusal(rc: int, output: str) -> str:
    """Return the reason for exit code `rc` of nvidia-smi."""
    meaning = CODES.get(rc)
    if meaning and output:
        return f"{meaning} (nvidia-smi exited with {rc}: {output})"
    return meaning or output or f"nvidia-smi exited with {rc}"


def _gpu(cells: Mapping[str, str], place: int) -> Gpu | None:
    total, used, free = (number(cells.get(name, "")) for name in ("memory.total", "memory.used", "memory.free"))
    index = number(cells.get("index", ""))
    if index is None and not cells.get("uuid", "").startswith("GPU-"):
        return None  # not the row of a card
    reserved = number(cells.get("memory.reserved", ""))
    return Gpu(
        index=place if index is None else index,
        uuid=cells.get("uuid", ""),
        name=cells.get("name", ""),
        driver_version=_cell_text(cells.get("driver_version", "")) or "",
        total=_bytes(total),
        used=_bytes(used),
        free=_bytes(free),
        reserved=_bytes(reserved),
        utilization=number(cells.get("utilization.gpu", "")),
        driver_model=_cell_text(cells.get("driver_model.current", "")),
        compute_capability=_cell_text(cells.get("compute_cap", "")),
        problem=_problem(cells),
    )


def _problem(cells: Mapping[str, str]) -> str:
    """Return why a card does not report its memory, and what to do. Returns "" if it does."""
    missing = [name for name in AMOUNTS if number(cells.get(name, "")) is None]
    marks = [cell for cell in cells.values() if cell.startswith("[")]
    values = ", ".join(dict.fromkeys([*(cells.get(name) or "nothing" for name in missing), *marks]))
    if any(map(_RESET.fullmatch, cells.values())):
        which = cells["uuid"] if number(cells["index"]) is None else cells["index"]
        return f"it needs a reset (nvidia-smi reports {values}): restart the machine, or run nvidia-smi --gpu-reset -i {which}"
    if not missing:
        return ""
    return f"the driver does not report {', '.join(missing)} (nvidia-smi reports {values}): restart the machine if it reported them before"


def _bytes(mib: int | None) -> int | None:
    return None if mib is None else mib * MIB


def _cell_text(text: str) -> str | None:
    """Return a cell's text, or None for texts in brackets such as ``[N/A]`` and ``[GPU requires reset]``."""
    return None if not text or text.startswith("[") or text.lower() in {"n/a", "not supported", "unknown error"} else text
