"""Layers forced onto a card that cannot hold them: under Windows and WSL the driver puts the rest into shared memory.

All layers are then "on the GPU", and it is slow (facts/ollama 5.2: VRAM overcommit). Elsewhere such a load fails.
"""

from __future__ import annotations

from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import shortage

_WDDM = frozenset({"windows", "wsl", "docker-windows"})


def spilled(reading: Reading) -> str | None:
    """Return why part of the model must lie in shared memory, None where nothing says so."""
    load = reading.shown
    if load is None or reading.evidence.platform not in _WDDM or load.result is None or load.short:
        return None
    if load.requested is None or load.requested < (load.layers or load.result[1]):
        return None
    figures = shortage(reading)
    need = figures.need()
    if need is None or figures.free is None or need - figures.reserve * figures.cards <= figures.free:
        return None
    return f"num_gpu {load.requested} forced all {load.result[1]} layers: {figures.words()}, so the rest lies in shared memory"
