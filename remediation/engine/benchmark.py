"""Measure time to first token and total time for 50 tokens, before and after a repair.

The request uses the loaded runner's own context length, because a request with other options makes Ollama reload the runner
(server/sched.go, needsReload). If that length is unknown, nothing is measured and ``reason`` says why.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from remediation.model.errors import DeadlineExceeded, HostError, Unreachable
from remediation.model.text.words import plural

if TYPE_CHECKING:
    from remediation.facets.protocols import Reader, Writer
    from remediation.model.facts import GenerationFigures, Runner

PROMPT = "Write the numbers from one to sixty as words, separated by commas."
FULL = 50


@dataclass(frozen=True, slots=True)
class Effort:
    """Limits of one measurement: at most ``tokens`` tokens within ``seconds`` seconds."""

    tokens: int
    seconds: float


EFFORTS = {"before": Effort(tokens=8, seconds=20.0), "after": Effort(tokens=FULL, seconds=120.0)}
"""On the CPU, eight tokens already take seconds. A total measured with fewer than 50 tokens is extrapolated and marked so."""


def measure(
    reader: Reader,
    writer: Writer | None,
    *,
    label: str,
    layers: Sequence[int] | None = None,
    simulated: bool = False,
    seconds: float | None = None,
    model: str | None = None,
) -> dict[str, Any]:
    """Return the figures of a ``measurement`` event (``docs/events.md``); ``reason`` says why a figure is None.

    Without a writer (check mode) no request is sent; only figures that can be read are filled in. ``seconds`` replaces the
    label's own limit; ``model`` replaces the target's model. The request has no keep_alive, so the runner keeps its own
    (Ollama, server/sched.go, useLoadedRunner). Raises `Unreachable`.
    """
    figures = unknown_figures("", layers=layers, simulated=simulated)
    try:
        runner = _runner(reader, model)
    except Unreachable:
        raise
    except HostError as error:  # a hanging Ollama too: the fault to be repaired must not prevent the repair
        return {**figures, "layers": None, "reason": f"not measured: {error.message}"}
    if runner is None and not _requested_model(reader, model):
        return {**figures, "layers": None, "reason": "not measured: it is not known which model is meant"}
    if runner is None:
        return {**figures, "layers": None, "reason": "not measured: the model is not loaded, and loading it would be a change"}
    figures["vram_bytes"] = runner.size_vram
    if writer is None:
        return {**figures, "reason": "not measured: check mode sends no request to the model"}
    if runner.context_length is None:
        return {**figures, "reason": "not measured: this Ollama version does not report the context length of its runner"}
    effort = EFFORTS.get(label, EFFORTS["after"])
    return {**figures, **_ask(writer, runner, effort if seconds is None else replace(effort, seconds=seconds))}


def unknown_figures(reason: str, *, layers: Sequence[int] | None = None, simulated: bool = False) -> dict[str, Any]:
    """Return figures that are all unknown, with the reason."""
    return {
        "layers": list(layers) if layers else None,
        "first_token_s": None,
        "total_50_tokens_s": None,
        "extrapolated": False,
        "tokens_seen": 0,
        "vram_bytes": None,
        "gpu_percent": None,
        "cpu_percent": None,
        "simulated": simulated,
        "reason": reason,
    }


def _requested_model(reader: Reader, model: str | None) -> str:
    target = reader.target()
    return model or (str(target.model.value) if target.model else "")


def _runner(reader: Reader, model: str | None) -> Runner | None:
    from remediation.facets.ollama.client import same_name

    wanted = _requested_model(reader, model)
    return next((runner for runner in reader.ollama.running() if same_name(runner.model, wanted)), None)


def _ask(writer: Writer, runner: Runner, effort: Effort) -> dict[str, Any]:
    options = {"num_ctx": runner.context_length, "num_predict": effort.tokens, "temperature": 0, "seed": 1}
    try:
        seen = writer.ollama.generate(runner.model, PROMPT, options=options, timeout=effort.seconds)
    except DeadlineExceeded:
        return {"reason": f"not measured: no answer within {effort.seconds:g} s"}
    except Unreachable:
        raise
    except HostError as error:
        return {"reason": f"not measured: {error.message}"}
    return {**_times(seen), "gpu_percent": seen.gpu_percent, "cpu_percent": seen.cpu_percent}


def _times(seen: GenerationFigures) -> dict[str, Any]:
    if seen.tokens <= 0:
        return {"first_token_s": seen.first_token, "reason": "not measured: the model answered without a token"}

    from remediation.facets.ollama.generate import CUT_OFF

    if seen.eval <= 0 and seen.tokens < FULL and seen.done_reason == CUT_OFF:
        reason = f"not measured: {plural(seen.tokens, 'token')} came before the deadline, too few for a rate"
        return {"first_token_s": seen.first_token, "tokens_seen": seen.tokens, "reason": reason}
    complete = seen.tokens >= FULL
    total = seen.prompt_eval + seen.eval * FULL / seen.tokens  # warm: the load time is left out
    return {
        "first_token_s": seen.first_token,
        "total_50_tokens_s": total,
        "extrapolated": not complete,
        "tokens_seen": seen.tokens,
    }
