"""Whether a loaded model answers, from the server log's last requests and from a short request.

A runner that the kernel killed stays in ``/api/ps`` with all its layers until the next request (Ollama's server/sched.go).
"""

from __future__ import annotations

from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.errors import CallFailed, DeadlineExceeded
from remediation.model.facts import Runner
from remediation.steps.model.load_state import log_of

SECONDS = 60.0
"""Time limit in seconds for one token of a model that is entirely on the GPU."""


def last_death(host: Reader) -> str:
    """Return what the log says about a runner that died while answering. Returns "" if a later load or answer contradicts it."""
    log = log_of(host)
    died = next((hit for hit in reversed(log.hits) if hit.key == "runner_died" and hit.server == log.server), None)
    if died is None or any(load.number > died.load and load.started_at is not None for load in log.loads):
        return ""
    later = [request for request in log.requests if request.line > died.line]
    if any(request.answered for request in later):
        return ""
    return f"its runner died while it answered{' (HTTP 500)' if any(request.failed for request in later) else ''}"


def unanswered(host: Writer, runner: Runner) -> str:
    """Request one token from a loaded model. Returns why it did not answer, or "" if it did or has no known context size.

    The request uses the context size of the load. Another size would reload the model.
    """
    if runner.context_length is None:
        return ""
    options: dict[str, Any] = {"num_ctx": runner.context_length, "num_predict": 1, "temperature": 0, "seed": 1}
    try:
        host.ollama.generate(runner.model, "Hi", options=options, timeout=SECONDS, sample=False)
    except CallFailed as error:
        if "does not support generate" in error.message:
            return ""  # an embedding model
        return f"it does not answer: {error.message}"
    except DeadlineExceeded:
        return f"it returned no token within {SECONDS:g} s"
    return ""
