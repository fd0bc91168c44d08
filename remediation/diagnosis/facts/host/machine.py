"""Facts about the machine: platform, release of Windows, processor, limits of memory."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.host.guest import derive_guest, derive_surroundings
from remediation.diagnosis.readers.present import is_live
from remediation.diagnosis.units import GIB, human
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Quote

SEES_CGROUP_V2 = "0.13.0"
"""From this release on the server reads memory.max and memory.current (facts/ollama 4.7)."""
_FLAGS = re.compile(r"^\s{0,8}flags\s{0,20}:[^\n]{20,4000}", re.IGNORECASE | re.MULTILINE)
# older than Sandy Bridge and Bulldozer, and small models without AVX
_OLD_PROCESSOR = re.compile(
    r"\bXeon\W{0,4}(?:\(R\) )?(?:CPU )?\W{0,10}[EXLW][35][2-7]\d\d\b|\bCore ?(?:\(TM\))? ?2 (?:Duo|Quad)|\bi[357](?:-| CPU {1,8})[5-9]\d\d\b|\bPhenom\b|\bAthlon ?(?:\(tm\))? ?(?:II|64)\b|\bOpteron ?(?:\(tm\))? ?[1268][1-4]\d\d\b"
    r"|\b(?:Celeron|Pentium)\W{0,4}(?:\(R\) )?(?:CPU )?\W{0,4}(?:[JN]\d{4}|G\d{3,4}|Gold G5\d{3})\b|\bAtom\W{0,4}(?:\(TM\))? ?(?:CPU )?[CDENZ]\d{3,4}\b|\b(?:kvm|qemu)64\b|\bno avx2?\b|without avx\b|lacks avx\b",
    re.IGNORECASE,
)
_BUILD = re.compile(r"\b10\.0\.(\d{5})|\bbuild[: ]{1,3}(\d{5})\b|\b(10240|10586|14393|15063|16299|17134|17763|1836[23]|1904[1-3])\.\d{1,4}\b(?! ?[KMG]i?B)", re.IGNORECASE)
_BEFORE_21H2 = re.compile(r"windows 10\b[^\n]{0,40}?\b(?:version |release )?(150[37]|151[1-9]|1607|170[39]|180[39]|190[39]|2004|20H2|21H1)\b(?! ?[KMG]i?B)", re.IGNORECASE)


def derive_machine(sheet: FactSheet) -> None:
    """Record what the machine is."""
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


def derive_processor(sheet: FactSheet) -> None:
    """Detect a processor without AVX by its flags, llama.cpp's line about it, or its model name."""
    reading = sheet.reading
    flags = _FLAGS.search(reading.raw)
    if flags is not None and "sse2" in flags[0].lower() and "avx" not in flags[0].lower():
        sheet.record("cpu.no_avx", True, "the processor's flags name no AVX", Quote("text", flags[0][:120]))
    old = _OLD_PROCESSOR.search(reading.raw)
    if old is not None:
        sheet.record("cpu.no_avx", True, f"{old[0].strip()} has no AVX", Quote("text", old[0].strip()))
    sheet.record("release.needs_avx", None if reading.version is None else at_least(reading.version, "0.5.8") is False or None)


def derive_limits(sheet: FactSheet) -> None:
    """Record limits of memory, and what a release does with them."""
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
    short = next((one for one in reading.memory if one.available < min(GIB, one.total // 10)), None)
    if short is not None:
        text = f"{human(short.available)} of the machine's {human(short.total)} of memory are available"
        sheet.record("ram.little", True, text, short.at)
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
