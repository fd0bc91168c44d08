"""Facts about card memory: which single change would make all layers fit, what holds the card, what the estimate counts.

The counterfactuals of `Shortage` are evaluated in this order: without the reserve, with one slot, at the default context,
on an empty card. The first true one decides (``room.… decides``); every cause of a shortage needs it.
"""

from __future__ import annotations

import re

from remediation.diagnosis.facts import holders
from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.compared import compare
from remediation.diagnosis.facts.holders import BIG
from remediation.diagnosis.facts.run import worst_row
from remediation.diagnosis.memory.parameters import billions_named, several_named, usual_weights
from remediation.diagnosis.memory.prediction import need_with
from remediation.diagnosis.memory.shortage import DEFAULT_CONTEXT, FIT_MARGIN
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.units import GIB, MIB, human
from remediation.diagnosis.versions import Generation, at_least
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole
from remediation.model.text.words import plural

_NOTICEABLE = 64 * MIB
_LEAST = int(1.8 * GIB)
_SEVERAL = 6
"""So many layers have to fit before their absence says that the card was not used."""
_LONG, _VERY_LONG, _MANY, _VERY_MANY = 16384, 32768, 3, 8
_BITS_FLOOR = 0.45  # bytes per parameter of the hardest common quantisation (about 3.6 bits)
_USUAL_BYTES = 0.58  # bytes per parameter at the default quantisation (about 4.6 bits)
_ROOMY = 0.8
"""Weights below this share of the card fit it together with a small cache."""
_MANY_LAYERS = 60  # dense models of 60 and more layers have 27 billion parameters and more
_LEAST_BY_LAYERS = ((49, 7 * GIB), (41, 5 * GIB), (33, 2 * GIB))
"""Least size of a model by its number of layers, at the usual quantisation (phi3 3.8B, gemma2 9B, gemma3 12B)."""
_SMALL_CARD = 3 * GIB  # with less free memory on an unknown card, other programs may equally hold the rest
_WDDM = frozenset({"windows", "wsl", "docker-windows"})
_OF_APPLE = 0.75
"""The largest share of a Mac's memory that macOS gives the GPU by default."""
_FILE_TOLD = re.compile(
    r"(?:(?<![\w./-])(?=[\w./-]{1,80}:)|(?<=run )|(?<=pull )|(?<=model ))([\w./-]{1,80}(?::[\w.-]{1,60})?) \((\d{1,4}(?:\.\d)?) ?(GB|MB)\b"
)
_FILE = re.compile(
    r"^(\S{1,80}:\S{1,60})\s{1,20}[0-9a-f]{12}\s{1,20}(\d{1,5}(?:\.\d)?) (GB|MB)\s{1,20}(?:\d{1,3} [a-z]|About|Less)",
    re.MULTILINE,
)


def derive_room(sheet: FactSheet) -> None:
    """Record the facts about memory."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    _slots_and_context(sheet)
    holders.other_models(sheet)
    holders.context_refused(sheet)
    if sheet.holds("place.whole") and sheet.holds("slots.many"):
        holders.grown(sheet)
    if load is not None and load.short and sheet.holds("backend.live") is False and sheet.holds("discovery.empty"):
        return
    bound = sheet.holds("request.few", "request.inherited")
    used = None if figures.total is None or figures.free is None else figures.total - figures.free
    if used is not None and figures.total and used < BIG + figures.cards * 256 * MIB:
        sheet.record(
            "vram.free", True, f"{human(figures.free or 0)} of {human(figures.total)} are free", load.free_at if load else None
        )
    _reserve(sheet)
    _spilled(sheet)
    loaded = load is not None and (load.parallel or 0) >= _MANY and (load.context or 0) >= _VERY_LONG
    text, at = f"{figures.parallel} slots of {figures.context} tokens were loaded", load.command_at if load else None
    sheet.record("slots.loaded", (loaded and not sheet.holds("place.whole")) or None, text, _quotes(sheet)[0] or at)
    if not bound and not sheet.holds("place.whole", "ram.ended"):
        _decides(sheet, used)
        _graph(sheet)
        _estimate(sheet)
        _sizes(sheet)
        compare(sheet)
    holders.programs(sheet)
    if (
        reading.hit("gpu_oom") is not None
        and figures.parallel >= _VERY_MANY
        and (figures.context or 0) * figures.parallel >= 65536
    ):
        sheet.record("room.slots_oom", True, f"{figures.parallel} slots of {figures.context} tokens need more than the card has")


def _quotes(sheet: FactSheet) -> tuple[Quote | None, ...]:
    load = sheet.load
    return (
        (load.free_at, load.planned_at or load.assigned_at, load.result_at)
        if load
        else (next((row.at for row in sheet.reading.ps), None),)
    )


def _decides(sheet: FactSheet, used: int | None) -> None:  # noqa: C901 - the counterfactuals, one after the other
    """Evaluate the counterfactuals in order; the first true one decides."""
    figures, load = sheet.figures, sheet.load
    short, unmet = (
        sheet.holds("place.short"),
        load is None or load.requested in {None, -1} or not load.short or sheet.holds("request.unmet"),
    )
    if not short and not sheet.holds("load.died"):
        return
    room = figures.free if figures.free is not None else figures.empty_card
    at, length = _quotes(sheet), figures.context or DEFAULT_CONTEXT
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
        heavy = (figures.kv or 0) / figures.weights >= 0.2 or length >= _VERY_LONG
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


def _reserve(sheet: FactSheet) -> None:
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


def _sized_for_slots(sheet: FactSheet) -> None:
    """Compare the listed size with what the declared slots need, where no load shows them: one slot would fit the card."""
    reading, figures, setting = sheet.reading, sheet.figures, sheet.reading.setting("OLLAMA_NUM_PARALLEL")
    row = worst_row(reading)
    if sheet.load is not None or setting is None or row is None or not row.size or not figures.total or figures.parallel < _MANY:
        return
    one, all_slots = need_with(reading, 1), need_with(reading, figures.parallel)
    if one is None or all_slots is None or one > figures.total or abs(row.size - all_slots) > abs(row.size - one):
        return
    text = (
        f"the model takes {human(row.size)}, as {figures.parallel} slots need ({human(all_slots)}); one slot needs {human(one)}"
    )
    sheet.record("slots.sized", True, text, setting.at, row.at)


def _slots_and_context(sheet: FactSheet) -> None:
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    setting = reading.setting("OLLAMA_NUM_PARALLEL")
    at = setting.at if setting else load.assigned_at or load.command_at if load else None
    text = f"{figures.parallel} parallel slots multiply the cache: {sheet.words}"
    if load is not None and load.parallel == 1:
        sheet.record("slots.one", True, "one slot")
    sheet.record("slots.many", (figures.parallel >= _MANY) or None, text, at)
    sheet.record("slots.very_many", (figures.parallel >= _VERY_MANY) or None, text, at)
    _sized_for_slots(sheet)
    length, refused = figures.context, reading.hit("ram_refused")
    huge = (length or 0) * figures.parallel >= _VERY_LONG
    sheet.record("cache.huge", (refused is not None and huge) or None, text, refused.at if refused else None)
    if length is None:
        return
    option = next((one.at for one in reading.requested_options if one.what == "num_ctx" and one.value == length), None)
    own = reading.setting("OLLAMA_CONTEXT_LENGTH")
    row = next((row for row in reading.ps if row.context == length), None)
    where = option or (own.at if own is not None and own.value == str(length) else None) or (row.at if row else None)
    words = f"a context of {length} tokens: {sheet.words}"
    if length <= DEFAULT_CONTEXT and load is not None and load.context:
        sheet.record("context.small", True, f"the context is {length}")
    sheet.record("context.long", (length >= _LONG) or None, words, where)
    sheet.record("context.very_long", (length >= _VERY_LONG) or None, words, where)
    sheet.record(
        "context.tier", (length in {32768, 262144} and at_least(reading.version, "0.15.5") is not False) or None, words, where
    )
    sheet.record("context.absurd", (length >= 1_000_000) or None, words, where)
    lengths = {one.value for one in reading.requested_options if one.what == "num_ctx" and one.value}
    sheet.record(
        "ask.contexts_differ",
        (len(lengths) > 1) or None,
        f"num_ctx is requested as {', '.join(str(one) for one in sorted(lengths))}",
        option,
    )
    if option is not None:
        sheet.record("context.asked_by", True, words, option)
        own_parameter = "PARAMETER" in option.text or option.where.startswith(("modelfile", "/api/show"))
        sheet.record("context.modelfile", own_parameter or None, words, option)
    elif own is not None and own.value == str(length):
        sheet.record("context.server", True, words, own.at)
    elif (
        own is not None and is_whole(own.value) and 0 < int(own.value) < length and "OLLAMA_CONTEXT_LENGTH" in reading.environment
    ):
        # the server reads a smaller default, so that only a request or the model itself can have asked for more
        sheet.record("context.asked_by", True, f"{words}; the server's own default is {own.value}", own.at)


def _graph(sheet: FactSheet) -> None:
    load, figures = sheet.load, sheet.figures
    if load is None:
        return
    per_card = sheet.reading.gpu.memory if not load.free and sheet.reading.gpu.memory else None
    if per_card is None and (figures.total or figures.free) is not None:
        per_card = (figures.total or figures.free or 0) // max(1, figures.cards)
    free = max(load.free, default=None) if load.free else per_card
    graph = min(filter(None, (load.graph_full, load.graph_partial)), default=None) or load.graph or None
    only = load.too_little_at is not None and load.planned is None and max(1, figures.cards) == 1
    if graph is not None and free is not None and only and free / 2 < graph <= free:
        text = f"the compute graph of this context takes {human(graph)} of {human(free)}, and no layer fits next to it"
        sheet.record("room.graph_decides", True, text, load.too_little_at, of=load)
    if graph is not None and free is not None and graph > free:
        at = load.too_little_at or load.planned_at or load.assigned_at or load.at
        text = f"the compute graph of this context alone takes {human(graph)}, more than the card: {sheet.words}"
        sheet.record("room.graph_decides", True, text, at, of=load)
    sheet.record(
        "graph.huge",
        (graph is not None and graph >= 24 * GIB and per_card is None) or None,
        f"a compute graph of {human(graph or 0)} was planned",
        load.at,
        of=load,
    )
    if load.overhead and load.overhead >= 2 * GIB and sheet.reading.setting("OLLAMA_GPU_OVERHEAD") is None and load.too_little_at:
        sheet.record(
            "overhead.of_projector",
            True,
            f"{human(load.overhead)} are reserved in addition to the layers",
            load.too_little_at,
            of=load,
        )
    if load.projector and load.free and load.projector > sum(load.free) // 2:
        text = f"the projector alone takes {human(load.projector)} of {human(sum(load.free))}"
        sheet.record("room.projector_decides", True, text, load.too_little_at or load.planned_at, of=load)
    if load.projector and graph is not None and figures.weights and load.short:
        sheet.record("room.projector", True, f"the projector takes {human(load.projector)}", load.planned_at)


def _estimate(sheet: FactSheet) -> None:
    load, figures = sheet.load, sheet.figures
    if load is None or not load.short or load.generation is Generation.V0_30 or load.library == "cpu":
        return
    free, full = figures.free, load.required_full
    graph_too_big = (figures.graph or 0) > (free or 0)
    if (
        free is not None
        and full is not None
        and full <= free
        and figures.graph
        and _wants_all(load)
        and not graph_too_big
        and len(load.free) <= 1
    ):
        placed = load.result[0] if load.result else 0
        text = f"the server counts {human(full)} for everything, {human(free)} are free, and yet {plural(placed, 'layer')} {'was' if placed == 1 else 'were'} placed"
        sheet.record("estimate.contradicts_itself", True, text, load.planned_at, of=load)
    if full is not None and len(load.free) > 1 and full <= sum(load.free) and _wants_all(load):
        text = f"the server counts {human(full)} for everything, and {human(sum(load.free))} are free on all cards"
        sheet.record("estimate.total_fits", True, text, load.planned_at, of=load)
    if load.requested and load.requested == load.layers and full is not None:
        text = f"all {load.layers} layers were requested and would load, the estimate was {load.planned}"
        sheet.record("estimate.overruled", True, text, load.planned_at, of=load)
    if None not in (figures.full, free, figures.weights, figures.kv) and figures.cards <= 1 and load.requested in {None, -1}:
        parts = (figures.weights or 0) + (figures.kv or 0) + (figures.graph or 0) + figures.projector + figures.reserve
        parts += (figures.weights or 0) // max(1, load.layers or 1)  # the spare layer
        if parts <= (free or 0) < (figures.full or 0) and (figures.full or 0) - parts > GIB:
            text = f"the server counts {human(figures.full or 0)} for everything, its own parts sum up to {human(parts)}, {human(free or 0)} are free"
            sheet.record("estimate.inflated", True, text, load.planned_at, of=load)


def _wants_all(load: Load) -> bool:
    """Whether the request covers all layers of the model."""
    return load.requested in {None, -1} or (load.layers is not None and (load.requested or 0) >= load.layers)


def _sizes(sheet: FactSheet) -> None:  # noqa: C901 - one branch per kind of figure
    """Compare the listed size, or the parameters in the model's name, with the card, without figures of a load."""
    reading, load, figures = sheet.reading, sheet.load, sheet.figures
    total, row = _usable(sheet), worst_row(reading) or next((one for one in reading.ps if one.size), None)
    small = figures.parallel <= 1 and (figures.context is None or figures.context <= DEFAULT_CONTEXT)
    whole_size = row.size if row is not None and row.size else None
    names = [one.name for one in reading.ps] + [name for log in reading.logs for name in log.models_seen]
    billions = billions_named(" ".join([*names, reading.prose]))
    files = {
        match[1]: int(float(match[2]) * (GIB if match[3] == "GB" else MIB))
        for pattern in (_FILE_TOLD, _FILE)
        for match in pattern.finditer(reading.raw)
    }
    shown = [row.name] if row is not None and row.name else list(files)
    file_size = max((files[name] for name in shown if name in files), default=None)
    held = max(load.model_cpu, load.model_gpu) if load is not None and load.mapped else 0
    if total and held > total and sheet.holds("place.short"):
        text = f"{human(held)} of weights do not fit a card of {human(total)}"
        sheet.record("size.exceeds_card", True, text, load.result_at if load else None)
    if total and file_size is not None and file_size > total and (sheet.holds("place.short", "speed.slow") or row is None):
        sheet.record(
            "size.exceeds_card",
            True,
            f"the file of {human(file_size)} does not fit a card of {human(total)}",
            row.at if row else Quote("text", f"{human(file_size)}"),
        )
    holders.grown(sheet)
    if file_size is not None and whole_size is not None and whole_size > 2 * file_size and not sheet.holds("slots.many"):
        sheet.record(
            "size.mostly_cache",
            True,
            f"it takes {human(whole_size)}, its file {human(file_size)}: the rest is context",
            row.at if row else None,
        )
    open_which = not names and several_named(reading.prose)
    if not sheet.holds("place.whole") and total and billions and billions * 1e9 * _BITS_FLOOR > total and not open_which:
        text = f"{billions:g} billion parameters need at least {human(int(billions * 1e9 * _BITS_FLOOR))}, the card has {human(total)}"
        sheet.record("size.exceeds_card", True, text, *_quotes(sheet)[-1:])
    if not sheet.holds("place.whole") and total and billions and billions * 1e9 * _USUAL_BYTES > total * 0.9:
        text = f"{billions:g} billion parameters take about {human(int(billions * 1e9 * _USUAL_BYTES))} at the default quantisation, the card has {human(total)}"
        sheet.record("size.tight", True, text, *_quotes(sheet)[-1:])
    if not sheet.holds("place.short"):
        return
    if total and whole_size is not None and whole_size > total and small and row is not None:
        text, weights = f"it takes {human(whole_size)}, the card has {human(total)}", usual_weights(row.name)
        cache = weights is not None and whole_size > 2 * weights + 2 * GIB
        listed = weights is None or weights < total * _ROOMY
        name = "size.mostly_cache" if cache else "size.listed_exceeds" if listed else "size.exceeds_card"
        sheet.record(name, True, text, row.at)
    if (
        total
        and whole_size is not None
        and row is not None
        and row.gpu is not None
        and whole_size <= total * 1.35
        and row.gpu >= 0.85
    ):
        sheet.record("size.nearly_fits", True, "all but a tenth fits; the listed size is the server's estimate", row.at)
    if total and whole_size is not None and whole_size < total * 0.9 and small:
        sheet.record(
            "size.fits_card", True, f"it takes {human(whole_size)}, the card has {human(total)}", row.at if row else None
        )
    if reading.offloaded and 0 < reading.offloaded[0] < reading.offloaded[1]:
        at = load.result_at if load else None
        if (
            figures.full is None
            and figures.fits(total) is not True
            and reading.offloaded[1] > _MANY_LAYERS
            and (total or 24 * GIB) <= 24 * GIB
        ):
            text = f"{reading.offloaded[1]} layers are those of a model of 27 billion parameters or more"
            sheet.record("size.exceeds_card", bool(total) or None, text, at)
            sheet.record("size.many_layers", True, text, at)
        sheet.record("size.part", True, "not all layers fit", at)
        _by_layers(sheet, reading.offloaded[1], total)
        if reading.offloaded[0] == reading.offloaded[1] - 1 and load is not None and _wants_all(load):
            sheet.record("size.output_layer", True, "all blocks fit, the output layer does not", at)


def _usable(sheet: FactSheet) -> int | None:
    """Return the card's memory that a model may take; of a Mac's memory that is a share."""
    total = sheet.reading.card_total
    words = sheet.holds("card.only_apple") and not sheet.reading.gpu_devices
    return int(total * _OF_APPLE) if total and words else total


def _by_layers(sheet: FactSheet, layers: int, total: int | None) -> None:
    """Compare the card with the least size for the number of layers, where the load gives no figures."""
    load = sheet.load
    least = next((size for most, size in _LEAST_BY_LAYERS if layers >= most), 0)
    if sheet.figures.full is None and sheet.figures.fits(total) is not True and total and least >= total:
        text = f"a model of {layers} layers takes {human(least)} and more, the card has {human(total)}"
        sheet.record("size.exceeds_card", True, text, load.result_at if load else None)


def _spilled(sheet: FactSheet) -> None:
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
