"""Bytes of tensors by llama.cpp's quantisation recipes: which tensor gets which type (facts/ollama 4.8).

The recipes are those of ``llama_tensor_get_type`` for dense models; they reproduce the sizes of facts/ollama 4.8 and of the
recorded models to the byte.
"""

from __future__ import annotations

from collections.abc import Mapping

# bytes per block of weights, weights per block
_TYPES: Mapping[str, tuple[int, int]] = {
    "F32": (4, 1), "F16": (2, 1), "BF16": (2, 1), "Q8_0": (34, 32), "Q6_K": (210, 256), "Q5_K": (176, 256), "Q5_0": (22, 32), "Q5_1": (24, 32),
    "Q4_K": (144, 256), "Q4_0": (18, 32), "Q4_1": (20, 32), "Q3_K": (110, 256), "Q2_K": (84, 256),
}  # fmt: skip

# general.file_type of GGUF
FILE_TYPES: Mapping[int, str] = {
    0: "F32", 1: "F16", 2: "Q4_0", 3: "Q4_1", 7: "Q8_0", 8: "Q5_0", 9: "Q5_1", 10: "Q2_K", 11: "Q3_K_S", 12: "Q3_K_M", 13: "Q3_K_L",
    14: "Q4_K_S", 15: "Q4_K_M", 16: "Q5_K_S", 17: "Q5_K_M", 18: "Q6_K", 32: "BF16",
}  # fmt: skip

_PLAIN = {name: name for name in ("F32", "F16", "BF16", "Q8_0", "Q6_K", "Q5_0", "Q5_1", "Q4_0", "Q4_1")}
_BASE: Mapping[str, str] = {
    **_PLAIN, "Q2_K": "Q2_K", "Q3_K_S": "Q3_K", "Q3_K_M": "Q3_K", "Q3_K_L": "Q3_K", "Q4_K_S": "Q4_K", "Q4_K_M": "Q4_K", "Q5_K_S": "Q5_K", "Q5_K_M": "Q5_K",
}  # fmt: skip
_WHOLE_OUTPUT = frozenset({"F32", "F16", "BF16", "Q8_0"})


def is_known_level(level: str) -> bool:
    """Whether the recipe of a quantisation level is known."""
    return level.upper() in _BASE


def tensor_bytes(weights: int, kind: str) -> int:
    """Return the bytes of a tensor of that many weights."""
    size, block = _TYPES[kind]
    return -(-weights // block) * size


def output_type(level: str) -> str:
    """Return the type of the output tensor (also of token_embd where it serves as output)."""
    name = level.upper()
    return _BASE[name] if name in _WHOLE_OUTPUT else "Q6_K"


def embedding_type(level: str) -> str:
    """Return the type of token_embd if the model has a separate output tensor."""
    return _BASE[level.upper()]


def more_bits(layer: int, layers: int) -> bool:
    """Whether a layer is one of those that the ``_M`` recipes keep finer: the first and last eighth and every third between."""
    eighth = layers // 8
    return layer < eighth or layer >= 7 * layers // 8 or (layer - eighth) % 3 == 2


def block_types(level: str, layer: int, layers: int, *, grouped: int, fused: bool) -> Mapping[str, str]:
    """Return tensor role -> type for one block; `grouped` is heads per KV head, `fused` says that q, k and v are one tensor."""
    name = level.upper()
    base = _BASE[name]
    types = {"qkv": base, "v": base, "out": base, "down": base}
    finer = more_bits(layer, layers)
    if name == "Q2_K":
        types |= {"v": "Q4_K" if grouped >= 4 else "Q3_K", "out": "Q3_K", "down": "Q3_K"}
    elif name == "Q3_K_M":
        types |= {
            "v": "Q5_K" if layer < 2 else "Q4_K",
            "out": "Q4_K",
            "down": "Q5_K" if layer < layers // 16 else "Q4_K",
            "qkv": "Q4_K",
        }
    elif name == "Q3_K_L":
        types |= {"v": "Q5_K", "out": "Q5_K", "down": "Q5_K"}
    elif name == "Q4_K_M":
        types |= {"v": "Q6_K" if finer else base, "down": "Q6_K" if finer else base, "qkv": "Q5_K"}
    elif name == "Q4_K_S":
        types |= {"v": "Q5_K" if layer < 4 else base, "down": "Q5_K" if layer < layers // 8 else base}
    elif name == "Q5_K_M":
        types |= {"v": "Q6_K" if finer else base, "down": "Q6_K" if finer else base, "qkv": "Q6_K"}
    return {**types, "rest": base, "qkv": types["qkv"] if fused else base}
