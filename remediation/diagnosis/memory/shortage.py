"""Layers that do not fit into video memory: the sums that distinguish the causes of a shortage.

Each question is a counterfactual: would all layers fit without the reserve, with one slot, at the default context, on an
empty card? The first true one names the cause. Sizes are bytes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.units import GIB, MIB, human
from remediation.diagnosis.versions import Generation
from remediation.model.text.digits import is_whole
from remediation.model.text.words import verb

RESERVE = 457 * MIB  # facts/ollama 4.2
FIT_MARGIN = 1024 * MIB  # facts/ollama 4.5
DEFAULT_CONTEXT = 4096
_DESKTOP = int(0.4 * GIB)  # what driver and desktop take of an empty card (facts/ollama 5.2: about total less 0.5 GiB)

_CONTEXT_TOLD = re.compile(r"\bcontext(?: length| size| window)? (?:is |was )?(?:set to|shown as|of|at) [`\"']?(\d{4,7})\b")


@dataclass(frozen=True, slots=True)
class Shortage:
    """The figures of one load; what is not known is None. ``context`` is that of one slot."""

    load: Load | None
    layers: tuple[int, int] | None
    cards: int
    free: int | None
    total: int | None
    weights: int | None
    kv: int | None
    graph: int | None
    projector: int
    full: int | None
    overhead: int
    parallel: int
    context: int | None
    reserve: int

    def need(self, *, context: int | None = None, parallel: int | None = None) -> int | None:
        """Return the free memory that all layers need; with another context or fewer slots, if asked."""
        slots, length = self.parallel, self.context or DEFAULT_CONTEXT
        factor = ((context or length) * (parallel or slots)) / (length * slots)
        if self.weights is not None and self.kv is not None:
            graph = self.graph or 0
            # the graph grows with the context but has a floor that the batch sets (facts/ollama 4.1)
            scaled = graph if factor >= 1 else max(graph * factor, min(graph, 128 * MIB))
            summed = int(self.weights + self.kv * factor + scaled * self.cards + self.projector + self.reserve * self.cards)
            if factor == 1 and self.full is not None:
                return max(summed - self.reserve * self.cards, self.full)
            return summed
        if self.full is not None and factor == 1:
            return self.full
        return None

    def fits(self, room: int | None, *, context: int | None = None, parallel: int | None = None) -> bool | None:
        """Return whether all layers would fit into `room`; None when not known."""
        need = self.need(context=context, parallel=parallel)
        return None if need is None or room is None else need <= room

    @property
    def is_short(self) -> bool:
        """Whether fewer than all layers, or none, are on the card."""
        return self.layers is not None and self.layers[0] < self.layers[1]

    @property
    def empty_card(self) -> int | None:
        """Free memory if nothing else used the card."""
        return None if self.total is None else self.total - min(_DESKTOP * self.cards, self.total // 10)

    def words(self, exact: int | None = None) -> str:
        """Return the figures as a phrase. `exact` replaces the sum of the printed parts if both lead to the same answer."""
        need, parts = self.need(), []
        if exact is not None and need is not None and self.free is not None and (exact <= self.free) == (need <= self.free):
            need = exact
        if need is not None:
            size = human(need)
            parts.append(f"all layers need {size} at {self.context} context" if self.context else f"all layers need {size}")
        if self.parallel > 1:
            parts.append(f"{self.parallel} slots")
        if self.free is not None:
            parts.append(f"{human(self.free)} are free")
        if self.total is not None:
            parts.append(f"of {human(self.total)}")
        if self.layers:
            parts.append(f"{self.layers[0]} of {self.layers[1]} layers {verb(self.layers[0])} on the GPU")
        return ", ".join(parts)


def shortage(reading: Reading) -> Shortage:
    """Return the figures of the load that the incident is about."""
    load = reading.shown
    total = reading.card_total
    if load is None:
        free = _free_of_devices(reading)
        return Shortage(
            None, None, 1, free, total, None, None, None, 0, None, 0, _slots(reading, None), _context(reading, None), RESERVE
        )
    split = max(load.devices, len(load.free), 1)
    weights = load.weights or load.buffers or load.file_size
    if load.weights is not None and load.weights_output and load.generation is Generation.V0_1_33 and load.kv is None:
        weights = load.weights
    kv = load.kv if load.kv is not None else (load.kv_gpu + load.kv_cpu) or None
    graph = load.graph or None
    full = load.required_full
    if load.projected is not None:
        full = load.projected + (load.margin or FIT_MARGIN)
    elif load.generation in {Generation.V0_12_11, Generation.V0_12_11_NEW_ENGINE}:
        full = None  # the printed total is that of the layout chosen, processor included
    free = sum(load.free) if load.free else _free_of_devices(reading)
    found = sorted((device.total for device in reading.gpu_devices if device.total), reverse=True)
    if 0 < len(load.free) < len(found):
        total = sum(found[: len(load.free)])  # the load was planned on some of the cards
    if total is not None and free is not None and free > total:
        total = free
    reserve = (load.margin or FIT_MARGIN) if load.generation is Generation.V0_30 else RESERVE
    return Shortage(
        load=load,
        layers=load.result,
        cards=split,
        free=free,
        total=total,
        weights=weights or None,
        kv=kv,
        graph=graph,
        projector=load.projector or 0,
        full=full,
        overhead=load.overhead or 0,
        parallel=_slots(reading, load),
        context=_context(reading, load),
        reserve=reserve,
    )


def _free_of_devices(reading: Reading) -> int | None:
    known = [device.free for device in reading.gpu_devices if device.free is not None]
    if known:
        return sum(known)
    return reading.gpu.total if reading.gpu.available_only else None


def _slots(reading: Reading, load: Load | None) -> int:
    if load is not None and load.parallel:
        return load.parallel
    setting = reading.setting("OLLAMA_NUM_PARALLEL")
    if setting is not None and is_whole(setting.value) and int(setting.value) > 0:
        return int(setting.value)
    return next((option.value for option in reading.requested_options if option.what == "num_parallel" and option.value), 1)


def _context(reading: Reading, load: Load | None) -> int | None:
    if load is not None and load.context:
        return load.slots_context
    requested = [option.value for option in reading.requested_options if option.what == "num_ctx" and option.value]
    if requested:
        return max(requested)
    shown = [row.context for row in reading.placed if row.context]
    if shown:
        return max(shown)
    setting = reading.setting("OLLAMA_CONTEXT_LENGTH")
    if setting is not None and is_whole(setting.value) and int(setting.value) > 0:
        return int(setting.value)
    match = _CONTEXT_TOLD.search(reading.prose)
    return int(match[1]) if match is not None else None
