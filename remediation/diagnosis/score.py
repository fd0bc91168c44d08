"""From facts to probabilities: log weights are added per mechanism, a softmax over them and ``unknown`` makes shares of them.

A cause is the sum of its mechanisms. The weights and the temperature are fitted by ``scripts/calibrate_diagnosis.py`` and
checked in; nothing else in the program states a confidence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from importlib import resources

from remediation.diagnosis.facts.base import Fact, Facts, seen_name
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import Entry, telling, value
from remediation.model.finding import Cause, RuledOut

_MOST = 3
"""So many hints of one kind count; more of them add nothing."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The calibration: log weights, the temperature, the cap without a proof, and the least share that names a cause."""

    prior: float
    proves: float
    more: float
    supports: float
    against: float
    temperature: float
    cap: float
    least: float


@lru_cache(maxsize=1)
def weights() -> Weights:
    """Return the calibration that is checked in."""
    text = resources.files("remediation.diagnosis").joinpath("calibration.json").read_text("utf-8")
    return Weights(**json.loads(text)["weights"])


@dataclass(frozen=True, slots=True)
class Scored:
    """A mechanism with what speaks for it; ``score`` None where it is excluded, ``why`` then says by what."""

    entry: Entry
    score: float | None
    proven: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    why: Fact | None = None

    @property
    def stands(self) -> bool:
        """Whether anything speaks for it."""
        return self.score is not None and bool(self.proven or self.supported)


@dataclass(frozen=True, slots=True)
class Weighed:
    """A cause with its share and its mechanisms, the likeliest first."""

    cause: Cause
    share: float
    mechanisms: tuple[Scored, ...]


@dataclass(frozen=True, slots=True)
class Scores:
    """All causes that something speaks for, the likeliest first; ``unknown`` is the share of none of them."""

    causes: tuple[Weighed, ...]
    ruled_out: tuple[RuledOut, ...]
    unknown: float
    out: dict[str, Scored] = field(default_factory=dict)


def score(facts: Facts, chosen: Weights | None = None, without: frozenset[tuple[str, str]] = frozenset()) -> Scores:
    """Return the shares of all causes. `without` leaves out rules, as (mechanism, condition), for leave-one-out figures."""
    w = chosen or weights()
    known = knowledge()
    excluded = {cause: fact for cause, entry in known.causes.items() if (fact := _first(entry.ruled_out_by, facts)) is not None}
    every = [_weigh(entry, facts, w, without, excluded.get(entry.cause)) for entry in known.mechanisms.values()]
    standing = [one for one in every if one.stands]
    exponents = {one.entry.id: math.exp(min(50.0, (one.score or 0.0) / w.temperature)) for one in standing}
    total = 1.0 + sum(exponents.values())
    by_cause: dict[Cause, list[Scored]] = {}
    for one in standing:
        by_cause.setdefault(one.entry.cause, []).append(one)
    causes = []
    for cause, group in by_cause.items():
        share = sum(exponents[one.entry.id] for one in group) / total
        if not any(one.proven for one in group):
            share = min(share, w.cap)
        causes.append(Weighed(cause, share, tuple(sorted(group, key=lambda one: -(one.score or 0.0)))))
    causes.sort(key=lambda one: -one.share)
    proven = {one.cause for one in causes}
    ruled_out = tuple(RuledOut(cause, fact.said or _title(fact)) for cause, fact in excluded.items() if cause not in proven)
    return Scores(tuple(causes), ruled_out, 1.0 / total, {one.entry.id: one for one in every if one.score is None})


def _title(fact: Fact) -> str:
    return fact.quotes[0].text if fact.quotes else fact.name


def _first(conditions: tuple[str, ...], facts: Facts) -> Fact | None:
    """Return the fact that makes the first true condition true; one without words where it rests on what is not known."""
    for condition in conditions:
        if value(condition, facts) is True:
            return next(telling(condition, facts), Fact(condition, holds=True))
    return None


def _weigh(entry: Entry, facts: Facts, w: Weights, without: frozenset[tuple[str, str]], ruled_out: Fact | None) -> Scored:
    unmet = next((need for need in entry.needs if value(need, facts) is False), None)
    if unmet is not None:
        return Scored(entry, None, why=Fact(unmet, holds=False))
    out = ruled_out or _first(entry.excludes, facts)
    if out is not None:
        return Scored(entry, None, why=out)
    proven = tuple(dict.fromkeys(_true(entry, entry.proves, facts, without)))
    seen = seen_name(entry.id)
    supported = (*_true(entry, entry.supports, facts, without), *((seen, seen) if facts.holds(seen) and (entry.id, seen) not in without else ()))
    if not proven and not supported:
        return Scored(entry, w.prior)
    against = len(set(_true(entry, entry.against, facts, without)))
    total = w.prior + w.supports * min(_MOST, len(supported)) - w.against * min(_MOST, against)
    if proven:
        total += w.proves + w.more * min(_MOST, len(proven) - 1)
    return Scored(entry, total, proven, supported)


def _true(entry: Entry, conditions: tuple[str, ...], facts: Facts, without: frozenset[tuple[str, str]]) -> Iterator[str]:
    return (one for one in conditions if (entry.id, one) not in without and value(one, facts) is True)
