"""``diagnose --probe-seconds``: figures of the loaded model, measured as ``fix-offload`` does before it begins."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from remediation.cli.context import Session
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.diagnosis.loaded import keep_alive_left, unlike_ours
from remediation.engine.benchmark import measure, unknown_figures
from remediation.facets.host_factory import SCALE
from remediation.facets.ollama.generate import WHAT
from remediation.model.errors import HostError
from remediation.model.facts import Runner

LABEL = "before"
SOON = 5.0
RELOADED = "the loaded model changed during the measurement: the figures are of the model loaded now"


def probe_figures(name: str, hosts: Session, evidence: Evidence, layers: Sequence[int] | None, limit: float) -> dict[str, Any]:
    """Return the figures of a ``measurement`` (``docs/events.md``); ``reason`` says why a figure is None. Never raises `HostError`.

    The host is opened again: the connection used for the diagnosis refuses writes.
    """
    variables = hosts.variables(name)
    simulated = SCALE in variables
    otherwise = unlike_ours(evidence)
    if otherwise:
        return unknown_figures(
            f"not measured: {otherwise}, and a request without that would reload the model", simulated=simulated
        )
    try:
        with hosts.open_for_reading(name, check=False) as access:
            reader = access.reader
            before = reader.ollama.running()
            if _leaves(before, reader.system.facts().now):
                return unknown_figures("not measured: the model is about to be unloaded", layers=layers, simulated=simulated)
            figures = measure(reader, access.writer(), label=LABEL, layers=layers, simulated=simulated, seconds=limit)
            if figures["tokens_seen"] and _placements(before) != _placements(access.reader.ollama.running()):
                figures["reason"] = RELOADED
            return figures
    except HostError as error:
        return unknown_figures(f"not measured: {error.message}", layers=layers, simulated=simulated)


def with_answer(evidence: Evidence, figures: Mapping[str, Any]) -> Evidence:
    """Add the result of the probe to the evidence if the model failed to answer: the failure itself is evidence."""
    reason = str(figures["reason"] or "").removeprefix("not measured: ")
    if figures["tokens_seen"] or not reason.startswith((f"{WHAT} failed", "no answer within")):
        return evidence
    return replace(evidence, probe=reason, pieces=(*evidence.pieces, Piece("api", reason, "probe")))


def _leaves(runners: Sequence[Runner], now: float) -> bool:
    """Return whether a runner may be unloaded before the probe, in which case the probe would load it."""
    left = [keep_alive_left(runner.expires_at, now) for runner in runners]
    return any(seconds is not None and seconds < SOON for seconds in left)


def _placements(runners: Sequence[Runner]) -> set[tuple[str, int, int, int | None]]:
    return {(runner.model, runner.size, runner.size_vram, runner.context_length) for runner in runners}
