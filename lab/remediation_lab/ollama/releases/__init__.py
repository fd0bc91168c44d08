"""The Ollama releases that the lab can play."""

from __future__ import annotations

from dataclasses import replace

from remediation_lab.ollama.releases import v0_9_6, v0_12_10, v0_13_5, v0_24_0, v0_32_0
from remediation_lab.ollama.releases.base import Release

KNOWN: tuple[Release, ...] = (v0_9_6.RELEASE, v0_12_10.RELEASE, v0_13_5.RELEASE, v0_24_0.RELEASE, v0_32_0.RELEASE)
_GENERATIONS = (
    ((0, 6, 7), (0, 9, 6), v0_9_6.RELEASE),
    ((0, 11, 5), (0, 12, 10), v0_12_10.RELEASE),
    ((0, 12, 11), (0, 15, 4), v0_13_5.RELEASE),
    ((0, 15, 5), (0, 24, 0), v0_24_0.RELEASE),
)


def find(version: str) -> Release:
    """Return a release by its number; another one of the same generation logs like the release that was recorded.

    Raises ValueError for a version of a generation that the lab does not play.
    """
    for release in KNOWN:
        if release.version == version:
            return release
    parts = tuple(int(part) for part in version.split("."))
    for first, last, release in _GENERATIONS:
        if first <= parts <= last:
            return replace(release, version=version)
    played = ", ".join(release.version for release in KNOWN)
    raise ValueError(f"the lab does not play Ollama {version}: choose one of {played}")
