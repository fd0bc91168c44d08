"""Layers that fit, by the rule of each generation (facts/ollama 4.1, 4.2, 4.3, 4.5)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from remediation.diagnosis.memory.metadata import DENSE, ModelMetadata
from remediation.diagnosis.units import MIB, human
from remediation.diagnosis.versions import Generation, Version, at_least, generation

RESERVE = 457 * MIB  # facts/ollama 4.2
FIT_MARGIN = 1024 * MIB  # facts/ollama 4.5
BATCH = 512


@dataclass(frozen=True, slots=True)
class Fit:
    """What fits. ``need_all`` is the free VRAM that all layers need, ``parts`` the bytes of each part at full offload."""

    layers: int
    total: int
    need_all: int
    parts: Mapping[str, int] = field(default_factory=dict)
    sentence: str = ""

    @property
    def whole(self) -> bool:
        """Whether all layers fit."""
        return self.layers == self.total


def fit(
    model: ModelMetadata,
    *,
    context: int,
    free: int,
    version: Version | None,
    parallel: int = 1,
    cache_type: str = "f16",
    overhead: int = 0,
    margin: int | None = None,
) -> Fit | None:
    """Return how many layers fit into `free` bytes of VRAM on one card; None where the facts give no rule.

    `context` is that of one slot in tokens, `overhead` the bytes of OLLAMA_GPU_OVERHEAD, `margin` those of
    LLAMA_ARG_FIT_TARGET (v0.30 and newer; default 1 GiB).
    """
    rule = _rule(model, context * parallel, cache_type, version, overhead=overhead, margin=margin)
    if rule is None:
        return None
    layers = rule.layers(free)
    need = rule.need_all()
    share = _share(layers, model.layers)
    if parallel > 1:
        sentence = f"needs {human(need)} at {context} context in {parallel} slots, {human(free)} are free: {share}"
    else:
        sentence = f"needs {human(need)} at {context} context, {human(free)} are free: {share}"
    return Fit(layers, model.layers, need, rule.parts(), sentence)


def _share(layers: int, total: int) -> str:
    return f"all {total} layers" if layers == total else f"{layers} of {total} layers"


def vram_for_all_layers(
    model: ModelMetadata,
    *,
    context: int,
    version: Version | None,
    parallel: int = 1,
    cache_type: str = "f16",
    overhead: int = 0,
    margin: int | None = None,
) -> int | None:
    """Return the free VRAM in bytes that all layers need; None where the facts give no rule."""
    rule = _rule(model, context * parallel, cache_type, version, overhead=overhead, margin=margin)
    return None if rule is None else rule.need_all()


def graph(model: ModelMetadata, tokens: int) -> tuple[int, int]:
    """Return the compute graph's bytes with all layers on the GPU and with some (facts/ollama 4.1)."""
    e, h, k, v = model.embedding, model.heads, model.kv_heads, model.vocabulary
    if model.architecture == "llama":
        d, b = e // h, min(BATCH, tokens)
        full = max(4 * b * (1 + 4 * e + tokens * (1 + h)), 4 * b * (e + v))
        partial = 4 * b * e + max(
            4 * b * (1 + e + max(tokens, e)) + e * e * 9 // 16 + 4 * tokens * (b * h + d * k),
            4 * b * (e + v) + e * v * 105 // 128,
        )
        return full, partial
    half = (h // max(1, k)) * model.kv_per_layer(tokens, "f16") * model.blocks // 6
    return half, half


def graph_flash(model: ModelMetadata, tokens: int) -> tuple[int, int]:
    """Return llama-server's compute buffer with flash attention, all layers on the GPU and some.

    The mask takes 2 bytes per batch row and token, logits and feed-forward rows 4 bytes each; with some layers on the
    CPU a layer's keys and one more row pass through. Found from the recorded v0.32.0 loads at 4096 and 32768 tokens.
    """
    b = min(BATCH, tokens)
    full = 2 * b * tokens + 4 * b * (model.vocabulary + model.feed_forward)
    keys = 2 * tokens * model.key_length * model.kv_heads
    return full, full + keys + 4 * b * model.embedding


@dataclass(frozen=True, slots=True)
class _Rule:
    """One load's bytes and the generation's way of placing layers."""

    model: ModelMetadata
    kind: Generation
    kv: int
    full: int
    partial: int
    overhead: int
    reserve: int
    spare: bool
    wraps: bool = False

    def parts(self) -> Mapping[str, int]:
        return {
            "weights": self.model.weights,
            "kv": self.kv * self.model.blocks,
            "graph": self.full,
            "graph_partial": self.partial,
            "output": self.model.output_bytes,
            "reserve": self.reserve + self.overhead,
        }

    def block(self, layer: int) -> int:
        return self.model.blocks_bytes[layer] + self.kv

    def need_all(self) -> int:
        """Return the smallest free VRAM with which `layers` gives all."""
        everything = sum(self.block(layer) for layer in range(self.model.blocks)) + self.model.output_bytes
        if self.kind is Generation.V0_30:
            return self.reserve + everything + self.full
        held = self.block(0) if self.spare else 0
        graph = max(self.full, self.partial)
        need = self.reserve + self.overhead + held + graph + everything
        if self.kind in {Generation.V0_12_11, Generation.V0_12_11_NEW_ENGINE}:
            return need
        # the estimate asks for "more than", not "at least"
        return max(need + 1, self._least())

    def _least(self) -> int:
        """Return the free memory that a card needs to be used (facts/ollama 4.2)."""
        return self.overhead + max(self.full, self.partial) + self.reserve + 2 * self.block(0)

    def layers(self, free: int) -> int:
        if self.kind is Generation.V0_30:
            return self._by_fit(free)
        return (
            self._by_layout(free)
            if self.kind in {Generation.V0_12_11, Generation.V0_12_11_NEW_ENGINE}
            else self._by_estimate(free)
        )

    def _by_estimate(self, free: int) -> int:
        """From 0.1.33: blocks from the last on while they fit, the output layer only after all of them (facts/ollama 4.2)."""
        if free < self._least():
            return 0
        used = self.reserve + (self.block(0) if self.spare else 0) + self.overhead + max(self.full, self.partial)
        count = 0
        for layer in reversed(range(self.model.blocks)):
            if free <= used + self.block(layer):
                break
            used += self.block(layer)
            count += 1
        if count == self.model.blocks and free > used + self.model.output_bytes:
            count += 1
        return count

    def _by_layout(self, free: int) -> int:
        """From 0.12.11: from the output layer down; if not all fit, again without it (facts/ollama 4.3). The newer engine keeps no spare layer."""
        held = self.block(0) if self.spare else 0
        if self.wraps and held > free:
            return self.model.layers
        room = free - held - self.reserve - self.overhead - max(self.full, self.partial)
        blocks = [self.block(layer) for layer in reversed(range(self.model.blocks))]
        if self.model.output_bytes + sum(blocks) <= room:
            return self.model.layers
        return _count_fitting(blocks, room)

    def _by_fit(self, free: int) -> int:
        """From 0.30: all if the margin stays free, else from the output layer down with the partial graph (facts/ollama 4.5)."""
        if self.need_all() <= free:
            return self.model.layers
        room = free - self.reserve - self.partial
        blocks = [self.model.output_bytes, *(self.block(layer) for layer in reversed(range(self.model.blocks)))]
        return min(_count_fitting(blocks, room), self.model.blocks)


def _count_fitting(sizes: list[int], room: int) -> int:
    count = 0
    for size in sizes:
        if size > room:
            break
        room -= size
        count += 1
    return count


def _rule(
    model: ModelMetadata, tokens: int, cache_type: str, version: Version | None, *, overhead: int, margin: int | None
) -> _Rule | None:
    kind = generation(version)
    if kind is None or kind is Generation.V0_1 or model.architecture not in DENSE or tokens <= 0:
        return None
    kv = model.kv_per_layer(tokens, cache_type or "f16")
    if kind is Generation.V0_30:
        full, partial = graph_flash(model, tokens)
        # the overhead never reaches llama-server (facts/ollama 1.3)
        return _Rule(model, kind, kv, full, partial, 0, FIT_MARGIN if margin is None else margin, spare=False)
    full, partial = graph(model, tokens)
    # to v0.13.5 the layout subtracts unsigned: one layer larger than what is free gives all layers (recordings, surprise 7)
    wraps = kind is Generation.V0_12_11 and not at_least(version, "0.13.6")
    return _Rule(model, kind, kv, full, partial, overhead, RESERVE, spare=bool(at_least(version, "0.1.45")), wraps=wraps)


@dataclass(frozen=True, slots=True)
class Parts:
    """What a server printed of a load's bytes; layers are taken as equal. ``context`` is for the sentence alone."""

    layers: int
    repeating: int
    output: int
    kv: int
    graph_full: int
    graph_partial: int
    projector: int = 0
    overhead: int = 0
    margin: int | None = None
    context: int | None = None


def fit_parts(parts: Parts, *, free: int, kind: Generation, version: Version | None) -> Fit | None:
    """Return how many layers fit by the bytes that the server itself printed; for models whose dimensions are not known."""
    blocks = parts.layers - 1
    if blocks < 1 or parts.repeating <= 0 or kind is Generation.V0_1:
        return None
    model = ModelMetadata(
        "", blocks, 0, 0, 0, 0, 0, 0, 0, (parts.repeating // blocks,) * blocks, parts.output, 0, exact=False
    )  # fmt: skip
    known_old = kind in {Generation.V0_1_33, Generation.V0_11_5} and at_least(version, "0.1.45") is False
    spare = kind in {Generation.V0_1_33, Generation.V0_11_5, Generation.V0_12_11} and not known_old
    if kind is Generation.V0_30:
        reserve, overhead = FIT_MARGIN if parts.margin is None else parts.margin, 0
    else:
        reserve, overhead = RESERVE, parts.overhead + parts.projector
    rule = _Rule(
        model, kind, parts.kv // blocks, parts.graph_full, parts.graph_partial, overhead, reserve, spare=spare
    )  # fmt: skip
    layers, need = rule.layers(free), rule.need_all()
    share = _share(layers, parts.layers)
    if parts.context:
        sentence = f"needs {human(need)} at {parts.context} context, {human(free)} are free: {share}"
    else:
        sentence = f"needs {human(need)}, {human(free)} are free: {share}"
    return Fit(layers, parts.layers, need, rule.parts(), sentence)
