#!/usr/bin/env python3
"""Fit the weights of the diagnosis on a corpus and write them with their leave-one-out figures.

usage: calibrate_diagnosis.py CORPUS [--recordings FOLDER] [--write]

CORPUS holds ``incidents``, ``incidents-new`` and ``kinds``; FOLDER the recordings as incidents (``to-incidents --planned``). Each
incident is read as it is and changed a little: a line less, a setting or a sentence that explains nothing. What is fitted is the log
loss of the share that the accepted causes get, by a search along one weight at a time. The figures: what is right in the part of the
corpus that the weights were not fitted on (tenths in turn), and how many right answers survive without the rule that won. Rules that hold for another cause as often are listed as weak.
"""

from __future__ import annotations

import argparse
import json
import math
import pathlib
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from typing import Any, NamedTuple

import yaml

from remediation.diagnosis.diagnose import derive
from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.knowledge.schema import parse_condition
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.readers.reading import read_evidence
from remediation.diagnosis.score import SupportedMechanism, Weights, shares, stands_out, tally, weights

READ = ("platform", "ollama_version", "gpu", "symptom", "evidence")
BYSTANDERS = ("OLLAMA_NUM_PARALLEL=4", "OLLAMA_KEEP_ALIVE=5m", "# OLLAMA_GPU_OVERHEAD=8589934592")
SENTENCE = "A print server and the backup of the file share run on another machine of the same network."
LINES = 6
STEPS = {
    "prior": (-1.0, -0.4, 0.4, 1.0),
    "proves": (-1.0, 1.0),
    "more": (-0.3, 0.3),
    "supports": (-0.4, 0.4),
    "against": (-0.6, 0.6),
}
BOUNDS = {"prior": (-6.0, -1.0), "proves": (6.0, 12.0), "more": (0.0, 1.5), "supports": (1.2, 4.0), "against": (1.0, 5.0)}
FOLDS = 10
GAIN = 0.002
"""The least gain in log loss for which a checked-in weight is changed: less is the chance of a few incidents."""
SURE = 0.9
TELLING = 0.6
BANDS = ((0.9, 1.01), (0.8, 0.9), (0.5, 0.8), (0.0, 0.5))
ROOT = pathlib.Path(__file__).parents[1]
FIGURES = re.compile(r"over \d[\s\S]*?without the rule that won\.")
"""The sentence of ``docs/diagnosis.md`` with the figures."""


class Case(NamedTuple):
    """One incident, or a variant of one: ``whole`` is the incident as it is."""

    name: str
    accepted: frozenset[str]
    strong: bool
    facts: Facts
    tallies: tuple[SupportedMechanism, ...]
    whole: bool


def variants(document: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Yield the incident with a line less, and with what explains nothing."""
    spots = [(i, j) for i, piece in enumerate(document["evidence"]) for j in range(len(piece["text"].splitlines()))]
    for i, j in spots[:: max(1, -(-len(spots) // LINES))] if len(spots) > 1 else ():
        pieces = [dict(piece) for piece in document["evidence"]]
        lines = pieces[i]["text"].splitlines()
        pieces[i]["text"] = "\n".join(lines[:j] + lines[j + 1 :]) + "\n"
        yield {**document, "evidence": [piece for piece in pieces if piece["text"].strip()]}
    said = yaml.safe_dump(document)
    for line in (*(one for one in BYSTANDERS if one.strip("# ").partition("=")[0] not in said), SENTENCE):
        yield {
            **document,
            "evidence": [*document["evidence"], {"kind": "other" if line is SENTENCE else "env", "text": line + "\n"}],
        }


def cases(folders: Sequence[pathlib.Path], *, changed: bool) -> list[Case]:
    """Read the incidents of the folders, each with its variants where asked."""
    found = []
    for folder in folders:
        for file in sorted(folder.glob("*.yml")):
            whole = yaml.load(file.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - the safe ones
            shown = {key: whole.get(key) for key in READ}
            expected = whole["expected"]
            accepted = frozenset({expected["cause"], *(expected.get("other_causes") or ())})
            for number, document in enumerate((shown, *(variants(shown) if changed else ()))):
                facts = derive(read_evidence(of_incident(document)))
                found.append(
                    Case(
                        f"{folder.name}/{file.stem}",
                        accepted,
                        whole.get("strength") == "strong",
                        facts,
                        tally(facts),
                        number == 0,
                    )
                )
    return found


def loss(w: Weights, known: Sequence[Case]) -> float:
    """Return the mean log loss: of a strong incident the accepted causes are right, of a thin one ``unknown`` is as well."""
    total = weight = 0.0
    for case in known:
        found = shares(case.tallies, w)
        right = sum(one.share for one in found.causes if str(one.cause) in case.accepted)
        right += 0.0 if case.strong else found.unknown
        share = 1.0 if case.whole else 0.2
        total -= share * math.log(min(1.0, max(1e-4, right)))
        weight += share
    return total / weight


def fit(start: Weights, known: Sequence[Case]) -> Weights:
    """Search along one weight at a time until none gets better."""
    best, least = start, loss(start, known)
    improved = True
    while improved:
        improved = False
        for name, steps in STEPS.items():
            for step in steps:
                value = round(min(BOUNDS[name][1], max(BOUNDS[name][0], getattr(best, name) + step)), 2)
                tried = replace(best, **{name: value})
                found = loss(tried, known)
                if found < least - GAIN:
                    best, least, improved = tried, found, True
    return best


def right(case: Case, w: Weights, tallies: Sequence[SupportedMechanism] | None = None) -> tuple[bool, float]:
    """Return whether the first cause is right, and with which share it is given."""
    found = shares(case.tallies if tallies is None else tallies, w)
    named = stands_out(found.causes, found.unknown, case.facts)
    return named and str(found.causes[0].cause) in case.accepted, found.causes[0].share if named else 0.0


def survives(case: Case, w: Weights) -> bool:
    """Return whether a right answer stays right without the rule that won."""
    best = shares(case.tallies, w).causes[0].mechanisms[0]
    rule = (best.proven or best.supported)[0]
    if any(atom.name.startswith(("msg.", "seen.", "cuda.")) for side in parse_condition(rule) for atom in side):
        return True  # it rests on a message of the catalogue
    return right(case, w, tally(case.facts, frozenset({(best.entry.id, rule)})))[0]


def weak(known: Sequence[Case]) -> list[str]:
    """Return the rules that hold for another cause about as often: fewer than three of five incidents, counted with one of each more."""
    held: dict[tuple[str, str], dict[str, bool]] = {}
    for case in known:
        for one in (speaking for speaking in case.tallies if speaking.why is None):
            for rule in {*one.proven, *one.supported}:
                held.setdefault((one.entry.id, rule), {})[case.name] = str(one.entry.cause) in case.accepted
    share = {rule: (sum(each.values()) + 1) / (len(each) + 2) for rule, each in held.items()}
    return sorted(f"{mechanism}: {rule}" for (mechanism, rule), part in share.items() if part < TELLING)


def without_a_rule(known: Sequence[Case], w: Weights) -> dict[str, float]:
    """Return what is named right, of all and of those that are named, when one rule of the winner is left out in turn."""
    right_named = named = strong = 0.0
    for case in known:
        found = shares(case.tallies, w).causes
        best = found[0].mechanisms[0] if found else None
        rules = sorted({*best.proven, *best.supported}) if best else []
        for rule in rules if best else ():
            left = shares(tally(case.facts, frozenset({(best.entry.id, rule)})), w)
            if stands_out(left.causes, left.unknown, case.facts):
                hit = str(left.causes[0].cause) in case.accepted
                named += 1 / len(rules)
                right_named += hit / len(rules)
                strong += hit * case.strong / len(rules)
    of = sum(case.strong for case in known)
    return {
        "strong_right_without_a_rule": round(strong / max(1, of), 3),
        "right_of_named_without_a_rule": round(right_named / max(1.0, named), 3),
    }


def by_confidence(given: Sequence[tuple[bool, float]]) -> dict[str, list[int]]:
    """Return for each band of confidence how many of the named answers are right, and how many there are."""
    named = [(good, share) for good, share in given if share > 0]
    bands = {least: [good for good, share in named if least <= share < most] for least, most in BANDS}
    return {f"from {least}": [sum(band), len(band)] for least, band in bands.items()}


def update_docs(figures: dict[str, Any]) -> None:
    """Write the figures into the sentence of the documentation that has them."""
    page = ROOT / "docs" / "diagnosis.md"
    sure, likely = (figures["right_by_confidence"][f"from {least}"] for least in (0.9, 0.5))
    sentence = (
        f"over {figures['incidents']:,} incidents, {figures['variants']:,} variants of them and {figures['recordings']:,} recordings the\n"
        f"log loss is {figures['log_loss']:.3f}; of the answers with 0.9 and more {sure[0]} of {sure[1]} are right, of those with 0.5 to 0.79 "
        f"{likely[0]} of {likely[1]}\n(each with weights fitted on the other nine tenths); of the strong incidents "
        f"{figures['strong_right_without_a_rule']:.3f} stay right when one rule of the winner is left out in turn, and\n"
        f"{figures['right_without_the_rule_that_won']:.2f} of all right answers without the rule that won."
    )
    text = page.read_text("utf-8")
    page.write_text(FIGURES.sub(lambda _: sentence, text, count=1), "utf-8")


def main() -> int:
    """Fit, print the figures and, if asked, write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("corpus", type=pathlib.Path)
    parser.add_argument("--recordings", type=pathlib.Path)
    parser.add_argument("--write", action="store_true")
    options = parser.parse_args()
    folders = [options.corpus / name for name in ("incidents", "incidents-new", "kinds")]
    known = cases(folders, changed=True)
    recorded = cases([options.recordings], changed=False) if options.recordings else []
    fitted = fit(weights(), known)
    names = sorted({case.name for case in known})
    hits = sure = sure_hits = strong = 0
    given: list[tuple[bool, float]] = []
    for fold in range(FOLDS):
        held = set(names[fold::FOLDS])
        w = fit(fitted, [case for case in known if case.name not in held])
        for case in (one for one in known if one.name in held and one.whole):
            good, share = right(case, w)
            given.append((good, share))
            strong += case.strong
            hits += good and case.strong
            sure += share >= SURE
            sure_hits += good and share >= SURE
    whole = [case for case in (*known, *recorded) if case.whole and right(case, fitted)[0]]
    figures = {
        "incidents": len(names),
        "variants": len(known) - len(names),
        "recordings": len(recorded),
        "log_loss": round(loss(fitted, known), 4),
        "held_out_right": round(hits / strong, 3),
        "held_out_right_when_sure": round(sure_hits / max(1, sure), 3),
        "right_by_confidence": by_confidence(given),
        "recordings_right": round(sum(right(case, fitted)[0] for case in recorded) / max(1, len(recorded)), 3),
        **without_a_rule([case for case in known if case.whole], fitted),
        "right_without_the_rule_that_won": round(sum(survives(case, fitted) for case in whole) / len(whole), 3),
    }
    text = json.dumps({"weights": asdict(fitted), "figures": figures, "weak": weak([*known, *recorded])}, indent=1)
    sys.stdout.write(text + "\n")
    if options.write:
        target = ROOT / "remediation" / "diagnosis" / "calibration.json"
        target.write_text(text + "\n")
        update_docs(figures)
    return 0


if __name__ == "__main__":
    sys.exit(main())
