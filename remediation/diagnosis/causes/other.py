"""Known troubles that are none of the other causes."""

from __future__ import annotations

from remediation.diagnosis.causes.base import CIRCUMSTANCE, FIGURES, HINT, LIKELY, Verdict, found, how_to_restart
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.runners import dead_runner, listed_at
from remediation.model.finding import Cause, Finding, Quote

_SIGNS = {
    "blob_denied": (
        0.8,
        "the server may not read the model's file",
        "give the server's user the right to read the folder of the models",
    ),
    "unknown_architecture": (0.8, "this release does not know the model's architecture", "update Ollama"),
    "type_error": (0.8, "an option has the wrong type: every request fails", "correct the option in the Modelfile or client"),
    "queue_full": (0.75, "more requests wait than the server takes", "raise OLLAMA_MAX_QUEUE or send fewer at once"),
    "pull_failed": (CIRCUMSTANCE, "the download does not get through", "check network and proxy, then pull again"),
    "segfault": (HINT, "the runner crashed", "update Ollama; if it stays, report it with the log"),
    "gpu_oom": (HINT, "the card's memory ran out while loading", "lower the context or num_gpu"),
}


_DIED = "see what ended the runner: the lines before it in the server's log, docker events and dmesg (out of memory); then send the request again"


def find(reading: Reading) -> Verdict:
    """Look for a server that does not answer and a runner that died, then for messages of their own."""
    return _silent(reading) or _died(reading) or _told(reading)


def _silent(reading: Reading) -> Finding | None:
    """Look for a server that is there and gives no answer: whatever its log says of layers, nobody gets one."""
    said = reading.evidence.silent
    if not said:
        return None
    cure = "start or restart Ollama behind the proxy" if "proxy" in said else how_to_restart(reading)
    return found(Cause.OTHER, 0.96, said, Quote("GET /api/version", said), cure=cure, by_hand="proxy" in said)


def _died(reading: Reading) -> Finding | None:
    """Look for a runner that ended after its load: every request then fails, although all layers are listed on the GPU."""
    dead, limited = dead_runner(reading.evidence), any(docker.memory_limit for docker in reading.docker)
    died, failed = reading.hit("runner_died"), _end(reading)
    if dead is not None:
        text = f"the runner of {dead.model} has died: /api/ps lists it, and no process of a runner is left"
        # processes may be hidden from this login: without a request that failed, nothing else is set aside for it
        seen = died is not None or failed is not None or bool(reading.evidence.probe)
        confidence = FIGURES if seen and not limited else CIRCUMSTANCE
        return found(Cause.OTHER, confidence, text, listed_at(dead), failed, cure=_DIED, by_hand=True)
    if died is None:
        return None
    # why it died is what other causes say; by itself it is proven that it did
    explained = reading.hit("killed", "gpu_oom", "ram_allocation", "signalled", "exit_137", "truncated") is not None
    text = "the runner ended while it answered a request"
    return found(
        Cause.OTHER, CIRCUMSTANCE if explained or limited or reading.codes else LIKELY, text, died.at, failed, cure=_DIED, by_hand=True,
    )  # fmt: skip


def _end(reading: Reading) -> Quote | None:
    """Return the line of the last request, where it failed."""
    last = reading.last_request
    return last.at if last is not None and last.failed else None


def _told(reading: Reading) -> Finding | None:
    """Look for messages of their own."""
    for key, (confidence, because, cure) in _SIGNS.items():
        hit = reading.hit(key)
        if hit is not None:
            return found(Cause.OTHER, confidence, because, hit.at, cure=cure, by_hand=True)
    return None
