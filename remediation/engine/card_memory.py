"""Who holds the memory of a host's GPUs, as a ``measurement`` reports it (``docs/events.md``)."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING, Any

from remediation.model.errors import HostError, Unreachable

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader


def card_memory(reader: Reader) -> dict[str, Any] | None:
    """Return the memory of all GPUs together with its holders, in bytes; None if it cannot be read. Raises `Unreachable`."""
    from remediation.diagnosis.runners import serves

    try:
        use = reader.gpu.use()
    except Unreachable:
        raise
    except HostError:
        return None
    known = [gpu for gpu in use.gpus if gpu.total is not None and gpu.used is not None]
    if not known:
        return None
    held: dict[tuple[str, bool], int] = defaultdict(int)
    for process in use.processes:
        held[process.name, serves(process)] += process.vram or 0
    return {
        "gpus": [gpu.name for gpu in known],
        "total": sum(gpu.total or 0 for gpu in known),
        "used": sum(gpu.used or 0 for gpu in known),
        "held": [{"name": name, "bytes": size, "serves": serving} for (name, serving), size in held.items() if size],
        "models": _models(reader),
        "reliable": use.reliable,
    }


def _models(reader: Reader) -> list[dict[str, Any]]:
    try:
        return [{"model": runner.model, "bytes": runner.size_vram} for runner in reader.ollama.running()]
    except Unreachable:
        raise
    except HostError:
        return []
