"""Generation 2 (v0.11.5..v0.24.0): ``loading model … requested=``, ``load request`` and sizes per device (facts/ollama 2.2)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediation.diagnosis.readers.logs import slog
from remediation.diagnosis.readers.logs.common import is_gpu_buffer
from remediation.diagnosis.readers.logs.state import Handler, State, mark
from remediation.diagnosis.readers.logs.v0_1_33 import read_command
from remediation.diagnosis.units import parse_size
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

_ASSIGNED = re.compile(r"GPULayers:(?:(\d+)\[|\[\])")
_REQUEST = re.compile(r"(Operation|Parallel|FlashAttention|KvSize|KvCacheType):(\S*)")


def starting_runner(state: State, line: str, at: Quote) -> None:
    """Read ``starting runner cmd="… --model …"``; without a model it is a discovery runner."""
    if "--model" in line:
        read_command(state.stage("command", at), line, at)


def loading_model(state: State, line: str, at: Quote) -> None:
    """Read ``loading model "model layers"=33 requested=-1``; ``requested`` is the requested num_gpu."""
    values = slog.fields(line)
    load = state.stage("loading", at)
    mark(load, Generation.V0_12_11_NEW_ENGINE if load.engine_new else Generation.V0_12_11)
    load.layers = slog.integer(values, "model layers") or load.layers
    requested = slog.integer(values, "requested")
    if requested is not None:
        load.requested, load.requested_at = requested, at


def load_request(state: State, line: str, at: Quote) -> None:
    """``msg=load request="{Operation:commit … KvSize:4096 … GPULayers:33[…]}"``; the last one of a load counts."""
    load = state.load(at)
    values = dict(_REQUEST.findall(line))
    if values.get("Operation") == "close":
        return
    if match := _ASSIGNED.search(line):
        load.assigned, load.assigned_at = int(match[1] or 0), at
    if is_whole(values.get("KvSize", "")):
        load.context = int(values["KvSize"])
    if is_whole(values.get("Parallel", "")):
        load.parallel = int(values["Parallel"])
    load.cache_type = values.get("KvCacheType", "") or load.cache_type
    load.flash = values.get("FlashAttention", "")


def _size_line(state: State, line: str, at: Quote, part: str) -> None:
    values = slog.fields(line)
    size = parse_size(values.get("size"))
    device = values.get("device") or values.get("buffer") or values.get("backend") or ""
    if size is None or not device:
        return
    load = state.load(at)
    if {"model": "model", "kv": "KV"}.get(part) in load.measured:
        return
    on_gpu = is_gpu_buffer(device)
    # each round of a load prints its sizes again: the last round counts
    if part == "model":
        load.model_gpu, load.model_cpu = (size, load.model_cpu) if on_gpu else (load.model_gpu, size)
    elif part == "kv":
        load.kv_gpu, load.kv_cpu = (size, load.kv_cpu) if on_gpu else (load.kv_gpu, size)
    elif on_gpu:
        load.graph_gpu = size


def model_weights(state: State, line: str, at: Quote) -> None:
    """``model weights device=CUDA0 size=``."""
    _size_line(state, line, at, "model")


def kv_cache(state: State, line: str, at: Quote) -> None:
    """``kv cache device=CUDA0 size=``."""
    _size_line(state, line, at, "kv")


def compute_graph(state: State, line: str, at: Quote) -> None:
    """``compute graph device=CUDA0 size=``."""
    _size_line(state, line, at, "graph")


def total_memory(state: State, line: str, at: Quote) -> None:
    """``total memory size=``: all devices and the processor together."""
    size = parse_size(slog.fields(line).get("size"))
    if size is not None:
        state.load(at).required_full = size


SLOG: Mapping[str, Handler] = {
    "starting runner": starting_runner,
    "loading model": loading_model,
    "load": load_request,
    "model weights": model_weights,
    "kv cache": kv_cache,
    "compute graph": compute_graph,
    "total memory": total_memory,
}
