"""Parallel slots multiply the KV cache (facts/ollama 1.3, 4.1)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    FIGURES,
    HINT,
    LIKELY,
    Placement,
    Verdict,
    found,
    placement,
    result_quote,
)
from remediation.diagnosis.causes.system_memory_limit import HUGE_CACHE
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import shortage
from remediation.model.finding import Cause, RuledOut

_MANY = 3
_MOST_BY_ITSELF = 4  # facts/ollama 1.3: what releases up to v0.9.6 try without being told


def find(reading: Reading) -> Verdict:
    """Ask whether all layers would fit with one slot."""
    figures = shortage(reading)
    place = placement(reading)
    if figures.parallel <= 1:
        if figures.load is not None and figures.load.parallel == 1:
            return RuledOut(Cause.NUM_PARALLEL_TOO_HIGH, "one slot")
        return None
    if place is Placement.WHOLE:
        return None
    setting = reading.setting("OLLAMA_NUM_PARALLEL")
    at = figures.load.assigned_at or figures.load.command_at if figures.load else None
    quotes = (setting.at if setting else None, at, result_quote(reading))
    text = f"{figures.parallel} parallel slots multiply the cache: {figures.words()}"
    cure = "set OLLAMA_NUM_PARALLEL=1 and reload the model"
    refused = reading.hit("ram_refused")
    if refused is not None and (figures.context or 0) * figures.parallel >= HUGE_CACHE:
        return found(Cause.NUM_PARALLEL_TOO_HIGH, 0.93, text, refused.at, *quotes, cure=cure)
    room = figures.free if figures.free is not None else figures.empty_card
    with_one, now = figures.fits(room, parallel=1), figures.fits(room)
    if now and figures.free is None:
        now = None  # it would fit an empty card; how empty it was is not known
    if now is False and with_one:
        return found(Cause.NUM_PARALLEL_TOO_HIGH, FIGURES + 0.01, text, *quotes, cure=cure)
    if now is None and figures.parallel >= _MANY:
        # nothing to sum up, but the slots are there and layers are missing
        return found(
            Cause.NUM_PARALLEL_TOO_HIGH,
            LIKELY + 0.02
            if place in {Placement.PART, Placement.NONE}
            else CIRCUMSTANCE
            if setting or figures.parallel > _MOST_BY_ITSELF
            else HINT,
            text,
            *quotes,
            cure=cure,
        )
    if now is False and figures.parallel >= _MANY:
        return found(Cause.NUM_PARALLEL_TOO_HIGH, CIRCUMSTANCE, text, *quotes, cure=cure)
    return None
