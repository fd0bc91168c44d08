"""Compute capability or vendor is not supported (facts/ollama 2.1, 6)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import LIKELY, PROVEN, Placement, Verdict, found, placement, result_quote
from remediation.diagnosis.codes import NO_KERNEL
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Quote, RuledOut

CURE = "use a supported card, or a build (Vulkan, HSA_OVERRIDE_GFX_VERSION for near relatives) that serves this one"


def find(reading: Reading) -> Verdict:  # noqa: C901 - one return per kind of proof
    """Look for what discovery says of the card, then for cards that no release serves."""
    hit = reading.hit("gpu_too_old")
    if hit is not None and reading.hit("physx") is None:
        detected = f": compute capability {hit.groups[0]}" if hit.groups and hit.groups[0] else ""
        return found(Cause.UNSUPPORTED_GPU, PROVEN, "the card is too old" + detected, hit.at, cure=CURE)
    hit = reading.hit("amd_unsupported")
    if hit is not None:
        return found(Cause.UNSUPPORTED_GPU, 0.94, "this card is not in the list that the ROCm build supports", hit.at, cure=CURE)
    code = next((one for one in reading.codes if one.code in NO_KERNEL), None)
    if code is not None:
        return found(
            Cause.UNSUPPORTED_GPU, 0.93, "the build has no code for this card's compute capability", code.hit.at, cure=CURE
        )
    hit = reading.hit("integrated_dropped")
    if hit is not None and not reading.gpu_devices:
        return found(
            Cause.UNSUPPORTED_GPU,
            0.9,
            "an integrated GPU is dropped unless asked for",
            hit.at,
            cure="set OLLAMA_IGPU_ENABLE=1 to try it",
        )
    hit = reading.hit("rocblas_missing")
    if hit is not None:
        return found(Cause.UNSUPPORTED_GPU, 0.85, "ROCm has no kernels for this card", hit.at, cure=CURE)
    if reading.gpu_devices:
        return RuledOut(Cause.UNSUPPORTED_GPU, "discovery keeps the card")
    if placement(reading) not in {Placement.NONE, Placement.UNKNOWN}:
        return None
    seen = placement(reading) is Placement.NONE or reading.hit("no_gpu") is not None
    at = Quote("gpu", reading.evidence.gpu or "") if reading.evidence.gpu else None
    if reading.gpu.ancient and seen:
        return found(
            Cause.UNSUPPORTED_GPU, 0.88, "the card's compute capability is below 5.0", at, result_quote(reading), cure=CURE
        )
    if (reading.gpu.intel or reading.gpu.qualcomm) and not (reading.gpu.nvidia or reading.gpu.amd or reading.gpu.apple):
        return found(
            Cause.UNSUPPORTED_GPU,
            0.9 if seen else 0.6,
            "Intel and Qualcomm graphics are not supported by this build",
            at,
            result_quote(reading),
            cure=CURE,
        )
    if reading.gpu.amd and not reading.gpu.nvidia and reading.hit("amd_no_devices", "no_gpu") is not None:
        return found(Cause.UNSUPPORTED_GPU, LIKELY - 0.1, "the ROCm build does not take this card", at, cure=CURE)
    return None
