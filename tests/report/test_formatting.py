"""Numbers with their units."""

from __future__ import annotations

import pytest

from remediation.report import formatting
from remediation.report.formatting import Row, before_after, duration, format_size, percent, sentences, table
from remediation.report.text import Line
from tests.report import stream


@pytest.mark.parametrize(
    ("count", "text"),
    [(None, "unknown"), (0, "0 B"), (512, "512 B"), (4096, "4 KiB"), (80 * 1024**2, "80 MiB"), (457 * 1024**2, "0.4 GiB"), (5.4 * 1024**3, "5.4 GiB")],
)  # fmt: skip
def test_bytes(count: float | None, text: str) -> None:
    assert format_size(count) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(None, "unknown"), (0.23, "0.2 s"), (9.94, "9.9 s"), (38.2, "38 s"), (133.0, "2 min 13 s"), (119.7, "2 min 0 s"), (59.7, "1 min 0 s"), (3900, "1 h 5 min")],
)  # fmt: skip
def test_seconds(seconds: float | None, text: str) -> None:
    assert duration(seconds) == text


def test_what_is_not_known_is_said_and_never_shown_as_zero() -> None:
    rows = before_after(None, {"layers": [33, 33], "gpu_percent": None, "cpu_percent": 12.0})
    assert [row.before for row in rows] == [formatting.UNKNOWN] * 5
    assert rows[-1].after == "? / 12 %"
    assert rows[1].after == formatting.UNKNOWN


def test_extrapolated_figures_are_marked_and_say_what_was_seen() -> None:
    assert before_after(stream.BEFORE, stream.AFTER)[2].before == "≈ 31 s (8 seen)"


def test_only_a_lab_says_simulated() -> None:
    rows = before_after(stream.BEFORE, stream.AFTER)
    assert "simulated" in table(rows, simulated=True)[0]
    assert "simulated" not in table(rows, simulated=False)[0]


def test_percent() -> None:
    assert percent(91.6) == "92 %"


def test_a_terminal_that_is_too_narrow_for_the_table_gets_sentences() -> None:
    rows = [Row("50 tokens, warm", "≈ 12 s (8 seen)", "≈ 1.5 s (48 seen)")]
    assert sentences(rows, simulated=True) == [
        "before → after (simulated):",
        "50 tokens, warm: ≈ 12 s (8 seen) → ≈ 1.5 s (48 seen)",
    ]
    assert sentences(rows, simulated=False, single="now") == ["now:", "50 tokens, warm: ≈ 1.5 s (48 seen)"]
    line = Line(
        "\n".join(table(rows, simulated=False)), lead="  ", verbatim=True, narrow="\n".join(sentences(rows, simulated=False))
    )
    assert line.rows(100)[1].split() == ["50", "tokens,", "warm", "≈", "12", "s", "(8", "seen)", "≈", "1.5", "s", "(48", "seen)"]
    assert line.rows(30) == ["  before → after:", "  50 tokens, warm: ≈ 12 s (8", "  seen) → ≈ 1.5 s (48 seen)"]
