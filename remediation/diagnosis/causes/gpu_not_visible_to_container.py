"""The container does not reach the card: no request, no runtime, no toolkit, device lost to the cgroup (facts/ollama 5.2)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import (
    CIRCUMSTANCE,
    FIGURES,
    HINT,
    LIKELY,
    PROVEN,
    Placement,
    Verdict,
    found,
    placement,
    result_quote,
)
from remediation.diagnosis.causes.not_gpu_model_runs_on_cpu_by_design import chosen_for_cpu
from remediation.diagnosis.causes.wrong_library_or_missing_runner import skips_every_library
from remediation.diagnosis.codes import CONTAINER, NO_DEVICE
from remediation.diagnosis.present import is_live
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Finding, Quote, RuledOut

_REQUEST = "add deploy.resources.reservations.devices (driver nvidia, count all, capabilities [gpu]) to the service, then docker compose up -d"
TOOLKIT = "install the NVIDIA container toolkit, run nvidia-ctk runtime configure, restart Docker"
_CGROUP = "recreate the container; on Linux set native.cgroupdriver=cgroupfs in /etc/docker/daemon.json so that a daemon-reload does not take the device away"

_RECORD = "DeviceRequests"
_HIDDEN = ("", "void", "none")

# messages that only a container engine without a way to the card prints
_ENGINE = {
    "no_device_driver": (PROVEN, "the engine has no NVIDIA runtime", TOOLKIT),
    "unknown_runtime": (PROVEN, "the engine does not know the NVIDIA runtime", TOOLKIT),
    "cdi": (0.93, "the engine cannot inject the card's CDI device", "nvidia-ctk cdi generate --output=/etc/cdi/nvidia.yaml, then recreate the container"),
    "no_gpu_resource": (0.92, "the cluster has no node that offers the GPU", "install the NVIDIA device plugin on the node"),
    "no_cgroups": (0.93, "the toolkit is configured not to open the device in the container's cgroup", "set no-cgroups = false in /etc/nvidia-container-runtime/config.toml and restart Docker"),
    "nvml_blocked": (0.9, "the operating system blocks the container's access to the card", "check no-cgroups in /etc/nvidia-container-runtime/config.toml and the WSL driver"),
    "driver_not_detected": (0.92, "the container sees no NVIDIA driver", _REQUEST),
    "device_node_missing": (0.92, "the card's device node is not there", "give the container the device nodes that the host has"),
    "amd_permission": (0.93, "the server may not open the card's device node", "give the container the video and render groups (group_add)"),
}  # fmt: skip


def find(reading: Reading) -> Verdict:
    """Look at engine messages, NVML's answer inside the container, the device request, then at an empty discovery."""
    for key, (confidence, because, cure) in _ENGINE.items():
        hit = reading.hit(key)
        if hit is not None:
            if key == "nvml_blocked" and reading.evidence.platform == "docker-windows":
                confidence = LIKELY  # noqa: PLW2901 - there the toolkit is Docker Desktop's
            # a container made anew meets the same engine
            by_hand = cure != _REQUEST
            return found(Cause.GPU_NOT_VISIBLE_TO_CONTAINER, confidence, because, hit.at, cure=cure, by_hand=by_hand)
    for step in (_toolkit, _lost, _request, _never_looked, _nothing_found):
        verdict = step(reading)
        if verdict is not None:
            return verdict
    if reading.gpu_devices:
        return RuledOut(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER, f"discovery lists {reading.gpu_devices[0].name or reading.gpu_devices[0].library}"
        )
    return None


def _toolkit(reading: Reading) -> Finding | None:
    hit = reading.hit("container_cli", "hook_failed")
    if hit is None or reading.hit("old_driver") is not None:
        return None
    if "unknown device" in hit.at.text:
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER, HINT, "the toolkit does not know the device asked for", hit.at, cure=_REQUEST
        )
    windows = reading.evidence.platform in {"docker-windows", "wsl", "windows"}
    return found(
        Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
        0.75 if windows else 0.93,
        "the container toolkit cannot reach the driver",
        hit.at,
        cure=TOOLKIT,
    )


def _lost(reading: Reading) -> Finding | None:
    """Look for a card that was lost, or libraries that do not reach the driver."""
    nvml = reading.hit("nvml_unknown")
    if nvml is not None:
        inside = reading.in_container
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            PROVEN if inside else CIRCUMSTANCE,
            "NVML fails in the container with Unknown Error: its cgroup lost the device",
            nvml.at,
            cure=_CGROUP,
        )
    code = next((one for one in reading.codes if one.code in CONTAINER), None)
    if code is not None:
        windows = reading.evidence.platform in {"docker-windows", "wsl", "windows"}
        # code 500 under WSL: the container toolkit of Docker Desktop lacks a library of the driver (facts/ollama 2.1)
        sure = (0.75 if windows else 0.85) if code.code == 500 else (0.94 if reading.in_container else 0.7)
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            sure,
            f"CUDA error {code.code}: the container's access to the driver is gone",
            code.hit.at,
            cure=_CGROUP,
        )
    hit = reading.hit("libcuda_missing", "smi_absent")
    if hit is not None and reading.in_container:
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            0.92,
            "the driver's library is not in the container: no GPU was attached",
            hit.at,
            cure=_REQUEST,
        )
    if reading.hit("rocm_no_devices") is not None:
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            LIKELY if reading.in_container else HINT,
            "ROCm finds no device",
            reading.hits[0].at,
            cure="pass /dev/kfd and /dev/dri with the video and render groups",
        )
    return None


def _request(reading: Reading) -> Finding | None:
    """Ask whether the container was started without asking for a GPU."""
    if reading.gpu_devices or placement(reading) in {Placement.WHOLE, Placement.PART}:
        return None
    asked = [docker for docker in reading.docker if docker.requested]
    missing = next((docker for docker in reading.docker if docker.requested is False), None)
    if missing is None or asked:
        return None
    if reading.gpu.apple and not (reading.gpu.nvidia or reading.gpu.amd):
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            CIRCUMSTANCE,
            missing.why,
            missing.at,
            cure="run the native application on the Mac",
        )
    if chosen_for_cpu(reading) is not None:
        return found(Cause.GPU_NOT_VISIBLE_TO_CONTAINER, CIRCUMSTANCE, missing.why, missing.at, cure=_REQUEST)
    proven = placement(reading) is Placement.NONE or "device request" in missing.why
    return found(
        Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
        0.94 if proven else 0.72,
        missing.why,
        missing.at,
        result_quote(reading),
        cure=_REQUEST,
    )


def given(reading: Reading) -> Quote | None:
    """Return the record by which the container was given the card.

    An engine that cannot meet a device request does not start the container, so one that was started had the card; only
    NVIDIA_VISIBLE_DEVICES can still hide it (facts/ollama 1.2, 5.2). A compose file says what was wished for, not what came of it.
    """
    record = next((one for one in reading.docker if one.requested and _RECORD in f"{one.at.where} {one.at.text}"), None)
    visible = reading.declared_setting("NVIDIA_VISIBLE_DEVICES")
    environment = (reading.evidence.container or {}).get("Config", {}).get("Env") or ()
    hidden = any(f"NVIDIA_VISIBLE_DEVICES={value}" in environment for value in _HIDDEN)
    if record is None or hidden or (visible is not None and visible.value in _HIDDEN):
        return None
    return record.at


def _never_looked(reading: Reading) -> RuledOut | None:
    """Ask whether the server was kept from looking at a card that its container has."""
    setting = skips_every_library(reading)
    if setting is None or given(reading) is None or reading.gpu_devices:
        return None
    return RuledOut(
        Cause.GPU_NOT_VISIBLE_TO_CONTAINER, f"the container was given the GPU, and {setting.text} keeps the server from looking"
    )


def _nothing_found(reading: Reading) -> Finding | None:
    """Discovery ended with the processor alone and does not say why (recordings, surprises 2, 16, 17)."""
    code = next((one for one in reading.codes if one.code in NO_DEVICE), None)
    if code is not None:
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            FIGURES - 0.05 if reading.in_container else HINT,
            "CUDA finds no device",
            code.hit.at,
            cure=_REQUEST,
        )
    at = reading.hit("no_gpu", "no_nvidia_devices", "amd_no_devices")
    quote = at.at if at else (reading.cpu_device.at if reading.cpu_device else None)
    if quote is None and not (placement(reading) is Placement.NONE and reading.in_container and reading.gpu.named):
        return None
    if reading.shown is not None and reading.shown.short and reading.shown.requested not in {None, -1}:
        return None
    if reading.in_container:
        return found(
            Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
            (LIKELY if not _explained(reading) else 0.6) if quote and given(reading) is None else CIRCUMSTANCE,
            "the server in the container found no GPU",
            quote or result_quote(reading),
            cure=_REQUEST,
        )
    if reading.evidence.platform == "windows" or is_live(reading.evidence):
        return None  # no container is here that the card could be hidden from
    return found(
        Cause.GPU_NOT_VISIBLE_TO_CONTAINER,
        0.45,
        "the server found no GPU and does not say why",
        quote,
        cure="run nvidia-smi where the server runs, and start it with OLLAMA_DEBUG=2",
    )


def _explained(reading: Reading) -> bool:
    """Whether something else says why discovery found nothing: libraries filtered out, a card hidden, dead or too old."""
    if reading.hit("library_filtered", "old_driver", "gpu_too_old", "xid", "gpu_lost") is not None or reading.gpu.ancient:
        return True
    library, hidden = reading.setting("OLLAMA_LLM_LIBRARY"), reading.setting("CUDA_VISIBLE_DEVICES")
    return library is not None or (hidden is not None and hidden.value not in {"0", "all"})
