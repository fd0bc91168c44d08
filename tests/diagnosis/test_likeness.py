"""Causes by likeness: a fitted model ranks reports that no pattern reads, and never outweighs a proof."""

from __future__ import annotations

import importlib.util
import pathlib
from typing import Any

import pytest

from remediation.diagnosis.diagnose import derive, diagnose
from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import is_fact
from remediation.diagnosis.likeness import by_likeness, features, likelihoods, model, vector
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.readers.reading import Reading, read_evidence
from remediation.diagnosis.score import score, tally, weights
from remediation.model.finding import Cause

CARD = "AMD Radeon RX 5500 XT"
REPORT = "My Navi card takes no part in it."
PROOF = (
    'time=2026-03-01T10:00:00.000Z level=INFO source=types.go:60 msg="inference compute" id=cpu library=cpu total="15.6 GiB" '
    'available="12.0 GiB"\nCUDA driver version is insufficient for CUDA runtime version\n'
)


def read(symptom: str, *, platform: str = "linux", gpu: str = CARD, **texts: str) -> tuple[Reading, Facts]:
    evidence = [{"kind": kind, "text": text} for kind, text in texts.items()]
    reading = read_evidence(of_incident({"platform": platform, "gpu": gpu, "symptom": symptom, "evidence": evidence}))
    return reading, derive(reading)


def test_a_report_without_a_proof_gets_the_likeliest_cause_below_the_cap() -> None:
    reading, facts = read(REPORT)
    assert not score(facts).causes
    alike = by_likeness(score(facts), facts, reading.words)
    assert alike is not None
    assert alike.causes[0].cause is Cause.UNSUPPORTED_GPU
    assert all(one.share <= weights().cap for one in alike.causes)
    assert [one.share for one in alike.causes] == sorted((one.share for one in alike.causes), reverse=True)
    assert sum(one.share for one in alike.causes) + alike.unknown <= 1.001


def test_a_cause_by_likeness_says_what_it_rests_on() -> None:
    first = diagnose(of_incident({"platform": "linux", "gpu": CARD, "symptom": REPORT, "evidence": []})).findings[0]
    assert first.cause is Cause.UNSUPPORTED_GPU
    assert first.because.endswith("reports like this one often have this cause")
    assert first.confidence < weights().cap


def test_a_proof_a_program_s_output_and_a_few_words_are_not_ranked_by_likeness() -> None:
    reading, facts = read(REPORT, server_log=PROOF)
    assert score(facts).causes[0].mechanisms[0].proven
    assert by_likeness(score(facts), facts, reading.words) is None
    reading, facts = read(
        REPORT, ollama_ps="NAME ID SIZE PROCESSOR UNTIL\nllama3:8b 365c 6.0 GB 40%/60% CPU/GPU 4 minutes from now\n"
    )
    assert by_likeness(score(facts), facts, reading.words) is None
    for other in (
        "it is slow",
        "Port 11434 is in use by another program of this machine, so that ollama serve does not start at all.",
    ):
        reading, facts = read(other)
        assert by_likeness(score(facts), facts, reading.words) is None


def test_no_mechanism_that_a_fact_excludes_is_considered() -> None:
    reading, facts = read(REPORT)
    alike = by_likeness(score(facts), facts, reading.words)
    assert alike is not None
    excluded = {one.entry.id for one in tally(facts) if one.why is not None}
    assert excluded
    assert not excluded & {one.entry.id for cause in alike.causes for one in cause.mechanisms}
    assert not any(cause.cause.is_health for cause in alike.causes)


def test_the_model_knows_facts_mechanisms_and_causes_that_exist() -> None:
    known = model()
    assert {name for name in known.rarity if "." in name and not is_fact(name)} == set()
    assert set(known.mechanisms) <= set(knowledge().mechanisms)
    assert len(known.causes) == len(known.start) == len(set(known.causes))
    assert set(known.adds) == set(known.rarity)


def test_the_shares_of_all_causes_are_one() -> None:
    reading, facts = read(REPORT)
    assert sum(likelihoods(facts, reading.words).values()) == pytest.approx(1.0)
    assert {"navi", "card.amd"} <= features(facts, reading.words)


def test_the_script_learns_what_separates_causes() -> None:
    script = load_script()
    known = [
        script.Known({"common", word, f"odd{number}"}, (cause,), "")
        for number in range(10)
        for word, cause in (("cluster", "driver_lost"), ("archive", "model_corrupt"), ("window", "context_too_large"))
    ]
    fitted = script.rounded(script.fit(known))
    for word, cause in (("cluster", "driver_lost"), ("archive", "model_corrupt"), ("window", "context_too_large")):
        shares = fitted.shares(vector({"common", word}, fitted.rarity))
        assert fitted.causes[shares.index(max(shares))] == cause
    assert script.held_out(known)["held_out_right"] == 1.0
    assert not any(name.startswith("odd") for name in fitted.rarity)


def load_script() -> Any:
    """Import the script that fits the model."""
    file = pathlib.Path(__file__).parents[2] / "scripts" / "fit_likeness.py"
    spec = importlib.util.spec_from_file_location("fit_likeness", file)
    assert spec is not None
    assert spec.loader is not None
    script = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(script)
    return script
