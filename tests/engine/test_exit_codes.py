"""Exit codes and their precedence."""

from __future__ import annotations

import pytest

from remediation.engine.exit_codes import OF_OUTCOME, PRECEDENCE, worst
from remediation.model.outcome import Outcome


@pytest.mark.parametrize(
    ("outcomes", "code"),
    [
        ([], 0),
        ([Outcome.OK, Outcome.CHANGED, Outcome.SKIPPED], 0),
        ([Outcome.OK, Outcome.WOULD_CHANGE], 4),
        ([Outcome.WOULD_CHANGE, Outcome.BLOCKED], 5),
        ([Outcome.BLOCKED, Outcome.UNVERIFIED], 2),
        ([Outcome.TIMED_OUT], 2),
        ([Outcome.FAILED, Outcome.UNREACHABLE, Outcome.BLOCKED], 3),
    ],
)
def test_the_outcomes_of_the_hosts_give_the_exit_code(outcomes: list[Outcome], code: int) -> None:
    assert worst(OF_OUTCOME[outcome] for outcome in outcomes) == code


def test_the_precedence_is_130_1_3_2_5_4_0() -> None:
    assert [int(code) for code in PRECEDENCE] == [130, 1, 3, 2, 5, 4, 0]
    for position, code in enumerate(PRECEDENCE):
        assert worst(PRECEDENCE[position:]) is code


def test_a_code_that_is_not_ours_is_refused() -> None:
    with pytest.raises(ValueError, match="7"):
        worst([7])
