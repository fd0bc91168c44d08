"""Lines fit terminals of any width, also those whose lead leaves no room for text."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from remediation.report.text import NARROWEST, Line, diff_lines, shorten

LEAD = "  found     vram_occupied 0.92      "
TEXT = "chrome.exe 2.2 GiB, Discord.exe 1.8 GiB hold the card"


@pytest.mark.parametrize("width", [100, 80, 60, 40, 30])
def test_a_text_stands_next_to_its_lead_or_below(width: int) -> None:
    rows = Line(TEXT, lead=LEAD).rows(width)
    assert max(map(len, rows)) <= width
    assert " ".join(" ".join(rows).split()) == " ".join(f"{LEAD}{TEXT}".split())
    assert (rows[0] == LEAD.rstrip()) is (len(LEAD) > width - NARROWEST)


def test_what_continues_without_a_label_begins_no_empty_row() -> None:
    assert Line("closing chrome.exe gives 17", lead=" " * 36).rows(40) == ["          closing chrome.exe gives 17"]


def test_what_is_to_be_copied_is_never_cut() -> None:
    command = "sudo install -d -m 1777 " + "/srv/leases" * 10
    assert Line(command, lead="    ", verbatim=True, whole=True).rows(40) == [f"    {command}"]
    assert Line(command, verbatim=True).rows(40) == [f"{command[:39]}…"]


def test_a_shortened_text_divides_no_word() -> None:
    text = "recreate ollama (activia1): risk disruptive exceeds the limit safe; wanted all layers"
    assert shorten(text, 60) == "recreate ollama (activia1): risk … safe; wanted all layers"
    assert len(shorten("x" * 100, 60)) <= 60


def test_a_shortened_log_line_keeps_both_of_its_ends() -> None:
    line = "msg=load KvSize:4096 FlashAttention:Auto KvCacheType: GPULayers:1[ID:GPU-5f0a1c5e Layers:1(31..31)] UseMmap:true"
    assert shorten(line, 60).endswith("1(31..31)] UseMmap:true")


@pytest.mark.parametrize(("terminal", "columns", "widest"), [(True, 40, 40), (True, 80, 80), (True, 200, 100), (False, 40, 100)])
def test_lines_fill_the_terminal_that_they_are_printed_to(
    terminal: bool, columns: int, widest: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("remediation.report.text.sys", SimpleNamespace(stdout=SimpleNamespace(isatty=lambda: terminal)))
    monkeypatch.setenv("COLUMNS", str(columns))
    long = "one word after the other " * 20
    rows = [row for line in (Line(long, lead="  next: "), Line(long, verbatim=True)) for row in line.rows()]
    assert widest - 8 < max(map(len, rows)) <= widest


@pytest.mark.parametrize(
    ("before", "after", "shown"),
    [
        (None, "directory", "web: directory"),
        ("directory", None, "web: directory → none"),
        (["a", "b"], ["a", 2], "web: a, b → a, 2"),
        (None, {"path": '"C:\\x y" serve', "mode": None}, 'web: path: "C:\\x y" serve, mode: none'),
        ("running", "stopped", "web: running → stopped"),
    ],
)
def test_values_before_and_after_a_change_are_words(before: object, after: object, shown: str) -> None:
    assert [line.text for line in diff_lines({"subject": "web", "before": before, "after": after})] == [shown]
