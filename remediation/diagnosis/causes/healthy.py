"""All layers are on the GPU; slowness has another reason (facts/ollama 5.2: 33/33 is not proof by itself)."""

from __future__ import annotations

import re

from remediation.diagnosis.causes.base import FIGURES, LIKELY, Placement, Verdict, found, placement, result_quote
from remediation.diagnosis.causes.load_latency import SAID, SLOW_SECONDS
from remediation.diagnosis.causes.spill import spilled
from remediation.diagnosis.reading import Reading
from remediation.diagnosis.runners import dead_runner
from remediation.model.finding import Cause, RuledOut

_VGPU = re.compile(r"-\d+[QBCA]\b|virtual workstation|\bgrid\b|\bvgpu\b", re.IGNORECASE)
_CLAIMS = re.compile(
    r"spill|(?:cpu|processor) (?:does|doing|is used|usage|only)|%cpu\(s\)|on (?:the )?cpu\b|default[^\n]{0,30}context[^\n]{0,30}vram",
    re.IGNORECASE,
)
_BRISK = 15.0  # tokens per second; a processor alone seldom writes a 7B model so fast
_BAD = (
    "gpu_oom",
    "killed",
    "ram_refused",
    "runner_terminated",
    "runner_died",
    "signalled",
    "exit_137",
    "segfault",
    "layout_failed",
    "truncated",
    "bad_magic",
    "blob_missing",
    "blob_unreadable",
    "old_driver",
    "xid",
)


def find(reading: Reading) -> Verdict:
    """Ask whether all layers are there, with nothing that contradicts it."""
    place = placement(reading)
    bad = reading.hit(*_BAD)
    if place is Placement.WHOLE and (refused := _unanswered(reading)):
        return RuledOut(Cause.HEALTHY, refused)
    if place is Placement.WHOLE and bad is None and not reading.cpu_device:
        short = [row for row in reading.ps if row.gpu is not None and row.gpu < 1]
        if short and reading.offloaded is None:
            return None
        return found(
            Cause.HEALTHY,
            _sure(reading),
            _said(reading) + _speed(reading),
            result_quote(reading),
            cure="nothing to repair here; if it is slow, look at throttling, load time and the client",
        )
    if place in {Placement.PART, Placement.NONE}:
        return RuledOut(Cause.HEALTHY, f"the model runs {place.value}")
    names = " ".join(name for smi in reading.smi for name in smi.names) + " " + (reading.evidence.gpu or "")
    if (
        place is Placement.UNKNOWN
        and bad is None
        and not reading.hits
        and _VGPU.search(names)
        and any(smi.works for smi in reading.smi)
    ):
        # NVIDIA slows an unlicensed virtual GPU down about 20 minutes after it starts
        return found(
            Cause.HEALTHY,
            0.7,
            "a virtual GPU works, and without a licence its driver slows it down",
            reading.smi[0].at,
            cure="license the vGPU",
        )
    return None


def _sure(reading: Reading) -> float:
    """Return how sure it is that nothing is wrong: what somebody says and what takes long speak against it."""
    load, sure = reading.shown, LIKELY
    if reading.offloaded is not None:
        sure = FIGURES + 0.02 if load is not None and load.offloaded is not None else LIKELY + 0.05
    if _CLAIMS.search(reading.prose) and (load is None or not reading.evidence.pieces or load.required_full is None):
        # somebody says that the processor works: the list or an excerpt may show another load
        sure = 0.55
    if SAID.search(reading.prose):
        sure = min(sure, 0.6)  # it is loading that somebody complains of
    if reading.hit("load_timeout", "client_gone") is not None:
        sure = 0.6
    if any((one.seconds or 0) >= SLOW_SECONDS for one in reading.loads):
        sure = min(sure, 0.7)  # loading is what takes long
    if spilled(reading) is not None:
        sure = min(sure, 0.6)
    # a load that is over, or whose log ends before the runner answers
    past = reading.evidence.runners == () or (load is not None and load.started_at is None and len(reading.loads) > 1)
    return min(sure, LIKELY) if past and reading.offloaded is not None else sure


def _said(reading: Reading) -> str:
    if reading.offloaded is None:
        return "the model is listed wholly on the GPU"
    over = reading.evidence.runners == ()
    return "the last load put all layers on the GPU; no model is loaded now" if over else "all layers are on the GPU"


def _unanswered(reading: Reading) -> str:
    """Return why the server is not healthy whatever lies on the GPU: it does not answer. "" where nothing says so."""
    if reading.evidence.silent:
        return reading.evidence.silent
    if reading.evidence.probe:
        return f"the loaded model was asked and did not answer: {reading.evidence.probe}"
    if (dead := dead_runner(reading.evidence)) is not None:
        return f"the runner of {dead.model} has died"
    last = reading.last_request
    if last is not None and last.failed:
        return f"the last request was answered with {last.status} ({last.at.where})"
    return ""


def _speed(reading: Reading) -> str:
    """Return what the answers' own durations say of slowness, "" where none are there."""
    told = next((one for one in reading.speeds if one.rate is not None), None)
    if told is None or told.rate is None:
        return ""
    if told.rate >= _BRISK:
        rest = f" of {told.total:.1f} s" if told.total else ""
        return f"; the server writes {told.rate:.0f} tokens/s, so whatever else{rest} is slow lies with the client or the prompt"
    return f"; yet it writes only {told.rate:.1f} tokens/s: look at clock and power (nvidia-smi -q -d PERFORMANCE), and at memory that spilled over"
