"""The report that fits the stream, and questions on a terminal."""

from __future__ import annotations

import errno
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from remediation.cli.prompt import TerminalPrompt
from remediation.cli.report_factory import ReportFeed, Style, reporting
from remediation.model.event import Event
from tests.report import stream


class Tty(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def written(out: io.StringIO, *, as_json: bool = False, **environment: str) -> str:
    with reporting(out, Style(json=as_json), environment) as report:
        for event in stream.whole():
            report(event)
    return out.getvalue()


def test_json_writes_nothing_but_json() -> None:
    lines = [json.loads(line) for line in written(io.StringIO(), as_json=True).splitlines()]
    assert lines[-1]["event"] == "run_end"


def test_off_a_terminal_no_control_character_is_written() -> None:
    text = written(io.StringIO())
    assert "goal met" in text
    assert "\x1b" not in text


def test_a_dumb_terminal_gets_plain_lines() -> None:
    assert "\x1b" not in written(Tty(), TERM="dumb")


def test_a_terminal_gets_the_same_words() -> None:
    assert "goal met" in written(Tty(), TERM="xterm")


def test_a_reader_who_went_away_ends_the_report_and_not_the_run(capsys: pytest.CaptureFixture[str]) -> None:
    seen: list[Event] = []

    class Failing:
        def __call__(self, event: Event) -> None:
            seen.append(event)
            raise BrokenPipeError

        def close(self) -> None: ...

    report = ReportFeed(Failing())
    for event in stream.whole():
        report(event)
    report.close()
    assert len(seen) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_a_terminal_that_was_closed_is_no_internal_error() -> None:
    class Closed:
        def __call__(self, event: Event) -> None: ...

        def cut_off(self) -> None:
            raise OSError(errno.EIO, "Input/output error")

        close = cut_off

    saved: list[str] = []

    def crashed(host: str, error: BaseException) -> str:
        saved.append(host)
        return ""

    report = ReportFeed(Closed(), crashed=crashed)
    report.cut_off()
    report.close()
    assert saved == []


@pytest.mark.parametrize(
    ("answer", "agreed"), [("y\n", True), ("YES\n", True), ("n\n", False), ("\n", False), ("", False), ("yellow\n", False)]
)
def test_only_yes_is_yes(answer: str, agreed: bool) -> None:
    questions = Tty()
    prompt = TerminalPrompt(Tty(answer), questions)
    assert prompt.confirm("laptop-07: go on?", ["close chrome.exe (disruptive)"]) is agreed
    assert questions.getvalue() == "  close chrome.exe (disruptive)\nlaptop-07: go on? [y/N] "


@pytest.mark.parametrize(("answer", "agreed"), [("laptop-07\n", True), ("laptop\n", False), ("y\n", False), ("", False)])
def test_destroying_needs_the_name_typed_in(answer: str, agreed: bool) -> None:
    assert TerminalPrompt(Tty(answer), Tty()).confirm_typed("remove the volume on laptop-07?", "laptop-07") is agreed


def test_there_is_no_prompt_without_a_terminal() -> None:
    assert not TerminalPrompt(io.StringIO("y\n"), Tty()).available
    assert not TerminalPrompt(Tty("y\n"), io.StringIO()).available
    assert TerminalPrompt(Tty(), Tty()).available


def test_the_live_lines_are_away_during_a_prompt() -> None:
    order: list[str] = []

    @contextmanager
    def pause() -> Iterator[None]:
        order.append("away")
        yield
        order.append("back")

    TerminalPrompt(Tty("y\n"), Tty(), pause).confirm("go on?")
    assert order == ["away", "back"]
