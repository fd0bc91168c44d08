"""How steps are found in the modules of a package."""

from __future__ import annotations

from collections.abc import Iterator
from types import ModuleType

from remediation.facets.protocols import Reader
from remediation.model.change import Change
from remediation.steps.contract import Step
from remediation.steps.registry import _steps_of


class Reached(Step[str]):
    """A step of another distribution."""

    name = "toy.reached"

    def look(self, host: Reader) -> str:
        return host.name

    def met(self, seen: str) -> bool | None:
        return bool(seen)

    def plan(self, seen: str) -> Iterator[Change]:
        if not seen:
            yield Change("reach it")


def test_type_aliases_beside_a_step_are_no_steps() -> None:
    module = ModuleType(__name__)
    module.Reached = Reached  # type: ignore[attr-defined]
    module.Names = list[str]  # type: ignore[attr-defined]

    assert list(_steps_of(module)) == [Reached]
