"""What the causes share: making findings, and where the model runs."""

from __future__ import annotations

from enum import Enum

from remediation.diagnosis.reading import Reading
from remediation.diagnosis.texts.ps import PsRow
from remediation.facets.ollama.service import restart_advice as restart
from remediation.model.finding import Cause, Finding, Quote, RuledOut

Verdict = Finding | RuledOut | None

# how sure a kind of proof makes: a message that has one meaning; figures that add up; a circumstance; a hint
PROVEN = 0.95
FIGURES = 0.92
LIKELY = 0.8
CIRCUMSTANCE = 0.65
HINT = 0.5


def found(cause: Cause, confidence: float, because: str, *quotes: Quote | None, cure: str = "", by_hand: bool = False) -> Finding:
    """Return a finding; quotes that are not there are left out."""
    return Finding(cause, round(confidence, 3), because, tuple(quote for quote in quotes if quote is not None), cure, by_hand)


class Placement(str, Enum):
    """Where the model runs, as far as anything says it."""

    WHOLE = "all on the GPU"
    PART = "partly on the GPU"
    NONE = "on the CPU"
    UNKNOWN = "not known"


def placement(reading: Reading) -> Placement:
    """Return where the model runs: by the log's layers, else by ``ollama ps``, else by discovery."""
    if reading.offloaded is not None:
        layers, of = reading.offloaded
        if layers == of and not phantom(reading):
            return Placement.WHOLE
        return Placement.PART if 0 < layers < of else Placement.NONE
    row = worst_row(reading)
    if row is not None and row.gpu is not None:
        if row.gpu >= 1:
            return Placement.WHOLE
        return Placement.PART if row.gpu > 0 else Placement.NONE
    return Placement.NONE if reading.cpu_device else Placement.UNKNOWN


def worst_row(reading: Reading) -> PsRow | None:
    """Return the listed model with the smallest share on the GPU."""
    rows = [row for row in reading.ps if row.gpu is not None]
    return min(rows, key=lambda row: row.gpu if row.gpu is not None else 1.0) if rows else None


def phantom(reading: Reading) -> bool:
    """Whether the log claims layers on a GPU that is not there (recordings, surprise 3): nothing lies in device memory."""
    load = reading.shown
    if load is None or load.offloaded is None or not load.offloaded[0]:
        return False
    return load.model_cpu > 0 and load.model_gpu == 0 and load.kv_gpu == 0 and load.kv_cpu > 0


def died_without_layers(reading: Reading) -> bool:
    """Whether a load died for which the server itself had put no layer on the card.

    A card that is full gives fewer layers, and the model runs from system memory; a load that fails is another matter
    (facts/ollama 5.2), and why it failed is not told by what the card holds.
    """
    load = reading.shown
    if load is None or load.seconds is not None or load.requested not in {None, -1} or load.result is None or load.result[0]:
        return False
    return reading.hit("runner_terminated") is not None


def no_card_found(reading: Reading) -> bool:
    """Whether discovery kept nothing but the processor: then it is not memory that keeps the layers off a card."""
    return reading.cpu_device is not None and (reading.shown is None or reading.shown.library in {"", "cpu"})


def how_to_restart(reading: Reading) -> str:
    """Return how the server is restarted where it runs."""
    name = str((reading.evidence.container or {}).get("Name") or "").lstrip("/")
    return restart(name or ("ollama" if reading.in_container else ""), windows=reading.evidence.platform == "windows")


def result_quote(reading: Reading) -> Quote | None:
    """Return the line or row that shows where the model runs."""
    if reading.shown is not None and reading.shown.result_at is not None:
        return reading.shown.result_at
    row = worst_row(reading)
    if row is not None:
        return row.at
    return reading.cpu_device.at if reading.cpu_device else None
