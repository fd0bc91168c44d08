"""Video memory per process on Windows, from the GPU performance counter classes, the only source under WDDM.

``LocalUsage`` is the resident size. ``DedicatedUsage`` per process is a committed size that also leaks after sleep, so it is
not used. The sum of the resident sizes must not exceed what the card reports as used. If it does, no amount is trusted.
Unknown amounts are None, never 0.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from remediation.facets.machine.rights import is_refusal
from remediation.model.facts import Gpu

_PROCESS = re.compile(r"^pid_(\d+)_luid_(0x[0-9A-Fa-f]+_0x[0-9A-Fa-f]+)_phys_(\d+)")
_ADAPTER = re.compile(r"^luid_(0x[0-9A-Fa-f]+_0x[0-9A-Fa-f]+)_phys_(\d+)")
SLACK = 128 * 1024**2
"""The counters and the card are not read at the same time."""


@dataclass(frozen=True, slots=True)
class Residents:
    """Resident bytes on the NVIDIA cards by PID, and the part of them in shared system memory. None where Windows has no value.

    Both are empty, and ``reliable`` is False, if they cannot be trusted.
    """

    by_pid: Mapping[int, int | None] = field(default_factory=dict)
    spilled: Mapping[int, int | None] = field(default_factory=dict)
    reliable: bool = True
    why: str = ""


def residents(
    process_rows: Sequence[Mapping[str, Any]], adapter_rows: Sequence[Mapping[str, Any]], gpus: Sequence[Gpu], error: str | None
) -> Residents:
    """Return the processes' memory on the NVIDIA cards."""
    if error and is_refusal(error):
        return Residents(reliable=False, why=f"Windows denies this login access to its GPU counters ({error.strip()})")
    if error:
        return Residents(
            reliable=False, why=f"Windows has no GPU counters here ({error.strip()}); winmgmt /resyncperf may restore them"
        )
    silent = next((gpu for gpu in gpus if gpu.used is None), None)
    if silent is not None:
        return Residents(reliable=False, why=f"{silent.name} does not report its memory: {silent.problem}")
    luids = _nvidia(adapter_rows, gpus)
    if not luids:
        return Residents(reliable=False, why="no adapter in the Windows counters matches the NVIDIA card's memory use")
    held: dict[int, int | None] = {}
    spilled: dict[int, int | None] = {}
    for row in process_rows:
        match = _PROCESS.match(str(row.get("Name", "")))
        if match and match[2].lower() in luids:
            pid = int(match[1])
            held[pid] = _sum(held.get(pid, 0), row.get("LocalUsage"))
            spilled[pid] = _sum(spilled.get(pid, 0), row.get("NonLocalUsage"))
    total, used = sum(each or 0 for each in held.values()), sum(gpu.used or 0 for gpu in gpus)
    if total > used + SLACK * len(gpus):
        return Residents(reliable=False, why=contradiction(total, used))
    return Residents(held, spilled)


def _sum(before: int | None, more: object) -> int | None:
    """Return the sum, or None if a part is unknown."""
    return None if before is None or more is None else before + int(str(more))


def contradiction(total: int, used: int) -> str:
    """Return why the amounts per process are not trusted."""
    return f"the processes' memory adds up to {_mib(total)}, but the card reports {_mib(used)} in use"


def _nvidia(rows: Sequence[Mapping[str, Any]], gpus: Sequence[Gpu]) -> frozenset[str]:
    """Return the LUIDs of the NVIDIA adapters: for each card, the adapter with the closest memory use."""
    adapters: dict[str, int] = {}
    for row in rows:
        match = _ADAPTER.match(str(row.get("Name", "")))
        if match and row.get("DedicatedUsage") is not None:
            adapters[match[1].lower()] = adapters.get(match[1].lower(), 0) + int(row["DedicatedUsage"])
    found: set[str] = set()
    for gpu_used in sorted((each.used for each in gpus if each.used is not None), reverse=True):
        left = {luid: abs(use - gpu_used) for luid, use in adapters.items() if luid not in found}
        if left:
            found.add(min(left, key=lambda luid: (left[luid], luid)))
    return frozenset(found)


def _mib(size: int) -> str:
    return f"{size / 1024**2:.0f} MiB"
