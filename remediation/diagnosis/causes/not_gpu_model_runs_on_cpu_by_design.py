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

_INTEL_MAC = re.compile(
    r"\bintel[^\n.]{0,25}\bi?mac(?:book\w*|os|s)?\b|\bi?mac(?:book\w*|os|s)?\b[^\n.]{0,25}\bintel\b", re.IGNORECASE
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
    intel_mac = _INTEL_MAC.search(reading.prose)
    if intel_mac and placement(reading) in {Placement.NONE, Placement.UNKNOWN} and not reading.in_container:
        # Ollama serves Apple's own GPUs by Metal, and those of Intel Macs not at all
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            LIKELY,
            "on Macs with an Intel processor Ollama uses the processor alone",
            Quote("text", intel_mac[0][:160]),
            result_quote(reading),
            cure="use a Mac with Apple silicon, or another machine with a supported card",
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
    chosen = chosen_for_cpu(reading)
    if chosen is not None and placement(reading) in {Placement.NONE, Placement.UNKNOWN} and not reading.gpu_devices:
        return found(
            Cause.NOT_GPU_MODEL_RUNS_ON_CPU_BY_DESIGN,
            0.85 if chosen.where != "text" else LIKELY - 0.05,
            "a variant for the processor was chosen",
            chosen,
            result_quote(reading),
            cure="choose the variant for the GPU",
        )
    return None


def chosen_for_cpu(reading: Reading) -> Quote | None:
    """Return where a variant for the processor is chosen: a profile, an image, an option."""
    for piece in reading.evidence.pieces:
        if piece.kind in {"docker_compose", "client_config", "env", "other", "modelfile"} and (
            match := _CHOSEN.search(piece.text)
        ):
            where = piece.label if piece.kind == "docker_compose" else "text"
            return Quote(where, " ".join(match[0][:160].split()))
    match = _CHOSEN.search(reading.evidence.symptom or "")
    return Quote("text", match[0][:160]) if match else None
