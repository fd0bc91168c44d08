"""Each law is broken by a step made for it: a law that nothing can break proves nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, StepCall
from remediation.model.errors import UsageError
from remediation.steps.contract import Step
from tests.engine.fakes.host import World
from tests.engine.sample_steps import TOYS, FileSays
from tests.laws import laws
from tests.laws.laws import LAWS, Example, LawError, Steps

CALL = StepCall("sample.file", {"path": "a", "text": "new"})
EXAMPLE = Example(CALL.params, lambda: World(texts={"a": b"old"}), lambda: World(texts={"a": b"new"}))


class WritesWhileLooking(FileSays):
    """Changes the host behind the reader's back."""

    def observe(self, host: Reader) -> str | None:
        host.files._world.texts["log"] = b"looked"  # type: ignore[attr-defined]
        return super().observe(host)


class PlansByChance(FileSays):
    """Plans something else each time."""

    def plan(self, seen: str | None) -> Iterator[Change]:
        if seen != self.text:
            yield Change(f"write {id(object())} {next(_NUMBERS)}", subject=self.path)


_NUMBERS = iter(range(1000))


class PlansThoughMet(FileSays):
    """Plans something where nothing is to be done."""

    def plan(self, seen: str | None) -> Iterator[Change]:
        yield Change("write a", subject=self.path)


class NeverDone(FileSays):
    """Does something else than it says."""

    def apply(self, host: Writer, change: Change) -> None:
        host.files.write(change.subject, b"something else")


class HoldsAnObject(FileSays):
    """Puts into a change what no journal can hold."""

    def plan(self, seen: str | None) -> Iterator[Change]:
        if seen != self.text:
            yield Change("write a", subject=self.path, before=object())


class UndoneByNobody(FileSays):
    """Names an undo step that is not there."""

    def plan(self, seen: str | None) -> Iterator[Change]:
        if seen != self.text:
            yield Change("write a", subject=self.path, undo=StepCall("sample.unknown"))


class RegistersAnObject(FileSays):
    """Registers what no event can hold."""

    def values(self, seen: str | None) -> dict[str, Any]:
        return {"seen": object()}


class NeverPleased(FileSays):
    """Finds every host in need of it."""

    def is_met(self, seen: str | None) -> bool:
        return False

    def plan(self, seen: str | None) -> Iterator[Change]:
        yield Change("write a", subject=self.path)


@pytest.mark.parametrize("law", LAWS, ids=lambda law: str(law.__name__))
@pytest.mark.parametrize("name", ["sample.file"])
def test_a_lawful_step_breaks_none(name: str, law: Callable[[StepCall, Example, Steps], None]) -> None:
    assert name in TOYS
    law(CALL, EXAMPLE, TOYS)


@pytest.mark.parametrize(
    ("step", "law", "error"),
    [
        (WritesWhileLooking, laws.looking_writes_nothing, LawError),
        (PlansByChance, laws.planning_looks_at_nothing, LawError),
        (PlansThoughMet, laws.met_means_nothing_to_do, LawError),
        (NeverDone, laws.a_second_pass_changes_nothing, LawError),
        (NeverPleased, laws.a_met_host_is_left_alone, LawError),
        (PlansByChance, laws.check_mode_foretells_the_first_change, LawError),
        (HoldsAnObject, laws.changes_can_be_journaled, TypeError),
        (UndoneByNobody, laws.changes_can_be_journaled, UsageError),
        (RegistersAnObject, laws.values_are_json, TypeError),
    ],
)
def test_a_lawbreaker_is_caught(
    step: type[Step[Any]], law: Callable[[StepCall, Example, Steps], None], error: type[Exception]
) -> None:
    with pytest.raises(error):
        law(CALL, EXAMPLE, {**TOYS, "sample.file": step})
