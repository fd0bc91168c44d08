"""Sizes as Ollama, llama.cpp, nvidia-smi and people write them."""

from __future__ import annotations

import re

KIB, MIB, GIB = 1024, 1024**2, 1024**3

_FACTORS = {
    "": 1, "b": 1, "k": KIB, "ki": KIB, "mi": MIB, "gi": GIB, "ti": 1024 * GIB, "kb": 1000, "kib": KIB, "m": MIB, "mb": 1000**2, "mib": MIB,
    "g": GIB, "gb": 1000**3, "gib": GIB, "t": 1024 * GIB, "tb": 1000**4, "tib": 1024 * GIB,
}  # fmt: skip
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


def rounding(text: str | None) -> int:
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
