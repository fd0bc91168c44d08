"""The driver stopped answering: suspend, Xid, failed initialisation (facts/ollama 2.1, 5.2; recordings, surprise 16)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import HINT, LIKELY, PROVEN, Placement, Verdict, found, placement
from remediation.diagnosis.codes import CONTAINER, LOST, NO_DEVICE, OUT_OF_MEMORY, CudaCode
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Finding, Quote, RuledOut

CURE = "stop Ollama, reload nvidia_uvm (rmmod nvidia_uvm; modprobe nvidia_uvm) or reboot, then start it again"
REBOOT = "reboot; look at power, temperature and the card itself if it comes back"
_SLEEP = re.compile(
    r"suspend|(?:pc|computer|laptop|machine|notebook|system|host) (?:\w+ )?sleeps?\b|resum(?:e|ing) from|hibernat|(?:after|from|to|went to|computer|laptop|machine)[ -](?:the )?sleep|slept|sleep mode|woke|wak(?:e|ing) up|standby",
    re.IGNORECASE,
)
# codes that also a bug in a kernel of the runner gives: the driver may be well
_RUNTIME = frozenset({700, 702, 719, 4})


def find(reading: Reading) -> Verdict:
    """Look for dead cards, then CUDA's codes, then for a sleep after which the GPU is gone."""
    hit = reading.hit("xid", "gpu_lost")
    if hit is not None:
        return found(
            Cause.DRIVER_LOST,
            PROVEN,
            "the card reported a fatal error",
            hit.at,
            cure=REBOOT,
            by_hand=True,
        )
    slept = _SLEEP.search(reading.prose)
    code = next((one for one in reading.codes if one.code in LOST), None)
    if code is not None:
        return _lost(code, slept)
    if slept and (
        reading.hit("smi_no_driver", "smi_no_devices", "nvml_unknown", "no_gpu", "device_context")
        or placement(reading) is Placement.NONE
    ):
        return found(Cause.DRIVER_LOST, 0.9, "after sleep the driver no longer answers", Quote("text", slept[0]), cure=CURE)
    verdict = _answers(reading)
    if verdict is not None:
        return verdict
    code = next(
        (
            one
            for one in reading.codes
            if one.code in NO_DEVICE
            or (one.code == OUT_OF_MEMORY and one.hit.key == "cuda_code" and "init failure" in one.hit.at.text)
        ),
        None,
    )
    if code is not None and not reading.in_container:
        return found(Cause.DRIVER_LOST, 0.72, f"CUDA fails to start with error {code.code}", code.hit.at, cure=CURE)
    hit = reading.hit("no_nvidia_devices", "backend_failed")
    if hit is not None and not reading.gpu_devices and not reading.in_container:
        return found(Cause.DRIVER_LOST, 0.6, "the driver's library is there but shows no device", hit.at, cure=CURE)
    if any(smi.works for smi in reading.smi) and not any(one.code in CONTAINER for one in reading.codes):
        return RuledOut(Cause.DRIVER_LOST, "nvidia-smi shows the card")
    return None


def _lost(code: CudaCode, slept: re.Match[str] | None) -> Finding:
    at = code.hit.at
    if slept:
        return found(Cause.DRIVER_LOST, 0.96, f"CUDA error {code.code} after sleep", at, Quote("text", slept[0]), cure=CURE)
    if code.code in _RUNTIME:
        return found(
            Cause.DRIVER_LOST, LIKELY - 0.05, f"CUDA error {code.code}: the device stopped while it worked", at, cure=CURE
        )
    return found(Cause.DRIVER_LOST, 0.93, f"CUDA error {code.code}: the driver does not answer", at, cure=CURE)


def _answers(reading: Reading) -> Finding | None:
    """Look for what nvidia-smi and NVML say when the driver is not loaded."""
    hit = reading.hit("smi_no_driver")
    if hit is not None:
        return found(
            Cause.DRIVER_LOST,
            0.9,
            "nvidia-smi cannot communicate with the driver",
            hit.at,
            cure="check that the kernel module is loaded (dmesg | grep -i nvrm), reinstall or reload it",
        )
    hit = reading.hit("nvml_absent", "smi_no_devices")
    if hit is not None:
        return found(Cause.DRIVER_LOST, 0.85, "the driver shows no device", hit.at, cure=CURE)
    hit = reading.hit("nvml_unknown")
    if hit is not None and not reading.in_container:
        return found(Cause.DRIVER_LOST, LIKELY, "NVML fails with Unknown Error", hit.at, cure=CURE)
    hit = reading.hit("device_context")
    if hit is not None and not any(code.code in CONTAINER for code in reading.codes):
        return found(Cause.DRIVER_LOST, 0.6, "the driver gives no context on the card", hit.at, cure=CURE)
    hit = reading.hit("smi_absent")
    if (
        hit is not None
        and not reading.in_container
        and (placement(reading) is Placement.NONE or reading.hit("no_gpu"))
        and reading.gpu.nvidia
    ):
        return found(
            Cause.DRIVER_LOST, 0.6, "nvidia-smi is not there: the driver is not installed", hit.at, cure="install NVIDIA's driver"
        )
    hit = reading.hit("nouveau")
    return (
        found(
            Cause.DRIVER_LOST,
            HINT,
            "the nouveau driver holds the card",
            hit.at,
            cure="blacklist nouveau, install NVIDIA's driver",
        )
        if hit
        else None
    )
