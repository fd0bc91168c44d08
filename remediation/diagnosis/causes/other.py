"""Known troubles that are none of the other causes."""

from __future__ import annotations

from remediation.diagnosis.causes.base import CIRCUMSTANCE, HINT, Verdict, found
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause

_SIGNS = {
    "unknown_architecture": (0.8, "this release does not know the model's architecture", "update Ollama"),
    "type_error": (0.8, "an option has the wrong type: every request fails", "correct the option in the Modelfile or client"),
    "queue_full": (0.75, "more requests wait than the server takes", "raise OLLAMA_MAX_QUEUE or send fewer at once"),
    "pull_failed": (CIRCUMSTANCE, "the download does not get through", "check network and proxy, then pull again"),
    "segfault": (HINT, "the runner crashed", "update Ollama; if it stays, report it with the log"),
    "gpu_oom": (HINT, "the card's memory ran out while loading", "lower the context or num_gpu"),
}


def find(reading: Reading) -> Verdict:
    """Look for messages of their own."""
    for key, (confidence, because, cure) in _SIGNS.items():
        hit = reading.hit(key)
        if hit is not None:
            return found(Cause.OTHER, confidence, because, hit.at, cure=cure)
    return None
