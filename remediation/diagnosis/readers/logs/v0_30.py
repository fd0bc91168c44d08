"""Generation 3 (v0.30.0..): upstream llama-server decides by ``--fit`` (facts/ollama 2.2, 2.3, 4.5)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediation.diagnosis.readers.logs.state import Handler, State, mark
from remediation.diagnosis.units import MIB
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Quote

_FLAGS = {
    "context": re.compile(r"\s(?:-c|--ctx-size) (\d+)"),
    "parallel": re.compile(r"\s(?:-np|--parallel) (\d+)"),
}
_LAYERS = re.compile(r"\s(?:-ngl|--n-gpu-layers|--gpu-layers) (-?\d+)")
_CACHE = re.compile(r"--cache-type-k (\S+)")
_MODEL = re.compile(r"--model (\S+)")
_PROJECTED = re.compile(r"projected to use (\d+) MiB of (?:device|host) memory vs\. (\d+) MiB")
_KEPT = re.compile(r"will leave \d+ >= (\d+) MiB")
_TARGET = re.compile(r"cannot meet free memory targets? of (\d+) MiB, need to reduce device memory by (\d+) MiB")


def server_command(state: State, line: str, at: Quote) -> None:
    """Read ``starting llama-server cmd="… -c 4096 -np 1 [-ngl 1] …"``; ``-ngl`` occurs only if num_gpu was requested."""
    load = state.stage("command", at)
    mark(load, Generation.V0_30)
    load.command, load.command_at = line.split("cmd=", 1)[-1], at
    for name, pattern in _FLAGS.items():
        if match := pattern.search(line):
            setattr(load, name, int(match[1]))
    match = _LAYERS.search(line)
    load.requested, load.requested_at = (int(match[1]) if match else -1), at
    if found := _CACHE.search(line):
        load.cache_type = found[1]
    if found := _MODEL.search(line):
        load.model = found[1]


def fit_line(state: State, line: str, at: Quote) -> None:
    """Read what ``common_params_fit_impl`` projects and by how much it misses its free margin."""
    load = state.load(at)
    mark(load, Generation.V0_30)
    if match := _PROJECTED.search(line):
        if load.projected is None:
            load.projected, load.free, load.free_slack = int(match[1]) * MIB, (int(match[2]) * MIB,), 0
            load.free_at = at
    elif match := _KEPT.search(line):
        load.margin = int(match[1]) * MIB
    elif match := _TARGET.search(line):
        load.margin, load.short_by, load.fit_at = int(match[1]) * MIB, int(match[2]) * MIB, at


SLOG: Mapping[str, Handler] = {"starting llama-server": server_command}
RAW: Mapping[str, Handler] = {"common_params_fit_impl": fit_line, "llama_params_fit_impl": fit_line}
