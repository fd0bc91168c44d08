"""Facts about the container and its engine: whether the card was requested and given."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.reading import Reading
from remediation.model.finding import Quote

_HIDDEN = ("", "void", "none")
_RUNTIMES = re.compile(r"^[ \t]{0,20}Runtimes:(?![^\n]*nvidia)[^\n]*\brunc\b[^\n]*$", re.MULTILINE)
_NO_CUDA = re.compile(r"CUDA Version\s{0,4}:\s{0,4}(?:N/A|ERR!)")
_PARTS = re.compile(r"\bcapabilities[\"']?\s{0,4}:\s{0,4}(?:\[{1,2}([^\]\n]{1,80})\]|\n((?:[ \t]{0,20}-[ \t]{0,4}[\"'\w]{1,20}[ \t]{0,4}(?:\n|$)){1,8}))", re.IGNORECASE)
"""What a device request asks of the driver; without more than ``gpu`` the image decides."""
_TOOLKIT = re.compile(
    r"(?:toolkit|libnvidia-container\w*|nvidia-docker2?)[^\n]{0,30}\b(?:1\.\d{1,2}\.\d{1,2}|2\.\d{1,2}\.\d)", re.IGNORECASE
)


def derive_container(sheet: FactSheet) -> None:
    """Record what the container and its engine say about the card."""
    reading = sheet.reading
    requesting = next((docker for docker in reading.docker if docker.requested), None)
    missing = next((docker for docker in reading.docker if docker.requested is False), None)
    sheet.record("container.asked", (requesting is not None) or None, "the container asks for the GPU", requesting.at if requesting else None)
    if missing is not None and requesting is None:
        sheet.record("container.no_request", True, missing.why, missing.at)
        sheet.record("container.no_request_recorded", "device request" in missing.why or None, missing.why, missing.at)
    elif missing is not None and requesting is not None and "device request" in missing.why and "DeviceRequests" not in requesting.at.text:
        text = "the file asks for the GPU, and the container was created without it"
        sheet.record("container.not_applied", True, text, missing.at, requesting.at)
    listed = _RUNTIMES.search(reading.raw)
    sheet.record("engine.no_nvidia_runtime", (listed is not None) or None, "the engine lists no nvidia runtime", Quote("docker info", listed[0].strip()) if listed else None)
    given = _device_record(reading)
    sheet.record("container.given", (given is not None) or None, "the container was given the GPU", given)
    image = next((docker for docker in reading.docker if docker.image), None)
    if image is not None:
        sheet.record("image.rocm", "rocm" in image.image, f"the image {image.image} holds no CUDA library", image.at)
        sheet.record("image.plain", "rocm" not in image.image, f"the image {image.image} holds no ROCm library", image.at)
    toolkit = _TOOLKIT.search(reading.raw)
    sheet.record(
        "toolkit.version",
        (toolkit is not None) or None,
        "a release of the toolkit is named",
        Quote("text", toolkit[0]) if toolkit else None,
    )
    parts, blank = reading.declared_setting("NVIDIA_DRIVER_CAPABILITIES"), _NO_CUDA.search(reading.raw)
    if parts is not None and parts.value and not re.search(r"\b(?:all|compute)\b", parts.value.lower()):
        sheet.record("container.no_compute", True, f"{parts.name}={parts.value} leaves the compute libraries out", parts.at)
    capabilities = next((one for match in _PARTS.finditer(reading.raw) if "gpu" in (one := (match[1] or match[2]).lower())), "")
    if "compute" not in capabilities and re.search(r"\b(?:utility|graphics|video|display)\b", capabilities):
        listed_parts = ", ".join(re.findall(r"\w+", capabilities))
        sheet.record("container.no_compute", True, f"the request for the device names {listed_parts} and leaves out compute", Quote("text", listed_parts))
    if blank is not None and (sheet.holds("on.container") or reading.in_container):
        text = "nvidia-smi runs and names no CUDA version: the driver's compute libraries are not in the container"
        sheet.record("container.no_compute", True, text, Quote("nvidia-smi", blank[0]))
    speaks = reading.hit(
        "container_cli",
        "hook_failed",
        "bpf_load",
        "cgroup_denied",
        "cgroup_old",
        "cli_no_driver",
        "rpc_timeout",
        "unknown_device",
        "nvml_permissions",
    )
    sheet.record(
        "toolkit.speaks",
        (speaks is not None and not (speaks.key == "container_cli" and sheet.holds("seen.toolkit_hook_missing"))) or None,
        "the toolkit prints the message itself, so it is installed",
        speaks.at if speaks else None,
    )
    state = reading.hit("desktop_state", "wsl_error")
    if state is not None:
        status = next((word for word in ("is stopped", "hangs") if f" {word}" in state.at.text and state.at.where.startswith("docker desktop")), "")
        sheet.record("desktop.state", True, f"Docker Desktop {status}" if status else "Docker Desktop or WSL reports its own error", state.at)


def _device_record(reading: Reading) -> Quote | None:
    """Return the record by which the container was given the card.

    The engine does not start a container whose device request fails, so a started container has the card unless
    NVIDIA_VISIBLE_DEVICES hides it (facts/ollama 1.2, 5.2). A compose file shows the request, not its result.
    """
    record = next((one for one in reading.docker if one.requested and "DeviceRequests" in f"{one.at.where} {one.at.text}"), None)
    visible = reading.declared_setting("NVIDIA_VISIBLE_DEVICES")
    environment = (reading.evidence.container or {}).get("Config", {}).get("Env") or ()
    hidden = any(f"NVIDIA_VISIBLE_DEVICES={value}" in environment for value in _HIDDEN)
    return None if record is None or hidden or (visible is not None and visible.value in _HIDDEN) else record.at
