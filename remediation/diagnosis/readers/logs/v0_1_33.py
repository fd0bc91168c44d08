"""Generations 1 and 1b (v0.1.33..v0.12.10): ``offload`` lines with the whole estimate (facts/ollama 2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediation.diagnosis.readers.logs import slog
from remediation.diagnosis.readers.logs.model import Load
from remediation.diagnosis.readers.logs.state import Handler, State, mark
from remediation.diagnosis.units import parse_size, parse_sizes, rounding_error
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Quote

_FLAGS = {
    "parallel": re.compile(r"--parallel (\d+)"),
    "context": re.compile(r"--ctx-size (\d+)"),
    "command_layers": re.compile(r"--n-gpu-layers (\d+)"),
}
_MODEL = re.compile(r"--model (\S+)")


def offload(state: State, line: str, at: Quote) -> None:
    """``msg="offload to cuda" layers.requested=-1 layers.model=33 layers.offload=12 … memory.available="[2.2 GiB]"``."""
    values = slog.fields(line)
    load = state.stage("offload", at)
    mark(load, Generation.V0_1_33)
    load.library = values.get("library", load.library).lower()
    _layers(load, values, at)
    available = parse_sizes(values.get("memory.available"))
    if available and load.library != "cpu":
        # for library=cpu the line gives the machine's memory
        slack = rounding_error(values.get("memory.available"))
        if len(load.free) != len(available) or abs(load.free[0] - available[0]) > slack or load.free_slack:
            load.free, load.free_slack = available, slack  # else the line before gave the same amount to the byte
        load.free_at = at
    for name, key in (
        ("overhead", "memory.gpu_overhead"),
        ("required_full", "memory.required.full"),
        ("kv", "memory.required.kv"),
        ("weights", "memory.weights.total"),
        ("weights_output", "memory.weights.nonrepeating"),
        ("graph_full", "memory.graph.full"),
        ("graph_partial", "memory.graph.partial"),
        ("projector", "projector.weights"),
    ):
        size = parse_size(values.get(key))
        if size is not None:
            setattr(load, name, size)


def _layers(load: Load, values: Mapping[str, str], at: Quote) -> None:
    """Read request and plan: which field holds which depends on the release (facts/ollama 5.1)."""
    requested = slog.integer(values, "layers.requested")
    real = slog.integer(values, "layers.real")
    if requested is None and real is not None:
        # v0.1.33..v0.1.37: layers.real is the request
        requested, real = real, slog.integer(values, "layers.estimate")
    planned = slog.integer(values, "layers.offload")
    if planned is None:
        planned = real
    load.layers = slog.integer(values, "layers.model") or load.layers
    if requested is not None:
        load.requested, load.requested_at = requested, at
    if planned is not None:
        load.planned, load.planned_at = planned, at


def command(state: State, line: str, at: Quote) -> None:
    """Read ``starting llama server cmd="… --ctx-size 8192 --parallel 4 …"``; ``--n-gpu-layers`` is the resolved number."""
    load = state.stage("command", at)
    mark(load, Generation.V0_1_33)
    read_command(load, line, at)


def read_command(load: Load, line: str, at: Quote) -> None:
    """Take what a runner's command line says about slots, context and model."""
    load.command, load.command_at = line.split("cmd=", 1)[-1], at
    for name, pattern in _FLAGS.items():
        if match := pattern.search(line):
            setattr(load, name, int(match[1]))
    if match := _MODEL.search(line):
        load.model = match[1]
    load.engine_new = load.engine_new or "--ollama-engine" in line


def will_fit(state: State, line: str, at: Quote) -> None:
    """Read ``new model will fit in available VRAM in single GPU, loading``."""
    values = slog.fields(line)
    load = state.stage("fits", at)
    available = parse_size(values.get("available"))
    if available is not None:
        load.free, load.free_slack = (available,), rounding_error(values.get("available"))
    load.required_full = parse_size(values.get("required"))
    load.parallel = slog.integer(values, "parallel")


def too_little(state: State, line: str, at: Quote) -> None:
    """DEBUG ``gpu has too little memory to allocate any layers``: the figures of a card that takes no part."""
    values = slog.fields(line)
    load = state.load(at)
    mark(load, Generation.V0_1_33)
    load.too_little_at = at
    available, total = parse_size(values.get("available")), parse_size(values.get("total"))
    if available is not None and not load.free:
        load.free, load.free_at, load.free_slack = (available,), at, rounding_error(values.get("available"))
    load.total = load.total or total
    # what the line calls overhead holds the projector too; the setting's own value stands in the offload line
    load.projector = load.projector or parse_size(values.get("gpu_zer_overhead"))
    load.graph_full = load.graph_full or parse_size(values.get("full_offload"))
    load.graph_partial = load.graph_partial or parse_size(values.get("partial_offload"))


SLOG: Mapping[str, Handler] = {
    "offload": offload,
    "offload to": offload,
    "starting llama server": command,
    "gpu has too little memory to allocate any layers": too_little,
    "new model will fit in available VRAM": will_fit,
}
