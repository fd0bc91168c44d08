"""The laws on every registered step; one without an example fails."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from remediation.model.change import StepCall
from remediation.steps.registry import registry
from tests.laws.examples import EXAMPLES
from tests.laws.laws import LAWS, Example, Steps

CASES = [(name, number, law) for name in registry() for number in range(len(EXAMPLES.get(name, ()))) for law in LAWS]


def test_every_registered_step_has_an_example() -> None:
    assert [name for name in registry() if not EXAMPLES.get(name)] == []


@pytest.mark.parametrize(("name", "number", "law"), CASES, ids=[f"{name}-{number}-{law.__name__}" for name, number, law in CASES])
def test_law(name: str, number: int, law: Callable[[StepCall, Example, Steps], Any]) -> None:
    example = EXAMPLES[name][number]
    law(StepCall(name, example.params), example, registry())
