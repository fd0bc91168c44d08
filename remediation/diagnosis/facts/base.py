"""A fact: a proposition about one incident that is true, false or unknown, with its quote and the load that it belongs to."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property

from remediation.diagnosis.memory.prediction import predict
from remediation.diagnosis.memory.shortage import Shortage, shortage
from remediation.diagnosis.readers.logs import Load
from remediation.diagnosis.readers.logs.scan import Hit
from remediation.diagnosis.readers.reading import Reading
from remediation.model.finding import Quote


def seen_fact_name(means: str) -> str:
    """Return the name of the fact that a message of the catalogue was seen, by what it means."""
    return "seen." + means.replace(".", "_").replace("-", "_")


@dataclass(frozen=True, slots=True)
class Fact:
    """A proposition. ``text`` is what it says with this incident's figures; ``server``, ``load`` and ``time`` say of what it is true."""

    name: str
    holds: bool | None = None
    text: str = ""
    quotes: tuple[Quote, ...] = ()
    server: int | None = None
    load: int | None = None
    time: str = ""


class Facts(Mapping[str, Fact]):
    """The facts of one incident by name; a fact without evidence is unknown."""

    def __init__(self, known: Mapping[str, Fact]) -> None:
        self._known = known

    def __getitem__(self, name: str) -> Fact:
        """Return a fact; one that was not derived is unknown."""
        return self._known.get(name) or Fact(name)

    def __iter__(self) -> Iterator[str]:
        return iter(self._known)

    def __len__(self) -> int:
        return len(self._known)

    def state(self, name: str) -> bool | None:
        """Return whether a fact is true or false, None where it is unknown."""
        fact = self._known.get(name)
        return None if fact is None else fact.holds

    def holds(self, *names: str) -> bool:
        """Return whether one of the facts is known to be true."""
        return any(self.state(name) is True for name in names)

    def first(self, *names: str) -> Fact | None:
        """Return the first of the facts that is known to be true."""
        return next((self[name] for name in names if self[name].holds is True), None)


@dataclass
class FactSheet:
    """The facts during derivation, with their input."""

    reading: Reading
    known: dict[str, Fact] = field(default_factory=dict)

    @cached_property
    def figures(self) -> Shortage:
        """The sums of the load that the incident is about."""
        return shortage(self.reading)

    @cached_property
    def words(self) -> str:
        """The sums of that load as a phrase, with the forecast's figure for all layers where the model's metadata is known."""
        forecast = predict(self.reading)
        return self.figures.words(forecast.fit.need_all if forecast is not None and forecast.model is not None else None)

    @property
    def load(self) -> Load | None:
        """The load that the incident is about."""
        return self.reading.shown

    def record(
        self, name: str, holds: object = True, text: str = "", *quotes: Quote | None, of: Load | Hit | None = None
    ) -> None:
        """Record a fact. The first of two contradicting facts is kept; `holds` of None records nothing."""
        if holds is None or (name in self.known and self.known[name].holds):
            return
        kept = tuple(dict.fromkeys(quote for quote in quotes if quote is not None))
        number = of.load if isinstance(of, Hit) else of.number if of is not None else None
        time = of.time if isinstance(of, Load) else ""
        self.known[name] = Fact(name, bool(holds), text, kept, of.server if of is not None else None, number, time)

    def holds(self, *names: str) -> bool:
        """Return whether one of the facts is known to be true."""
        return any((fact := self.known.get(name)) is not None and fact.holds is True for name in names)
