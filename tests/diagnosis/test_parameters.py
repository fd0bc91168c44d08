"""The parameters of a model by its name."""

from __future__ import annotations

import pytest

from remediation.diagnosis.memory.parameters import parameter_billions


@pytest.mark.parametrize(
    ("text", "billions"),
    [
        ("qwen3:14b and llama3.2:3b", 14.0),
        ("mixtral:8x7b", 47.6),
        ("I run mixtral on it", 47.0),
        ("llama3.3 is slow", 70.0),
        ("dolphin-mixtral", 47.0),
        ("mistral-nemo", 12.0),
        ("a model without a number", 0.0),
    ],
)
def test_a_name_stands_for_a_number_of_parameters(text: str, billions: float) -> None:
    assert parameter_billions(text) == pytest.approx(billions)
