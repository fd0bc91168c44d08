"""The tensors of a model: their shapes by architecture and their types by llama.cpp's quantisation recipes (facts/ollama 4.8)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

F32 = "F32"
_BYTES_PER_BLOCK = {F32: (4, 1), "Q4_0": (18, 32), "Q3_K": (110, 256), "Q4_K": (144, 256), "Q5_K": (176, 256), "Q6_K": (210, 256)}


@dataclass(frozen=True, slots=True)
class Tensor:
    """One tensor of a GGUF file."""

    name: str
    type: str
    shape: tuple[int, ...]

    @property
    def bytes(self) -> int:
        """Size in the file."""
        count = 1
        for side in self.shape:
            count *= side
        size, weights = _BYTES_PER_BLOCK[self.type]
        return count * size // weights


@dataclass(frozen=True, slots=True)
class Shape:
    """The numbers that decide a model's tensors."""

    architecture: str
    blocks: int
    embedding: int
    feed_forward: int
    heads: int
    heads_kv: int
    head_dim: int
    vocabulary: int


def tensors(shape: Shape, quantization: str) -> Iterator[Tensor]:
    """Yield every tensor of a model in the order of its file."""
    plain = {"Q4_0": "Q4_0", "Q4_K_M": "Q4_K", "Q3_K_M": "Q3_K"}[quantization]
    yield Tensor("token_embd.weight", plain, (shape.embedding, shape.vocabulary))
    for index in range(shape.blocks):
        kinds = _kinds(quantization, plain, index, shape.blocks)
        for name, sides in _block(shape):
            kind = F32 if len(sides) == 1 else kinds.get(name, plain)
            yield Tensor(f"blk.{index}.{name}.weight", kind, sides)
    yield Tensor("output.weight", "Q6_K", (shape.embedding, shape.vocabulary))
    yield Tensor("output_norm.weight", F32, (shape.embedding,))


def _kinds(quantization: str, plain: str, index: int, blocks: int) -> dict[str, str]:
    if quantization == "Q4_K_M":
        eighth = blocks // 8
        more = index < eighth or index >= 7 * blocks // 8 or (index - eighth) % 3 == 2  # llama.cpp use_more_bits
        kind = "Q6_K" if more else plain
        return {"attn_v": kind, "ffn_down": kind}
    if quantization == "Q3_K_M":
        kind = "Q5_K" if index < blocks // 16 else "Q4_K"
        return {"attn_v": kind, "ffn_down": kind, "attn_output": "Q4_K"}
    return {}


def _block(shape: Shape) -> Iterator[tuple[str, tuple[int, ...]]]:
    query = shape.heads * shape.head_dim
    key = shape.heads_kv * shape.head_dim
    yield "attn_norm", (shape.embedding,)
    if shape.architecture == "phi3":  # one fused matrix for q, k and v, and one for gate and up
        yield "attn_qkv", (shape.embedding, query + 2 * key)
        yield "attn_output", (query, shape.embedding)
        yield "ffn_norm", (shape.embedding,)
        yield "ffn_up", (shape.embedding, 2 * shape.feed_forward)
        yield "ffn_down", (shape.feed_forward, shape.embedding)
        return
    yield "attn_q", (shape.embedding, query)
    yield "attn_k", (shape.embedding, key)
    yield "attn_v", (shape.embedding, key)
    yield "attn_output", (query, shape.embedding)
    yield "ffn_norm", (shape.embedding,)
    yield "ffn_gate", (shape.embedding, shape.feed_forward)
    yield "ffn_up", (shape.embedding, shape.feed_forward)
    yield "ffn_down", (shape.feed_forward, shape.embedding)
