"""The options of a request over those of its model over the defaults (facts/ollama 1.4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from remediation_lab.ollama import golang
from remediation_lab.ollama.answers import ApiError

_INTEGERS = frozenset(
    "num_ctx num_batch num_gpu main_gpu num_thread num_keep seed num_predict top_k repeat_last_n".split()  # reads best as words
)
_FLOATS = frozenset("top_p min_p typical_p temperature repeat_penalty presence_penalty frequency_penalty".split())  # as above
_OTHERS = frozenset(
    {
        "stop",
        "use_mmap",
        "numa",
        "low_vram",
        "f16_kv",
        "vocab_only",
        "use_mlock",
        "mirostat",
        "mirostat_tau",
        "mirostat_eta",
        "penalize_newline",
    }
)


@dataclass(frozen=True, slots=True)
class Options:
    """What decides a load and a generation."""

    num_gpu: int
    num_ctx: int
    num_predict: int
    unknown: tuple[str, ...]


def merge(layers: tuple[Mapping[str, Any], ...], default_context: int) -> Options:
    """Lay the later mappings over the earlier; ApiError 500 for a wrong type, None keeps what is below."""
    merged: dict[str, Any] = {}
    unknown = []
    for layer in layers:
        for key, value in layer.items():
            if key not in _INTEGERS | _FLOATS | _OTHERS:
                unknown.append(key)
                continue
            if value is None:
                continue
            number = isinstance(value, (int, float)) and not isinstance(value, bool)
            if key in _INTEGERS and not number:
                raise ApiError(500, f'option "{key}" must be of type integer')
            if key in _FLOATS and not number:
                raise ApiError(500, f'option "{key}" must be of type float32')
            merged[key] = int(value) if key in _INTEGERS else value
    return Options(
        merged.get("num_gpu", -1), max(4, merged.get("num_ctx", default_context)), merged.get("num_predict", -1), tuple(unknown)
    )


def keep_alive(body: Mapping[str, Any]) -> int | None:
    """Read a request's keep_alive as ns, None where it has none; a number is seconds, below zero means for ever.

    Raises `ApiError` 400 with Go's text.
    """
    value = body.get("keep_alive")
    if value is None:
        return None
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return golang.FOREVER if value < 0 else int(value * golang.SECOND)
    if not isinstance(value, str):
        raise ApiError(400, f'json: invalid duration: "{value}"')
    try:
        ns = golang.parse_duration(value)
    except ValueError as error:
        raise ApiError(400, str(error)) from error
    return golang.FOREVER if ns < 0 else ns
