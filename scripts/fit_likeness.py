"""Fit the model of ``remediation/diagnosis/likeness.py`` to incidents with known causes, and print how it does on held-out ones.

    python scripts/fit_likeness.py FOLDER... [--write]

A folder has incident files with ``expected: {cause, other_causes}``. The more incidents, the better: an answer on ones that the
model has not seen is what counts, so the figures are those of incidents left out in turn (one fifth at a time).
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import pathlib
import random
import sys
from collections import Counter
from collections.abc import Sequence
from typing import NamedTuple

import yaml

from remediation.diagnosis.diagnose import derive, judge
from remediation.diagnosis.likeness import Vector, features, vector
from remediation.diagnosis.load import of_incident
from remediation.diagnosis.readers.reading import read_evidence

READ = ("platform", "ollama_version", "gpu", "symptom", "evidence")
LEAST = 4
"""So many incidents have a feature that is used."""
FOLDS, EPOCHS = 5, 30
RATE, KEPT = 0.5, 10
"""The rate of learning, and how freely weights grow."""
SMALL = 0.3
"""A weight below this is left out."""
BANDS = (0.0, 0.2, 0.3, 0.4, 0.6, 0.8, 1.01)
TARGET = pathlib.Path(__file__).parents[1] / "remediation" / "diagnosis" / "likeness.json"


class Known(NamedTuple):
    """An incident with its causes, the main one first."""

    present: set[str]
    causes: tuple[str, ...]
    mechanism: str
    """The one that the diagnosis names, "" where its cause is wrong."""


class Fitted(NamedTuple):
    """The weights by feature, one for each cause; those of "" are where each cause starts."""

    causes: list[str]
    rarity: dict[str, float]
    adds: dict[str, list[float]]

    def shares(self, present: Vector) -> list[float]:
        """Return the share of each cause."""
        totals = list(self.adds[""])
        for name, amount in present.items():
            for number, weight in enumerate(self.adds[name]):
                totals[number] += amount * weight
        exponents = [math.exp(one - max(totals)) for one in totals]
        return [one / sum(exponents) for one in exponents]


def incidents(folders: Sequence[pathlib.Path]) -> list[Known]:
    """Read the incidents; one that is in several folders counts once."""
    found: dict[str, Known] = {}
    for file in (file for folder in folders for file in sorted(folder.glob("*.yml"))):
        whole = yaml.load(file.read_text("utf-8"), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))  # noqa: S506 - the safe ones
        reading = read_evidence(of_incident({key: whole.get(key) for key in READ}))
        expected = whole["expected"]
        causes = (expected["cause"], *(expected.get("other_causes") or ()))
        first = judge(reading).findings[0]
        mechanism = first.mechanism if str(first.cause) in causes else ""
        found.setdefault(str(whole.get("source") or file), Known(features(derive(reading), reading.words), causes, mechanism))
    return list(found.values())


def fit(known: Sequence[Known]) -> Fitted:
    """Fit by stochastic gradient descent with a rate for each weight (AdaGrad)."""
    held = Counter(name for one in known for name in one.present)
    rarity = {name: math.log((1 + len(known)) / (1 + count)) + 1 for name, count in held.items() if count >= LEAST}
    causes = sorted({one.causes[0] for one in known})
    fitted = Fitted(causes, rarity, {name: [0.0] * len(causes) for name in ("", *rarity)})
    squares = {name: [1e-8] * len(causes) for name in fitted.adds}
    cases = [(vector(one.present, rarity), causes.index(one.causes[0])) for one in known]
    shuffled = random.Random(7)  # noqa: S311 - an order, no secret
    for _ in range(EPOCHS):
        shuffled.shuffle(cases)
        for present, right in cases:
            errors = fitted.shares(present)
            errors[right] -= 1
            for name, amount in (*present.items(), ("", 1.0)):
                adds, past = fitted.adds[name], squares[name]
                shrink = 1 / (KEPT * held[name]) if name else 0.0
                for number, error in enumerate(errors):
                    slope = error * amount + shrink * adds[number]
                    past[number] += slope * slope
                    adds[number] -= RATE * slope / math.sqrt(past[number])
    return fitted


def rounded(fitted: Fitted) -> Fitted:
    """Return the weights with one decimal and without the small ones."""
    adds = {name: [round(one, 1) if abs(one) >= SMALL or not name else 0.0 for one in row] for name, row in fitted.adds.items()}
    return Fitted(fitted.causes, {name: round(one, 2) for name, one in fitted.rarity.items()}, adds)


def held_out(known: Sequence[Known]) -> dict[str, object]:
    """Return how often the likeliest cause of incidents that were left out is right, by its share."""
    given: list[tuple[float, bool]] = []
    for fold in range(FOLDS):
        fitted = rounded(fit([one for number, one in enumerate(known) if number % FOLDS != fold]))
        for one in known[fold::FOLDS]:
            shares = fitted.shares(vector(one.present, fitted.rarity))
            given.append((max(shares), fitted.causes[shares.index(max(shares))] in one.causes))
    bands = {
        f"from {low}": [sum(good for share, good in given if low <= share < high), sum(low <= share < high for share, _ in given)]
        for low, high in itertools.pairwise(BANDS)
    }
    return {
        "incidents": len(known),
        "held_out_right": round(sum(good for _, good in given) / len(given), 3),
        "right_by_share": bands,
    }


def main() -> int:
    """Fit, print the figures and, if requested, write the model."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=pathlib.Path, nargs="+", metavar="FOLDER")
    parser.add_argument("--write", action="store_true", help="replace the model that is checked in")
    options = parser.parse_args()
    known = incidents(options.folders)
    figures = held_out(known)
    sys.stdout.write(json.dumps(figures, indent=1) + "\n")
    if options.write:
        fitted = rounded(fit(known))
        rows = {
            name: [fitted.rarity[name], *(part for number, one in enumerate(row) if one for part in (number, one))]
            for name, row in sorted(fitted.adds.items())
            if name and any(row)
        }
        counted = dict(sorted(Counter(one.mechanism for one in known if one.mechanism).items()))
        parts = {"figures": figures, "causes": fitted.causes, "start": fitted.adds[""], "mechanisms": counted}
        head = "".join(f" {json.dumps(name)}: {json.dumps(value)},\n" for name, value in parts.items())
        lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(row)}" for name, row in rows.items())
        TARGET.write_text(f'{{\n{head} "features": {{\n{lines}\n }}\n}}\n', "utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
