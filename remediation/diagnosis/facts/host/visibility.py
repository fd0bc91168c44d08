"""Facts about the variables that hide cards or name missing ones."""

# one fact a line, so that they can be read as a table
# fmt: off

from __future__ import annotations

import re

from remediation.diagnosis.facts.base import FactSheet
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.requested_options import DeclaredSetting
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
_NOTHING = frozenset({"-1", "none", "void", "nodevfiles"})
_LONG = 200_000
_LISTED_CARD = re.compile(r"^\s{0,8}GPU (\d{1,2}): ", re.MULTILINE)
"""A card in the output of `nvidia-smi -L`."""


def derive_visibility(sheet: FactSheet) -> None:
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
