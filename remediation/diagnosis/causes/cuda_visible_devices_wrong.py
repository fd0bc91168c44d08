"""A visibility variable hides the card (facts/ollama 1.2, 5.2)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import FIGURES, LIKELY, Placement, Verdict, found, placement
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.texts.asks import Setting
from remediation.model.finding import Cause, Quote
from remediation.model.text.digits import is_whole

NAMES = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
_NOTHING = frozenset({"-1", "none", "void", "nodevfiles"})


def find(reading: Reading) -> Verdict:
    """Look at every visibility variable: one that hides all, one that names a card that is not there."""
    place = placement(reading)
    at_cpu = reading.cpu_device.at if reading.cpu_device else None
    cli = reading.hit("container_cli")
    if cli is not None and "unknown device" in cli.at.text:
        return found(
            Cause.CUDA_VISIBLE_DEVICES_WRONG,
            0.9,
            "the device named for the container does not exist",
            cli.at,
            cure="correct NVIDIA_VISIBLE_DEVICES or device_ids",
        )
    for name in NAMES:
        setting = reading.setting(name)
        if setting is None:
            empty = reading.declared_setting(name)
            if (
                empty is not None
                and empty.value == ""
                and place is Placement.NONE
                and empty.at.text.rstrip().endswith(("=", '""', "''", '="'))
            ):
                return found(
                    Cause.CUDA_VISIBLE_DEVICES_WRONG,
                    LIKELY,
                    f"{name} is empty: all cards are hidden",
                    empty.at,
                    at_cpu,
                    cure=f"unset {name} and recreate",
                )
            continue
        verdict = _judge(reading, setting, place, at_cpu)
        if verdict is not None:
            return verdict
    return None


def _judge(reading: Reading, setting: Setting, place: Placement, at_cpu: Quote | None) -> Verdict:
    value = setting.value.strip().lower()
    cure = f"unset {setting.name} and recreate the container (or restart the server)"
    if value in _NOTHING or value.startswith("-1"):
        if place in {Placement.WHOLE, Placement.PART} or reading.gpu_devices:
            return None
        return found(
            Cause.CUDA_VISIBLE_DEVICES_WRONG,
            0.94,
            f"{setting.name}={setting.value} hides every card",
            setting.at,
            at_cpu,
            cure=cure,
        )
    if place is not Placement.NONE and not reading.hit("no_gpu"):
        return None
    indexes = [part for part in value.split(",") if is_whole(part.strip())]
    if indexes and min(int(part) for part in indexes) > 0:
        count = max((len(smi.total) for smi in reading.smi), default=0) or reading.gpu.count
        if int(min(indexes)) >= count:
            return found(
                Cause.CUDA_VISIBLE_DEVICES_WRONG,
                0.88 if setting.effective else LIKELY,
                f"{setting.name}={setting.value} names a card that is not there",
                setting.at,
                at_cpu,
                cure=cure,
            )
    if value.startswith("gpu-"):
        return found(
            Cause.CUDA_VISIBLE_DEVICES_WRONG,
            FIGURES - 0.25,
            f"{setting.name} names a UUID, and no such card is found",
            setting.at,
            at_cpu,
            cure=cure,
        )
    return None
