"""GPU libraries are missing, filtered out by a setting, or of the wrong build (facts/ollama 1.2; recordings, surprises 5, 17)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import FIGURES, HINT, LIKELY, PROVEN, Placement, Verdict, found, placement, result_quote
from remediation.diagnosis.codes import STUB
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.signs import Hit
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Cause, Finding, Quote
from remediation.model.text.words import plural, verb

REINSTALL = "reinstall Ollama with all its libraries (official archive, script or image) and exclude its folder from the antivirus software"
_UNSET = "remove OLLAMA_LLM_LIBRARY and recreate the container (or restart the server)"
_VALID = re.compile(r"^(?:cuda_v\d+|cuda_jetpack\d|vulkan|rocm(?:_v[\d.]+)?|metal\w*)$")
_FOLDER = re.compile(r"lib[\\/]+ollama\b")
_GPU_LIBRARY = re.compile(r"cuda|rocm|hip|vulkan|metal", re.IGNORECASE)
_BUSY_CPU = re.compile(r"%cpu\(s\):\s*([3-9]\d|100)\.\d+ us|cpu[^\n]{0,30}(?:does the work|is used|at 100|usage)", re.IGNORECASE)

_SIGNS = {
    "no_avx": (
        0.94,
        "the processor lacks AVX, which the GPU libraries are built for",
        "use a build made without AVX, or another machine",
    ),
    "runner_missing": (0.94, "the runner for the GPU is not installed", REINSTALL),
    "library_missing": (0.93, "a GPU library is missing", REINSTALL),
    "no_gpu_support": (0.93, "the runner was built without GPU support", REINSTALL),
}


def find(reading: Reading) -> Verdict:
    """Look at the library setting, at libraries that are missing, then at runners that never touch the card found."""
    filtered = _filtered(reading)
    if filtered is not None:
        return filtered
    physx, old = reading.hit("physx"), reading.hit("gpu_too_old")
    if physx is not None and old is not None:
        # the old runtime in PhysX's folder answers with a capability of 1.0 and is found first
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            PROVEN,
            "an old CUDA runtime of another program (PhysX) was taken",
            physx.at,
            old.at,
            cure="put Ollama's own CUDA runtime first in PATH, or update Ollama",
        )
    for key, (confidence, because, cure) in _SIGNS.items():
        hit = next((one for one in reading.hits if one.key == key and not _driver_library(one)), None)
        if hit is not None:
            return found(Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, confidence, because, hit.at, cure=cure)
    for step in (_listing, _discovery, _untouched, _image):
        verdict = step(reading)
        if verdict is not None:
            return verdict
    return None


def _listing(reading: Reading) -> Finding | None:
    """Look at a listing of Ollama's library folder that holds the processor's libraries alone."""
    if placement(reading) in {Placement.WHOLE, Placement.PART} or not (reading.gpu.nvidia or reading.gpu.amd):
        return None
    for piece in reading.evidence.pieces:
        if piece.kind == "server_log" or not (match := _FOLDER.search(piece.text)) or "ggml-cpu" not in piece.text:
            continue
        if not _GPU_LIBRARY.search(piece.text):
            return found(
                Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
                0.86,
                "Ollama's library folder holds libraries for the processor alone",
                Quote(piece.label, match[0]),
                cure=REINSTALL,
            )
    return None


def _driver_library(hit: Hit) -> bool:
    """Whether it is the driver's library that lacks: then Ollama's own could not be loaded for want of it (facts/ollama 2.1)."""
    return hit.key == "library_missing" and "libcuda.so" in hit.at.text


def skips_every_library(reading: Reading) -> Quote | None:
    """Return the setting by which the server leaves every GPU library out, whatever card it was given (facts/ollama 1.2)."""
    setting = reading.setting("OLLAMA_LLM_LIBRARY")
    if setting is None or _VALID.match(setting.value) or setting.value.startswith("cpu"):
        return None
    newer = at_least(reading.version, "0.12.4")
    return setting.at if newer or (newer is None and reading.hit("library_filtered") is not None) else None


def _filtered(reading: Reading) -> Finding | None:
    """OLLAMA_LLM_LIBRARY names no directory: every GPU library is skipped (v0.12.4 and newer)."""
    setting = reading.setting("OLLAMA_LLM_LIBRARY")
    skip = reading.hit("library_filtered")
    on_cpu = reading.cpu_device is not None or placement(reading) is Placement.NONE
    if setting is not None and not _VALID.match(setting.value) and not setting.value.startswith("cpu"):
        at = (setting.at, skip.at if skip else None, reading.cpu_device.at if reading.cpu_device else None)
        text = f"OLLAMA_LLM_LIBRARY={setting.value} names no library directory"
        newer = at_least(reading.version, "0.12.4")
        if on_cpu and newer is not False:
            return found(
                Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
                0.97 if setting.effective or skip else FIGURES,
                text + ": every GPU library is skipped",
                *at,
                cure=_UNSET,
            )
        if on_cpu:
            return found(
                Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, 0.66, text + " (releases before v0.12.4 ignore it)", *at, cure=_UNSET
            )
        if newer and placement(reading) is Placement.UNKNOWN:
            return found(Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, 0.85, text + ": every GPU library is skipped", *at, cure=_UNSET)
    if setting is not None and _VALID.match(setting.value) and on_cpu:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            LIKELY,
            f"only {setting.value} may be loaded, and it finds no device",
            setting.at,
            cure=_UNSET,
        )
    if skip is not None and on_cpu:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, FIGURES, "libraries were skipped at the user's request", skip.at, cure=_UNSET
        )
    return None


def _discovery(reading: Reading) -> Finding | None:
    """Discovery broke: a library that cannot be loaded leaves nothing but a crash."""
    if reading.gpu_devices:
        return None
    vulkan = reading.hit("vulkan_disabled")
    if vulkan is not None and reading.cpu_device is not None and not reading.gpu.nvidia:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.9,
            "the Vulkan library is switched off and no other one serves this card",
            vulkan.at,
            reading.cpu_device.at,
            cure="set OLLAMA_VULKAN=1",
        )
    crash = reading.hit("bus_error")
    if crash is not None and reading.cpu_device is not None:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.9,
            "the GPU library is damaged: discovery dies in it",
            crash.at,
            cure=REINSTALL,
        )
    failed = reading.hit("discovery_failed", "discovery_timeout", "incompatible_library", "device_filtered", "backend_failed")
    if failed is not None:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.62,
            "discovery in the GPU library failed",
            failed.at,
            cure="restart once; then start the server with OLLAMA_DEBUG=2 and read the discovery lines",
        )
    stub = next((one for one in reading.codes if one.code in STUB), None)
    if stub is not None:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.85,
            "CUDA error 34: the library that was found is the toolkit's stub, not the driver's",
            stub.hit.at,
            cure="take the stubs folder out of LD_LIBRARY_PATH; the driver's own libcuda.so.1 must be found",
        )
    missing = reading.hit("libcuda_missing", "cudart_unloadable")
    if missing is not None and not reading.in_container and not reading.codes:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.7,
            "the driver's CUDA library cannot be loaded",
            missing.at,
            cure="install the driver's CUDA library (libcuda.so.1, nvcuda.dll)",
        )
    return None


def _untouched(reading: Reading) -> Finding | None:
    """Look for a runner with processor buffers only, although the server sees the card and plans layers."""
    load = reading.shown
    smi_works = any(smi.works for smi in reading.smi)
    if (
        load is not None
        and reading.gpu_devices
        and (number := load.planned or load.command_layers)
        and load.offloaded is None
        and load.model_cpu
        and not load.model_gpu
    ):
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.78,
            f"{plural(number, 'layer')} {verb(number, 'was', 'were')} planned for the card, and the runner loaded all of it into system memory: it has no GPU library",
            load.planned_at or load.command_at,
            cure=REINSTALL,
        )
    cpu_runner = reading.hit("cpu_runner", "none_compatible")
    if cpu_runner is not None and reading.gpu_devices and (load is None or (load.planned or load.command_layers or 0) > 0):
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.88,
            "the card is there, and the runner for the processor was started",
            cpu_runner.at,
            cure=REINSTALL,
        )
    busy = _BUSY_CPU.search(reading.all_text)
    if placement(reading) is Placement.WHOLE and reading.offloaded is None and busy:
        # G1's list shows the plan, not what the runner did (recordings, v0.9.6)
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.6,
            "the list says GPU, the processor does the work: the runner lacks its GPU library",
            result_quote(reading),
            Quote("text", busy[0][:120]),
            cure=REINSTALL,
        )
    if (
        reading.cpu_device is not None
        and smi_works
        and not reading.in_container
        and not [hit for hit in reading.hits if hit.key != "no_gpu"]
    ):
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            LIKELY,
            "nvidia-smi shows the card, the server found none: its GPU libraries are missing",
            reading.cpu_device.at,
            reading.smi[0].at,
            cure=REINSTALL,
        )
    if reading.cpu_device is not None and not reading.in_container:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, 0.42, "no GPU library found a device", reading.cpu_device.at, cure=REINSTALL
        )
    return None


def _image(reading: Reading) -> Finding | None:
    """Compare card and image: an AMD card needs the rocm image, an NVIDIA card the plain one."""
    image = next((docker for docker in reading.docker if docker.image), None)
    if image is None or placement(reading) is not Placement.NONE:
        return None
    if reading.gpu.amd and not reading.gpu.nvidia and "rocm" not in image.image and not reading.setting("OLLAMA_VULKAN"):
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            LIKELY,
            f"the image {image.image} holds no ROCm library",
            image.at,
            cure="use the image ollama/ollama:rocm",
        )
    if reading.gpu.nvidia and not reading.gpu.amd and "rocm" in image.image:
        return found(
            Cause.WRONG_LIBRARY_OR_MISSING_RUNNER,
            0.9,
            "the rocm image holds no CUDA library",
            image.at,
            cure="use the image ollama/ollama",
        )
    return found(Cause.WRONG_LIBRARY_OR_MISSING_RUNNER, HINT, "", image.at) if "cpu" in image.image else None
