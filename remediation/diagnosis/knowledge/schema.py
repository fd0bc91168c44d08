"""The shape of an entry of the knowledge, and the small language of its conditions.

A condition names facts: ``a & b`` both hold, ``!a`` is known to be false, ``~a`` is not known to hold, ``x | y`` one of both.
It is true, false or unknown. ``msg.KEY`` is a message in a log, ``cuda.N`` an error code, ``reported.…`` a user's statement.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import lru_cache
from typing import Annotated, NamedTuple

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, model_validator

from remediation.diagnosis.facts.base import Fact, Facts
from remediation.diagnosis.facts.names import FACTS
from remediation.diagnosis.facts.words import WORDS
from remediation.diagnosis.readers.logs.scan import signs
from remediation.model.finding import Cause

_ATOM = re.compile(r"^([!~]?)([a-z_]{1,40}\.[a-z0-9_]{1,80})$")
_CODE = re.compile(r"^cuda\.\d{1,3}$")


class Atom(NamedTuple):
    """One fact of a condition; ``sign`` is "", "!" or "~"."""

    sign: str
    name: str

    def value(self, facts: Facts) -> bool | None:
        """Return whether the atom is true, None if it is unknown."""
        holds = facts.state(self.name)
        if self.sign == "~":
            return holds is not True
        return holds if not self.sign or holds is None else not holds


@lru_cache(maxsize=2048)
def parse_condition(text: str) -> tuple[tuple[Atom, ...], ...]:
    """Return a condition's alternatives, each a tuple of atoms that must all hold. Raises `ValueError` for an invalid condition."""
    alternatives = []
    for side in text.split(" | "):
        atoms = []
        for part in side.split(" & "):
            match = _ATOM.match(part.strip())
            if match is None or not is_fact(match[2]):
                raise ValueError(f"{text!r}: {part.strip()!r} is no fact")
            atoms.append(Atom(match[1], match[2]))
        alternatives.append(tuple(atoms))
    return tuple(alternatives)


@lru_cache(maxsize=1)
def _keys() -> frozenset[str]:
    return frozenset(one.key for one in signs())


def is_fact(name: str) -> bool:
    """Whether a fact of this name is derived."""
    return (
        name in FACTS
        or name in WORDS
        or bool(_CODE.match(name))
        or (name.startswith("msg.") and name[4:] in _keys())
        or name.startswith("seen.")
    )


def value(condition: str, facts: Facts) -> bool | None:
    """Return whether a condition is true, false or unknown (Kleene's logic)."""
    sides = [[atom.value(facts) for atom in side] for side in parse_condition(condition)]
    each = [False if False in side else None if None in side else True for side in sides]
    return True if True in each else None if None in each else False


def facts_of(condition: str, facts: Facts) -> Iterator[Fact]:
    """Yield the facts that make a condition true, in the order of the condition."""
    for side in parse_condition(condition):
        if all(atom.value(facts) is True for atom in side):
            yield from (facts[atom.name] for atom in side if facts[atom.name].holds is not None and atom.sign != "~")
            return


def _condition(text: object) -> str:
    parse_condition(str(text))
    return str(text)


Condition = Annotated[str, BeforeValidator(_condition)]
Conditions = tuple[Condition, ...]


class Entry(BaseModel):
    """One mechanism: the concrete fault, its evidence and its cure.

    ``needs`` must not be false. Evidence proves the mechanism, supports it (once for each time it is listed), counts
    against it, excludes it, or is neutral. ``on`` has the cure's words for a platform
    (``windows``, ``linux``, ``wsl``, ``docker-windows``, ``docker-linux``, ``kubernetes``; ``live`` and ``live-PLATFORM`` on a collected
    host), ``setting`` the variable to set or remove, ``step`` the step that performs the cure, ``by_hand`` why no step does.
    A message of the catalogue that means the mechanism proves it unless evidence counts against it; with ``hint`` it only supports it.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    id: str = Field(pattern=r"^[a-z0-9]+(?:-[a-z0-9]+)*$")
    cause: Cause
    title: str
    needs: Conditions = ()
    proves: Conditions = ()
    supports: Conditions = Field(default=(), alias="for")
    against: Conditions = ()
    excludes: Conditions = ()
    hint: bool = False
    cure: str
    on: dict[str, str] = {}
    setting: str = ""
    step: str = ""
    by_hand: str = ""
    confirm: str
    sources: tuple[str, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> Entry:
        if not self.proves and not self.supports:
            raise ValueError(f"{self.id}: nothing proves it and nothing speaks for it")
        if bool(self.step) == bool(self.by_hand):
            raise ValueError(f"{self.id}: give either the step that cures it or by_hand with why none does")
        return self


class CauseEntry(BaseModel):
    """Conditions that exclude a cause with all its mechanisms."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    ruled_out_by: Conditions = ()


class LikelyCures(BaseModel):
    """What to do first where no mechanism stands out: the likeliest cures of a situation. ``on`` is as in `Entry`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    when: Condition | None = None
    cure: str
    on: dict[str, str] = {}


class KnowledgeFile(BaseModel):
    """One file of the knowledge."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    causes: dict[Cause, CauseEntry] = {}
    mechanisms: tuple[Entry, ...] = ()
    likely: tuple[LikelyCures, ...] = ()
