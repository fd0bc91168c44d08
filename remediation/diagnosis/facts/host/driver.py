"""Facts about the driver: error codes of CUDA, and the version against what release and card need."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import Facts, FactSheet
from remediation.diagnosis.facts.host.card import derive_generation
from remediation.diagnosis.readers.codes import CONTAINER, LOST, NO_DEVICE, NO_KERNEL, OUT_OF_MEMORY, STUB, TOO_OLD
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.versions import Version, at_least
from remediation.model.finding import Quote

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
_KERNEL_MODULE = re.compile(
    r"NVRM version:[^\n]{0,80}?\b(\d{3})\.(\d{1,3})(?:\.\d{1,3})?\b|(?:nvidia )?driver(?: version)?[\s:=(]{1,4}(?:grid )?v?([345]\d\d)(?:\.(\d{1,3}))?(?![\d-])",
    re.IGNORECASE,
)
_DRIVER_NUMBER = re.compile(r"(?<![\d.])([345]\d\d\.\d{2,3})(?![\d])")


def required_driver(version: Version | None) -> int | None:
    """Return the driver (major version) that a release needs, None if the release is unknown."""
    return None if version is None else next((driver for first, driver in _ENFORCED if version >= first), None)


def driver_of_card(version: Version | None, facts: Facts | FactSheet) -> int | None:
    """Return the driver (major version) that a release needs for this generation of cards, None if the release is unknown."""
    needed = required_driver(version)
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


def derive_driver(sheet: FactSheet) -> None:
    """Record what the driver says, and whether it is recent enough."""
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
    derive_generation(sheet)
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
