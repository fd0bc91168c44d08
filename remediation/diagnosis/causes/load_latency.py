"""Layers are on the GPU; loading is what takes long (facts/ollama 2.4, 3)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import CIRCUMSTANCE, FIGURES, LIKELY, Placement, Verdict, found, placement
from remediation.diagnosis.present import is_live
from remediation.diagnosis.reading import Reading
from remediation.model.finding import Cause, Finding, Quote

_KEEP = "send keep_alive (or OLLAMA_KEEP_ALIVE=-1) and the same options with every request, so that the model stays loaded"
SLOW_SECONDS = 60.0
_DURATION = re.compile(
    r"load[ _]duration[\"']?\s{0,20}[:=]?\s{0,20}(?:(\d{1,20})m)?(\d{1,20}(?:\.\d{1,20})?)\s{0,20}(ms|s|ns)?\b", re.IGNORECASE
)
SAID = re.compile(
    r"(?:reload|load)(?:s|ed|ing)? (?:the |a |each |every |again)?[^\n.]{0,60}(?:each|every|again|time|takes? (?:long|minutes)|slow|longer)|takes? [^\n.]{0,20}(?:minutes|seconds|long|forever|ages)[^\n.]{0,10} to (?:load|start)|slow(?:ly)? (?:to |model )?load|(?:first|cold)[ -](?:request|prompt|start|call)[^\n.]{0,40}(?:slow|long|seconds|minutes)",
    re.IGNORECASE,
)


def find(reading: Reading) -> Verdict:
    """Look for options that force a reload each time, long loads, and clients that gave up while one ran."""
    place = placement(reading)
    computed = next(
        (ask for ask in reading.asks if ask.what == "num_ctx" and ask.value is None and re.search(r"[*+(]", ask.expression)), None
    )
    if computed is not None:
        return found(
            Cause.LOAD_LATENCY,
            0.9,
            "the context is computed anew for each request, and each change reloads the model",
            computed.at,
            cure="send a fixed num_ctx",
        )
    if place in {Placement.PART, Placement.NONE}:
        return None
    hit = reading.hit("load_timeout", "client_gone")
    if hit is not None:
        return found(
            Cause.LOAD_LATENCY,
            0.86 if hit.key == "load_timeout" else FIGURES - 0.05,
            "the load took longer than somebody waits",
            hit.at,
            cure="raise the client's time-out and OLLAMA_LOAD_TIMEOUT; keep the model on a local fast disk",
        )
    loads = (reading.shown,) if is_live(reading.evidence) else reading.loads
    slow = next((load for load in loads if load is not None and load.seconds and load.seconds >= SLOW_SECONDS), None)
    if slow is not None and place is Placement.WHOLE:
        return found(Cause.LOAD_LATENCY, 0.85, f"loading took {slow.seconds:.0f} s", slow.result_at or slow.at, cure=_KEEP)
    return _durations(reading) or _prose(reading, place)


def _durations(reading: Reading) -> Finding | None:
    for piece in reading.evidence.pieces:
        for match in _DURATION.finditer(piece.text):
            number, unit = float(match[2]), (match[3] or "").lower()
            seconds = number / 1e9 if unit == "ns" or (not unit and number > 1e6) else number / 1000 if unit == "ms" else number
            seconds += 60 * int(match[1] or 0)
            if seconds >= 10:
                return found(
                    Cause.LOAD_LATENCY,
                    LIKELY,
                    f"of the whole time {seconds:.0f} s are loading",
                    Quote(piece.label, match[0][:160]),
                    cure=_KEEP,
                )
    return None


def _prose(reading: Reading, place: Placement) -> Finding | None:
    keep = reading.setting("OLLAMA_KEEP_ALIVE")
    if keep is not None and keep.value in {"0", "0s"}:
        return found(Cause.LOAD_LATENCY, LIKELY, "OLLAMA_KEEP_ALIVE=0 unloads the model after each answer", keep.at, cure=_KEEP)
    match = SAID.search(reading.prose)
    if match:
        return found(
            Cause.LOAD_LATENCY,
            CIRCUMSTANCE if place is Placement.WHOLE else 0.55,
            "loading takes the time",
            Quote("text", match[0][:160]),
            cure=_KEEP,
        )
    return None
