"""From evidence to a diagnosis: findings ranked by strength of proof, and why other causes are ruled out."""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from remediation.diagnosis.advice.cures import cure_of, likely_cures
from remediation.diagnosis.advice.missing import to_collect
from remediation.diagnosis.advice.reversals import reversal
from remediation.diagnosis.advice.sender import find_senders
from remediation.diagnosis.advice.settings import judge_settings
from remediation.diagnosis.evidence import Evidence
from remediation.diagnosis.facts.base import Fact, Facts, FactSheet, seen_fact_name
from remediation.diagnosis.facts.host import derive_host
from remediation.diagnosis.facts.memory import derive_memory
from remediation.diagnosis.facts.run import derive_run
from remediation.diagnosis.facts.words import derive_words
from remediation.diagnosis.knowledge.schema import facts_of
from remediation.diagnosis.likeness import by_likeness, is_named
from remediation.diagnosis.memory.prediction import predict
from remediation.diagnosis.readers.coverage import Gap, Lacks, gap_of, unassigned_reason
from remediation.diagnosis.readers.logs.messages import SAYS
from remediation.diagnosis.readers.logs.scan import SEEN
from remediation.diagnosis.readers.reading import Reading, read_evidence
from remediation.diagnosis.score import ScoredMechanism, WeighedCause, score, stands_out
from remediation.model.facts import Runner
from remediation.model.finding import Cause, Diagnosis, Finding, Sender

_log = logging.getLogger(__name__)

_CONSIDERED = 0.005
"""The least share with which a cause is listed."""
_WITHOUT_ROOM = frozenset({Cause.ESTIMATE_TOO_CONSERVATIVE, Cause.MODEL_TOO_LARGE})
"""Remaining options if no program on the card may be closed; listed with that finding even with little evidence."""
_LEAST_SHARE = 0.001
_SURE, _CERTAIN, _SUREST = 0.5, 0.9, 0.99
_NEAR = 0.4
"""A second cause with this part of the first one's share gives its cure as well."""
_PAST = 0.25
"""Factor of a finding's share if the server has stopped answering since."""
_SILENT = frozenset({"server-does-not-answer", "nothing-behind-the-proxy"})
_CANDIDATE, _CANDIDATES = 0.1, 2
"""The share with which a cause that is not named gives its cure to the answer ``unknown``, and how many causes do."""
_LONG = 1800
"""The length of two cures from which only the first is given."""
_CURED = "`ollama ps` lists the model with 100% GPU"
_MOST_QUOTES = 5
_ONE_HINT, _NOTHING = 2.5, -2.0
_WORDS = re.compile(r"[a-z]{3,}")
_SAME_WORDS = 0.6
"""A fact with this share of a title's words replaces the title."""


def diagnose(evidence: Evidence) -> Diagnosis:
    """Return the diagnosis of the evidence; never raises on its content, and reads nothing else."""
    found = judge(read_evidence(evidence))
    causes = ", ".join(f"{one.cause} {one.confidence:.2f}" for one in found.findings)
    _log.info("diagnosis: causes %s; ruled out %d; to collect %d", causes, len(found.ruled_out), len(found.collect))
    return found


def judge(reading: Reading) -> Diagnosis:
    """Return the diagnosis of evidence that has been read."""
    facts = derive(reading)
    proven = score(facts)
    alike = by_likeness(proven, facts, reading.words)
    scores = alike or proven
    occupied = bool(scores.causes) and scores.causes[0].cause is Cause.VRAM_OCCUPIED and facts.holds("on.live")
    findings = [
        _finding(one, facts, reading)
        for one in scores.causes
        if one.share >= _CONSIDERED or (occupied and one.cause in _WITHOUT_ROOM)
    ]
    findings = sorted(_discount_old_log(findings, reading), key=lambda one: -one.confidence)
    senders = find_senders(reading.evidence, reading.shown) if _requests_few_layers(findings) else ()
    findings = [_with_sender(one, senders) for one in findings]
    forecast = predict(reading)
    shown = {one.cause: one.confidence for one in findings}
    weighed = sorted((replace(one, share=shown.get(one.cause, 0.0)) for one in scores.causes), key=lambda one: -one.share)
    named = is_named(weighed) if alike is not None else stands_out(weighed, scores.unknown, facts)
    gap = gap_of(reading)
    collect = to_collect(reading, facts, findings if named else [], gap)
    if not named:
        findings = [_unknown(findings, collect, facts, reading, gap), *findings]
    elif findings and findings[0].confidence < _CERTAIN:
        findings[0] = replace(findings[0], cure=_uncertain(findings, collect, facts))
    return Diagnosis(
        findings=tuple(findings),
        ruled_out=scores.ruled_out,
        settings=judge_settings(reading),
        offloaded=reading.offloaded,
        predicted=(forecast.fit.layers, forecast.fit.total) if forecast and forecast.known else None,
        need=forecast.sentence if forecast else "",
        collect=collect,
        notes=tuple(
            filter(
                None,
                (
                    *reading.evidence.skipped,
                    gap.state if gap is not None and named else "",
                    unassigned_reason(reading),
                    *_other_models(reading.evidence),
                ),
            )
        ),
        senders=senders,
    )


def _unknown(findings: Sequence[Finding], collect: Sequence[str], facts: Facts, reading: Reading, gap: Gap | None) -> Finding:
    """Return the first finding where the evidence proves no cause: what it lacks, and what to do then."""
    rights, serving = reading.evidence.rights, reading.evidence.serving
    elsewhere = serving.elsewhere if serving is not None else None
    lacks = str(elsewhere) if elsewhere is not None else gap.state if gap is not None else ""
    empty = facts.holds("discovery.empty")
    because = (
        "Ollama found no GPU when it started, and the evidence does not say why"
        if empty
        else f"the evidence proves no cause: {lacks}"
        if lacks
        else "the evidence proves no cause"
    )
    if rights:
        cure, because = rights, f"{because}; the host refuses this login what would prove one"
    elif elsewhere is not None:
        cure = elsewhere.next_step
    else:
        cure = _closing_step(gap, collect, findings) if gap is not None else _likely(findings, collect, facts, reading)
    quotes = tuple(facts["discovery.empty"].quotes) if empty else ()
    return Finding(Cause.UNKNOWN, 0.0, because, quotes, cure, confirm="" if rights else _CURED)


def _finding(weighed: WeighedCause, facts: Facts, reading: Reading) -> Finding:
    """Return a finding with the title and cure of the cause's likeliest mechanism."""
    best, *others = weighed.mechanisms
    supporting = list(_supporting_facts(best, facts))
    texts = list(dict.fromkeys(fact.text for fact in supporting if fact.text))
    quotes = list(dict.fromkeys(quote for fact in supporting for quote in fact.quotes))
    alone = not (best.proven or best.supported)
    because = (
        f"{best.entry.title}: reports like this one often have this cause"
        if alone
        else _sentence(best.entry.title, texts[0] if texts else "")
    )
    cure = cure_of(best.entry, facts, reading)
    if (rival := _rival(weighed)) is not None and not facts.holds("on.live"):
        cure = f"{_with_full_stop(cure)} If that changes nothing ({rival.entry.title}): {cure_of(rival.entry, facts, reading)}"
    return Finding(
        weighed.cause, round(min(_SUREST, max(_LEAST_SHARE, weighed.share)), 3), because, tuple(quotes[:_MOST_QUOTES]), cure, bool(best.entry.by_hand),
        best.entry.id, best.entry.confirm, tuple(one.entry.id for one in others[:4]),
    )  # fmt: skip


def _likely(findings: Sequence[Finding], collect: Sequence[str], facts: Facts, reading: Reading) -> str:
    """Return what to do without a named cause: the cures of the candidates, else of the situation, then what decides."""
    candidates = [one.cure for one in findings if one.confidence >= _CANDIDATE and one.cure and not one.cause.is_health]
    first, *others = map(_with_full_stop, candidates[:_CANDIDATES] or [likely_cures(facts, reading)])
    both = bool(others) and "\n" not in first and len(first) + len(others[0]) < _LONG
    cure = f"{first} If that changes nothing: {others[0]}" if both else first
    undoing = reversal(cure, facts) if "\n" not in cure else ""
    return _with_deciding_output(f"{cure} {undoing}." if undoing else cure, collect)


def _uncertain(findings: Sequence[Finding], collect: Sequence[str], facts: Facts) -> str:
    """Return the first finding's cure with what else may help: the next cause's cure, and what undoes the change it began with."""
    first, *others = findings
    cure = first.cure
    second = next((one for one in others[:1] if one.confidence >= _NEAR * first.confidence and not one.cause.is_health), None)
    open_ = first.confidence < _SURE and not facts.holds("on.live") and "\n" not in cure
    if second is not None and second.cure and open_ and len(cure) + len(second.cure) < _LONG:
        cure = f"{_with_full_stop(cure)} If that changes nothing: {second.cure}"
    if (undoing := reversal(cure, facts)) and "\n" not in cure:
        cure = f"{_with_full_stop(cure)} {undoing}."
    return _with_deciding_output(cure, collect) if first.confidence < _SURE else cure


def _closing_step(gap: Gap, collect: Sequence[str], findings: Sequence[Finding]) -> str:
    """Return the step that makes the evidence whole, then the cure of the likeliest cause."""
    if not collect:
        return ""
    then = (
        "load it, or name a stored model (-e model=NAME)" if gap.lacks is Lacks.MODEL else "diagnose again: the log then says why"
    )
    cure = next((one.cure for one in findings if one.confidence >= _CANDIDATE and one.cure and not one.cause.is_health), "")
    return f"First: {collect[0]}; then {then}." + (f" If that changes nothing: {cure}" if cure else "")


def _with_deciding_output(cure: str, collect: Sequence[str]) -> str:
    """Return a cure that is not certain with the output that would decide; nothing follows lines that are to be copied."""
    return (
        f"{_with_full_stop(cure)} If that changes nothing, this output decides: {collect[0]}"
        if collect and "\n" not in cure
        else cure
    )


def _with_full_stop(cure: str) -> str:
    return cure if not cure or cure.endswith(".") or "\n" in cure else f"{cure}."


def _rival(weighed: WeighedCause) -> ScoredMechanism | None:
    """Return the next mechanism of a cause whose mechanism is open: none is proven, and one hint would change their order."""
    best, *others = weighed.mechanisms
    near = not best.proven and bool(others) and best.score - others[0].score < _ONE_HINT and others[0].score > _NOTHING
    return others[0] if near else None


def _sentence(title: str, fact: str) -> str:
    """Return the title with the first fact's words that the title does not have."""
    words, known = (set(_WORDS.findall(text.lower())) for text in (title, fact))
    return fact if words and len(words & known) >= _SAME_WORDS * len(words) else f"{title}: {fact}" if fact else title


def _supporting_facts(best: ScoredMechanism, facts: Facts) -> list[Fact]:
    """Return the facts that support a mechanism: proofs first, then the placement of the model."""
    found = [fact for rule in (*best.proven, *best.supported) for fact in facts_of(rule, facts)]
    return [
        *found,
        *(facts[name] for name in ("place.short", "discovery.empty") if facts.holds(name) and any(f.quotes for f in found)),
    ]


def _discount_old_log(findings: list[Finding], reading: Reading) -> list[Finding]:
    """Return the findings for a silent server: its log describes the past, so most of each share goes to the silence."""
    if not reading.evidence.silent:
        return findings
    past = {
        one.cause: one.confidence
        for one in findings
        if one.quotes and all(quote.where.startswith("server.log") for quote in one.quotes)
    }
    freed = sum(past.values()) * (1 - _PAST)
    return [
        replace(one, confidence=round(one.confidence * _PAST if one.cause in past else min(_SUREST, one.confidence + freed), 3))
        if one.cause in past or one.mechanism in _SILENT
        else one
        for one in findings
    ]


def _other_models(evidence: Evidence) -> tuple[str, ...]:
    """Return a note about the judged model and the placement of the other loaded models."""
    runners = evidence.runners or ()
    if len(runners) < 2 or all(one.model != evidence.model for one in runners):
        return ()
    others = ", ".join(f"{one.model} ({_placement_text(one)})" for one in runners if one.model != evidence.model)
    return (f"{evidence.model} was judged; also loaded: {others}; to judge another one, name it (model: NAME)",)


def _placement_text(runner: Runner) -> str:
    if runner.size_vram >= runner.size:
        return "all of it on the GPU"
    return f"{runner.size_vram / max(1, runner.size):.0%} of it on the GPU" if runner.size_vram else "on the CPU"


def _requests_few_layers(findings: list[Finding]) -> bool:
    return any(one.cause is Cause.EXPLICIT_NUM_GPU and one.confidence >= _SURE for one in findings)


def _with_sender(finding: Finding, senders: tuple[Sender, ...]) -> Finding:
    """Add the sender to the request for few layers if one is known to set the option (not only to connect)."""
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
                "mechanism": one.mechanism,
                "confirm": one.confirm,
                "by_hand": one.by_hand,
                "weighed": list(one.weighed),
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


def derive(reading: Reading) -> Facts:
    """Return the facts of one incident; later derivations use earlier facts."""
    sheet = FactSheet(reading)
    for hit in reading.hits:
        seen = hit.key.startswith(SEEN)
        sheet.record(
            seen_fact_name(hit.key[len(SEEN) :]) if seen else f"msg.{hit.key}", True, SAYS.get(hit.key, ""), hit.at, of=hit
        )
    for _ in derive_words(sheet):
        pass
    derive_run(sheet)
    derive_host(sheet)
    derive_memory(sheet)
    return Facts(sheet.known)
