"""The VRAM that a load of a model finds, and what models hold of it: measured where that is possible (facts/ollama 3)."""

from __future__ import annotations

from collections.abc import Sequence

from remediation.diagnosis.logs import Load
from remediation.diagnosis.memory.fit import RESERVE
from remediation.diagnosis.units import MIB
from remediation.diagnosis.versions import Generation, Version, generation
from remediation.model.facts import GpuUse, Process, Runner

_NOTICEABLE_SPILL = 512 * MIB
SERVING = ("vmmem", "vmmemwsl", "ollama", "llama-server", "ollama_llama_server")
"""The programs that hold a model's memory: WSL's machine for containers, or the server itself."""


def rooms(  # noqa: PLR0913 - all that decides it, most by name
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
    known = sum(process.vram or 0 for process in use.processes if not serving(process)) if use.reliable else 0
    most = max(0, card.used - known)
    own = held(runner, version) if runner is not None else 0
    rest = sum(held(one, version) for one in others)
    counted = measured(use, own + rest)
    if counted is not None and own + rest:
        own, rest = own * counted // (own + rest), rest * counted // (own + rest)
    elif own and load is not None and load.allocated:
        own = min(own, load.allocated)
    free = card.free + freed
    return min(card.total, free + min(own, most)), min(card.total, free + min(own + rest, most))


def serving(process: Process) -> bool:
    """Whether a process holds a model's memory for a server that lives."""
    return process.program in SERVING and not process.orphan


def measured(use: GpuUse, estimated: int) -> int | None:
    """Return what the programs that serve models hold by the driver's own count; None where it does not tell.

    WSL's machine also holds what other containers have on the card, so of it no more than `estimated` counts.
    """
    holders = [process for process in use.processes if serving(process)]
    amounts = [process.vram for process in holders if process.vram is not None]
    if not use.reliable or not amounts or len(amounts) != len(holders):
        return None
    counted = sum(amounts)
    return min(counted, estimated) if any(process.program.startswith("vmmem") for process in holders) else counted


def held(runner: Runner, version: Version | None) -> int:
    """Return the VRAM that unloading gives back: G1's figures hold a reserve that nobody uses (facts/ollama 3)."""
    estimated = generation(version) in {Generation.G0, Generation.G1, Generation.G1B}
    return max(0, runner.size_vram - RESERVE) if estimated else runner.size_vram


def most_free(use: GpuUse | None, runner: Runner | None) -> int | None:
    """Return what bounds the free VRAM of all cards once the model is unloaded, None where no card answers."""
    if use is None or not use.gpus:
        return None
    return use.free + (runner.size_vram if runner is not None else 0)


def spilled(use: GpuUse | None, runner: Runner | None) -> int:
    """Return what of the GPU's memory lies in shared system memory while the model is loaded (facts/windows 3.3).

    Containers' memory is charged to the WSL machine's process; a native server's to itself. A little is always there.
    """
    if use is None or runner is None or not use.reliable:
        return 0
    spilled = sum(process.spilled or 0 for process in use.processes if serving(process))
    return spilled if spilled >= _NOTICEABLE_SPILL else 0
