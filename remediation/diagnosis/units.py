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


def human(size: int) -> str:
    """Return a size the way Ollama prints it: one decimal, 1024-based."""
    for unit, factor in (("GiB", GIB), ("MiB", MIB), ("KiB", KIB)):
        if size >= factor:
            return f"{size / factor:.1f} {unit}"
    return f"{size} B"
