"""Another model of the same server holds the VRAM (facts/ollama 5.2; recordings, surprise 6)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import CIRCUMSTANCE, LIKELY, Placement, Verdict, found, placement
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.units import GIB
from remediation.model.finding import Cause, Quote

_CURE = "unload the other model (ollama stop NAME), or set OLLAMA_MAX_LOADED_MODELS=1; then reload"
_PROSE = re.compile(
    r"(?:two|second|another|other|both|multiple|several) (?:\w+ )?models?[^\n.]{0,60}(?:load|memory|vram|resident|same time|at once|running)",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:  # noqa: PLR0911 - one return per kind of proof
    """Ask whether two models are there at once, and one lacks layers."""
    place = placement(reading)
    if place is Placement.WHOLE:
        return None
    listed = _listed_together(reading)
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
    evicted = reading.hit("evicting", "vram_not_recovered")
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
            near = number == line or (number.isdigit() and line.isdigit() and 0 < int(number) - int(line) <= len(rows))
            if other.name != row.name and place == where and near and other.name not in {one.name for one in group}:
                group.append(other)
        if len(group) > len(best):
            best = group
    return best


def _dropped(reading: Reading) -> Verdict:
    """One log, two model files, and less memory free at the second."""
    for log in reading.logs:
        if len(log.blobs) < 2:  # noqa: PLR2004 - two files
            continue
        for device, seen in log.free_seen.items():
            if len(seen) > 1 and seen[-1] < seen[0] - GIB:
                text = f"a second model was loaded after another: {device} had {seen[0] / GIB:.1f} GiB free at first, then {seen[-1] / GIB:.1f}"
                return found(
                    Cause.OTHER_MODEL_LOADED, LIKELY, text, Quote(log.name, f"{log.blobs[0]} … {log.blobs[-1]}"), cure=_CURE
                )
    return None
