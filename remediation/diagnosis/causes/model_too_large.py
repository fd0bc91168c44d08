"""The weights do not fit this card, whatever else is closed (facts/ollama 5.2)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    FIGURES,
    LIKELY,
    Placement,
    Verdict,
    found,
    no_card_found,
    placement,
    result_quote,
    worst_row,
)
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.shortage import DEFAULT_CONTEXT, shortage
from remediation.diagnosis.units import GIB, human
from remediation.model.finding import Cause, RuledOut
from remediation.model.text.words import verb

_CURE = "a smaller model or a harder quantisation, or a card with more memory"
_BILLIONS = re.compile(r"(?<![\d.])(\d{1,3}(?:\.\d)?)\s?b(?![a-z0-9])", re.IGNORECASE)
_BITS_FLOOR = 0.45  # bytes per parameter of the hardest common quantisation (about 3.6 bits)
_MOSTLY = 0.7
_SMALL_CARD = 3 * GIB  # with less free and the card not known, it is as likely that others hold the rest
_MANY_LAYERS = 60  # dense models of 60 and more layers have 27 billion parameters and more


def find(reading: Reading) -> Verdict:  # noqa: C901 - one return per kind of proof
    """Ask whether the weights alone exceed the card."""
    if no_card_found(reading):
        return None
    place = placement(reading)
    if place is Placement.WHOLE:
        return None
    figures = shortage(reading)
    load = figures.load
    if (
        load is not None
        and load.result is not None
        and load.requested is not None
        and 0 <= load.result[0] <= load.requested < load.result[1]
    ):
        return None  # the request, not the card, bounds the layers
    room = figures.empty_card if figures.empty_card is not None else figures.free
    sure_room = figures.empty_card is not None
    quotes = (load.planned_at if load else None, result_quote(reading))
    text = f"{human(figures.weights)} of weights; {figures.words()}" if figures.weights else figures.words()
    if figures.weights is not None and room is not None and (load is None or load.requested in {None, -1} or not load.short):
        if figures.weights + figures.projector > room:
            return found(
                Cause.MODEL_TOO_LARGE,
                FIGURES + 0.01 if sure_room else 0.86 if room >= _SMALL_CARD else 0.5,
                text,
                *quotes,
                cure=_CURE,
            )
        small = figures.need(context=min(DEFAULT_CONTEXT, figures.context or DEFAULT_CONTEXT), parallel=1)
        if small is not None and small > room and place in {Placement.PART, Placement.NONE}:
            return found(Cause.MODEL_TOO_LARGE, 0.84 if sure_room else 0.72, text, *quotes, cure=_CURE)
        if small is not None and sure_room:
            return RuledOut(
                Cause.MODEL_TOO_LARGE, f"{human(small)} at the default context fit a card of {human(figures.total or room)}"
            )
        return None
    if figures.full is not None and room is not None and figures.full > room and place in {Placement.PART, Placement.NONE}:
        return found(Cause.MODEL_TOO_LARGE, LIKELY if sure_room else 0.7, text, *quotes, cure=_CURE)
    if load is not None and load.too_little_at and load.projector and load.free and load.projector > sum(load.free) // 2:
        return found(
            Cause.MODEL_TOO_LARGE,
            0.9,
            f"the projector alone takes {human(load.projector)} of {human(sum(load.free))}",
            load.too_little_at,
            cure=_CURE,
        )
    row = worst_row(reading)
    if (
        load is not None
        and load.result
        and row is not None
        and row.gpu is not None
        and row.gpu < _MOSTLY < load.result[0] / load.result[1]
    ):
        text = f"{load.result[0]} of {load.result[1]} layers {verb(load.result[0])} on the GPU, and yet only {row.gpu:.0%} of the bytes: what is no layer (output, projector, embeddings) does not fit"
        return found(Cause.MODEL_TOO_LARGE, 0.85, text, load.result_at, row.at, cure=_CURE)
    if (
        load is not None
        and load.result
        and load.result[0] == load.result[1] - 1
        and load.result[0] > 0
        and load.requested in {None, -1}
        and figures.free is None
    ):
        return found(Cause.MODEL_TOO_LARGE, CIRCUMSTANCE, "all blocks fit, the output layer does not", load.result_at, cure=_CURE)
    return _by_size(reading, place)


def _by_size(reading: Reading, place: Placement) -> Verdict:
    """Without figures of a load: the listed size, or the parameters in the model's name, against the card."""
    total = reading.card_total
    row = worst_row(reading)
    if place not in {Placement.PART, Placement.NONE}:
        return None
    figures = shortage(reading)
    if (
        row is not None
        and row.size
        and figures.parallel <= 1
        and total
        and row.size > total
        and (figures.context is None or figures.context <= DEFAULT_CONTEXT)
    ):
        return found(
            Cause.MODEL_TOO_LARGE, LIKELY, f"it takes {human(row.size)}, the card has {human(total)}", row.at, cure=_CURE
        )
    billions = max((float(match) for match in _BILLIONS.findall(_named(reading))), default=0.0)
    if total and billions and billions * 1e9 * _BITS_FLOOR > total:
        return found(
            Cause.MODEL_TOO_LARGE,
            0.85,
            f"{billions:g} billion parameters need at least {human(int(billions * 1e9 * _BITS_FLOOR))}, the card has {human(total)}",
            result_quote(reading),
            cure=_CURE,
        )
    if (
        reading.offloaded
        and 0 < reading.offloaded[0] < reading.offloaded[1]
        and reading.offloaded[1] > _MANY_LAYERS
        and (total or 24 * GIB) <= 24 * GIB
    ):
        return found(
            Cause.MODEL_TOO_LARGE,
            0.85 if total else CIRCUMSTANCE,
            f"{reading.offloaded[1]} layers are those of a model of 27 billion parameters or more",
            result_quote(reading),
            cure=_CURE,
        )
    if reading.offloaded and 0 < reading.offloaded[0] < reading.offloaded[1]:
        return found(Cause.MODEL_TOO_LARGE, 0.45, "not all layers fit", result_quote(reading), cure=_CURE)
    return None


def _named(reading: Reading) -> str:
    names = [row.name for row in reading.ps] + [name for log in reading.logs for name in log.models_seen]
    return " ".join([*names, reading.prose])
