"""Samples the cards' load and memory over time in one call to the host."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from remediation.connections.calls import Probe, Run
from remediation.facets.gpu import nvidia_smi
from remediation.facets.machine.rights import problems
from remediation.facets.scripts import shell
from remediation.facets.snapshot import Snapshot
from remediation.model.clock import Clock
from remediation.model.errors import CallFailed
from remediation.model.facts import GpuSample
from remediation.model.text.digits import is_whole

FIELDS = ("index", "utilization.gpu", "memory.used")
_MARGIN = 30.0
WHAT = "sampling the GPU"


def looks(seconds: float, every: float) -> int:
    """Return the number of samples: one at the start and one per interval."""
    return max(1, math.floor(seconds / every + 1e-9) + 1)


def by_probe(snapshot: Snapshot, seconds: float, every: float) -> tuple[GpuSample, ...]:
    """Sample with the ``sample`` probe."""
    data = {"fields": list(FIELDS), "every": every, "count": looks(seconds, every)}
    value = snapshot.probe(Probe("sample", data, timeout=seconds + _MARGIN), WHAT)
    if value["rc"] is None and not value["rows"]:
        reason = problems(value).get("rc")
        raise CallFailed(
            f"nvidia-smi could not be started: {reason}" if reason else "nvidia-smi is not installed", host=snapshot.host
        )
    # samples taken before nvidia-smi failed are used
    if value["rc"] and not value["rows"]:
        raise CallFailed(
            f"{WHAT} failed: {nvidia_smi.refusal(int(value['rc']), str(value['stderr']).strip())}", host=snapshot.host
        )
    return tuple(each for row in value["rows"] for each in rows(str(row["Text"]), float(row["At"])))


def by_shell(snapshot: Snapshot, seconds: float, every: float) -> tuple[GpuSample, ...]:
    """Sample with ``sample.sh``."""
    words = (",".join(FIELDS), f"{every:g}", str(looks(seconds, every)))
    done = snapshot.run(Run(("sh", "-c", shell("sample"), "sample", *words), timeout=seconds + _MARGIN), WHAT)
    found: list[GpuSample] = []
    at = 0.0
    for line in done.text.splitlines():
        if line.startswith("at "):
            at = float(line[3:])
        else:
            found += rows(line, at)
    return tuple(found)


def by_library(nvml: Any, clock: Clock, seconds: float, every: float) -> tuple[GpuSample, ...]:
    """Sample with NVML."""
    cards = [nvml.nvmlDeviceGetHandleByIndex(index) for index in range(nvml.nvmlDeviceGetCount())]
    found: list[GpuSample] = []
    for left in reversed(range(looks(seconds, every))):
        at = clock.now()
        for index, card in enumerate(cards):
            busy, used = nvml.nvmlDeviceGetUtilizationRates(card).gpu, nvml.nvmlDeviceGetMemoryInfo(card).used
            found.append(GpuSample(at, index, busy, used))
        if left:
            clock.sleep(every)
    return tuple(found)


def rows(text: str, at: float) -> Sequence[GpuSample]:
    """Parse CSV lines of `FIELDS`."""
    found = []
    for line in text.splitlines():
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) == len(FIELDS) and is_whole(cells[0]):
            used = nvidia_smi.number(cells[2])
            found.append(
                GpuSample(at, int(cells[0]), nvidia_smi.number(cells[1]), None if used is None else used * nvidia_smi.MIB)
            )
    return found
