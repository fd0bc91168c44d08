"""Other programs hold the VRAM (facts/ollama 5.2)."""

from __future__ import annotations

import re
from dataclasses import replace

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    FIGURES,
    HINT,
    LIKELY,
    PROVEN,
    Placement,
    Verdict,
    died_without_layers,
    found,
    placement,
    result_quote,
)
from remediation.diagnosis.codes import OUT_OF_MEMORY
from remediation.diagnosis.prediction import own_memory, predict
from remediation.diagnosis.present import is_live
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.runners import orphans
from remediation.diagnosis.shortage import DEFAULT_CONTEXT, Shortage, shortage
from remediation.diagnosis.units import GIB, MIB, human
from remediation.model.finding import Cause, Finding, Quote, RuledOut
from remediation.model.text.words import plural

_CURE = "close what uses the card (largest first), then reload the model"
_RELOAD = "reload the model: unload it (ollama stop), then load it again"
_PROSE = re.compile(
    r"(?:other|another) (?:process|program|application|app|tenant|container|vm)[^\n.]{0,60}(?:vram|gpu|card|memory)|(?:vram|gpu|card)[^\n.]{0,40}(?:shared|used|taken|held|occupied) (?:by|with)"
    r"|tenants? resident|resident vram|comfyui|stable diffusion|automatic1111|whisper|vllm|lm studio|blender|\bgames?\b",
    re.IGNORECASE,
)
_BIG = 512 * MIB
_LEAST = int(1.8 * GIB)


def find(reading: Reading) -> Verdict:
    """Ask whether much less is free than an empty card has, and it would fit there."""
    figures = shortage(reading)
    load = figures.load
    place = placement(reading)
    if place is Placement.WHOLE:
        return None
    used = None if figures.total is None or figures.free is None else figures.total - figures.free
    if load is not None and load.requested is not None and 0 <= load.requested < (load.layers or 0):
        return _little_used(figures, used)  # the request, not the memory, bounds the layers
    shown = _orphans(reading, place) or _no_longer(reading, figures, used) or _compared_loads(reading)
    if shown is not None:
        return shown
    if used is not None and load is not None and place is not Placement.UNKNOWN:
        verdict = _of_a_dead_load(_by_figures(figures, used, reading), reading)
        if verdict is not None:
            return verdict
    if (
        used is None
        and load is not None
        and figures.is_short
        and load.requested in {None, -1}
        and 0 < (figures.free or 0) < _LEAST
    ):
        text = f"only {human(figures.free or 0)} are free, less than any card in use today has; {figures.words()}"
        return found(Cause.VRAM_OCCUPIED, CIRCUMSTANCE, text, load.free_at, result_quote(reading), cure=_CURE)
    return _foreseen(reading) or _no_context(reading) or _programs(reading, place) or _smi_full(reading) or _told(reading, place)


def _orphans(reading: Reading, place: Placement) -> Finding | None:
    """Look for runners that a server which was killed left behind: they keep their memory, and no server unloads them."""
    lost = orphans(reading.evidence)
    if not lost or not reading.smi:
        return None
    names = ", ".join(f"pid {one.pid}{f', {human(one.vram)}' if one.vram else ''}" for one in lost)
    whose = "an orphan runner of an earlier ollama holds" if len(lost) == 1 else "orphan runners of an earlier ollama hold"
    pids = [str(one.pid) for one in lost]
    end = " ".join(
        ["taskkill", "/F", *(f"/PID {pid}" for pid in pids)]
        if reading.evidence.platform == "windows"
        else ["sudo", "kill", *pids]
    )
    return found(
        Cause.VRAM_OCCUPIED,
        LIKELY if place is Placement.UNKNOWN else FIGURES,
        f"{whose} the card's memory ({names})",
        reading.smi[0].memory_at,
        result_quote(reading),
        cure=f"end what the earlier server left behind ({end}), then reload the model",
    )


def _no_longer(reading: Reading, figures: Shortage, used: int | None) -> Finding | None:
    """Look for memory that was in use when the model was loaded and is free now: a loaded runner keeps its layers all the same."""
    use, load = reading.evidence.use, figures.load
    if (
        use is None
        or len(use.gpus) != 1
        or load is None
        or not load.short
        or load.requested not in {None, -1}
        or not used
        or used < _BIG
    ):
        return None
    card = use.gpus[0]
    if card.total is None or card.free is None:
        return None
    room = min(card.total, card.free + own_memory(reading))
    if figures.fits(room) is False or (figures.fits(room) is None and card.total - room > used // 2):
        return None
    if figures.fits(figures.free) is True:
        return None  # it was not the memory
    text = f"{human(used)} of the card were in use by others when the model was loaded; now {human(room)} are free for it"
    return found(Cause.VRAM_OCCUPIED, 0.75, text, load.free_at, reading.smi[0].memory_at if reading.smi else None, cure=_RELOAD)


def _foreseen(reading: Reading) -> Finding | None:
    """Nothing is loaded on a live host, and by the memory model others hold what the model would need."""
    use = reading.evidence.use
    if use is None or not use.gpus or reading.evidence.runners or placement(reading) is not Placement.UNKNOWN:
        return None
    forecast = predict(reading)
    card = max(use.gpus, key=lambda gpu: gpu.free or 0)
    if card.total is None or card.used is None or card.free is None:
        return None
    if forecast is None or forecast.most == forecast.fit.total or forecast.fit.need_all > card.total - card.total // 10:
        return None
    return found(
        Cause.VRAM_OCCUPIED,
        0.72,
        f"the model is not loaded; {human(card.used)} of the card are in use by others, so it {forecast.sentence}",
        reading.smi[0].memory_at if reading.smi else None,
        cure=_CURE,
    )


def _little_used(figures: Shortage, used: int | None) -> RuledOut | None:
    if used is not None and figures.total and used < _BIG + figures.cards * 256 * MIB:
        return RuledOut(Cause.VRAM_OCCUPIED, f"{human(figures.free or 0)} of {human(figures.total)} are free")
    return None


def _no_context(reading: Reading) -> Finding | None:
    """Look for a card that could not give a context for want of memory (recordings, v0.9.6)."""
    code = next((one for one in reading.codes if one.code == OUT_OF_MEMORY and one.hit.key != "cuda_text"), None)
    if code is None or reading.cpu_device is None or reading.hit("device_context") is None:
        return None
    return found(Cause.VRAM_OCCUPIED, 0.75, "no context could be made on the card for want of memory", code.hit.at, cure=_CURE)


def _programs(reading: Reading, place: Placement) -> Finding | None:
    """Look at the programs that nvidia-smi lists with their memory."""
    others = [one for one in reading.processes if one.memory and one.memory >= _BIG]
    if not others or place is Placement.UNKNOWN:
        return None
    names = ", ".join(f"{one.name} {human(one.memory or 0)}" for one in others[:4])
    return found(Cause.VRAM_OCCUPIED, LIKELY, f"programs hold the card: {names}", reading.smi[0].memory_at, cure=_CURE)


def _told(reading: Reading, place: Placement) -> Finding | None:
    """Look for people who say that something else uses the card."""
    match = _PROSE.search(reading.all_text)
    if match is None:
        return None
    sure = CIRCUMSTANCE if place is not Placement.UNKNOWN else HINT
    return found(Cause.VRAM_OCCUPIED, sure, "other programs share the card", Quote("text", match[0][:160]), cure=_CURE)


def _by_figures(figures: Shortage, used: int, reading: Reading) -> Finding | RuledOut | None:
    fits_now, fits_empty = figures.fits(figures.free), figures.fits(figures.empty_card)
    failed = reading.hit("runner_terminated") is not None
    text = f"{human(used)} of the card are in use by others; {figures.words()}"
    holders = sorted((one for one in reading.processes if one.memory), key=lambda one: -(one.memory or 0))
    if holders:
        text = f"{', '.join(f'{one.name} {human(one.memory or 0)}' for one in holders[:4])} hold the card: {text}"
    load = figures.load
    quotes = (load.free_at if load else None, result_quote(reading))
    share = used / max(1, figures.total or 1)
    if fits_now is False and (figures.context or 0) > DEFAULT_CONTEXT and figures.fits(figures.free, context=DEFAULT_CONTEXT):
        # what is free would do for the default context
        return found(Cause.VRAM_OCCUPIED, 0.6, text, *quotes, cure=_CURE)
    if fits_now is False and fits_empty and used >= _BIG:
        return found(Cause.VRAM_OCCUPIED, FIGURES if share >= 0.12 and not failed else LIKELY, text, *quotes, cure=_CURE)
    if figures.free is not None and figures.free < GIB and share >= 0.5:
        # facts/ollama 4.8: below about 1 GiB free no layer of any 7B model fits
        return found(Cause.VRAM_OCCUPIED, PROVEN if fits_empty and not failed else LIKELY, text, *quotes, cure=_CURE)
    if share >= 0.5 and fits_now is False:
        return found(Cause.VRAM_OCCUPIED, 0.7, text, *quotes, cure=_CURE)
    if share >= 0.5 and fits_now is None and figures.is_short and (load is None or load.requested in {None, -1}):
        # how much it needs is not known, but another one holds half of the card and not all layers found room
        return found(Cause.VRAM_OCCUPIED, 0.72, text, *quotes, cure=_CURE)
    return _little_used(figures, used)


def _of_a_dead_load(verdict: Finding | RuledOut | None, reading: Reading) -> Finding | RuledOut | None:
    """Return a finding as the circumstance that it is where the load died in spite of lying in system memory."""
    if not isinstance(verdict, Finding) or not died_without_layers(reading):
        return verdict
    text = f"{verdict.because}; that no layer was placed it explains, that the load failed it does not"
    return replace(verdict, confidence=min(verdict.confidence, CIRCUMSTANCE), because=text)


def _compared_loads(reading: Reading) -> Finding | None:
    """Two loads of one model: more was free, more layers fitted."""
    loads = [load for load in reading.loads if load.free and load.result and load.requested in {None, -1}]
    for worse in (load for load in loads if load is reading.shown or not is_live(reading.evidence)):
        for better in loads:
            if worse.result and better.result and worse.result[1] == better.result[1] and worse.result[0] < better.result[0]:
                less = sum(better.free) - sum(worse.free)
                same = (worse.context or 0) in {0, better.context or 0} or not better.context
                if less > _BIG and same and (worse.overhead or 0) == (better.overhead or 0):
                    return found(
                        Cause.VRAM_OCCUPIED,
                        FIGURES,
                        f"{human(sum(better.free))} free gave {plural(better.result[0], 'layer')}, {human(sum(worse.free))} only {worse.result[0]}",
                        worse.free_at,
                        better.free_at,
                        cure=_CURE,
                    )
    return None


def _smi_full(reading: Reading) -> Finding | None:
    """nvidia-smi shows a nearly full card although Ollama holds nothing."""
    for smi in reading.smi:
        if not smi.total or len(smi.total) != len(smi.used):
            continue
        used, total = sum(smi.used), sum(smi.total)
        loaded = any((row.size_vram or row.gpu or 0) > 0 for row in reading.ps) or any(
            "ollama" in one.name.lower() for one in smi.processes
        )
        if used > total * 0.5 and not loaded and placement(reading) is not Placement.UNKNOWN:
            return found(
                Cause.VRAM_OCCUPIED,
                0.7,
                f"{human(used)} of {human(total)} are in use",
                smi.memory_at,
                result_quote(reading),
                cure=_CURE,
            )
    return None
