"""From evidence to a diagnosis: findings ranked by strength of proof, and what speaks against the rest."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from remediation.diagnosis.causes import FINDERS
from remediation.diagnosis.causes.base import CIRCUMSTANCE, Verdict
from remediation.diagnosis.cures import on_host
from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.missing import to_collect
from remediation.diagnosis.prediction import predict
from remediation.diagnosis.reading import Reading, read_evidence
from remediation.diagnosis.sender import find_senders
from remediation.diagnosis.settings import judge_settings
from remediation.model.facts import Runner
from remediation.model.finding import Cause, Diagnosis, Finding, RuledOut, Sender

_log = logging.getLogger(__name__)

_LEAST = 0.35
_SURE = 0.5


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return what the evidence proves; never raises on what is in it, and reads nothing else."""
    found = judge(read_evidence(evidence))
    causes = ", ".join(f"{one.cause} {one.confidence:.2f}" for one in found.findings)
    _log.info("diagnosis: causes %s; ruled out %d; to collect %d", causes, len(found.ruled_out), len(found.collect))
    return found


def judge(reading: Reading) -> Diagnosis:
    """Return the diagnosis of evidence that has been read."""
    verdicts = [_of_silent(finder(reading), reading) for finder in FINDERS]
    findings = sorted(
        (one for one in verdicts if isinstance(one, Finding) and one.confidence >= _LEAST), key=lambda one: -one.confidence
    )
    ruled_out = tuple(one for one in verdicts if isinstance(one, RuledOut))
    senders = find_senders(reading.evidence, reading.shown) if _asked_for(findings) else ()
    findings = [_followed(on_host(one, reading), senders) for one in findings]
    forecast = predict(reading)
    collect = to_collect(reading, findings)
    if not findings:
        rights = reading.evidence.rights
        refused = "; the host refuses this login what would prove one" if rights else ""
        cure = rights or next(iter(collect), "")
        findings = [Finding(Cause.UNKNOWN, 0.0, f"the evidence proves no cause{refused}", cure=cure)]
    return Diagnosis(
        findings=tuple(findings),
        ruled_out=ruled_out,
        settings=judge_settings(reading),
        offloaded=reading.offloaded,
        predicted=(forecast.fit.layers, forecast.fit.total) if forecast and forecast.known else None,
        need=forecast.sentence if forecast else "",
        collect=collect,
        notes=(*reading.evidence.skipped, *_beside(reading.evidence)),
        senders=senders,
    )


def _of_silent(verdict: Verdict, reading: Reading) -> Verdict:
    """Return a finding that rests on the log of a server that does not answer as what it is: how things were, which proves nothing now."""
    if not reading.evidence.silent or not isinstance(verdict, Finding) or not verdict.quotes:
        return verdict
    logged = all(quote.where.startswith("server.log") for quote in verdict.quotes)
    return replace(verdict, confidence=min(verdict.confidence, CIRCUMSTANCE)) if logged else verdict


def _beside(evidence: Evidence) -> tuple[str, ...]:
    """Return what was judged where several models are loaded, and how the others stand."""
    runners = evidence.runners or ()
    if len(runners) < 2 or all(one.model != evidence.model for one in runners):
        return ()
    others = ", ".join(f"{one.model} ({_placed(one)})" for one in runners if one.model != evidence.model)
    return (f"{evidence.model} was judged; also loaded: {others}; name the one that is meant (model: NAME)",)


def _placed(runner: Runner) -> str:
    if runner.size_vram >= runner.size:
        return "all of it on the GPU"
    return f"{runner.size_vram / max(1, runner.size):.0%} of it on the GPU" if runner.size_vram else "on the CPU"


def _asked_for(findings: list[Finding]) -> bool:
    return any(one.cause is Cause.EXPLICIT_NUM_GPU and one.confidence >= _SURE for one in findings)


def _followed(finding: Finding, senders: tuple[Sender, ...]) -> Finding:
    """Add to the request for few layers who sent it, where somebody is known to ask (not merely to call)."""
    sender = next((one for one in senders if one.value is not None), None)
    if finding.cause is not Cause.EXPLICIT_NUM_GPU or sender is None:
        return finding
    known = any(quote.where == sender.place.where for quote in finding.quotes)
    quotes = finding.quotes if known else (*finding.quotes, sender.place)
    return replace(finding, because=f"{finding.because}; {sender.who} asks for {sender.value}", quotes=quotes, cure=sender.cure)


def to_json(diagnosis: Diagnosis, *, target: str | None = None) -> dict[str, Any]:
    """Return a diagnosis as one JSON object."""
    return {
        "findings": [
            {
                "cause": str(one.cause),
                "confidence": one.confidence,
                "because": one.because,
                "quotes": [{"where": quote.where, "text": quote.text} for quote in one.quotes],
                "cure": one.cure,
            }
            for one in diagnosis.findings
        ],
        "offloaded": list(diagnosis.offloaded) if diagnosis.offloaded else None,
        "predicted": list(diagnosis.predicted) if diagnosis.predicted else None,
        "need": diagnosis.need,
        "target": target,
        "settings": [
            {"name": one.name, "value": one.value, "verdict": one.verdict, "because": one.because} for one in diagnosis.settings
        ],
        "ruled_out": [{"cause": str(one.cause), "because": one.because} for one in diagnosis.ruled_out],
        "senders": [
            {"who": one.who, "value": one.value, "where": one.place.where, "text": one.place.text, "cure": one.cure}
            for one in diagnosis.senders
        ],
        "collect": list(diagnosis.collect),
        "notes": list(diagnosis.notes),
    }
