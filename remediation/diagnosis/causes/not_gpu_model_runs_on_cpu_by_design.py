"""The CPU was chosen on purpose, or there is no other way by design."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import LIKELY, Placement, Verdict, found, phantom, placement, result_quote
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Quote

_CHOSEN = re.compile(
    r"profile[s:\s\[\"'-]+cpu\b|cpu[- ]only (?:image|build|profile|mode|setup|install)|--cpu\b|device[\"']?\s*[:=]\s*[\"']?cpu\b",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:
    """Look for Apple's containers, settings that choose the processor, and layers without a device."""
    only_apple = reading.gpu.apple and not (reading.gpu.nvidia or reading.gpu.amd)
    if only_apple and reading.in_container:
        # Docker's virtual machine on macOS has no access to Metal
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            0.93,
            "containers on a Mac cannot use the Apple GPU",
            Quote("gpu", reading.evidence.gpu or "Apple"),
            cure="run the native application on the Mac",
        )
    device = reading.setting("LLAMA_ARG_DEVICE")
    if device is not None and device.value.lower() == "none":
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            0.94,
            "LLAMA_ARG_DEVICE=none takes all devices away",
            device.at,
            cure="remove LLAMA_ARG_DEVICE",
        )
    if phantom(reading) and not reading.cpu_device:
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            0.84,
            "the log claims layers on the GPU, but no buffer lies on a device: llama-server was told to use none (LLAMA_ARG_DEVICE)",
            result_quote(reading),
            cure="remove LLAMA_ARG_DEVICE from the server's environment",
        )
    library = reading.setting("OLLAMA_LLM_LIBRARY")
    if library is not None and library.value.startswith("cpu") and placement(reading) in {Placement.NONE, Placement.UNKNOWN}:
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            0.9,
            f"OLLAMA_LLM_LIBRARY={library.value} chooses the processor",
            library.at,
            cure="remove OLLAMA_LLM_LIBRARY",
        )
    written = [
        piece.text
        for piece in reading.evidence.pieces
        if piece.kind in {"docker_compose", "client_config", "env", "other", "modelfile"}
    ]
    chosen = _CHOSEN.search("\n".join([*written, reading.evidence.symptom or ""]))
    if chosen and placement(reading) in {Placement.NONE, Placement.UNKNOWN} and not reading.gpu_devices:
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            LIKELY - 0.05,
            "a variant for the processor was chosen",
            Quote("text", chosen[0][:160]),
            cure="choose the variant for the GPU",
        )
    return None
