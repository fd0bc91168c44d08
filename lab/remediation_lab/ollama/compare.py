"""Compare a recording with its replay: shapes of answers, sizes, layers, classes of log messages."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence

_TOLERANCE = 0.01
_PRINTED = 0.06
"""Sizes are printed with one decimal, so half of its last place is rounding."""

MESSAGES: Mapping[str, str] = {
    "server config": r'msg="server config" env=',
    "invalid variable": r"invalid environment variable, using default",
    "listening": r'msg="Listening on ',
    "discovering": r'msg="discovering available GPUs',
    "visible devices": r'msg="user overrode visible devices"',
    "skipping library": r'msg="skipping available library at',
    "inference compute gpu": r'msg="inference compute" id=(?!cpu)',
    "inference compute cpu": r'msg="inference compute" id=cpu',
    "default context": r'msg="vram-based default context"',
    "low vram": r'msg="entering low vram mode"',
    "system memory": r'msg="system memory"',
    "gpu memory": r'msg="gpu memory"',
    "loading model": r'msg="loading model"',
    "offload": r"msg=offload library=",
    "will fit gpu": r"new model will fit in available VRAM",
    "will fit cpu": r"new model will fit in available system memory",
    "too little": r"gpu has too little memory",
    "load request": r"msg=load request=.*Operation:commit",
    "weights": r'msg="model weights"',
    "kv cache": r'msg="kv cache"',
    "graph": r'msg="compute graph"',
    "total memory": r'msg="total memory"',
    "using device": r"(llama_model_load_from_file_impl|llama_prepare_model_devices): using device",
    "llama-server": r'msg="starting llama-server" cmd=',
    "with layers asked": r'msg="starting llama-server" cmd=.* -ngl ',
    "via llama-server": r'msg="loading model via llama-server"',
    "projected": r"common_params_fit_impl: projected to use",
    "fits": r"common_params_fit_impl: will leave",
    "does not fit": r"common_params_fit_impl: cannot meet free memory target",
    "no fit": r"n_gpu_layers already set by user",
    "metadata": r'msg="failed to load model metadata"',
    "offloading": r"load_tensors: offloading \d+ repeating layers",
    "output layer": r"load_tensors: offloading output layer to GPU",
    "offloaded": r"offloaded \d+/\d+ layers to GPU",
    "gpu buffer": r"load_tensors: +(CUDA0|Vulkan0) model buffer",
    "kv buffer": r"KV buffer size",
    "started": r"llama(-server| runner) started in",
    "updated vram": r"updated VRAM based on existing loaded models",
    "evicting": r"source=(?!server.go:474)\S+ .*evicting a model to make space",
    "kv type": r"OLLAMA_FLASH_ATTENTION must be enabled to use|quantized kv cache requested but flash",
    "context": r"requested context size too large for model",
    "ram": r"model request too large for system",
    "out of memory": r"failed to allocate (buffer for kv cache|compute pp buffers)",
    "load failed": r'msg="Load failed"',
}
"""The classes of log messages of facts/ollama 2, for the generations of one runner per model."""
_ONCE = frozenset({"invalid variable", "gpu buffer", "skipping library", "visible devices"})
"""Classes whose count says nothing: one line for each read of a variable, kind of buffer, library in the build, variable that is set."""


def classes(lines: Sequence[str]) -> Counter[str]:
    """Count the lines of each class of messages."""
    counted: Counter[str] = Counter()
    for each in lines:
        for name, pattern in MESSAGES.items():
            if re.search(pattern, each):
                counted[name] = 1 if name in _ONCE else counted[name] + 1
    return counted


def offloaded(lines: Sequence[str]) -> list[str]:
    """Return N/M of every `offloaded` line."""
    return re.findall(r"offloaded (\d+/\d+) layers to GPU", "\n".join(lines))


def shapes(recorded: object, played: object, path: str = "") -> Iterator[str]:
    """Yield where keys or types differ; a stream is compared by the shapes of its lines that occur."""
    if isinstance(recorded, list) and isinstance(played, list):
        kinds = [sorted({_signature(each) for each in side}) for side in (recorded, played)]
        if kinds[0] != kinds[1]:
            yield f"{path or 'stream'}: {kinds[0]} recorded, {kinds[1]} played"
    elif isinstance(recorded, dict) and isinstance(played, dict):
        for key in sorted({key for key in recorded if "by_recorder" not in key} ^ played.keys()):
            yield f"{path}.{key}: only {'recorded' if key in recorded else 'played'}"
        for key in sorted(recorded.keys() & played.keys()):
            yield from shapes(recorded[key], played[key], f"{path}.{key}")
    elif _signature(recorded) != _signature(played):
        yield f"{path or 'body'}: {_signature(recorded)} recorded, {_signature(played)} played"


def _signature(value: object) -> str:
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{_signature(value[key])}" for key in sorted(value) if "by_recorder" not in key) + "}"
    if isinstance(value, list):
        return "[" + "|".join(sorted({_signature(each) for each in value})) + "]"
    return "number" if isinstance(value, (int, float)) and not isinstance(value, bool) else type(value).__name__


def sizes(recorded: object, played: object) -> Iterator[str]:
    """Yield where two answers of /api/ps list other models, or amounts that differ by more than 1%."""
    if not isinstance(recorded, dict) or not isinstance(played, dict):
        return
    rows = [{each["name"]: each for each in side["models"]} for side in (recorded, played)]
    if rows[0].keys() != rows[1].keys():
        yield f"models {sorted(rows[0])} recorded, {sorted(rows[1])} played"
    for name in rows[0].keys() & rows[1].keys():
        for key in {"size", "size_vram", "context_length"} & rows[0][name].keys() & rows[1][name].keys():
            real, own = rows[0][name][key], rows[1][name][key]
            if abs(real - own) > _TOLERANCE * max(real, own):
                yield f"{name} {key}: {real} recorded, {own} played"


_UNITS = {"B": 1.0, "KiB": 1024.0, "MiB": 1024.0**2, "GiB": 1024.0**3}
_ESTIMATE = re.compile(
    r'(memory\.(?:required|weights|graph)\.[a-z.]+|device=\S+ size|KV buffer size|model buffer size) ?= ?"?\[?(\d+(?:\.\d+)?) ([KMG]?i?B)'
)


def estimates(real: Sequence[str], played: Sequence[str]) -> Iterator[str]:
    """Compare the sizes that follow from facts/ollama 4.1, in order, line by line."""
    sides = [
        _ESTIMATE.findall("\n".join(lines).replace("Vulkan", "CUDA").replace("CUDA_Host model", "CPU_Mapped model"))
        for lines in (real, played)
    ]
    rows = [sorted((key, float(number) * _UNITS[unit]) for key, number, unit in side) for side in sides]
    counts = [Counter(key for key, _ in row) for row in rows]
    if counts[0] != counts[1]:
        yield f"sizes {dict(counts[0])} recorded, {dict(counts[1])} played"
        return
    for (key, expected), (_, got) in zip(*rows, strict=True):
        if abs(expected - got) > max(_TOLERANCE * expected, _PRINTED * (1024**2 if expected > 1024**2 else 1024)):
            yield f"{key}: {expected:.0f} recorded, {got:.0f} played"
