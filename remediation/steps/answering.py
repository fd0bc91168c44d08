"""Whether a loaded model answers: what the server's log says of its last requests, and a short request of our own.

A runner that the kernel killed stays in ``/api/ps`` until the next request, whole and with all its layers (facts/ollama 3).
"""

from __future__ import annotations

import re
from typing import Any

from remediation.facets.protocols import Reader, Writer
from remediation.model.errors import Blocked, CallFailed, DeadlineExceeded
from remediation.model.facts import Runner

SECONDS = 60.0
"""How long a model whose layers are all on the GPU may take for one token."""

_INFERENCE = r'POST\s{1,20}"/(?:api/(?:generate|chat)|v1/(?:chat/)?completions)"'
_LOADED = re.compile(r"runner started in")
_DIED = re.compile(
    r"model runner has unexpectedly stopped|runner process no longer running|msg=\"post predict\" error=.{0,400}EOF"
    r"|error was encountered while running the model",
)
_ANSWERED = re.compile(rf"\[GIN\].{{0,100}}\|\s{{1,20}}2\d\d \|.{{0,200}}{_INFERENCE}")
_REFUSED = re.compile(rf"\[GIN\].{{0,100}}\|\s{{1,20}}5\d\d \|.{{0,200}}{_INFERENCE}")


def last_death(host: Reader) -> str:
    """Return what the log says of a runner that died while it answered, "" where a later load or answer contradicts it."""
    try:
        log = host.ollama.log()
    except (CallFailed, DeadlineExceeded, Blocked):
        return ""  # what is loaded can be told without it
    died = ""
    for line in log.splitlines():
        if _LOADED.search(line) or (died and _ANSWERED.search(line)):
            died = ""
        elif _DIED.search(line):
            died = "its runner died while it answered"
        elif died and _REFUSED.search(line):
            died = "its runner died while it answered (HTTP 500)"
    return died


def unanswered(host: Writer, runner: Runner) -> str:
    """Ask a loaded model for one token; return why it did not answer, "" where it did or cannot be asked.

    It is asked with the context that it was loaded with: another one would load it anew.
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
        return f"it gave no token within {SECONDS:g} s"
    return ""
