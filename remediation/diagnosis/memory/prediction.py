"""How many layers would fit by the memory model, from the evidence about model, context and free VRAM."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from remediation.diagnosis.memory import Fit, ModelMetadata, Parts, fit, fit_parts, metadata, metadata_of
from remediation.diagnosis.memory.metadata import DENSE
from remediation.diagnosis.memory.shortage import DEFAULT_CONTEXT, RESERVE, Shortage, shortage
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.runners import orphans, vram_freed_by_unloading
from remediation.diagnosis.units import MIB, human, rounding_error
from remediation.diagnosis.versions import Generation
from remediation.model.programs import is_protected
from remediation.model.text.digits import is_whole

_ROUNDED = 200 * MIB  # four figures, each rounded to a tenth of a GiB
_SMALLER = ("Q4_K_M", "Q4_K_S", "Q3_K_M", "Q3_K_S", "Q2_K")


@dataclass(frozen=True, slots=True)
class Forecast:
    """The layers that would fit, and a sentence with the reason and the remedy.

    ``least`` and ``most`` bound the layers if the log rounds the free memory; otherwise they are equal.
    """

    fit: Fit
    model: ModelMetadata | None
    context: int
    sentence: str
    least: int
    most: int

    @property
    def known(self) -> bool:
        """Whether the bounds differ by at most one layer."""
        return max(self.most - self.fit.layers, self.fit.layers - self.least) <= 1


def predict(reading: Reading, room: int | None = None) -> Forecast | None:
    """Return the forecast for the incident's load, or for a load into `room`.

    It is None if model, release or free VRAM is unknown (or several cards share it).
    """
    model = model_metadata(reading)
    figures = shortage(reading)
    free = figures.free if figures.load is not None and figures.load.free else _card_free(reading)
    free = free if room is None else room
    if free is None or figures.cards > 1 or _fit_off(reading):
        return None
    if model is None or model.architecture not in DENSE or (figures.load is not None and figures.load.engine_new):
        return _by_printed_parts(reading, figures, free)
    context = figures.context or DEFAULT_CONTEXT
    load = figures.load
    options: dict[str, Any] = {
        "context": context,
        "version": reading.version,
        "parallel": figures.parallel,
        "cache_type": _cache_type(reading, load),
        "overhead": _overhead(reading, figures.overhead),
        "margin": load.margin if load and load.margin is not None else _margin(reading),
    }
    found = fit(model, free=free, **options)
    if found is None:
        return None
    slack = _slack(reading, load)
    return _forecast(
        [found, *(fit(model, free=max(0, free + by), **options) for by in (-slack, slack) if slack)],
        model,
        context,
        _sentence(reading, model, found, free, options),
    )


def need_with_slots(reading: Reading, slots: int) -> int | None:
    """Return the memory that all layers need with a number of slots, by the model's metadata; None if that is not known."""
    model, figures = model_metadata(reading), shortage(reading)
    if model is None or model.architecture not in DENSE:
        return None
    found = fit(
        model, context=figures.context or DEFAULT_CONTEXT, free=figures.total or 0, version=reading.version, parallel=slots,
        cache_type=_cache_type(reading, figures.load),
    )  # fmt: skip
    return found.need_all if found is not None else None


def _by_printed_parts(reading: Reading, figures: Shortage, free: int) -> Forecast | None:
    """Return the forecast by the bytes that the load printed, for a model of unknown dimensions."""
    load = figures.load
    if load is None or load.generation is None or not load.layers or load.library == "cpu" or no_card(reading):
        return None
    parts = logged_parts(load, figures)
    if parts is None or not _adds_up(load, parts):
        return None
    found = fit_parts(parts, free=free, kind=load.generation, version=reading.version)
    if found is None:
        return None
    slack = _slack(reading, load)
    others = [
        fit_parts(parts, free=max(0, free + by), kind=load.generation, version=reading.version) for by in (-slack, slack) if slack
    ]
    return _forecast([found, *others], None, figures.context or DEFAULT_CONTEXT, found.sentence)


def _slack(reading: Reading, load: Load | None) -> int:
    """Return the error of the room for layers in bytes: the log rounds free memory, and the overhead if the log is its only source."""
    if load is None or not load.free:
        return 0
    setting = reading.setting("OLLAMA_GPU_OVERHEAD")
    rounded = load.overhead if load.overhead and (setting is None or not is_whole(setting.value)) else 0
    return load.free_slack + (rounding_error(human(rounded)) if rounded else 0)


def _forecast(fits: Sequence[Fit | None], model: ModelMetadata | None, context: int, sentence: str) -> Forecast:
    """Return the forecast by the first fit; the others are for the least and the most free memory."""
    layers = [one.layers for one in fits if one is not None]
    first = next(one for one in fits if one is not None)
    found = Forecast(first, model, context, sentence, min(layers), max(layers))
    if found.known:
        return found
    rounded = f"{first.sentence.rpartition(': ')[0]}, as the log rounds it: {found.least} to {found.most} of {first.total} layers"
    return replace(found, sentence=rounded)


def _adds_up(load: Load, parts: Parts) -> bool:
    """Whether the estimate's total is the sum of its parts; if not, it includes something unprinted."""
    if load.generation not in {Generation.V0_1_33, Generation.V0_11_5} or load.required_full is None:
        return True
    known = parts.repeating + parts.output + parts.kv + parts.graph_full + parts.projector
    known += RESERVE + parts.repeating // max(1, parts.layers - 1)
    return abs(known - load.required_full) <= max(_ROUNDED, load.required_full // 50)


def no_card(reading: Reading) -> bool:
    """Whether discovery kept nothing but the processor."""
    return reading.cpu_device is not None


def logged_parts(load: Load, figures: Shortage) -> Parts | None:
    """Return the bytes of a load's parts from its log lines; None if one is missing."""
    weights, kv = figures.weights, figures.kv
    if not weights or not kv or not load.layers:
        return None
    output = load.weights_output or weights // load.layers
    graph = load.graph
    if load.generation is Generation.V0_30 and load.projected is not None:
        graph = max(0, load.projected - weights - kv)
    if not graph:
        return None
    return Parts(
        layers=load.layers,
        repeating=weights - output,
        output=output,
        kv=kv,
        graph_full=graph,
        graph_partial=load.graph_partial or graph,
        projector=figures.projector,
        overhead=figures.overhead,
        margin=load.margin,
        context=figures.context,
    )


def model_metadata(reading: Reading) -> ModelMetadata | None:
    """Return the model's metadata from ``/api/show``, pasted or collected, or from the log's dump of its header."""
    entries = {entry.name: entry for entry in reading.evidence.models or ()}
    for show in reading.evidence.shows:
        found = metadata(show, entries.get(show.model))
        if found is not None and (reading.evidence.model in {None, show.model}):
            return found
    load = reading.shown
    if load is not None and load.info:
        found = metadata_of(load.info, name=str(load.info.get("general.name", "")))
        if found is not None:
            return found
    for piece in reading.evidence.pieces:
        if '"model_info"' in piece.text:
            info = _model_info(piece.text)
            if info is not None and (found := metadata_of(info)) is not None:
                return found
    return None


def _model_info(text: str) -> Mapping[str, Any] | None:
    start = text.find("{", text.find('"model_info"'))
    try:
        data, _ = json.JSONDecoder().raw_decode(text, start)
    except ValueError:
        return None
    return data if isinstance(data, dict) else None


def _card_free(reading: Reading) -> int | None:
    """Free memory now plus what Ollama's loaded models hold: the room that a new load would have."""
    for smi in reading.smi:
        if len(smi.total) == 1 and len(smi.used) == 1:
            return min(smi.total[0], smi.total[0] - smi.used[0] + own_memory(reading))
    known = [device.free for device in reading.gpu_devices if device.free is not None]
    return known[0] if len(known) == 1 else None


def own_memory(reading: Reading) -> int:
    """Return the memory that unloading the server's models would free: as measured per program, else as the server estimates.

    The estimate counts a larger compute graph than is allocated, so the memory in use without other programs limits it.
    """
    use, estimated = reading.evidence.use, sum(row.size_vram or 0 for row in reading.ps)
    if use is None:
        return estimated
    return vram_freed_by_unloading(use, estimated, {one.pid for one in orphans(reading.evidence)})


def _cache_type(reading: Reading, load: Load | None) -> str:
    """Return the cache's type: that of the load, else the setting unless the server rejected it."""
    if load is not None and (load.cache_type or load.assigned is not None):
        return load.cache_type or "f16"
    if reading.hit("cache_needs_flash") is not None:
        return "f16"
    setting = reading.setting("OLLAMA_KV_CACHE_TYPE")
    return setting.value if setting is not None else "f16"


def _overhead(reading: Reading, printed: int) -> int:
    """Return the overhead in bytes from the setting; the log rounds it."""
    setting = reading.setting("OLLAMA_GPU_OVERHEAD")
    return int(setting.value) if setting is not None and is_whole(setting.value) else printed


def _fit_off(reading: Reading) -> bool:
    setting = reading.setting("LLAMA_ARG_FIT")
    return setting is not None and setting.value.lower() in {"off", "0", "false"}


def _margin(reading: Reading) -> int | None:
    setting = reading.setting("LLAMA_ARG_FIT_TARGET")
    return int(setting.value) * MIB if setting is not None and is_whole(setting.value) else None


def _sentence(reading: Reading, model: ModelMetadata, found: Fit, free: int, options: Mapping[str, Any]) -> str:
    """Return the explanation, with the gain from closing the largest program or a harder quantisation."""
    parts = [found.sentence]
    if not found.whole:
        others = [one for one in reading.processes if one.memory and not is_protected(one.name)]
        largest = max(others, key=lambda one: one.memory or 0, default=None)
        if largest is not None and largest.memory:
            more = fit(model, free=free + largest.memory, **options)
            if more is not None and more.layers > found.layers:
                parts.append(f"closing {largest.name} ({human(largest.memory)}) gives {more.layers}")
        smaller = _fitting_level(model, free, options)
        if smaller:
            parts.append(f"{smaller} fits whole")
    return "; ".join(parts)


def _fitting_level(model: ModelMetadata, free: int, options: Mapping[str, Any]) -> str:
    """Return the largest harder quantisation of the same model that fits completely, "" if none does."""
    for level in _SMALLER[_SMALLER.index(model.quantisation) + 1 :] if model.quantisation in _SMALLER else _SMALLER:
        other = requantise(model, level)
        tried = fit(other, free=free, **options) if other is not None and other.weights < model.weights else None
        if tried is not None and tried.whole:
            return level
    return ""


def requantise(model: ModelMetadata, level: str) -> ModelMetadata | None:
    """Return the same model under another quantisation recipe."""
    name = model.architecture
    return metadata_of(
        {
            "general.architecture": name,
            f"{name}.block_count": model.blocks,
            f"{name}.embedding_length": model.embedding,
            f"{name}.feed_forward_length": model.feed_forward,
            f"{name}.attention.head_count": model.heads,
            f"{name}.attention.head_count_kv": model.kv_heads,
            f"{name}.attention.key_length": model.key_length,
            f"{name}.attention.value_length": model.value_length,
            f"{name}.vocab_size": model.vocabulary,
        },
        level=level,
        name=model.name,
    )
