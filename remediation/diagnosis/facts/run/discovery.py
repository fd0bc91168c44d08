"""Facts about the search for cards."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet

_INTEGRATED = re.compile(r"intel|\b(?:uhd|iris|xe) graphics|radeon\(tm\) graphics|radeon graphics|\b[678]\d0m\b", re.IGNORECASE)


def derive_discovery(sheet: FactSheet) -> None:
    """Record whether the search for cards found one."""
    reading, load = sheet.reading, sheet.load
    no_gpu = reading.hit("no_gpu", "ggml_no_device")
    if reading.gpu_devices:
        one = reading.gpu_devices[0]
        sheet.record("card.kept", True, f"discovery lists {one.name or one.library}", one.at)
        if reading.gpu.nvidia and all(each.library == "vulkan" and _INTEGRATED.search(each.name) for each in reading.gpu_devices):
            text = f"discovery lists {one.name} alone, and the machine has an NVIDIA card"
            sheet.record("card.kept_other", True, text, one.at)
    elif reading.cpu_device is not None or no_gpu is not None:
        at = no_gpu.at if no_gpu else reading.cpu_device.at if reading.cpu_device else None
        sheet.record("card.kept", False, "the server found no GPU", at, of=no_gpu)
        sheet.record("discovery.empty", True, "the server found no GPU", at, of=no_gpu)
    live = (
        bool(reading.gpu_devices) or reading.hit("cuda_found", "cuda_backend") is not None
        or (
            load is not None
            and (load.model_gpu > 0 or bool(load.offloaded and load.offloaded[0]) or load.library not in {"", "cpu"})
        )
        or any(row.gpu for row in reading.ps)
    )
    absent = sheet.holds("discovery.empty") and (load is None or load.library in {"", "cpu"})
    found = reading.hit("device_context") is not None  # the driver lists the card, and gives no context on it
    sheet.record("card.none_there", (absent and not live and not found) or None)
    sheet.record("backend.live", False if absent and not live else True if live else None)
