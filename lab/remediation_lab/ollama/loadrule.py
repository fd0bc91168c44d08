"""How many layers of a model go to the GPU: the lab's own reading of facts/ollama section 4, one rule per engine generation.

All amounts are bytes. Layers count from 0; the output layer is the last one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import Enum
from typing import Protocol

from remediation_lab.ollama.models import ModelFile

MINIMUM = 457 * 1024**2
"""What Ollama keeps free on a card from 0.1.33 to 0.24."""
_FLOAT_STEPS_END = 16
"""From 16 on the step of a 32-bit float exceeds the 1e-6 at which the layout search stops (recordings, surprise 1)."""
_FORCED = 1000
_U64 = 2**64
_STORED_BYTES = {"": 2.0, "f16": 2.0, "q8_0": 34 / 32, "q4_0": 18 / 32}
_CACHE_BYTES = {"": 2.0, "f16": 2.0, "q8_0": 1.0, "q4_0": 0.5}


@dataclass(frozen=True, slots=True)
class Wish:
    """What a load asks for: context over all parallel slots, the cache's type, and num_gpu (-1: as many as fit)."""

    model: ModelFile
    context: int
    cache_type: str = ""
    num_gpu: int = -1
    batch: int = 512
    real: bool = False
    """Whether the cache is counted as llama.cpp stores it, scales of quantised blocks included, and not as Ollama estimates it."""

    @property
    def cache_per_layer(self) -> int:
        """KV bytes of one layer."""
        shape = self.model.shape
        each = (_STORED_BYTES if self.real else _CACHE_BYTES)[self.cache_type]
        return int(self.context * 2 * shape.head_dim * shape.heads_kv * each)

    @property
    def cache(self) -> int:
        """KV bytes of all layers."""
        return self.cache_per_layer * self.model.shape.blocks

    @property
    def needs(self) -> tuple[int, ...]:
        """Bytes of each layer with its cache, the output layer last."""
        return (*(block + self.cache_per_layer for block in self.model.block_bytes), self.model.output_bytes)

    @property
    def graphs(self) -> tuple[int, int]:
        """The compute graph's estimate: all layers on the GPU, and some (facts/ollama 4.1)."""
        shape = self.model.shape
        e, h, k, v, d = shape.embedding, shape.heads, shape.heads_kv, shape.vocabulary, shape.embedding // shape.heads
        b, c = min(self.batch, self.context), self.context
        if shape.architecture != "llama":
            partial = h // k * self.cache // 6
            return partial, partial
        full = max(4 * b * (1 + 4 * e + c * (1 + h)), 4 * b * (e + v))
        partial = 4 * b * e + max(
            4 * b * (1 + e + max(c, e)) + 9 * e * e // 16 + 4 * c * (b * h + d * k), 4 * b * (e + v) + 105 * e * v // 128
        )
        return full, partial


class Ending(Enum):
    """How planning a load ended."""

    LOADS = "loads"
    HANGS = "hangs"  # the search never ends and blocks every later load
    CROWDED = "crowded"  # others must leave the GPU first


@dataclass(frozen=True, slots=True)
class Plan:
    """A decision: which layers go to the GPU, and the sizes that the server then reports."""

    ending: Ending
    first: int
    layers: int
    estimated: int
    total: int
    vram: int
    graph: int
    reserve: int = 0
    on_cpu: int = 0
    """What a server that estimates the processor like a card would give it (0.1.33 to 0.12.10)."""

    @property
    def span(self) -> range:
        """The numbers of the layers on the GPU."""
        return range(self.first, self.first + self.layers)


class LoadRule(Protocol):
    """One generation's decision."""

    def __call__(self, wish: Wish, free: int | None, *, overhead: int, alone: bool) -> Plan:
        """Plan a load with `free` bytes on the card (None: no GPU); not `alone` means that other models could be evicted."""


def plan_g1b(wish: Wish, free: int | None, *, overhead: int, alone: bool) -> Plan:
    """Estimate as v0.1.45 to v0.12.10 do (facts/ollama 4.2)."""
    blocks, needs = wish.model.shape.blocks, wish.needs
    everything = sum(needs)
    full, partial = wish.graphs
    graph = max(full, partial)
    spare = needs[0]
    used, count = MINIMUM + spare, 0
    if free is not None and wish.num_gpu != 0 and free >= overhead + graph + MINIMUM + 2 * spare:
        limit = wish.num_gpu if wish.num_gpu > 0 else blocks + 1
        for need in (*reversed(needs[:-1]), needs[-1]):
            if count >= limit or free <= overhead + used + graph + need:
                break  # the output layer is taken only after all blocks
            used += need
            count += 1
    if free is None or wish.num_gpu == 0:
        return Plan(Ending.LOADS, blocks, 0, 0, everything, 0, 0)
    if not alone and count < blocks + 1 and (wish.num_gpu < 0 or count < wish.num_gpu):
        return Plan(Ending.CROWDED, blocks, 0, count, everything, 0, 0)
    if not count:
        return Plan(Ending.LOADS, blocks, 0, 0, everything, 0, 0)
    used += full if count > blocks else partial
    total = used + everything - sum(needs[blocks - min(count, blocks) : blocks]) - (needs[-1] if count > blocks else 0)
    chosen = (
        count if wish.num_gpu < 0 else min(wish.num_gpu, blocks + 1)
    )  # recordings, surprise 15: the wish wins once a layer fits
    first = max(0, blocks - chosen)
    return Plan(Ending.LOADS, first, chosen, count, total, used, full if count > blocks else partial, MINIMUM + spare)


def plan_g1(wish: Wish, free: int | None, *, overhead: int, alone: bool) -> Plan:
    """Estimate as v0.1.45 to v0.11.4 do: the same, but what a request asks for reaches the runner even if no layer fits."""
    plan = plan_g1b(wish, free, overhead=overhead, alone=alone)
    blocks = wish.model.shape.blocks
    if free is None or wish.num_gpu == 0:
        return _on_cpu(plan, wish)
    if wish.num_gpu < 0 or plan.ending is not Ending.LOADS:
        return plan
    return replace(plan, first=max(0, blocks - wish.num_gpu), layers=min(wish.num_gpu, blocks + 1))


def _on_cpu(plan: Plan, wish: Wish) -> Plan:
    """Add what releases up to 0.12.10 count for the processor: graph and a spare layer as on a card, without the minimum that a card keeps free."""
    blocks, needs = wish.model.shape.blocks, wish.needs
    count = blocks + 1 if wish.num_gpu < 0 else min(wish.num_gpu, blocks + 1)
    full, partial = wish.graphs
    extra = needs[0] + (full if count > blocks else partial if count else 0)
    held = sum(needs[blocks - min(count, blocks) : blocks]) + (needs[-1] if count > blocks else 0)
    return replace(plan, total=sum(needs) + extra, on_cpu=held + extra)


def plan_g2(wish: Wish, free: int | None, *, overhead: int, alone: bool) -> Plan:
    """Lay out as v0.12.11 to v0.13.5 do for the llama engine, with unsigned numbers (facts/ollama 4.3; recordings, surprise 7)."""
    return _plan_g2(wish, free, overhead=overhead, alone=alone, wraps=True)


def plan_g2_signed(wish: Wish, free: int | None, *, overhead: int, alone: bool) -> Plan:
    """Lay out as v0.24.0 does: one layer larger than the free memory leaves no room for any."""
    return _plan_g2(wish, free, overhead=overhead, alone=alone, wraps=False)


def _plan_g2(wish: Wish, free: int | None, *, overhead: int, alone: bool, wraps: bool) -> Plan:
    blocks, needs = wish.model.shape.blocks, wish.needs
    everything = sum(needs)
    if free is None or wish.num_gpu == 0:
        return Plan(Ending.LOADS, blocks, 0, 0, everything, 0, 0)
    full, partial = wish.graphs
    spare = needs[0]
    budget = (free - spare) % _U64 if wraps else max(0, free - spare)
    forced = wish.num_gpu > 0 and alone
    graph = 0
    layout = _layout(needs, max(0, budget - MINIMUM - overhead), wish.num_gpu, forced=forced)
    if layout is not None and layout[1]:
        graph = max(full, partial)
        layout = _layout(needs, max(0, budget - MINIMUM - overhead - graph), wish.num_gpu, forced=forced)
    if layout is None:
        return Plan(Ending.HANGS, blocks, 0, 0, everything, 0, 0)
    first, count = layout
    if not alone and count < blocks + 1 and (wish.num_gpu < 0 or count < wish.num_gpu):
        return Plan(Ending.CROWDED, blocks, 0, count, everything, 0, 0)
    if count:
        graph = full if count > blocks else partial
    on_gpu = sum(needs[first : first + count])
    return Plan(Ending.LOADS, first, count, count, everything + graph, on_gpu + graph, graph)


def _layout(needs: tuple[int, ...], room: int, requested: int, *, forced: bool) -> tuple[int, int] | None:
    """Fill from the last layer down, first with the output layer, then without; None when the search would never end."""
    best = (len(needs), 0)
    for end in (len(needs), len(needs) - 1):
        limit = min(requested, len(needs)) if requested >= 0 else end
        capacity = room * _FORCED if forced else room
        first, used = end, 0
        while first and end - first < limit and used + needs[first - 1] <= capacity:
            first -= 1
            used += needs[first]
        if forced and room and used >= _FLOAT_STEPS_END * room:
            return None
        best = (first, end - first)
        if best[1] == len(needs):
            break
    return best
