"""VRAM is reserved by a setting (facts/ollama 1.3, 4.3, 4.5)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import FIGURES, LIKELY, Placement, Verdict, found, placement, result_quote
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import FIT_MARGIN, shortage
from remediation.diagnosis.units import MIB, human
from remediation.diagnosis.versions import Generation, at_least
from remediation.model.finding import Cause, RuledOut
from remediation.model.text.digits import is_whole

_NOTICEABLE = 64 * MIB


def find(reading: Reading) -> Verdict:
    """Look at OLLAMA_GPU_OVERHEAD (up to v0.24) and at llama-server's free margin (v0.30 and newer)."""
    load = reading.shown
    place = placement(reading)
    if load is not None and load.margin is not None and load.margin > FIT_MARGIN + _NOTICEABLE and load.short:
        return found(
            Cause.GPU_OVERHEAD_RESERVED,
            FIGURES,
            f"llama-server keeps {human(load.margin)} free (LLAMA_ARG_FIT_TARGET); its default is 1.0 GiB",
            load.fit_at,
            load.result_at,
            cure="lower or remove LLAMA_ARG_FIT_TARGET",
        )
    target = reading.setting("LLAMA_ARG_FIT_TARGET")
    if (
        target is not None
        and is_whole(target.value)
        and int(target.value) * MIB > FIT_MARGIN + _NOTICEABLE
        and place in {Placement.PART, Placement.NONE}
        and at_least(reading.version, "0.30.0") is not False
        and (load is None or load.short_by is None)
    ):
        return found(
            Cause.GPU_OVERHEAD_RESERVED,
            0.9 if at_least(reading.version, "0.30.0") else LIKELY,
            f"LLAMA_ARG_FIT_TARGET keeps {target.value} MiB free; its default is 1024",
            target.at,
            result_quote(reading),
            cure="lower or remove LLAMA_ARG_FIT_TARGET",
        )
    if at_least(reading.version, "0.30.0") or (load is not None and load.generation is Generation.G3):
        # facts/ollama 1.3: llama-server never sees the overhead
        return RuledOut(Cause.GPU_OVERHEAD_RESERVED, "this release does not apply OLLAMA_GPU_OVERHEAD")
    setting = reading.setting("OLLAMA_GPU_OVERHEAD")
    declared = int(setting.value) if setting is not None and is_whole(setting.value) else 0
    overhead = max(load.overhead or 0 if load else 0, declared)
    if overhead < _NOTICEABLE:
        if load is not None and load.overhead is not None:
            return RuledOut(Cause.GPU_OVERHEAD_RESERVED, f"overhead is {human(load.overhead)}")
        return None
    if place is Placement.WHOLE:
        return None
    figures = shortage(reading)
    room = None if figures.free is None else figures.free
    without = figures.fits(room)
    quotes = (setting.at if setting else None, load.free_at if load else None, result_quote(reading))
    text = f"{human(overhead)} of VRAM are reserved by OLLAMA_GPU_OVERHEAD; {figures.words()}"
    cure = "lower or unset OLLAMA_GPU_OVERHEAD and recreate the container (or restart the server)"
    if without is False and overhead < (figures.free or overhead) // 8:
        return found(Cause.GPU_OVERHEAD_RESERVED, 0.4, text, *quotes, cure=cure)
    return found(
        Cause.GPU_OVERHEAD_RESERVED, 0.94 if place in {Placement.PART, Placement.NONE} else LIKELY, text, *quotes, cure=cure
    )
