"""Another model of the same server holds the VRAM (facts/ollama 5.2; recordings, surprise 6)."""

from __future__ import annotations

import re
from dataclasses import replace

from remediation.diagnosis.causes.base import CIRCUMSTANCE, HINT, LIKELY, Placement, Verdict, found, placement, worst_row
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import shortage
from remediation.diagnosis.texts.ps import PsRow
from remediation.diagnosis.units import GIB
from remediation.model.finding import Cause, Finding, Quote
from remediation.model.text.digits import is_whole

_CURE = "unload the other model (ollama stop NAME), or set OLLAMA_MAX_LOADED_MODELS=1; then reload"
_PROSE = re.compile(
    r"(?:two|second|another|other|both|multiple|several) (?:\w+ )?models?[^\n.]{0,60}(?:load|memory|vram|resident|same time|at once|running)",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:
    """Ask whether two models are there at once, and one lacks layers for want of the memory that the other holds."""
    verdict = _find(reading)
    if not isinstance(verdict, Finding):
        return verdict
    load = reading.shown
    if load is not None and load.requested is not None and 0 <= load.requested < (load.layers or 0):
        return replace(
            verdict,
            confidence=min(verdict.confidence, HINT),
            because=f"{verdict.because}; but num_gpu {load.requested} was asked",
        )
    figures = shortage(reading)
    held = sum(row.size_vram or 0 for row in reading.ps if row is not worst_row(reading))
    if held and figures.fits(None if figures.free is None else figures.free + held) is False:
        return replace(
            verdict,
            confidence=min(verdict.confidence, CIRCUMSTANCE),
            because=f"{verdict.because}; without it there would not be room either",
        )
    return verdict


def _has_layers(reading: Reading) -> bool:
    """Whether the model in question is on the card itself, as far as its load or its row tells."""
    own = next((row for row in reading.ps if row.name == reading.evidence.model), None)
    if own is not None:
        return _on_card(own)
    return reading.offloaded is not None and reading.offloaded[0] > 0


def _on_card(row: PsRow) -> bool:
    return bool(row.size_vram) if row.gpu is None else row.gpu > 0


def _find(reading: Reading) -> Verdict:
    """Look for other models in lists, in the log and in words."""
    place = placement(reading)
    if place is Placement.WHOLE:
        return None
    listed = _listed_together(reading)
    if len([row for row in listed if _on_card(row)]) <= _has_layers(reading):
        listed = []  # the others lie in system memory
    hit = reading.hit("existing_models")
    if len(listed) > 1 and place is not Placement.UNKNOWN:
        names = ", ".join(row.name for row in listed[:3])
        return found(
            Cause.OTHER_MODEL_LOADED,
            0.96 if hit else 0.78,
            f"{len(listed)} models are loaded: {names}",
            hit.at if hit else None,
            *(row.at for row in listed[:2]),
            cure=_CURE,
        )
    if hit is not None and place in {Placement.PART, Placement.NONE}:
        return found(Cause.OTHER_MODEL_LOADED, 0.88, "another model was resident when this one was loaded", hit.at, cure=_CURE)
    dropped = _dropped(reading)
    if dropped is not None:
        return dropped
    evicted = reading.hit("evicting")
    if evicted is None and _several_models(reading):
        evicted = reading.hit("vram_not_recovered")  # with one model it is that one's own unloading
    if evicted is not None and place in {Placement.PART, Placement.NONE}:
        return found(Cause.OTHER_MODEL_LOADED, 0.6, "another model had to be evicted for it", evicted.at, cure=_CURE)
    match = _PROSE.search(reading.prose)
    if match and place in {Placement.PART, Placement.NONE}:
        return found(
            Cause.OTHER_MODEL_LOADED, CIRCUMSTANCE, "more than one model is in use", Quote("text", match[0][:160]), cure=_CURE
        )
    return None


def _listed_together(reading: Reading):  # type: ignore[no-untyped-def]  # noqa: ANN202
    """Rows of one list: neighbours with different names, each with memory."""
    rows = [row for row in reading.ps if row.name and (row.size or row.gpu is not None)]
    best: list = []  # type: ignore[type-arg]
    for row in rows:
        where, _, line = row.at.where.rpartition(":")
        group = [row]
        for other in rows:
            place, _, number = other.at.where.rpartition(":")
            near = number == line or (is_whole(number) and is_whole(line) and 0 < int(number) - int(line) <= len(rows))
            if other.name != row.name and place == where and near and other.name not in {one.name for one in group}:
                group.append(other)
        if len(group) > len(best):
            best = group
    return best


def _several_models(reading: Reading) -> bool:
    """Whether more than one model was there, as far as anything names them; a text without any load leaves it open."""
    files = {load.model for load in reading.loads if load.model}
    if files or reading.evidence.runners is not None:
        return len(files) > 1 or len(reading.evidence.runners or ()) > 1
    return not reading.loads


def _dropped(reading: Reading) -> Verdict:
    """One log, two model files, and less memory free at the second."""
    for log in reading.logs:
        if len(log.blobs) < 2:
            continue
        for device, seen in log.free_seen.items():
            if len(seen) > 1 and seen[-1] < seen[0] - GIB:
                text = f"a second model was loaded after another: {device} had {seen[0] / GIB:.1f} GiB free at first, then {seen[-1] / GIB:.1f}"
                return found(
                    Cause.OTHER_MODEL_LOADED, LIKELY, text, Quote(log.name, f"{log.blobs[0]} … {log.blobs[-1]}"), cure=_CURE
                )
    return None
