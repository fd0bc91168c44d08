"""Decides which settings of Ollama's service are harmful or ignored on a release."""

from __future__ import annotations

from collections.abc import Mapping

from remediation.diagnosis.advice.settings import HARMFUL, judge_settings
from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.requested_options import DeclaredSetting as Declared
from remediation.diagnosis.versions import Version, at_least
from remediation.facets.protocols import Reader
from remediation.model.errors import NO_ANSWER
from remediation.model.finding import Quote, Setting
from remediation.model.text.digits import is_whole

VISIBILITY = ("CUDA_VISIBLE_DEVICES", "NVIDIA_VISIBLE_DEVICES", "GPU_DEVICE_ORDINAL")
_NOTHING = frozenset({"", "-1", "none", "void", "nodevfiles"})


def judge_declared(environment: Mapping[str, str], version: Version | None, cards: int | None = None) -> tuple[Setting, ...]:
    """Return the faulty settings among those declared for a server of this release, in declaration order.

    `cards` is the number of the host's GPUs, or None. An index beyond it selects no GPU.
    """
    text = ".".join(map(str, version)) if version else None
    declared = tuple(Declared(name, value, Quote(name, value)) for name, value in environment.items())
    reading = Reading(Evidence(ollama_version=text), logs=(), declared=declared)
    found = {one.name: one for one in judge_settings(reading)}
    for name in VISIBILITY:
        if name in environment and _hides_cards(environment[name], cards):
            found.setdefault(name, Setting(name, environment[name], HARMFUL, "it hides every card from the server"))
    return tuple(found[name] for name in environment if name in found)


def hides_the_gpu(environment: Mapping[str, str], version: Version | None, cards: int | None = None) -> str:
    """Return a sentence naming the setting that hides every GPU from this server, or ""."""
    library = environment.get("OLLAMA_LLM_LIBRARY", "").strip().lower()
    if library in {"cuda", "gpu", "nvidia", "cublas"} and at_least(version, "0.12.4") is not False:
        return f"OLLAMA_LLM_LIBRARY={library} skips every GPU library: 0 layers"
    for name in VISIBILITY:  # the server prints every variable it knows, unset ones as empty
        if environment.get(name, "").strip() and _hides_cards(environment[name], cards):
            return f"{name}={environment[name]} hides every card: 0 layers"
    return ""


def cards_of(host: Reader) -> int | None:
    """Return the number of the host's GPUs, or None."""
    try:
        return len(host.gpu.use().gpus) or None
    except NO_ANSWER:
        return None


def _hides_cards(value: str, cards: int | None) -> bool:
    text = value.strip().strip("\"'").lower()
    if text in _NOTHING or text.startswith("-1"):
        return True
    indexes = [part.strip() for part in text.split(",")]
    return cards is not None and all(is_whole(part) and int(part) >= cards for part in indexes)
