"""What undoes the change with which a fault began, for advice whose cause is not certain."""

from __future__ import annotations

import re
from typing import NamedTuple

from remediation.diagnosis.facts.base import Facts


class Reversal(NamedTuple):
    """The fact that something changed, the words of a cure that undo it already, and those that do."""

    fact: str
    named: re.Pattern[str]
    words: str


_REVERSALS = (
    Reversal(
        "reported.updated",
        re.compile(r"(?:go(?:ing)? back|earlier|older|worked|update ollama|another (?:image|release))[^.;]{0,40}(?:release|version|image|tag|ollama)|(?:release|version|tag)[^.;]{0,20}worked|update ollama", re.IGNORECASE),
        "Since it began with another release of Ollama: go back to the release that worked (`curl -fsSL https://ollama.com/install.sh | "
        "OLLAMA_VERSION=0.x.y sh`, the image's tag, or that release's installer), or update to the newest one",
    ),
    Reversal(
        "reported.driver_updated",
        re.compile(r"(?:back|earlier|older|worked|reboot)[^.;]{0,50}driver|driver[^.;]{0,50}(?:worked|earlier)|\breboot", re.IGNORECASE),
        "Since it began with another driver: reboot once, then go back to the driver that worked",
    ),
    Reversal(
        "reported.kernel_updated",
        re.compile(r"kernel", re.IGNORECASE),
        "Since it began with another kernel: start the one that worked from the boot menu, and build the driver's module for the new one "
        "(`sudo dkms autoinstall`)",
    ),
    Reversal(
        "reported.toolkit_updated",
        re.compile(r"toolkit|libnvidia-container", re.IGNORECASE),
        "Since it began with another container toolkit: go back to the release that worked, all of its packages in one version",
    ),
)  # fmt: skip


def reversal(cure: str, facts: Facts) -> str:
    """Return the words that undo what changed when the fault began, "" where nothing did or the cure has them."""
    words = (one.words for one in _REVERSALS if facts.holds(one.fact) and one.named.search(cure) is None)
    return next(words, "")
