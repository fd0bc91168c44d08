"""Facts about the card: maker, type and generation."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re
from collections.abc import Sequence

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.readers.texts.gpus import capability
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Quote

_VGPU = re.compile(r"-\d{1,2}[QBCA]\b|virtual workstation|\bgrid\b|\bvgpu\b", re.IGNORECASE)
_JETSON = re.compile(r"\b(?:jetson|jetpack|tegra|l4t|(?:agx |orin )?(?:orin|xavier)(?: nano| nx| agx)?)\b", re.IGNORECASE)
_GFX_IN_LOG = re.compile(r"\b(?:gpu_type|compute|gfx_version)=\"?gfx(\d{3,4}[a-f]?)\b|GPU arch ?: ?gfx(\d{3,4}[a-f]?)\b")
_GFX = re.compile(r"\bgfx(\d{3,4}[a-f]?)\b", re.IGNORECASE)
# architectures that ROCm lists, and integrated ones that only newer builds or Vulkan support (facts/ollama 2.1)
_GFX_LISTED = frozenset(
    {"900", "906", "908", "90a", "940", "941", "942", "1010", "1012", "1030", "1100", "1101", "1102", "1151", "1200", "1201"}
)
_GFX_APU = frozenset({"902", "909", "90c", "1033", "1035", "1036", "1103", "1150", "1152"})
_FIRST_CAPABILITY = 3.0
"""Every driver since 450 serves cards from this compute capability on."""
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


def derive_card(sheet: FactSheet) -> None:
    """Record what the card is."""
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


def derive_generation(sheet: FactSheet) -> None:
    """Record the card's generation by its compute capability, from discovery or from a text."""
    reading = sheet.reading
    message = reading.hit("gpu_too_old")
    if message is not None and message.groups and re.fullmatch(r"\d\.\d", message.groups[0]) and float(message.groups[0]) < _FIRST_CAPABILITY:
        text = f"a compute capability of {message.groups[0]} is no card's: an old driver does not give it"
        sheet.record("driver.capability_unread", True, text, message.at, of=message)
    if not reading.gpu.nvidia:
        return
    names = " ".join(name for smi in reading.smi for name in smi.names)
    printed = [float(one.compute) for one in reading.gpu_devices if re.fullmatch(r"\d{1,2}\.\d", one.compute)]
    number = (
        min(printed, default=None)
        or capability("\n".join(filter(None, (reading.evidence.gpu, names))))
        or (None if sheet.holds("driver.capability_unread") else capability(reading.raw))
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
