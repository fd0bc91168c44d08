"""The VRAM that a load of a model finds, and what models hold of it: measured where that is possible (facts/ollama 3)."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.diagnosis.logs import Load
from remediation.diagnosis.memory.fit import RESERVE
from remediation.diagnosis.runners import beside_others, measured, serves
from remediation.diagnosis.units import MIB
from remediation.diagnosis.versions import Generation, Version, generation
from remediation.model.facts import GpuUse, Runner

_NOTICEABLE_SPILL = 512 * MIB


def rooms(
    use: GpuUse | None, runner: Runner | None, others: Sequence[Runner], *, version: Version | None, freed: int, load: Load | None
) -> tuple[int | None, int | None]:
    """Return what a fresh load finds free, and what it would with the other models unloaded; None with several cards.

    What a model holds is measured where the driver or the log tells it. The API's figure is an estimate: it counts a compute
    graph that may be several times what is allocated (recordings, context-too-large-env), and no more can come back than is in
    use beside other programs.
    """
    if use is None or len(use.gpus) != 1:
        return None, None
    card = use.gpus[0]
    if card.free is None or card.total is None:
        return None, None
    most = beside_others(use)
    own = held_vram(runner, version) if runner is not None else 0
    rest = sum(held_vram(one, version) for one in others)
    counted = measured(use, own + rest)
    if counted is not None and own + rest:
        own, rest = own * counted // (own + rest), rest * counted // (own + rest)
    elif own and load is not None and load.allocated:
        own = min(own, load.allocated)
    free = card.free + freed
    return min(card.total, free + min(own, most)), min(card.total, free + min(own + rest, most))


def held_vram(runner: Runner, version: Version | None) -> int:
    """Return the VRAM that unloading gives back: G1's figures hold a reserve that nobody uses (facts/ollama 3)."""
    estimated = generation(version) in {Generation.G0, Generation.G1, Generation.G1B}
    return max(0, runner.size_vram - RESERVE) if estimated else runner.size_vram


def most_free(use: GpuUse | None, runner: Runner | None) -> int | None:
    """Return what bounds the free VRAM of all cards once the model is unloaded, None where no card tells it."""
    if use is None or all(gpu.free is None for gpu in use.gpus):
        return None
    return use.free + (runner.size_vram if runner is not None else 0)


def spilled_bytes(use: GpuUse | None, runner: Runner | None) -> int:
    """Return what of the GPU's memory lies in shared system memory while the model is loaded (facts/windows 3.3).

    Containers' memory is charged to the WSL machine's process; a native server's to itself. A little is always there.
    """
    if use is None or runner is None or not use.reliable:
        return 0
    spilled = sum(process.spilled or 0 for process in use.processes if serves(process))
    return spilled if spilled >= _NOTICEABLE_SPILL else 0
