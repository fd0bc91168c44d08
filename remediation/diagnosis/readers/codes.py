"""CUDA's error codes (facts/ollama 2.1): numbers, names and texts in one form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from remediation.diagnosis.readers.logs.scan import Hit
from remediation.model.text.digits import is_whole

# beginnings of CUDA's own texts and names
_TEXTS: tuple[tuple[str, int], ...] = (
    ("out of memory", 2), ("initialization error", 3), ("driver not initialized", 3),
    ("cuda driver version is insufficient", 35), ("all cuda-capable devices are busy", 46), ("no cuda-capable device", 100), ("no cuda gpus are available", 100),
    ("invalid device ordinal", 101), ("no kernel image", 209), ("invalid device function", 98), ("the function requires an architectural feature", 209), ("arch_mismatch", 209), ("the provided ptx", 222), ("uncorrectable ecc", 214), ("named symbol not found", 500),
    ("an illegal memory access", 700), ("the launch timed out", 702), ("unspecified", 719), ("operation not permitted", 800),
    ("system not yet initialized", 802), ("system has unsupported display driver", 803), ("unsupported display driver", 803),
    ("forward compatibility", 804), ("unknown error", 999),
)  # fmt: skip
_NAMES = {
    "out_of_memory": 2, "memoryallocation": 2, "not_initialized": 3, "initializationerror": 3, "insufficientdriver": 35, "no_device": 100, "nodevice": 100,
    "devicesunavailable": 46, "device_unavailable": 46, "invalid_device": 101, "no_binary_for_gpu": 209, "nokernelimagefordevice": 209,
    "unsupported_ptx_version": 222, "unsupportedptxversion": 222, "not_found": 500, "symbolnotfound": 500, "illegal_address": 700, "illegaladdress": 700,
    "launch_failed": 719, "launchfailure": 719, "not_permitted": 800, "notpermitted": 800, "system_not_ready": 802, "systemnotready": 802,
    "system_driver_mismatch": 803, "systemdrivermismatch": 803, "compat_not_supported_on_device": 804, "compatnotsupportedondevice": 804, "unknown": 999,
    "operating_system": 304,
}  # fmt: skip

# NVML's codes as the CUDA codes that mean the same: not loaded, GPU lost, reset needed, library and driver differ, unknown
_NVML = {1: 3, 9: 3, 15: 46, 16: 46, 18: 803, 999: 999}

OUT_OF_MEMORY = 2
TOO_OLD = frozenset({35, 222, 803, 804})  # the driver is older than the runtime, or does not match its library
LOST = frozenset({3, 4, 46, 214, 304, 700, 702, 719, 802, 999})  # the card was present and no longer answers
NO_DEVICE = frozenset({100, 101})
NO_KERNEL = frozenset({98, 209})
STUB = frozenset({34})  # the library that was found is only the toolkit's stub
CONTAINER = frozenset({500, 800})  # the container's libraries or rights do not reach the driver


@dataclass(frozen=True, slots=True)
class CudaCode:
    """One error code and its message."""

    code: int
    hit: Hit


def read_codes(hits: Iterable[Hit]) -> tuple[CudaCode, ...]:
    """Return the codes in the messages found."""
    found = []
    for hit in hits:
        code = _code(hit)
        if code is not None:
            found.append(CudaCode(code, hit))
    return tuple(found)


def _code(hit: Hit) -> int | None:
    if not hit.groups:
        return None
    text = hit.groups[0].strip().lower()
    if hit.key == "cuda_code":
        return int(text) if is_whole(text) and int(text) > 0 else None
    if hit.key == "nvml_code":
        if "/stubs/" in hit.at.text:  # the toolkit's stub answers so on every machine
            return None
        return _NVML.get(int(text)) if is_whole(text) else None
    if hit.key == "cuda_name":
        return _NAMES.get(text.removeprefix("cuda_error_").removeprefix("cudaerror"))
    if hit.key == "cuda_text":
        return next((code for start, code in _TEXTS if text.startswith(start)), None)
    return None
