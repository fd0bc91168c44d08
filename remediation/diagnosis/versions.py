"""Ollama releases and the generations by which logs and layer decisions differ (facts/ollama 0)."""

from __future__ import annotations

import re
from enum import Enum

Version = tuple[int, int, int]

_VERSION = re.compile(r"v?(\d+)\.(\d+)(?:\.(\d+))?")


class Generation(str, Enum):
    """How a release decides and logs, by the first release that does; the newer engine of 0.12.11 measures instead of estimating."""

    V0_1 = "0.1"
    V0_1_33 = "0.1.33"
    V0_11_5 = "0.11.5"
    V0_12_11 = "0.12.11"
    V0_12_11_NEW_ENGINE = "0.12.11, newer engine"
    V0_30 = "0.30"

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
    ((0, 25, 0), Generation.V0_30),
    ((0, 12, 11), Generation.V0_12_11),
    ((0, 11, 5), Generation.V0_11_5),
    ((0, 1, 33), Generation.V0_1_33),
    ((0, 0, 1), Generation.V0_1),
)


def generation(version: Version | None) -> Generation | None:
    """Return the generation of a release; None when the release is not known."""
    if version is None:
        return None
    return next((name for first, name in _GENERATIONS if version >= first), Generation.V0_1)
