"""Facts about what decides: context, slots, other programs, the reserve, or the weights alone."""

from __future__ import annotations

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.memory import holders
from remediation.diagnosis.facts.memory.common import VERY_LONG, load_quotes
from remediation.diagnosis.facts.memory.holders import BIG
from remediation.diagnosis.memory.shortage import DEFAULT_CONTEXT, FIT_MARGIN
from remediation.diagnosis.units import GIB, MIB, human
from remediation.diagnosis.versions import Generation, at_least
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

_NOTICEABLE = 64 * MIB
_LEAST = int(1.8 * GIB)
_SEVERAL = 6
"""So many layers have to fit before their absence says that the card was not used."""
_SMALL_CARD = 3 * GIB  # with less free memory on an unknown card, other programs may equally hold the rest
_WDDM = frozenset({"windows", "wsl", "docker-windows"})


def derive_decision(sheet: FactSheet, used: int | None) -> None:  # noqa: C901 - the counterfactuals, one after the other
    """Evaluate the counterfactuals in order; the first true one decides."""
    figures, load = sheet.figures, sheet.load
    short, unmet = (
        sheet.holds("place.short"),
        load is None or load.requested in {None, -1} or not load.short or sheet.holds("request.unmet"),
    )
    if not short and not sheet.holds("load.died"):
        return
    room = figures.free if figures.free is not None else figures.empty_card
    at, length = load_quotes(sheet), figures.context or DEFAULT_CONTEXT
    now, words = figures.fits(room), sheet.words
    if now and figures.free is None:
        now = None  # it would fit an empty card; the memory in use is unknown
    one = figures.fits(room, parallel=1) if figures.parallel > 1 else None
    default = figures.fits(room, context=DEFAULT_CONTEXT) if length > DEFAULT_CONTEXT else None
    empty = figures.fits(figures.empty_card)
    weigh_more = figures.parallel > length / DEFAULT_CONTEXT
    taken = holders.taken_by_others(sheet, used or 0, words)
    share = (used or 0) / max(1, figures.total or 1)
    if sheet.holds("reserve.decides"):
        return
    if now is False and one and (weigh_more or not default):
        sheet.record("room.slots_decide", True, f"{figures.parallel} parallel slots multiply the cache: {words}", *at, of=load)
    elif now is False and default:
        sheet.record(
            "room.context_decides",
            True,
            f"a context of {length} tokens: {words}; at {DEFAULT_CONTEXT} they would fit",
            *at,
            of=load,
        )
        sheet.record("room.slots_help", one or None, f"{figures.parallel} slots multiply the cache: {words}", *at)
    elif now is False and used is not None and used >= BIG and empty and unmet:
        sheet.record("room.others_decide", share >= 0.12 or None, taken, *at, of=load)
        sheet.record("room.others_count", True, taken, *at, of=load)
    elif now is False and figures.fits(figures.empty_card, context=DEFAULT_CONTEXT) and not empty and length > DEFAULT_CONTEXT:
        sheet.record("room.context_decides", True, f"a context of {length} tokens: {words}", *at, of=load)
    if used is not None and unmet and share >= 0.5:
        if (figures.free or 0) < GIB:
            # facts/ollama 4.8: below about 1 GiB free no layer of any 7B model fits
            sheet.record("room.full", True, taken, *at, of=load)
        elif now is not True and load is not None and figures.is_short:
            sheet.record("room.half_taken", True, taken, *at, of=load)
    if used is None and load is not None and figures.is_short and unmet and 0 < (figures.free or 0) < _LEAST:
        sheet.record(
            "room.little",
            True,
            f"only {human(figures.free or 0)} are free, less than any card in use today has; {words}",
            *at,
            of=load,
        )
    if now is False and figures.weights:
        heavy = (figures.kv or 0) / figures.weights >= 0.2 or length >= VERY_LONG
        sheet.record(
            "room.cache_heavy",
            (heavy and length > DEFAULT_CONTEXT) or None,
            f"a context of {length} tokens: {words}",
            *at,
            of=load,
        )
    _weights(sheet, at)


def _weights(sheet: FactSheet, at: tuple[Quote | None, ...]) -> None:
    figures, load = sheet.figures, sheet.load
    room = figures.empty_card if figures.empty_card is not None else figures.free
    known = figures.empty_card is not None
    text = f"{human(figures.weights)} of weights; {sheet.words}" if figures.weights else sheet.words
    sheet.record("card.size_known", known or None)
    if (
        room is None
        or (figures.graph or 0) > room
        or (
            load is not None
            and load.result is not None
            and load.requested not in {None, -1}
            and load.requested is not None
            and 0 <= load.result[0] <= load.requested < load.result[1]
        )
    ):
        return
    layers = load.result if load is not None else None
    if (
        figures.weights is not None
        and layers is not None
        and not layers[0]
        and sheet.holds("place.none")
        and not sheet.holds("place.planned")
    ):
        each = figures.weights // max(1, layers[1])
        some = (figures.free or room) - (figures.graph or 0) - figures.projector - figures.reserve
        text = f"a layer takes {human(each)}, and none is placed on a card of {human(room)}"
        sheet.record("room.some_fit", (figures.cards == 1 and some > _SEVERAL * each) or None, text, *at, of=load)
    if figures.weights is not None:
        small = figures.need(context=min(DEFAULT_CONTEXT, figures.context or DEFAULT_CONTEXT), parallel=1)
        if figures.weights + figures.projector > room:
            sheet.record("room.weights_decide", known or None, text, *at, of=load)
            sheet.record("room.weights_exceed", (known or room >= _SMALL_CARD) or None, text, *at, of=load)
        elif small is not None and small > room and sheet.holds("place.short"):
            sheet.record("room.weights_decide", known or None, text, *at, of=load)
            sheet.record("room.weights_exceed", True, text, *at, of=load)
        elif small is not None and known:
            sheet.record(
                "room.weights_decide",
                False,
                f"{human(small)} at the default context fit a card of {human(figures.total or room)}",
            )
            sheet.record(
                "room.model_fits", True, f"{human(small)} at the default context fit a card of {human(figures.total or room)}"
            )
    elif figures.full is not None and figures.full > room and sheet.holds("place.short"):
        sheet.record("room.weights_exceed", True, text, *at, of=load)


def derive_reserve(sheet: FactSheet) -> None:
    """Record memory that is kept free."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    at = load.result_at if load else None
    if load is not None and load.margin is not None and load.margin > FIT_MARGIN + _NOTICEABLE and load.short:
        sheet.record(
            "reserve.decides",
            True,
            f"llama-server keeps {human(load.margin)} free (LLAMA_ARG_FIT_TARGET); its default is 1.0 GiB",
            load.fit_at,
            at,
        )
        sheet.record("reserve.fit_target")
    target = reading.setting("LLAMA_ARG_FIT_TARGET")
    set_high = target is not None and is_whole(target.value) and int(target.value) * MIB > FIT_MARGIN + _NOTICEABLE
    if (
        target is not None
        and set_high
        and sheet.holds("place.short")
        and at_least(reading.version, "0.30.0") is not False
        and (load is None or load.short_by is None)
    ):
        sheet.record(
            "reserve.decides", True, f"LLAMA_ARG_FIT_TARGET keeps {target.value} MiB free; its default is 1024", target.at, at
        )
        sheet.record("reserve.fit_target")
    if at_least(reading.version, "0.30.0") or (load is not None and load.generation is Generation.V0_30):
        sheet.record("reserve.none", True, "this release does not apply OLLAMA_GPU_OVERHEAD")  # facts/ollama 1.3
        return
    setting = reading.setting("OLLAMA_GPU_OVERHEAD")
    declared = int(setting.value) if setting is not None and is_whole(setting.value) else 0
    overhead = max(load.overhead or 0 if load else 0, declared)
    if overhead < _NOTICEABLE:
        if load is not None and load.overhead is not None:
            sheet.record("reserve.none", True, f"overhead is {human(load.overhead)}")
        return
    if not sheet.holds("place.short"):
        return
    text = f"{human(overhead)} of VRAM are reserved by OLLAMA_GPU_OVERHEAD; {sheet.words}"
    useless = figures.fits(figures.free) is False and overhead < (figures.free or overhead) // 8
    sheet.record("reserve.decides", not useless, text, setting.at if setting else None, load.free_at if load else None, at)


def derive_spill(sheet: FactSheet) -> None:
    """Record layers forced onto a card that is too small: under Windows and WSL the driver puts the rest into shared memory."""
    load, figures = sheet.load, sheet.figures
    if load is None or sheet.reading.evidence.platform not in _WDDM or load.result is None or load.short:
        return
    if load.requested is None or load.requested < (load.layers or load.result[1]):
        return
    need = figures.need()
    if need is None or figures.free is None or need - figures.reserve * figures.cards <= figures.free:
        return
    text = f"num_gpu {load.requested} forced all {load.result[1]} layers: {sheet.words}, so the rest is in shared memory"
    sheet.record("room.spilled", True, text, load.requested_at, load.free_at, of=load)
