"""From facts to probabilities: log weights are added per mechanism, a softmax over them and ``unknown`` makes shares of them.

A cause is the sum of its mechanisms. The weights and the temperature are fitted by ``scripts/calibrate_diagnosis.py`` and
checked in; nothing else in the program states a confidence.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from importlib import resources
from typing import NamedTuple

from remediation.diagnosis.facts.base import Fact, Facts, seen_fact_name
from remediation.diagnosis.knowledge import knowledge
from remediation.diagnosis.knowledge.schema import Entry, facts_of, value
from remediation.model.finding import Cause, RuledOut

_HEARSAY = ("reported.", "on.", "card.", "release.")
"""Prefixes of reports and machine properties: these alone are no proof."""
_HEARD = 0.89
"""The most that a cause gets whose only proofs are hearsay."""
_SEVERAL = 2
_AHEAD = 2.0
"""Lead over the second cause that a cause less likely than ``unknown`` needs to be named."""
_MOST = 3
"""So many hints of one kind count; more of them add nothing."""


@dataclass(frozen=True, slots=True)
class Weights:
    """The calibration: log weights, the temperature, and the cap without a proof."""

    prior: float
    proves: float
    more: float
    supports: float
    against: float
    temperature: float
    cap: float


@lru_cache(maxsize=1)
def weights() -> Weights:
    """Return the calibration that is checked in."""
    text = resources.files("remediation.diagnosis").joinpath("calibration.json").read_text("utf-8")
    return Weights(**json.loads(text)["weights"])


@lru_cache(maxsize=1)
def weak_hints() -> frozenset[tuple[str, str]]:
    """Return the hints that by the calibration held for another cause about as often, as (mechanism, condition)."""
    text = resources.files("remediation.diagnosis").joinpath("calibration.json").read_text("utf-8")
    return frozenset((one.partition(": ")[0], one.partition(": ")[2]) for one in json.loads(text)["weak"])


@dataclass(frozen=True, slots=True)
class ScoredMechanism:
    """A mechanism with its log weight and what speaks for it."""

    entry: Entry
    score: float
    proven: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    firm: bool = False


@dataclass(frozen=True, slots=True)
class WeighedCause:
    """A cause with its share and its mechanisms, the likeliest first."""

    cause: Cause
    share: float
    mechanisms: tuple[ScoredMechanism, ...]

    @property
    def faint(self) -> bool:
        """Whether a single hint is all that speaks for the cause, or reports alone do and not more than one."""
        best = self.mechanisms[0]
        alone = sum(len(one.supported) for one in self.mechanisms) < _SEVERAL
        return not any(one.proven for one in self.mechanisms) and (alone or not (best.firm or best.score > 0))

    @property
    def telling(self) -> bool:
        """Whether a proof speaks for the cause, or a hint that by the calibration is not a weak one."""
        hints = ((one.entry.id, rule) for one in self.mechanisms for rule in one.supported)
        return any(one.proven for one in self.mechanisms) or any(hint not in weak_hints() for hint in hints)


@dataclass(frozen=True, slots=True)
class Scores:
    """All causes that something speaks for, the likeliest first; ``unknown`` is the share of none of them."""

    causes: tuple[WeighedCause, ...]
    ruled_out: tuple[RuledOut, ...]
    unknown: float


class SupportedMechanism(NamedTuple):
    """A mechanism with the conditions that hold; ``why`` says what excludes it."""

    entry: Entry
    proven: tuple[str, ...] = ()
    supported: tuple[str, ...] = ()
    against: int = 0
    why: Fact | None = None
    firm: bool = False
    """Whether one of the proofs, or of the hints where there is no proof, is more than hearsay."""


def tally(facts: Facts, without: frozenset[tuple[str, str]] = frozenset()) -> tuple[SupportedMechanism, ...]:
    """Return what holds for each mechanism that something speaks for, and for those that are excluded.

    `without` leaves out rules, as (mechanism, condition), for leave-one-out figures.
    """
    known = knowledge()
    excluded = {cause: fact for cause, entry in known.causes.items() if (fact := _first(entry.ruled_out_by, facts)) is not None}
    return tuple(
        one
        for entry in known.mechanisms.values()
        if (one := _tally(entry, facts, without, excluded.get(entry.cause))) is not None
    )


def score(facts: Facts, chosen: Weights | None = None) -> Scores:
    """Return the shares of all causes, and which of them are excluded."""
    return shares(tally(facts), chosen or weights(), _find_ruled_out(facts))


def stands_out(causes: Sequence[WeighedCause], unknown: float, facts: Facts) -> bool:
    """Whether the first cause is to be named: it is likelier than ``unknown``, or well ahead of every other and not faint.

    Where a program's output was read, one hint is not enough, since a line less would name another cause; it is where the hint is
    telling and no other cause has one. Where people only tell, a hint is all there can be. A live host is looked at again instead.
    """
    if not causes or causes[0].share <= 0:
        return False
    first, second = causes[0], causes[1].share if len(causes) > 1 else 0.0
    if (first.share >= unknown or first.share >= _AHEAD * second) and (not first.faint or facts.holds("on.words")):
        return True
    rival = next((one.share for one in causes[1:] if one.telling), 0.0)
    return first.telling and first.share >= _AHEAD * rival and not facts.holds("on.live")


def shares(tallies: Sequence[SupportedMechanism], w: Weights, ruled_out: Sequence[RuledOut] = ()) -> Scores:
    """Return the shares of all causes."""
    standing = [
        ScoredMechanism(one.entry, _total(one, w), one.proven, one.supported, one.firm) for one in tallies if one.why is None
    ]
    exponents = {one.entry.id: math.exp(min(50.0, one.score / w.temperature)) for one in standing}
    total = 1.0 + sum(exponents.values())
    by_cause: dict[Cause, list[ScoredMechanism]] = {}
    for one in standing:
        by_cause.setdefault(one.entry.cause, []).append(one)
    causes = []
    for cause, group in by_cause.items():
        share = sum(exponents[one.entry.id] for one in group) / total
        if not any(one.proven for one in group):
            share = min(share, w.cap)
        elif not any(one.firm for one in group):
            share = min(share, _HEARD)
        causes.append(WeighedCause(cause, share, _order_group(group)))
    causes.sort(key=lambda one: -one.share)
    return Scores(tuple(causes), tuple(one for one in ruled_out if one.cause not in by_cause), 1.0 / total)


def _order_group(group: Sequence[ScoredMechanism]) -> tuple[ScoredMechanism, ...]:
    """Return the mechanisms of a cause, the likeliest first; one that fits many faults comes after one that is proven."""
    named = any(one.proven and not one.entry.general for one in group)
    return tuple(sorted(group, key=lambda one: (named and one.entry.general, -one.score)))


def _total(one: SupportedMechanism, w: Weights) -> float:
    total = w.prior + w.supports * min(_MOST, len(one.supported)) - w.against * min(_MOST, one.against)
    return total + (w.proves + w.more * min(_MOST, len(one.proven) - 1) if one.proven else 0.0)


def _find_ruled_out(facts: Facts) -> list[RuledOut]:
    found = ((cause, _first(entry.ruled_out_by, facts)) for cause, entry in knowledge().causes.items())
    return [RuledOut(cause, fact.text or _title(fact)) for cause, fact in found if fact is not None]


def _title(fact: Fact) -> str:
    return fact.quotes[0].text if fact.quotes else fact.name


def _first(conditions: tuple[str, ...], facts: Facts) -> Fact | None:
    """Return the fact that makes the first true condition true; one without words where it rests on what is not known."""
    for condition in conditions:
        if value(condition, facts) is True:
            return next(facts_of(condition, facts), Fact(condition, holds=True))
    return None


def _tally(entry: Entry, facts: Facts, without: frozenset[tuple[str, str]], ruled_out: Fact | None) -> SupportedMechanism | None:
    unmet = next((need for need in entry.needs if value(need, facts) is False), None)
    out = Fact(unmet, holds=False) if unmet is not None else ruled_out or _first(entry.excludes, facts)
    if out is not None:
        return SupportedMechanism(entry, why=out)
    against = len(set(_true(entry, entry.against, facts, without)))
    seen = seen_fact_name(entry.id)
    noticed = (seen,) if facts.holds(seen) and (entry.id, seen) not in without else ()
    decides = not entry.hint and not against
    proven = tuple(dict.fromkeys((*_true(entry, entry.proves, facts, without), *(noticed if decides else ()))))
    supported = (*_true(entry, entry.supports, facts, without), *(() if decides else noticed * 2))
    if not proven and not supported:
        return None
    firm = any(_is_firm(one, facts) for one in proven or supported)
    return SupportedMechanism(entry, proven, supported, against, firm=firm)


def _is_firm(condition: str, facts: Facts) -> bool:
    """Whether a condition rests on more than reports; a placement known only from reports does not count."""
    hearsay = (*_HEARSAY, "place.") if facts.holds("place.reported") else _HEARSAY
    return any(fact.holds and not fact.name.startswith(hearsay) for fact in facts_of(condition, facts))


def _true(entry: Entry, conditions: tuple[str, ...], facts: Facts, without: frozenset[tuple[str, str]]) -> Iterator[str]:
    return (one for one in conditions if (entry.id, one) not in without and value(one, facts) is True)
