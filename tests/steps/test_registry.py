"""How steps are found in the modules of a package."""

from __future__ import annotations

from types import ModuleType
from typing import Any

from remediation.steps.contract import Step
from remediation.steps.registry import _steps_of


class Reached(Step[Any]):
    """A step of another distribution."""

    name = "toy.reached"

    def look(self, host: Any) -> Any:
        return host

    def met(self, seen: Any) -> bool | None:
        return bool(seen)

    def plan(self, seen: Any) -> Any:
        yield from ()


def test_type_aliases_beside_a_step_are_no_steps() -> None:
    module = ModuleType(__name__)
    module.Reached = Reached  # type: ignore[attr-defined]
    module.Names = list[str]  # type: ignore[attr-defined]

    assert list(_steps_of(module)) == [Reached]
