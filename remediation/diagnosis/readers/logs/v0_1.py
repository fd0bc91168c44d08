"""Generation 0 (..v0.1.32): one model at a time, layers by a simple ratio; and shapes that only guides invent."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediation.diagnosis.readers.logs.state import Handler, State, mark
from remediation.diagnosis.units import MIB, parse_size
from remediation.diagnosis.versions import Generation
from remediation.model.finding import Quote

_VRAM_USED = re.compile(r"VRAM (?:used|available)\s{0,20}[:=]?\s{0,20}([\d.]{1,20} ?[MG]i?B)", re.IGNORECASE)
_MEM_REQUIRED = re.compile(r"mem required\s*=\s*(\d{1,15}(?:\.\d{1,9})?) MiB")


def vram_line(state: State, line: str, at: Quote) -> None:
    """``llm_load_tensors: VRAM used: 3577.61 MiB``, and ``VRAM available: 200 MB`` of invented samples (facts/ollama 7.5)."""
    match = _VRAM_USED.search(line)
    size = parse_size(match[1]) if match else None
    if size is None:
        return
    load = state.load(at)
    mark(load, Generation.V0_1)
    if "available" in line.lower():
        load.free, load.free_at = (size,), at
    else:
        load.model_gpu = load.model_gpu or size


def memory_required(state: State, line: str, at: Quote) -> None:
    """``mem required = 3647.96 MiB``: what stays in system memory."""
    if match := _MEM_REQUIRED.search(line):
        load = state.load(at)
        load.model_cpu = load.model_cpu or int(float(match[1]) * MIB)


def changing_model(state: State, _line: str, at: Quote) -> None:
    """Read ``changing loaded model``: the next load begins."""
    mark(state.stage("model", at), Generation.V0_1)


SLOG: Mapping[str, Handler] = {"changing loaded model": changing_model}
