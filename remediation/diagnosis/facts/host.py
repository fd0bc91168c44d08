"""Facts about the machine, card, driver, engine, libraries and settings."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re
from collections.abc import Sequence

from remediation.diagnosis.facts.base import Facts, FactSheet
from remediation.diagnosis.facts.guest import derive_guest, derive_surroundings
from remediation.diagnosis.facts.library import derive_library
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.readers.codes import CONTAINER, LOST, NO_DEVICE, NO_KERNEL, OUT_OF_MEMORY, STUB, TOO_OLD
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.gpus import capability
from remediation.diagnosis.readers.texts.requested_options import DeclaredSetting
from remediation.diagnosis.versions import Version, at_least
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

VISIBILITY = (
    "CUDA_VISIBLE_DEVICES",
    "NVIDIA_VISIBLE_DEVICES",
    "HIP_VISIBLE_DEVICES",
    "ROCR_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
)
_OF_AMD = frozenset({"HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL"})
SEES_CGROUP_V2 = "0.13.0"
"""From this release on the server reads memory.max and memory.current (facts/ollama 4.7)."""
_NOTHING = frozenset({"-1", "none", "void", "nodevfiles"})
_HIDDEN = ("", "void", "none")
_RUNTIME = frozenset({700, 702, 719, 4})  # a bug in one of the runner's kernels gives these codes too, so they do not prove a faulty driver
# facts/ollama 6: required driver (major version) by release, enforced ones first
_ENFORCED: tuple[tuple[Version, int], ...] = (((0, 30, 11), 550), ((0, 9, 3), 525), ((0, 0, 1), 450))
_DRIVER_OF_CUDA: tuple[tuple[tuple[int, int], int], ...] = (
    ((13, 1), 590), ((13, 0), 580), ((12, 9), 575), ((12, 8), 570), ((12, 7), 565), ((12, 6), 560), ((12, 5), 555), ((12, 4), 550),
    ((12, 3), 545), ((12, 2), 535), ((12, 1), 530), ((12, 0), 525), ((11, 8), 520), ((11, 7), 515), ((11, 6), 510), ((11, 5), 495),
    ((11, 4), 470), ((11, 3), 465), ((11, 2), 460), ((11, 1), 455), ((11, 0), 450), ((10, 2), 440), ((10, 1), 418), ((10, 0), 410),
)  # fmt: skip
"""The first driver branch that serves a CUDA version (release notes of the CUDA toolkit)."""
_NEEDS_570 = 570  # Blackwell cards, and cards before Volta from v0.30 on
_DROPS_VOLTA = 590  # the first branch without Maxwell, Pascal and Volta
_OLDEST_CUDA = (11, 0)
_LONG = 200_000
_VGPU = re.compile(r"-\d{1,2}[QBCA]\b|virtual workstation|\bgrid\b|\bvgpu\b", re.IGNORECASE)
_JETSON = re.compile(r"\b(?:jetson|jetpack|tegra|l4t|(?:agx |orin )?(?:orin|xavier)(?: nano| nx| agx)?)\b", re.IGNORECASE)
_GFX_IN_LOG = re.compile(r"\b(?:gpu_type|compute|gfx_version)=\"?gfx(\d{3,4}[a-f]?)\b|GPU arch ?: ?gfx(\d{3,4}[a-f]?)\b")
_GFX = re.compile(r"\bgfx(\d{3,4}[a-f]?)\b", re.IGNORECASE)
# architectures that ROCm lists, and integrated ones that only newer builds or Vulkan support (facts/ollama 2.1)
_GFX_LISTED = frozenset(
    {"900", "906", "908", "90a", "940", "941", "942", "1010", "1012", "1030", "1100", "1101", "1102", "1151", "1200", "1201"}
)
_GFX_APU = frozenset({"902", "909", "90c", "1033", "1035", "1036", "1103", "1150", "1152"})
_ONE_FAMILY = 11
"""From this major number on all types run each other's code for the most part."""
_APU = re.compile(
    r"\b[678]\d0m\b|\b8[89]0m\b|\b80[456]0s\b|vega (?:3|6|7|8|10|11)\b|radeon\(tm\) graphics|ryzen[^\n]{0,30}(?:apu|graphics|igpu)|strix|phoenix|integrated (?:amd|radeon)|ryzen[^\n]{0,12}\b\d{4}g[et]?\b|\b(?:amd|radeon|vega|ryzen)[^\n]{0,12} i-?gpu|(?:amd|radeon)[^\n]{0,20}integrated",
    re.IGNORECASE,
)
_BEFORE_VEGA = re.compile(
    r"\b(?:RX ?[45][5-9]0X?(?: ?XT| ?XTX)?|R[579][ -](?:M?\d{3}X?|Fury|Nano)|Radeon (?:HD ?\w{0,5}|R[579](?:[ -]\w{0,5})?)|HD ?[5-8]\d{3}|Fury(?: X)?|(?:Radeon )?Pro (?:WX ?)?[4-7][1-6]\d0|FirePro \w{1,6}|Polaris(?: ?1\d)?)\b(?! ?0)|\bgfx(?:6|7|80)\d{1,2}\b",
    re.IGNORECASE,
)
_SERVED_ON_WINDOWS = re.compile(r"\b(?:rx ?)?(?:7900(?: ?xtx?| ?gre)?|7800 ?xt|7700 ?xt|7600(?: ?xt)?|6950 ?xt|6900 ?xtx?|6800(?: ?xt)?|90[67]0(?: ?xt)?)\b|\bw(?:7900|7800|7700|7600|7500|6900x?|6800x?)\b", re.IGNORECASE)
"""AMD cards in the list of ollama docs/gpu for Windows; Linux serves them too."""
_FLAGS = re.compile(r"^\s{0,8}flags\s{0,20}:[^\n]{20,4000}", re.IGNORECASE | re.MULTILINE)
# older than Sandy Bridge and Bulldozer, and small models without AVX
_OLD_PROCESSOR = re.compile(
    r"\bXeon\W{0,4}(?:\(R\) )?(?:CPU )?\W{0,10}[EXLW][35][2-7]\d\d\b|\bCore ?(?:\(TM\))? ?2 (?:Duo|Quad)|\bi[357](?:-| CPU {1,8})[5-9]\d\d\b|\bPhenom\b|\bAthlon ?(?:\(tm\))? ?(?:II|64)\b|\bOpteron ?(?:\(tm\))? ?[1268][1-4]\d\d\b"
    r"|\b(?:Celeron|Pentium)\W{0,4}(?:\(R\) )?(?:CPU )?\W{0,4}(?:[JN]\d{4}|G\d{3,4}|Gold G5\d{3})\b|\bAtom\W{0,4}(?:\(TM\))? ?(?:CPU )?[CDENZ]\d{3,4}\b|\b(?:kvm|qemu)64\b|\bno avx2?\b|without avx\b|lacks avx\b",
    re.IGNORECASE,
)
_RUNTIMES = re.compile(r"^[ \t]{0,20}Runtimes:(?![^\n]*nvidia)[^\n]*\brunc\b[^\n]*$", re.MULTILINE)
_NO_CUDA = re.compile(r"CUDA Version\s{0,4}:\s{0,4}(?:N/A|ERR!)")
_BUILD = re.compile(r"\b10\.0\.(\d{5})|\bbuild[: ]{1,3}(\d{5})\b|\b(10240|10586|14393|15063|16299|17134|17763|1836[23]|1904[1-3])\.\d{1,4}\b(?! ?[KMG]i?B)", re.IGNORECASE)
_BEFORE_21H2 = re.compile(r"windows 10\b[^\n]{0,40}?\b(?:version |release )?(150[37]|151[1-9]|1607|170[39]|180[39]|190[39]|2004|20H2|21H1)\b(?! ?[KMG]i?B)", re.IGNORECASE)
_PARTS = re.compile(r"\bcapabilities[\"']?\s{0,4}:\s{0,4}(?:\[{1,2}([^\]\n]{1,80})\]|\n((?:[ \t]{0,20}-[ \t]{0,4}[\"'\w]{1,20}[ \t]{0,4}(?:\n|$)){1,8}))", re.IGNORECASE)
"""What a device request asks of the driver; without more than ``gpu`` the image decides."""
_KERNEL_MODULE = re.compile(
    r"NVRM version:[^\n]{0,80}?\b(\d{3})\.(\d{1,3})(?:\.\d{1,3})?\b|(?:nvidia )?driver(?: version)?[\s:=(]{1,4}(?:grid )?v?([345]\d\d)(?:\.(\d{1,3}))?(?![\d-])",
    re.IGNORECASE,
)
_DRIVER_NUMBER = re.compile(r"(?<![\d.])([345]\d\d\.\d{2,3})(?![\d])")
_LISTED_CARD = re.compile(r"^\s{0,8}GPU (\d{1,2}): ", re.MULTILINE)
"""A card in the output of `nvidia-smi -L`."""
_TOOLKIT = re.compile(
    r"(?:toolkit|libnvidia-container\w*|nvidia-docker2?)[^\n]{0,30}\b(?:1\.\d{1,2}\.\d{1,2}|2\.\d{1,2}\.\d)", re.IGNORECASE
)


def derive_host(sheet: FactSheet) -> None:
    """Record the facts about the host."""
    _machine(sheet)
    _processor(sheet)
    _card(sheet)
    _engine(sheet)
    _driver(sheet)
    derive_library(sheet)
    _visibility(sheet)
    _memory(sheet)
    _store(sheet)


def needed_driver(version: Version | None) -> int | None:
    """Return the driver (major version) that a release needs, None if the release is unknown."""
    return None if version is None else next((driver for first, driver in _ENFORCED if version >= first), None)


def driver_of_card(version: Version | None, facts: Facts | FactSheet) -> int | None:
    """Return the driver (major version) that a release needs for this generation of cards, None if the release is unknown."""
    needed = needed_driver(version)
    early = facts.holds("card.before_volta") and at_least(version, "0.30.0")
    return max(_NEEDS_570, needed or 0) if facts.holds("card.blackwell") or early else needed


def image_driver(reading: Reading) -> int | None:
    """Return the driver (major version) that an image requires by the container runtime's own check, None if it passed."""
    hit = reading.hit("image_requirement")
    if hit is None:
        return None
    what, number = hit.groups
    major, minor = (*map(int, number.split(".")), 0)[:2]
    return major if what.lower() == "driver" else next((driver for first, driver in _DRIVER_OF_CUDA if (major, minor) >= first), None)


def _machine(sheet: FactSheet) -> None:
    reading = sheet.reading
    platform, text = reading.evidence.platform, reading.all_text
    sheet.record("on.container", reading.in_container or None)
    sheet.record("on.bare", (not reading.in_container and platform in {"linux", "windows", "wsl"}) or None)
    sheet.record("on.windows", platform == "windows")
    sheet.record("on.desktop", platform == "docker-windows" or ("docker desktop" in text and "macos" not in text) or None)
    sheet.record("on.wsl", platform in {"wsl", "docker-windows"} or "wsl" in text or None)
    sheet.record("on.windows_host", platform in {"windows", "wsl", "docker-windows"} or None)
    derive_surroundings(sheet)
    derive_guest(sheet)
    sheet.record("on.linux", platform in {"linux", "docker-linux"} or None)
    sheet.record("on.live", is_live(reading.evidence) or None)
    printed = any(log.loads or log.starts or log.devices or log.hits for log in reading.logs)
    sheet.record("on.words", not (printed or reading.ps or reading.smi or is_live(reading.evidence)) or None)
    windows = "windows" in text or platform in {"windows", "wsl", "docker-windows"}
    builds = [int(one or two or three) for one, two, three in _BUILD.findall(reading.raw)] if windows else []
    named = _BEFORE_21H2.search(reading.raw)
    old = next((f"build {build}" for build in builds if 10240 <= build < 19044), f"version {named[1]}" if named else None)
    sheet.record("windows.old", (old is not None) or None, f"Windows {old} is older than 21H2 (build 19044)", Quote("text", named[0] if named else old) if old else None)
    sheet.record("windows.ten", any(10240 <= build < 22000 for build in builds) or "windows 10" in text or None)


def _processor(sheet: FactSheet) -> None:
    """Detect a processor without AVX by its flags, llama.cpp's line about it, or its model name."""
    reading = sheet.reading
    flags = _FLAGS.search(reading.raw)
    if flags is not None and "sse2" in flags[0].lower() and "avx" not in flags[0].lower():
        sheet.record("cpu.no_avx", True, "the processor's flags name no AVX", Quote("text", flags[0][:120]))
    old = _OLD_PROCESSOR.search(reading.raw)
    if old is not None:
        sheet.record("cpu.no_avx", True, f"{old[0].strip()} has no AVX", Quote("text", old[0].strip()))
    sheet.record("release.needs_avx", None if reading.version is None else at_least(reading.version, "0.5.8") is False or None)


def _card(sheet: FactSheet) -> None:
    reading, gpu = sheet.reading, sheet.reading.gpu
    at = Quote("gpu", reading.evidence.gpu) if reading.evidence.gpu else None
    for name, holds in (("nvidia", gpu.nvidia), ("amd", gpu.amd), ("apple", gpu.apple)):
        sheet.record(f"card.{name}", holds or None, "", at)
    jetson = _JETSON.search(f"{reading.evidence.gpu or ''}\n{reading.raw}")
    sheet.record("card.jetson", (jetson is not None) or None, "an NVIDIA Jetson board", Quote("text", jetson[0]) if jetson else None)
    only_other = (gpu.intel or gpu.qualcomm) and not (gpu.nvidia or gpu.amd or gpu.apple)
    sheet.record("card.intel", only_other or None, "Intel and Qualcomm graphics are not supported by this build", at)
    sheet.record("card.qualcomm", (gpu.qualcomm and only_other) or None, "Qualcomm graphics are not supported by this build", at)
    sheet.record("card.only_apple", (gpu.apple and not (gpu.nvidia or gpu.amd)) or None, "the card is Apple's", at)
    sheet.record("card.ancient", gpu.ancient or None, "the card's compute capability is below 5.0", at)
    sheet.record("card.none_named", not gpu.named or None)
    names = " ".join(name for smi in reading.smi for name in smi.names) + " " + (reading.evidence.gpu or "")
    sheet.record(
        "card.vgpu",
        bool(_VGPU.search(names)) or None,
        "a virtual GPU, which its driver slows down without a licence",
        at or (reading.smi[0].at if reading.smi else None),
    )
    sheet.record(
        "card.unlicensed",
        any("unlicensed" in smi.license.lower() for smi in reading.smi) or reading.hit("unlicensed") is not None or None,
        "the virtual GPU has no licence",
        reading.smi[0].at if reading.smi else None,
    )
    logged = [one or other for one, other in _GFX_IN_LOG.findall(reading.log_text)]
    types = [name.lower() for name in (*logged, *_GFX.findall(reading.raw + "\n" + reading.prose))]
    outside = next((one for one in types if one not in _GFX_LISTED), None) if gpu.amd or types else None
    if outside is not None:
        sheet.record("card.gfx_outside", True, f"gfx{outside} is not in ROCm's list", Quote("text", f"gfx{outside}"))
        sheet.record(
            "card.gfx_apu", outside in _GFX_APU or None, f"gfx{outside} is an integrated AMD GPU", Quote("text", f"gfx{outside}")
        )
    _foreign_override(sheet, types)
    before = _BEFORE_VEGA.search("\n".join([reading.evidence.gpu or "", *(f"gfx{one}" for one in types), reading.prose])) if gpu.amd else None
    sheet.record("card.amd_before_vega", (before is not None) or None, f"{before[0] if before else ''} is older than the cards that ROCm serves", Quote("gpu", before[0]) if before else None)
    sheet.record("card.amd_integrated", (gpu.amd and bool(_APU.search(reading.prose))) or None, "an integrated AMD GPU", at)
    served = _SERVED_ON_WINDOWS.search("\n".join([reading.evidence.gpu or "", reading.prose])) if gpu.amd else None
    sheet.record("card.amd_listed", (served is not None) or None, f"{served[0] if served else ''} is a card that ROCm serves", Quote("gpu", served[0]) if served else None)
    works = next((smi for smi in reading.smi if smi.works), None)
    sheet.record("driver.works", (works is not None) or None, "nvidia-smi shows the card", works.at if works else None)
    busy = [smi for smi in reading.smi if smi.utilization and max(smi.utilization) >= 50]
    sheet.record("card.busy", bool(busy) or None, "the card computes", busy[0].at if busy else None)


def _foreign_override(sheet: FactSheet, types: Sequence[str]) -> None:
    """Compare HSA_OVERRIDE_GFX_VERSION with the card's type; types of one family have the same major and, before 11, minor number."""
    override = sheet.reading.setting("HSA_OVERRIDE_GFX_VERSION")
    given = re.fullmatch(r"(\d{1,2})\.(\d)\.([\da-f]{1,2})", override.value.strip("\"'")) if override is not None else None
    if override is None or given is None or sheet.holds("card.nvidia"):
        return
    card = next((one for one in types if one != "".join(given.groups())), None)
    if card is None:
        return
    major, minor = int(card[:-2]), card[-2]
    same = int(given[1]) == major and (major >= _ONE_FAMILY or given[2] == minor or {given[2], minor} == {"1", "3"})
    text = f"HSA_OVERRIDE_GFX_VERSION={override.value} for a card of type gfx{card}"
    sheet.record("override.foreign", not same or None, text, override.at)


def _engine(sheet: FactSheet) -> None:
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


def _driver(sheet: FactSheet) -> None:
    reading = sheet.reading
    kinds = (("cuda.too_old", TOO_OLD, "the driver does not match the CUDA runtime"), ("cuda.lost", LOST - _RUNTIME, "the driver does not answer"),
             ("cuda.stopped", _RUNTIME, "the device stopped while it worked"), ("cuda.no_device", NO_DEVICE, "CUDA finds no device"),
             ("cuda.no_kernel", NO_KERNEL, "the build has no code for this card's compute capability"), ("cuda.stub", STUB, "the library that was found is the toolkit's stub"),
             ("cuda.container", CONTAINER, "the container's access to the driver is gone"))  # fmt: skip
    for code in reading.codes:
        at = code.hit.at
        sheet.record("cuda.any", (code.code != OUT_OF_MEMORY) or None, f"CUDA error {code.code}", at, of=code.hit)
        for name, codes, text in kinds:
            if code.code in codes:
                sheet.record(name, True, f"CUDA error {code.code}: {text}", at, of=code.hit)
        sheet.record(f"cuda.{code.code}", True, f"CUDA error {code.code}", at, of=code.hit)
        if code.code == OUT_OF_MEMORY and code.hit.key == "cuda_code" and "init failure" in at.text:
            sheet.record("cuda.no_device", True, f"CUDA fails to start with error {code.code}", at, of=code.hit)
    runtime = next((smi for smi in reading.smi if smi.cuda), None)
    if runtime is not None and tuple(int(part) for part in [*runtime.cuda.split("."), "0"][:2]) < _OLDEST_CUDA:
        text = f"the driver serves CUDA {runtime.cuda}, every release needs 11 or newer"
        sheet.record("driver.below_any", True, text, runtime.driver_at)
    _generation(sheet)
    _release_of_driver(sheet)


def _release_of_driver(sheet: FactSheet) -> None:
    """Compare the driver version with the one that the release and the card need."""
    reading = sheet.reading
    number, at = reading.driver or ("", None)
    module = _KERNEL_MODULE.search(reading.raw) if not number else None
    if module is not None:
        number, at = ".".join(filter(None, module.groups())), Quote("text", module[0].strip()[:160])
    if not number:
        newest = _newest_driver(reading.raw)
        sheet.record("driver.555_or_newer", (newest is not None and float(newest) >= 555) or None, f"driver {newest}", Quote("text", newest or ""))
        return
    major, needed = int(number.split(".")[0]), driver_of_card(reading.version, sheet)
    if sheet.holds("card.before_turing"):
        sheet.record("driver.drops_card", major >= _DROPS_VOLTA or None, f"driver {number} no longer serves cards before Turing", at)
    if needed is not None and major < needed:
        sheet.record("driver.below_floor", True, f"driver {number} is below the {needed} that this release needs", at)
    elif reading.version is None and major < 450:
        sheet.record("driver.below_any", True, f"driver {number} is below the minimum of every release", at)
    elif needed is not None or major >= 550:
        sheet.record("driver.new_enough", True, f"driver {number}", at)
    sheet.record("driver.before_550", (major < 550) or None, f"driver {number}", at)
    sheet.record("driver.555_or_newer", (major >= 555) or None, f"driver {number}", at)


def _newest_driver(text: str) -> str | None:
    """Return the newest driver that lines about drivers name."""
    lines = [line for line in text.splitlines() if "driver" in line.lower()]
    numbers = [number for line in lines for number in _DRIVER_NUMBER.findall(line)]
    return max(numbers, key=lambda one: [int(part) for part in one.split(".")], default=None)


def _generation(sheet: FactSheet) -> None:
    """Record the card's generation by its compute capability, from discovery or from a text."""
    reading = sheet.reading
    if not reading.gpu.nvidia:
        return
    names = " ".join(name for smi in reading.smi for name in smi.names)
    printed = [float(one.compute) for one in reading.gpu_devices if re.fullmatch(r"\d{1,2}\.\d", one.compute)]
    number = (
        min(printed, default=None)
        or capability("\n".join(filter(None, (reading.evidence.gpu, names))))
        or capability(reading.raw)
    )
    if number is None:
        return
    text, at = f"the card's compute capability is {number}", Quote("gpu", reading.evidence.gpu or names)
    sheet.record("card.ancient", number < 5.0 or None, text, at)
    sheet.record("card.before_volta", number < 7.0 or None, text, at)
    sheet.record("card.before_turing", number < 7.5 or None, text, at)
    sheet.record("card.blackwell", number >= 10.0 or None, text, at)
    sheet.record(
        "release.before_blackwell",
        (at_least(reading.version, "0.5.13") is False and number >= 10.0) or None,
        f"{text}: releases before v0.5.13 have no code for it",
    )


def _visibility(sheet: FactSheet) -> None:
    """Check each visibility variable: it may hide all cards or name a missing one."""
    reading = sheet.reading
    for name in VISIBILITY:
        setting = reading.setting(name)
        if setting is not None:
            _visible(sheet, setting)
            if (quoted := quoted_value(reading, name)) is not None:
                sheet.record("visible.quoted", True, f"the quotation marks are a part of the value of {name}", quoted)
            continue
        empty = reading.declared_setting(name)
        if empty is not None and empty.value == "" and empty.at.text.rstrip().endswith(("=", '""', "''", '="')):
            sheet.record("visible.empty", True, f"{name} is empty: all cards are hidden", empty.at)


def quoted_value(reading: Reading, name: str) -> Quote | None:
    """Return where the value of a variable has quotation marks that no shell took away, None if that is not known.

    An engine's record, the server's list and a Compose file's list form keep them. A shell takes them away, so elsewhere a person has to say so.
    """
    written = re.compile(rf"\b{name}[=:](\\{{0,3}})([\"'])[^\"'\\\n]{{1,60}}\1\2")
    for piece in reading.evidence.pieces:
        match = written.search(piece.text) if name in piece.text and len(piece.text) < _LONG else None
        if match is None:
            continue
        listed = piece.kind == "docker_compose" and piece.text[: match.start()].endswith("- ")
        quoted = match[1] or listed or re.search(WORDS["reported.quoted"][1], reading.raw, re.IGNORECASE)
        if quoted or (piece.kind == "env" and reading.evidence.platform == "windows"):
            return Quote(piece.label, match[0])
    return None


def _visible(sheet: FactSheet, setting: DeclaredSetting) -> None:
    reading, value = sheet.reading, setting.value.strip().lower()
    if value in _NOTHING or value.startswith("-1"):
        sheet.record("visible.nothing", True, f"{setting.name}={setting.value} hides every card", setting.at)
        return
    indexes = [int(part) for part in value.split(",") if is_whole(part.strip())]
    count = max((max(len(smi.total), len(smi.names)) for smi in reading.smi), default=0) or max(reading.gpu.count, len(set(_LISTED_CARD.findall(reading.raw))))
    if indexes and min(indexes) >= count and min(indexes) > 0:
        sheet.record("visible.no_such_card", True, f"{setting.name}={setting.value} names a card that is not there", setting.at)
    if setting.name in _OF_AMD and reading.gpu.nvidia and not reading.gpu.amd:
        sheet.record("visible.foreign", True, f"{setting.name}={setting.value} names a card of AMD, and the machine has one of NVIDIA", setting.at)
    if value.startswith(("gpu-", "mig-")):
        sheet.record("visible.uuid", True, f"{setting.name} names a UUID, and no such card is found", setting.at)
    if setting.name != "NVIDIA_VISIBLE_DEVICES" and value not in {"all", ""}:
        sheet.record("visible.chosen", True, f"{setting.name}={setting.value} chooses among the cards", setting.at)


def _memory(sheet: FactSheet) -> None:
    reading = sheet.reading
    limit = next((docker for docker in reading.docker if docker.memory_limit), None)
    if limit is not None:
        sheet.record("limit.set", True, "the container has a memory limit", limit.limit_at)
    unlimited = re.search(r"\"?\bMemory\"?: 0\b", reading.raw)
    sheet.record(
        "limit.none",
        (limit is None and unlimited is not None) or None,
        "the container has no memory limit",
        Quote("text", unlimited[0]) if unlimited else None,
    )
    refused = reading.hit("ram_refused")
    if refused is not None:
        amounts = f" ({refused.groups[0]} of {refused.groups[1]})" if len(refused.groups) == 2 else ""
        sheet.record(
            "ram.refused",
            True,
            f"the server refused the load: it needs more system memory than there is{amounts}",
            refused.at,
            of=refused,
        )
    if at_least(reading.version, SEES_CGROUP_V2) is False:
        sheet.record(
            "release.blind_to_limit", True, f"a release before v{SEES_CGROUP_V2} does not see a container's limit (cgroup v2)"
        )
    sheet.record("release.slots_by_default", (at_least(reading.version, "0.2.0") and at_least(reading.version, "0.10.0") is False) or None)
    before = at_least(reading.version, "0.15.5")
    sheet.record("release.before_tiers", None if before is None else not before)
    for name, first in (("release.default_by_vram", "0.15.5"), ("release.fits", "0.30.0"), ("release.needs_550", "0.30.11")):
        sheet.record(name, at_least(reading.version, first))


_EMBEDS = re.compile(r"embed|bge|minilm|nomic", re.IGNORECASE)
_LISTED = re.compile(r"/api/tags[^\n]{0,200}200:? ([^\n]*)")
# the end of a connection does not mean a truncated file
_TRANSPORT = re.compile(r"while running the model|predict|pull|retries|Post \\?\"|connection|/completion", re.IGNORECASE)


def _store(sheet: FactSheet) -> None:
    """Detect listed models that cannot be used, and truncated files."""
    reading = sheet.reading
    ended = next((hit for hit in reading.hits if hit.key == "unexpected_eof" and not _TRANSPORT.search(hit.at.text)), None)
    sheet.record(
        "store.ended", (ended is not None) or None, "the model's files end too early", ended.at if ended else None, of=ended
    )
    listed = _LISTED.search("\n".join(piece.text for piece in reading.evidence.pieces if piece.kind == "api"))
    names = {name.strip() for name in listed[1].split(",")} if listed else set()
    missing, refused = reading.hit("not_found"), reading.hit("no_generate")
    if missing is not None and missing.groups and missing.groups[0] in names:
        sheet.record(
            "store.listed_not_found",
            True,
            "the server lists the model and cannot find it",
            missing.at,
            refused.at if refused else None,
        )
    if refused is not None and not _EMBEDS.search(refused.at.text):
        text = "the model's file is empty or missing: it has no abilities left"
        proven = bool(refused.groups) and refused.groups[0].strip('\\"') in names
        sheet.record("store.no_abilities_listed", proven or None, text, refused.at)
        sheet.record("store.no_abilities", True, text, refused.at)
    panic = reading.hit("gguf_panic")
    if panic is not None and "gguf" in reading.all_text:
        sheet.record("store.panic", True, "the model file's header is damaged: the reader panics in it", panic.at, of=panic)
    unloadable = reading.hit("unloadable")
    if unloadable is not None and reading.hit("unknown_architecture", "gpu_oom") is None:
        sheet.record("store.unloadable", True, "the model file cannot be loaded", unloadable.at, of=unloadable)
