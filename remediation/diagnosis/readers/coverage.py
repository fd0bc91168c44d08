"""What the evidence does not cover: a model that is not stored, a log of another server, a log without the load in question.

Such evidence proves no cause. `gap_of` names the state; ``advice.missing`` says which command shows the rest.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.readers.logs import LogReading
from remediation.diagnosis.readers.present import blob_in, is_absent, is_live, model_blob
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.readers.texts.ps import PsRow
from remediation.diagnosis.units import human

_NAMED = 3
_TIME = re.compile(
    r"^(?:time=|\[GIN\] )?(\d{4}[-/]\d\d[-/]\d\d(?:T| - | )\d\d:\d\d)|^([A-Z][a-z]{2} [ \d]\d \d\d:\d\d:\d\d)", re.MULTILINE
)


class Lacks(str, Enum):
    """What the evidence lacks."""

    MODEL = "model"
    LOAD = "load"
    LOG = "log"
    DISCOVERY = "discovery"


@dataclass(frozen=True, slots=True)
class Gap:
    """A state in which the evidence cannot prove why a model is not on the GPU; ``model`` is the one to pull or load."""

    lacks: Lacks
    state: str
    model: str


def gap_of(reading: Reading) -> Gap | None:
    """Return what the evidence lacks about the model in question, None where it shows a load of it."""
    evidence = reading.evidence
    model = evidence.model or "MODEL"
    if is_absent(evidence):
        return Gap(Lacks.MODEL, f"{model} is not stored on this server, which stores {_stored_models_text(evidence)}", model)
    if evidence.models == () and not evidence.runners and not reading.loads:
        return Gap(Lacks.MODEL, f"this server stores {_stored_models_text(evidence)}", model)
    if reading.shown is not None:
        return None
    if evidence.runners is None:
        return _of_text(reading, model)
    listed = next((row for row in reading.placed if row.gpu is not None), None)
    if listed is not None and listed.gpu == 1:
        return None
    if listed is None:
        named = f"{model} is not loaded, and the log shows no load of it"
        return Gap(Lacks.LOAD, named if evidence.model else "no model is loaded, and the log shows no load", model)
    log = next((one for one in reading.logs if one.kind == "server_log"), None)
    lacks = Lacks.LOG if listed.gpu else Lacks.DISCOVERY
    return Gap(lacks, f"{_about_log(reading, log)}; {_now(reading, listed)}", listed.name or model)


def _of_text(reading: Reading, model: str) -> Gap | None:
    """Return what a pasted text lacks: a load or a row of the model in question."""
    if reading.ps and not reading.placed:
        return Gap(Lacks.LOAD, f"the list of loaded models has no row of {model}, and the log shows no load of it", model)
    log = next((one for one in reading.logs if one.kind == "server_log"), None)
    if log is None or reading.ps or is_live(reading.evidence):
        return None
    if reading.evidence.model is not None and reading.loads:
        return Gap(Lacks.LOAD, f"the log shows no load of {model}", model)
    if log.starts and reading.gpu_devices:
        return Gap(Lacks.LOAD, "the log shows the start of the server and its card, and no load of a model", model)
    if log.requests and not log.starts and not log.loads:
        return Gap(Lacks.LOAD, "the log shows requests, and neither the start of the server nor a load", model)
    return None


def unassigned_reason(reading: Reading) -> str:
    """Return why it is open which load of a pasted log is of the model in question, "" where it is known or there is one file only."""
    evidence = reading.evidence
    files = {blob_in(load.model) for load in reading.loads} - {""}
    if evidence.model is None or len(files) < 2 or model_blob(evidence) or is_absent(evidence):
        return ""
    return f"the log names files, not models, and {len(files)} of them were loaded: add the output of ollama show --modelfile {evidence.model}, whose line FROM names its file"


def _about_log(reading: Reading, log: LogReading | None) -> str:
    """Return which part of the server's log is missing."""
    evidence = reading.evidence
    if reading.foreign:
        return reading.foreign
    text = next((piece.text for piece in evidence.pieces if piece.kind == "server_log"), "")
    if log is None or not text.strip():
        reason = next((one.partition(": ")[2] for one in evidence.skipped if one.startswith("server log: ")), "")
        return f"the server's log could not be read ({reason})" if reason else "the server's log is empty"
    if log.starts:
        return "the log shows the start of the server, and no load of the model"
    first = _TIME.search(text[:20_000])
    since = first[1] or first[2] if first is not None else "later"
    return f"the log begins after the model was loaded ({since}): it was rotated or shortened"


def _now(reading: Reading, listed: PsRow) -> str:
    """Return what is known without the log: where the model is, and what is free now."""
    share = f"the card holds {listed.gpu or 0:.0%} of {listed.name or 'the model'}"
    use = reading.evidence.use
    card = next((one for one in use.gpus if one.total is not None and one.free is not None), None) if use is not None else None
    if card is None:
        return f"{share}, and no card answers" if use is not None else share
    return f"{share} and has {human(card.free or 0)} of {human(card.total or 0)} free now"


def _stored_models_text(evidence: Evidence) -> str:
    names = [entry.name for entry in evidence.models or ()]
    return ", ".join([*names[:_NAMED], *(["…"] if len(names) > _NAMED else [])]) or "no model"
