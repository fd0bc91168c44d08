"""Times of options: ``90``, ``90s``, ``10m``, ``2h``."""

from __future__ import annotations

import pytest

from remediation.cli.options import LONGEST_HOURS, seconds
from remediation.model.errors import UsageError


@pytest.mark.parametrize(("text", "value"), [("90", 90.0), ("1.5s", 1.5), (" 10M ", 600.0), ("2 h", 7200.0), (None, 7.0)])
def test_units(text: str | None, value: float) -> None:
    assert seconds("--every", text, 7.0) == value


@pytest.mark.parametrize("text", ["", "soon", "-1", "1e5", "1d", "5 minutes", "nan"])
def test_what_is_no_time_is_refused_with_examples(text: str) -> None:
    with pytest.raises(UsageError, match="--every: expected a time such as 90, 90s, 10m or 2h, got "):
        seconds("--every", text)


@pytest.mark.parametrize("text", ["9" * 400, "99999999999h", f"{LONGEST_HOURS + 1}h"])
def test_a_time_that_no_clock_can_wait_for_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=f"--every: expected a time of {LONGEST_HOURS}h at most, got "):
        seconds("--every", text)
