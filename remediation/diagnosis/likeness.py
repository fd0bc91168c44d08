"""Causes by likeness: where nothing but a report is given, the facts and words of known incidents say which cause is likeliest.

A log-linear model of causes over facts that hold and words of the report, fitted by ``scripts/fit_likeness.py``. Likeness is no
proof: it names no cause that a fact excludes, and its shares stay below the cap of the calibration. Within a cause the hints and the
likeness of the report to the texts of the entries order the mechanisms.
"""

from __future__ import annotations

import json
import math
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources

from remediation.diagnosis.facts.base import Facts
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import Entry
from remediation.diagnosis.score import ScoredMechanism, Scores, SupportedMechanism, WeighedCause, stands_out, tally, weights
from remediation.model.finding import Cause

_OPEN = 0.1
"""The share below which a cause without a proof is judged by likeness."""
_NAMED = 0.3
"""The least share with which likeness names a cause: from here on most held-out answers are right. Below it the cause is a candidate."""
_LISTED = 0.01
_ENOUGH = 10
"""So many words that the model knows have to be in a report; fewer say too little."""
_TEXT, _OFTEN = 14.0, 0.7
"""Weights of the likeness to an entry's text and of the number of known incidents, where a hint has that of the calibration."""
_MECHANISMS = 5
_LONGEST = 20_000
"""Length of a report of which the words are counted."""
_SUBJECT = re.compile(
    r"\b(?:gpus?|cuda|rocm|vulkan|vram|cards?|graphics|cpus?|processors?|slow\w*|speed|memory|layers?|context)\b", re.IGNORECASE
)
"""A report that names none of these is about something else."""
_WORD = re.compile(r"[a-z][a-z_0-9-]+|\b\d{1,3}%")
_ENDINGS = ("ings", "edly", "ing", "ed", "es", "ly", "s")
_STEM = 3
"""Least length of a stem."""

Vector = Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Model:
    """The fitted weights: of each feature its rarity and what it adds to the score of a cause."""

    causes: Sequence[Cause]
    start: Sequence[float]
    rarity: Mapping[str, float]
    adds: Mapping[str, Mapping[int, float]]
    mechanisms: Mapping[str, int]
    """Number of known incidents with each mechanism."""


@lru_cache(maxsize=1)
def model() -> Model:
    """Return the model that is checked in."""
    data = json.loads(resources.files("remediation.diagnosis").joinpath("likeness.json").read_text("utf-8"))
    adds = {name: dict(zip(map(int, pairs[::2]), pairs[1::2], strict=True)) for name, (_, *pairs) in data["features"].items()}
    rarity = {name: first for name, (first, *_) in data["features"].items()}
    return Model([Cause(one) for one in data["causes"]], data["start"], rarity, adds, data["mechanisms"])


def stems(text: str) -> list[str]:
    """Return the words of a text without their endings."""
    return [_stem(word) for word in _WORD.findall(text[:_LONGEST].lower())]


def _stem(word: str) -> str:
    return next((word[: -len(end)] for end in _ENDINGS if word.endswith(end) and len(word) - len(end) >= _STEM), word)


def features(facts: Facts, text: str) -> set[str]:
    """Return what the model knows an incident by: the names of its facts and the stems of its words."""
    return {*(name for name in facts if facts.holds(name)), *stems(text)}


def vector(present: set[str], rarity: Mapping[str, float]) -> Vector:
    """Return the features by their rarity, at length 1."""
    known = {name: rarity[name] for name in sorted(present) if name in rarity}
    length = math.sqrt(sum(one * one for one in known.values())) or 1.0
    return {name: one / length for name, one in known.items()}


def likelihoods(facts: Facts, text: str) -> dict[Cause, float]:
    """Return the share of each cause among known incidents that are like this one."""
    known = model()
    totals = list(known.start)
    for name, amount in vector(features(facts, text), known.rarity).items():
        for number, weight in known.adds[name].items():
            totals[number] += amount * weight
    most = max(totals)
    exponents = [math.exp(one - most) for one in totals]
    return dict(zip(known.causes, (one / sum(exponents) for one in exponents), strict=True))


def by_likeness(scores: Scores, facts: Facts, text: str) -> Scores | None:
    """Return the causes by likeness; None where a cause is proven or likely, more or less than a report was given, or only hints name one."""
    first = scores.causes[0] if scores.causes else None
    settled = first is not None and (first.share >= _OPEN or any(one.proven for one in first.mechanisms))
    enough = len(model().rarity.keys() & set(stems(text))) >= _ENOUGH
    if settled or not enough or _SUBJECT.search(text) is None or not facts.holds("on.words"):
        return None
    spoken = {one.entry.id: one for one in tally(facts)}
    near = _near(text)
    mechanisms: dict[Cause, list[ScoredMechanism]] = {}
    for entry in knowledge().mechanisms.values():
        speaking = spoken.get(entry.id, SupportedMechanism(entry))
        if speaking.why is None and not entry.cause.is_health:
            mechanisms.setdefault(entry.cause, []).append(_score_mechanism(speaking, near.get(entry.id, 0.0)))
    shares = {cause: min(weights().cap, share) for cause, share in likelihoods(facts, text).items() if cause in mechanisms}
    causes = [
        WeighedCause(cause, share, tuple(sorted(mechanisms[cause], key=lambda one: -one.score)[:_MECHANISMS]))
        for cause, share in sorted(shares.items(), key=lambda one: -one[1])
        if share >= _LISTED
    ]
    if not is_named(causes) and stands_out(scores.causes, scores.unknown, facts):
        return None
    return Scores(tuple(causes), scores.ruled_out, max(0.0, 1.0 - sum(shares.values())))


def is_named(causes: Sequence[WeighedCause]) -> bool:
    """Whether the likeliest cause is likely enough to be named."""
    return bool(causes) and causes[0].share >= _NAMED


def _score_mechanism(one: SupportedMechanism, near: float) -> ScoredMechanism:
    w = weights()
    hints = w.supports * len(one.supported) - w.against * min(1, one.against)
    often = _OFTEN * math.log1p(model().mechanisms.get(one.entry.id, 0))
    return ScoredMechanism(one.entry, hints + _TEXT * near + often, (), one.supported, one.firm)


@lru_cache(maxsize=1)
def _texts() -> tuple[Mapping[str, float], Mapping[str, Vector]]:
    """Return the rarity of each stem in the entries, and each entry's text as a vector."""
    words = {entry.id: set(stems(" ".join(_list_texts(entry)))) for entry in knowledge().mechanisms.values()}
    held = Counter(stem for one in words.values() for stem in one)
    rarity = {stem: math.log(len(words) / count) for stem, count in held.items()}
    return rarity, {name: vector(one, rarity) for name, one in words.items()}


def _list_texts(entry: Entry) -> Iterator[str]:
    yield from (entry.title, entry.cure, entry.confirm)


def _near(text: str) -> dict[str, float]:
    """Return the likeness of a report to each entry's text, from 0 to 1."""
    rarity, entries = _texts()
    report = vector(set(stems(text)), rarity)
    return {name: sum(amount * one.get(stem, 0.0) for stem, amount in report.items()) for name, one in entries.items()}
