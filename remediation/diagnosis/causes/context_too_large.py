"""The model would fit; the KV cache and graph of its context do not (facts/ollama 4.1, 4.6)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    FIGURES,
    LIKELY,
    Placement,
    Verdict,
    died_without_layers,
    found,
    no_card_found,
    placement,
    result_quote,
)
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import DEFAULT_CONTEXT, Shortage, shortage
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Cause, Finding, Quote, RuledOut

_LONG = 16384
_VERY_LONG = 32768
_CURE = "lower num_ctx (client, Modelfile) or OLLAMA_CONTEXT_LENGTH; or OLLAMA_FLASH_ATTENTION=1 with OLLAMA_KV_CACHE_TYPE=q8_0"
_DEFAULT_BY_VRAM = re.compile(
    r"default[^\n]{0,160}context[^\n]{0,160}(?:vram|based on)|context[^\n]{0,160}(?:based on|depends on)[^\n]{0,160}vram",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:  # noqa: C901 - one return per kind of proof
    """Ask whether all layers would fit at the default context."""
    if no_card_found(reading):
        return None
    compared = _compared(reading)
    if compared is not None:
        return compared
    figures = shortage(reading)
    place = placement(reading)
    graph = _graph_alone(reading, figures)
    if graph is not None:
        return graph
    length = figures.context
    if place is Placement.WHOLE or length is None:
        return _changed_default(reading)
    if length <= DEFAULT_CONTEXT:
        return RuledOut(Cause.CONTEXT_TOO_LARGE, f"the context is {length}") if figures.load and figures.load.context else None
    at = figures.load.assigned_at or figures.load.command_at if figures.load else None
    quotes = (_where(reading, length), at, result_quote(reading))
    text = f"a context of {length} tokens: {figures.words()}"
    fits_now, at_default = figures.fits(figures.free), figures.fits(figures.free, context=DEFAULT_CONTEXT)
    if fits_now is False and at_default and _slots_weigh_more(figures, length):
        return found(Cause.CONTEXT_TOO_LARGE, LIKELY, text, *quotes, cure=_CURE)
    if fits_now is False and at_default:
        return found(
            Cause.CONTEXT_TOO_LARGE, FIGURES + 0.02, text + f"; at {DEFAULT_CONTEXT} they would fit", *quotes, cure=_CURE
        )
    if fits_now is False and figures.fits(figures.empty_card, context=DEFAULT_CONTEXT) and not figures.fits(figures.empty_card):
        return found(Cause.CONTEXT_TOO_LARGE, 0.86, text, *quotes, cure=_CURE)
    share = (figures.kv or 0) / max(1, figures.weights or 0) if figures.weights else 0
    if fits_now is False and (share >= 0.2 or length >= _VERY_LONG):
        return found(Cause.CONTEXT_TOO_LARGE, 0.7, text, *quotes, cure=_CURE)
    if fits_now is None and place in {Placement.PART, Placement.NONE} and length >= _LONG:
        return found(Cause.CONTEXT_TOO_LARGE, LIKELY if length >= _VERY_LONG else 0.75, text, *quotes, cure=_CURE)
    if fits_now is None and length >= _VERY_LONG and place is Placement.UNKNOWN:
        return found(Cause.CONTEXT_TOO_LARGE, CIRCUMSTANCE, text, *quotes, cure=_CURE)
    return None


def _slots_weigh_more(figures: Shortage, length: int) -> bool:
    """Whether the slots multiply the cache more than the context does, and one slot would do."""
    return figures.parallel > length / DEFAULT_CONTEXT and bool(figures.fits(figures.free, parallel=1))


def _where(reading: Reading, length: int) -> Quote | None:
    ask = next((one.at for one in reading.asks if one.what == "num_ctx" and one.value == length), None)
    if ask is not None:
        return ask
    setting = reading.setting("OLLAMA_CONTEXT_LENGTH")
    if setting is not None and setting.value == str(length):
        return setting.at
    return next((row.at for row in reading.ps if row.context == length), None)


def _compared(reading: Reading) -> Finding | None:
    """Compare the same model at two contexts, or of two sizes: it is the cache that differs."""
    rows = [row for row in reading.ps if row.gpu is not None]
    for worse in rows:
        for better in rows:
            if worse is better or worse.gpu is None or better.gpu is None or worse.gpu >= better.gpu or worse.name != better.name:
                continue
            if worse.context and better.context and worse.context > better.context:
                return found(
                    Cause.CONTEXT_TOO_LARGE,
                    0.94,
                    f"at {better.context} tokens {better.gpu:.0%} of it is on the GPU, at {worse.context} only {worse.gpu:.0%}",
                    worse.at,
                    better.at,
                    cure=_CURE,
                )
            if worse.size and better.size and worse.size > better.size * 1.1 and not (worse.context or better.context):
                return found(
                    Cause.CONTEXT_TOO_LARGE,
                    LIKELY,
                    "the same model took more memory: weights do not grow, the cache does",
                    worse.at,
                    better.at,
                    cure=_CURE,
                )
    return None


def _graph_alone(reading: Reading, figures: Shortage) -> Finding | None:
    """Look for a compute graph that by itself is larger than a card."""
    load = figures.load
    if load is None:
        return None
    per_card = None if figures.total is None else figures.total / max(1, figures.cards)
    if per_card is None or not load.free:
        per_card = reading.gpu.memory or per_card
    free = max(load.free, default=None) if load.free else per_card
    graph = min(filter(None, (load.graph_full, load.graph_partial)), default=None) or load.graph or None
    if graph is not None and free is not None and graph > free:
        at = load.too_little_at or load.planned_at or load.assigned_at or load.at
        sure = 0.9 if reading.hit("runner_terminated") is None else LIKELY
        return found(
            Cause.CONTEXT_TOO_LARGE,
            CIRCUMSTANCE if died_without_layers(reading) else sure,
            f"the compute graph of this context alone is larger than the card: {figures.words()}",
            at,
            cure=_CURE,
        )
    return None


def _changed_default(reading: Reading) -> Finding | None:
    """From v0.15.5 the default context follows the VRAM (facts/ollama 4.6)."""
    match = _DEFAULT_BY_VRAM.search(reading.prose)
    if match and at_least(reading.version, "0.15.5") is not False:
        text = "from v0.15.5 the default context follows the card's memory, so an upgrade can multiply the cache"
        return found(
            Cause.CONTEXT_TOO_LARGE,
            LIKELY,
            text,
            Quote("text", match[0][:200]),
            cure="set OLLAMA_CONTEXT_LENGTH to the old value (4096)",
        )
    return None
