"""A model's dimensions and the bytes of its parts, from ``/api/show``, a log's GGUF dump, or a file size."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from remediation.diagnosis.memory import quantisation
from remediation.model.facts import ModelEntry, ModelShow
from remediation.model.text.digits import is_whole

# dense families whose graph the facts give (facts/ollama 4.1); phi3 packs q, k and v into one tensor
_FUSED = frozenset({"phi3"})
DENSE = frozenset({"llama", "phi3"})


@dataclass(frozen=True, slots=True)
class ModelMetadata:
    """Dimensions and bytes of one model. ``blocks_bytes`` has an entry per repeating block, first to last.

    ``exact`` is False where the sizes were spread from the file's size because the recipe is not known.
    """

    architecture: str
    blocks: int
    embedding: int
    heads: int
    kv_heads: int
    key_length: int
    value_length: int
    vocabulary: int
    feed_forward: int
    blocks_bytes: tuple[int, ...]
    output_bytes: int
    embedding_bytes: int
    quantisation: str = ""
    trained_context: int | None = None
    name: str = ""
    exact: bool = True

    @property
    def layers(self) -> int:
        """Repeating blocks and the output layer."""
        return self.blocks + 1

    @property
    def weights(self) -> int:
        """Bytes of weights on the GPU when all layers are there (token_embd stays in system memory)."""
        return sum(self.blocks_bytes) + self.output_bytes

    def kv_per_layer(self, tokens: int, cache_type: str) -> int:
        """Return the cache bytes of one layer for so many tokens, all slots together (facts/ollama 4.1)."""
        width = {"q8_0": 1.0, "q4_0": 0.5}.get(cache_type.lower(), 2.0)
        return int(tokens * (self.key_length + self.value_length) * self.kv_heads * width)


def metadata(show: ModelShow, entry: ModelEntry | None = None) -> ModelMetadata | None:
    """Return what ``/api/show`` (and the size in ``/api/tags``) says of a dense model; None where that is not enough."""
    level = str(show.details.get("quantization_level") or "") or (
        str(entry.details.get("quantization_level") or "") if entry else ""
    )
    return metadata_of(show.info, level=level, file_size=entry.size if entry else None, name=show.model)


def metadata_of(
    info: Mapping[str, Any], *, level: str = "", file_size: int | None = None, name: str = ""
) -> ModelMetadata | None:
    """Return the metadata in GGUF keys (``llama.block_count`` …); None for models that are not dense, or keys that lack."""
    architecture = str(info.get("general.architecture") or "")
    read = _Keys(info, architecture)
    blocks, embedding, heads = read.number("block_count"), read.number("embedding_length"), read.number("attention.head_count")
    forward = read.number("feed_forward_length")
    if not (blocks and embedding and heads and forward) or read.number("expert_count") or "vision.block_count" in info:
        return None
    kv_heads = read.number("attention.head_count_kv") or heads
    head = embedding // heads
    key, value = read.number("attention.key_length") or head, read.number("attention.value_length") or head
    file_type = info.get("general.file_type")
    level = level or (quantisation.FILE_TYPES.get(file_type, "") if isinstance(file_type, int) else "")
    parameters = info.get("general.parameter_count")
    block = embedding * (heads * key + kv_heads * (key + value) + heads * value) + 3 * embedding * forward + 2 * embedding
    vocabulary = read.number("vocab_size") or _vocabulary(info, parameters, block * blocks, embedding)
    if not vocabulary:
        return None
    tied = isinstance(parameters, int) and parameters < block * blocks + embedding * vocabulary * 2
    shape = _Shape(blocks, embedding, heads, kv_heads, key, value, forward, vocabulary, tied=tied, fused=architecture in _FUSED)
    sizes = _sizes(shape, level, file_size)
    if sizes is None:
        return None
    blocks_bytes, output, token_embedding, exact = sizes
    return ModelMetadata(
        architecture, blocks, embedding, heads, kv_heads, key, value, vocabulary, forward, blocks_bytes, output, token_embedding,
        quantisation=level, trained_context=read.number("context_length"), name=name, exact=exact,
    )  # fmt: skip


class _Keys:
    """Numbers under ``<architecture>.<key>``; a per-layer array counts by its largest entry."""

    def __init__(self, info: Mapping[str, Any], architecture: str) -> None:
        self._info = info
        self._architecture = architecture

    def number(self, key: str) -> int | None:
        value = self._info.get(f"{self._architecture}.{key}")
        if isinstance(value, (list, tuple)):
            numbers = [one for one in value if isinstance(one, int)]
            return max(numbers, default=None)
        if isinstance(value, str) and is_whole(value):
            return int(value)
        return int(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def _vocabulary(info: Mapping[str, Any], parameters: object, blocks: int, embedding: int) -> int | None:
    tokens = info.get("tokenizer.ggml.tokens")
    if isinstance(tokens, (list, tuple)):
        return len(tokens)
    if isinstance(tokens, str) and (match := re.search(r"arr\[str,(\d+)\]", tokens)):
        return int(match[1])
    if isinstance(parameters, int) and parameters > blocks:
        # a separate output tensor is the rule; assuming a tied one would double the vocabulary
        return (parameters - blocks - embedding) // (2 * embedding)
    return None


@dataclass(frozen=True, slots=True)
class _Shape:
    blocks: int
    embedding: int
    heads: int
    kv_heads: int
    key: int
    value: int
    forward: int
    vocabulary: int
    tied: bool
    fused: bool

    def block(self, level: str, layer: int) -> int:
        """Return the bytes of one block under a recipe."""
        types = quantisation.block_types(level, layer, self.blocks, grouped=self.heads // max(1, self.kv_heads), fused=self.fused)
        wide = self.embedding
        q, k, v = self.heads * self.key * wide, self.kv_heads * self.key * wide, self.kv_heads * self.value * wide
        if self.fused:
            attention = quantisation.tensor_bytes(q + k + v, types["qkv"])
        else:
            attention = sum(quantisation.tensor_bytes(one, types["rest"]) for one in (q, k)) + quantisation.tensor_bytes(
                v, types["v"]
            )
        attention += quantisation.tensor_bytes(self.heads * self.value * wide, types["out"])
        feed = 2 * quantisation.tensor_bytes(wide * self.forward, types["rest"]) + quantisation.tensor_bytes(
            wide * self.forward, types["down"]
        )
        return attention + feed + 2 * wide * 4


@lru_cache(maxsize=64)
def _sizes(shape: _Shape, level: str, file_size: int | None) -> tuple[tuple[int, ...], int, int, bool] | None:
    """Return (bytes per block, output with its norm, token_embd, exact)."""
    rows = shape.embedding * shape.vocabulary
    norm = shape.embedding * 4
    if quantisation.is_known_level(level):
        blocks = tuple(shape.block(level, layer) for layer in range(shape.blocks))
        output = quantisation.tensor_bytes(rows, quantisation.output_type(level))
        embedding = 0 if shape.tied else quantisation.tensor_bytes(rows, quantisation.embedding_type(level))
        return blocks, output + norm, embedding, True
    if file_size is None:
        return None
    # an unknown recipe: the file's bytes spread by weights, the output rows a little finer than the rest
    weights = shape.blocks * (shape.block("F16", 0) // 2)
    share = file_size / (weights + rows * (1 if shape.tied else 2))
    block = int(share * weights / shape.blocks)
    return (block,) * shape.blocks, int(share * rows) + norm, 0 if shape.tied else int(share * rows), False
