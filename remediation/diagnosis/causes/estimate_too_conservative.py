"""It would fit; this release's estimate says no (facts/ollama 4; corrected from release to release)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    HINT,
    LIKELY,
    Placement,
    Verdict,
    found,
    no_card_found,
    placement,
    result_quote,
)
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import Shortage, shortage
from remediation.diagnosis.units import GIB, human
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Cause, Quote
from remediation.model.text.words import plural, verb

_CURE = "update to a release whose estimate is better (v0.11.11 and newer measure for the new engine), or ask for more layers after a fit check"
_REGRESSION = re.compile(
    r"(?:compared (?:to|with)|instead of|vs\.?|before|while|was|previous|in) [^\n]{0,60}v?\.?0\.\d+\.\d+|after (?:the |an? )?(?:update|upgrade)[^\n]{0,200}(?:larger|more|fewer|less|split|slower)"
    r"|(?:regression|worked|fitted|fit) (?:in|on|with|before)[^\n]{0,30}v?0\.\d+",
    re.IGNORECASE,
)
_UNUSED = re.compile(
    r"(?:gib|gb|vram|memory)[^\n.]{0,40}(?:stays?|remains?|left|still|is|are) (?:free|unused)|(?:leav(?:es|ing)|left) [^\n.]{0,40}(?:gib|gb|vram|memory)[^\n.]{0,40}(?:unused|free|idle)|(?:only|fills only)[^\n]{0,20}\d+ ?(?:gb|gib)[^\n]{0,30}of|under-?utili[sz]",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:  # noqa: C901 - one return per kind of proof
    """Ask whether the server's own figure of the need lies below what is free, and yet layers are missing."""
    if no_card_found(reading):
        return None
    place = placement(reading)
    if place is Placement.WHOLE or place is Placement.UNKNOWN:
        return None
    figures = shortage(reading)
    load = figures.load
    if (
        load is not None
        and load.generation is not Generation.G3
        and figures.free is not None
        and load.required_full is not None
        and load.weights is not None
    ):
        forced = load.requested is not None and 0 <= load.requested < (load.layers or 1)
        graph_too_big = (figures.graph or 0) > figures.free
        if (
            load.short
            and load.library != "cpu"
            and not forced
            and load.required_full <= figures.free
            and not graph_too_big
            and len(load.free) <= 1
        ):
            placed = load.result[0] if load.result else 0
            text = f"the server counts {human(load.required_full)} for everything, {human(figures.free)} are free, and yet {plural(placed, 'layer')} {verb(placed, 'was', 'were')} placed"
            return found(Cause.ESTIMATE_TOO_CONSERVATIVE, 0.9, text, load.planned_at, cure=_CURE)
        if load.short and load.requested == load.layers and load.requested:
            return found(
                Cause.ESTIMATE_TOO_CONSERVATIVE,
                LIKELY,
                f"all {load.layers} layers were asked and would load, the estimate said {load.planned}",
                load.planned_at,
                cure=_CURE,
            )
    inflated = _inflated(figures)
    if inflated is not None and load is not None:
        text = f"the server counts {human(figures.full or 0)} for everything, its own parts sum up to {human(inflated)}, {human(figures.free or 0)} are free"
        return found(Cause.ESTIMATE_TOO_CONSERVATIVE, 0.86, text, load.planned_at, cure=_CURE)
    regression = _REGRESSION.search(reading.prose)
    if regression and place is Placement.PART:
        return found(
            Cause.ESTIMATE_TOO_CONSERVATIVE,
            LIKELY,
            "an earlier release placed more layers of the same model",
            Quote("text", regression[0][:160]),
            result_quote(reading),
            cure=_CURE,
        )
    unused = _UNUSED.search(reading.prose)
    if unused and place is Placement.PART:
        return found(
            Cause.ESTIMATE_TOO_CONSERVATIVE,
            CIRCUMSTANCE,
            "memory of the card stays unused",
            Quote("text", unused[0][:160]),
            result_quote(reading),
            cure=_CURE,
        )
    spare = _spare(reading)
    if spare is not None and place is Placement.PART:
        return found(
            Cause.ESTIMATE_TOO_CONSERVATIVE,
            HINT,
            f"{human(spare)} of the card stay free beside the loaded model",
            reading.smi[0].memory_at,
            cure=_CURE,
        )
    row = next((row for row in reading.ps if row.gpu is not None and 0.85 <= row.gpu < 1), None)
    if row is not None and reading.card_total and row.size and row.size < reading.card_total * 1.35:
        return found(
            Cause.ESTIMATE_TOO_CONSERVATIVE,
            0.55,
            "all but a tenth fits; the listed size is the server's estimate",
            row.at,
            cure=_CURE,
        )
    return None


def _inflated(figures: Shortage) -> int | None:
    """Return the sum of the estimate's parts, where that would fit, and the total is larger than it by more than any reserve."""
    load = figures.load
    if load is None or figures.full is None or figures.free is None or figures.weights is None or figures.kv is None:
        return None
    if not load.short or figures.cards > 1 or load.requested not in {None, -1} or load.generation is Generation.G3:
        return None
    parts = figures.weights + figures.kv + (figures.graph or 0) + figures.projector + figures.reserve
    parts += figures.weights // max(1, load.layers or 1)  # the spare layer
    return parts if parts <= figures.free < figures.full and figures.full - parts > GIB else None


def _spare(reading: Reading) -> int | None:
    for smi in reading.smi:
        if smi.total and len(smi.total) == len(smi.used):
            spare = sum(smi.total) - sum(smi.used)
            if spare > 2 * GIB and sum(smi.used) > GIB and any("ollama" in one.name.lower() for one in smi.processes):
                return spare
    return None
