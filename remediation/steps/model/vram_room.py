"""The VRAM available to a model load and used by loaded models, measured if possible."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.diagnosis.memory.fit import RESERVE
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.runners import measured_vram, serves, used_by_server
from remediation.diagnosis.units import MIB
from remediation.diagnosis.versions import Generation, Version, generation
from remediation.model.facts import GpuUse, Runner

_NOTICEABLE_SPILL = 512 * MIB


def rooms(
    use: GpuUse | None, runner: Runner | None, others: Sequence[Runner], *, version: Version | None, freed: int, load: Load | None
) -> tuple[int | None, int | None]:
    """Return the VRAM available to a fresh load, now and with other models unloaded. Both are None with several cards.

    The memory of a model is taken from the driver or the log if they report it. The API's figure is an estimate that includes a
    compute graph and can exceed the allocation several times. The result is limited to what other programs leave free.
    """
    if use is None or len(use.gpus) != 1:
        return None, None
    card = use.gpus[0]
    if card.free is None or card.total is None:
        return None, None
    most = used_by_server(use)
    own = held_vram(runner, version) if runner is not None else 0
    rest = sum(held_vram(one, version) for one in others)
    counted = measured_vram(use, own + rest)
    if counted is not None and own + rest:
        own, rest = own * counted // (own + rest), rest * counted // (own + rest)
    elif counted and (runner is not None or others):
        # their layers are in system memory, but each has a context on the card
        share = counted // (len(others) + (runner is not None))
        own, rest = share if runner is not None else 0, share * len(others)
    elif own and load is not None and load.allocated:
        own = min(own, load.allocated)
    free = card.free + freed
    return min(card.total, free + min(own, most)), min(card.total, free + min(own + rest, most))


def held_vram(runner: Runner, version: Version | None) -> int:
    """Return the VRAM released by an unload. Estimates of releases before the new memory management include an unused reserve."""
    estimated = generation(version) in {Generation.V0_1, Generation.V0_1_33, Generation.V0_11_5}
    return max(0, runner.size_vram - RESERVE) if estimated else runner.size_vram


def most_free(use: GpuUse | None, runner: Runner | None) -> int | None:
    """Return an upper bound of the free VRAM on all cards after an unload, or None if no card reports it."""
    if use is None or all(gpu.free is None for gpu in use.gpus):
        return None
    return use.free + (runner.size_vram if runner is not None else 0)


def spilled_bytes(use: GpuUse | None, runner: Runner | None) -> int:
    """Return the GPU memory that has spilled into shared system memory while the model is loaded.

    Windows charges a container's memory to the WSL machine's process and a native server's to the server. Small amounts are
    always present and are ignored.
    """
    if use is None or runner is None or not use.reliable:
        return 0
    spilled = sum(process.spilled or 0 for process in use.processes if serves(process))
    return spilled if spilled >= _NOTICEABLE_SPILL else 0
