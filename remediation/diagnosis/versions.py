"""Ollama releases and the generations by which logs and layer decisions differ (facts/ollama 0)."""

from __future__ import annotations

import re
from enum import Enum

Version = tuple[int, int, int]

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


class Generation(str, Enum):
    """How a release decides and logs; ``G2N`` is the newer engine that measures instead of estimating."""

    G0 = "G0"
    G1 = "G1"
    G1B = "G1b"
    G2 = "G2"
    G2N = "G2n"
    G3 = "G3"

    def __str__(self) -> str:
        return self.value


def parse_version(text: str | None) -> Version | None:
    """Return the release named in `text`, None when there is none or it is a source build (``0.0.0``)."""
    match = _VERSION.search(text or "")
    if match is None:
        return None
    version = (int(match[1]), int(match[2]), int(match[3] or 0))
    return None if version == (0, 0, 0) else version


def at_least(version: Version | None, text: str) -> bool | None:
    """Return whether `version` is `text` or newer; None when it is not known."""
    floor = parse_version(text)
    if version is None or floor is None:
        return None
    return version >= floor


# facts/ollama 0: the first release of each generation, newest first
_GENERATIONS: tuple[tuple[Version, Generation], ...] = (
    ((0, 25, 0), Generation.G3),
    ((0, 12, 11), Generation.G2),
    ((0, 11, 5), Generation.G1B),
    ((0, 1, 33), Generation.G1),
    ((0, 0, 1), Generation.G0),
)


def generation(version: Version | None) -> Generation | None:
    """Return the generation of a release; None when the release is not known."""
    if version is None:
        return None
    return next((name for first, name in _GENERATIONS if version >= first), Generation.G0)
