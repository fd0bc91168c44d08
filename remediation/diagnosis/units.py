"""Sizes as Ollama, llama.cpp, nvidia-smi and people write them."""

from __future__ import annotations

import re

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_FACTORS = {
    "": 1, "b": 1, "k": KIB, "ki": KIB, "mi": MIB, "gi": GIB, "ti": 1024 * GIB, "kb": 1000, "kib": KIB, "m": MIB, "mb": 1000**2, "mib": MIB,
    "g": GIB, "gb": 1000**3, "gib": GIB, "t": 1024 * GIB, "tb": 1000**4, "tib": 1024 * GIB,
}  # fmt: skip
_OF_OTHER_LANGUAGES = re.compile(r"(?<=\d)( ?)(?:([GM])(?:o|io)\b(?! to\b)|([Г\u041c])(?:[бБ]|иБ|байт)\b)")
_LETTERS = {"Г": "G", "\u041c": "M"}
_BEFORE_SCRIPT = re.compile(r"(?<=[0-9A-Za-z])(?=[\u3040-\u30ff\u4e00-\u9fff])")
_THOUSANDS = re.compile(r"(?<![\d.,])(\d{1,3})[., ](\d{3})(?= ?M(?:i?B)\b)")
_DECIMAL_COMMA = re.compile(r"(?<![\d.,])(\d{1,3}),(\d{1,2})(?= ?[GM]i?B\b)")


def plain_sizes(text: str) -> str:
    """Return a text with its sizes as English writes them: "12 288 Mo" is 12288 MB, "23,6 GB" 23.6 GB, "24 ГБ" and "24GB显存" 24 GB."""
    if not text.isascii():
        text = _BEFORE_SCRIPT.sub(" ", text)
    text = _OF_OTHER_LANGUAGES.sub(lambda match: f"{match[1]}{match[2] or _LETTERS[match[3]]}B", text)
    return _DECIMAL_COMMA.sub(r"\1.\2", _THOUSANDS.sub(r"\1\2", text))


_SIZE = re.compile(r"(-?\d+(?:[.,]\d+)?)\s*([kmgt]i?b?|b)?\b", re.IGNORECASE)


def parse_size(text: str | None) -> int | None:
    """Return the bytes that `text` begins with ("5.4 GiB", "13 GB", "479199232"); None when it is no size."""
    match = _SIZE.match((text or "").strip().strip('"[]'))
    if match is None:
        return None
    size = float(match[1].replace(",", ".")) * _FACTORS[(match[2] or "").lower()]
    return int(size) if size >= 0 else None


def parse_sizes(text: str | None) -> tuple[int, ...]:
    """Return the sizes in a Go list of them ("[22.0 GiB 21.8 GiB]")."""
    found = (parse_size(match[0]) for match in _SIZE.finditer((text or "").strip("[]")))
    return tuple(size for size in found if size is not None)


def rounding_error(text: str | None) -> int:
    """Return by how many bytes a printed size may be off: half of its last digit; 0 for plain bytes.

    Go prints one decimal, so 1.1 GiB is anything from 1.05 to 1.15 GiB. In a list the largest counts.
    """
    found = _SIZE.finditer((text or "").strip("[]"))
    return max((_half_digit(match[1], match[2] or "") for match in found), default=0)


def _half_digit(number: str, unit: str) -> int:
    factor = _FACTORS[unit.lower()]
    decimals = len(number.replace(",", ".").partition(".")[2])
    return 0 if factor == 1 else int(factor / 10**decimals / 2)


def human(size: int) -> str:
    """Return a size the way Ollama prints it: one decimal, 1024-based."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
