"""The driver or its CUDA version is below what this build needs, or library and kernel module differ (facts/ollama 6)."""

from __future__ import annotations

from remediation.diagnosis.causes.base import FIGURES, PROVEN, Placement, Verdict, found, placement
from remediation.diagnosis.codes import TOO_OLD
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.versions import Version
from remediation.model.finding import Cause, RuledOut

CURE = "update the NVIDIA driver (on WSL and Docker Desktop the Windows host's), or run an older Ollama; after a package update reboot"

# facts/ollama 6: from which release which driver (major version) is needed; enforced ones first
# facts/ollama 6: the oldest runtime that any release carries
_OLDEST_CUDA = (11, 0)
_ENFORCED: tuple[tuple[Version, int], ...] = (((0, 30, 11), 550), ((0, 9, 3), 525), ((0, 0, 1), 450))


def find(reading: Reading) -> Verdict:
    """Look for the messages, CUDA's codes, then compare the driver's number with what the release needs."""
    mismatch = reading.hit("nvml_mismatch")
    if mismatch is not None:
        return found(
            Cause.DRIVER_TOO_OLD,
            PROVEN,
            "the driver's library and its kernel module differ",
            mismatch.at,
            cure="reboot, or reload the nvidia kernel modules",
        )
    hit = reading.hit("old_driver")
    if hit is not None:
        seen = reading.driver
        return found(
            Cause.DRIVER_TOO_OLD,
            0.96,
            "the driver is older than this build needs",
            hit.at,
            seen[1] if seen else None,
            cure=CURE,
        )
    code = next((one for one in reading.codes if one.code in TOO_OLD), None)
    if code is not None:
        return found(
            Cause.DRIVER_TOO_OLD,
            PROVEN,
            f"CUDA error {code.code}: the driver does not match the CUDA runtime",
            code.hit.at,
            cure=CURE,
        )
    hit = reading.hit("version_mismatch")
    if hit is not None:
        return found(Cause.DRIVER_TOO_OLD, 0.93, "driver and CUDA driver library do not match", hit.at, cure=CURE)
    runtime = next((smi for smi in reading.smi if smi.cuda), None)
    if runtime is not None and _below(runtime.cuda, _OLDEST_CUDA) and placement(reading) is not Placement.WHOLE:
        return found(
            Cause.DRIVER_TOO_OLD,
            0.85,
            f"the driver serves CUDA {runtime.cuda}, every release needs 11 or newer",
            runtime.driver_at,
            cure=CURE,
        )
    if reading.driver is None:
        return None
    number, at = reading.driver
    major = int(number.split(".")[0])
    needed = needed_driver(reading.version)
    if needed is not None and major < needed:
        if placement(reading) in {Placement.NONE, Placement.UNKNOWN}:
            # a card that no release serves has no newer driver either
            sure = FIGURES if placement(reading) is Placement.NONE and not reading.gpu.ancient else 0.7
            return found(
                Cause.DRIVER_TOO_OLD,
                sure,
                f"driver {number} is below the {needed} that this release needs",
                at,
                cure=CURE,
            )
        return None
    if reading.version is None and major < 450 and placement(reading) is Placement.NONE:
        return found(Cause.DRIVER_TOO_OLD, 0.85, f"driver {number} is below the minimum of every release", at, cure=CURE)
    return RuledOut(Cause.DRIVER_TOO_OLD, f"driver {number}") if needed is not None or major >= 550 else None


def _below(number: str, floor: tuple[int, int]) -> bool:
    major, _, minor = number.partition(".")
    return (int(major), int(minor or 0)) < floor


def needed_driver(version: Version | None) -> int | None:
    """Return the driver (major version) that a release needs, None where the release is not known."""
    if version is None:
        return None
    return next((driver for first, driver in _ENFORCED if version >= first), None)
