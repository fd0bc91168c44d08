"""A run written as a page and as JUnit XML."""

from __future__ import annotations

from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from remediation.cli.outputs import ReportFile
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.report.html import html
from remediation.report.junit import junit
from tests.report import stream


class Words(HTMLParser):
    """The texts of a page, and what it would fetch from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.text: list[str] = []
        self.foreign: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.foreign += [
            f"{tag} {name}={value}" for name, value in attrs if name in {"src", "href"} and not (value or "").startswith("#")
        ]

    def handle_data(self, data: str) -> None:
        self.text.append(data)


def test_the_page_shows_the_cause_its_proof_the_changes_and_the_figures() -> None:
    text = " ".join(" ".join(Words(html(stream.whole())).text).split())
    for wanted in ("laptop-07", "vram_occupied", "33/33", "1/33", "before", "after", "remediate undo 7f3a"):
        assert wanted in text


def test_the_page_needs_nothing_from_elsewhere() -> None:
    assert Words(html(stream.whole())).foreign == []


def test_what_a_host_said_is_text_and_never_markup() -> None:
    bad = "<script>alert(1)</script>"
    page = html([stream.run_start(), stream.event("note", text=bad, level="warning")])
    assert bad not in page
    assert bad in " ".join(Words(page).text)


def test_a_report_follows_no_link_at_its_temporary_name(tmp_path: Path) -> None:
    (tmp_path / "victim").write_text("untouched", encoding="utf-8")
    (tmp_path / ".report.html.part").symlink_to(tmp_path / "victim")
    report = ReportFile.at(str(tmp_path / "report.html"))
    for event in stream.whole():
        report(event)
    report.write({})
    assert (tmp_path / "victim").read_text(encoding="utf-8") == "untouched"
    assert sorted(path.name for path in tmp_path.iterdir()) == [".report.html.part", "report.html", "victim"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="only Linux has a device that is always full")
def test_a_report_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "run.html").symlink_to("/dev/full")
    report = ReportFile.at(str(tmp_path / "run.html"))
    with pytest.raises(UsageError, match=r"--report .*run\.html: cannot be written: No space left on device"):
        report.write({})


def test_a_run_that_has_not_ended_says_so() -> None:
    assert "had not ended" in html([stream.run_start(), stream.facts()])


def result(outcome: str, task: str, **data: object) -> Event:
    return stream.event("task_result", 2.0, task=task, outcome=outcome, reason=f"because {outcome}", **data)


def test_junit_counts_what_failed_and_what_was_ignored() -> None:
    events = [
        stream.run_start(),
        stream.event("task_start", 1.0, task="good"), result("ok", "good"), result("failed", "bad", next_step="do this"),
        result("failed", "let go", ignored=True), result("skipped", "left"), result("blocked", "kept"),
    ]  # fmt: skip
    suite = ET.fromstring(junit(events)).find("testsuite")
    assert suite is not None
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("5", "2", "1")
    failure = suite.find("testcase[@name='bad']/failure")
    assert failure is not None
    assert (failure.get("type"), failure.get("message"), failure.text) == ("failed", "because failed", "do this")
    good = suite.find("testcase[@name='good']")
    assert good is not None
    assert good.get("time") == "1.000"


@pytest.mark.parametrize("text", ["\x1b[31mred\x1b[0m", "nul \x00", "half a pair \ud800"])
def test_junit_stays_xml_for_any_output_of_a_host(text: str) -> None:
    event = replace(result("failed", "task"), data={"outcome": "failed", "reason": text})
    assert ET.fromstring(junit([event])).find("testsuite/testcase/failure") is not None
