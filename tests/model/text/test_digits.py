"""Whole numbers in text from outside."""

from __future__ import annotations

import pytest

from remediation.model.text.digits import is_whole


@pytest.mark.parametrize("text", ["0", "007", "18446744073709551615", b"42"])
def test_what_int_can_read(text: str | bytes) -> None:
    assert is_whole(text)
    int(text)


@pytest.mark.parametrize("text", ["", "²", "٣", "-1", "1.0", " 1", "9" * 5_000, "x"])
def test_what_it_cannot_or_should_not(text: str) -> None:
    assert not is_whole(text)
