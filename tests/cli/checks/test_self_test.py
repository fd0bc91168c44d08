"""The self-test of a Windows host: its results for a healthy lab, for one that refuses, and of scripts that answer wrongly."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from remediation.cli.checks import self_test
from remediation.cli.checks.self_test import TRIALS, run_trials
from remediation.connections.calls import Call, Failed, ProbeReply, Reply
from remediation.model.clock import SystemClock
from tests.cli.processes import ROOT, Remediate

PAGE = (ROOT / "docs" / "windows.md").read_text(encoding="utf-8")


@pytest.fixture
def lab(remediate: Remediate, monkeypatch: pytest.MonkeyPatch) -> Remediate:
    monkeypatch.setattr(self_test, "IDLE", 0.0)
    remediate("lab.start")
    return remediate


def tried(lab: Remediate, fault: str) -> tuple[int, dict[str, Any]]:
    lab("lab.fault", "laptop-07", fault)
    done = lab("check-host", "--inventory", "lab", "--self-test", "laptop-07", "--json")
    assert "Traceback" not in done.stderr, done.stderr
    (report,) = json.loads(done.stdout)
    return done.returncode, {each["name"]: each for each in report["trials"]}


def test_a_healthy_host_answers_as_expected_and_the_report_names_nobody(lab: Remediate) -> None:
    code, trials = tried(lab, "healthy")
    assert (code, [name for name, each in trials.items() if each["ok"] is False]) == (0, [])
    assert sum(each["ok"] is True for each in trials.values()) >= 17
    assert {name for name, each in trials.items() if each["text"] == "by hand"} == {
        each.name for each in TRIALS if each.judge is None
    }
    shown = lab("check-host", "--inventory", "lab", "--self-test", "laptop-07").stdout
    assert not re.search(r"(?i)\bops\b|maria|laptop-07|activia1", shown)
    assert "0 differ" in shown


def test_what_is_refused_is_not_told_and_nothing_differs(lab: Remediate) -> None:
    code, trials = tried(lab, "no-rights")
    assert (code, [name for name, each in trials.items() if each["ok"] is False]) == (0, [])
    assert {"times", "owners", "process-memory", "quotas"} <= {name for name, each in trials.items() if each["ok"] is None}


def test_a_host_that_is_none_or_no_windows_host_is_refused(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("all: {hosts: {box: {ansible_connection: local}}}", encoding="utf-8")
    done = remediate("check-host", "--inventory", "hosts.yml", "--self-test", "box")
    assert (done.returncode, "box is not a Windows host" in done.stderr) == (1, True), done.stderr
    assert remediate("check-host", "--inventory", "hosts.yml", "--self-test", "other").returncode == 1


class Liar:
    """A connection whose probes return objects of an unexpected form, or fail."""

    host, platform, round_trips = "box", "windows", 0

    def __init__(self, value: Any) -> None:
        self._value = value

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [Failed("error", "no") if self._value is None else ProbeReply(self._value) for _ in calls]

    def close(self) -> None:
        """Nothing is open."""


@pytest.mark.parametrize(
    "value", [{}, {"Processes": 3, "Problems": {}}, {"Entries": [1], "Quotas": [2], "Now": "x", "Problems": {}}]
)
def test_an_answer_of_another_form_differs_and_ends_nothing(value: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(self_test, "IDLE", 0.0)
    done = run_trials(Liar(value), SystemClock())
    assert len(done) == len(TRIALS)
    assert any(right is False for _, right, _ in done)
    assert all(right is None for trial, right, _ in run_trials(Liar(None), SystemClock()) if trial.name != "refused")


def test_the_documentation_has_each_trial_and_each_unproven_point_names_one() -> None:
    table = re.findall(r"(?m)^\| `([\w-]+)`( \(a person\))? \| (.+?) \| `{1,2} ?(.+?) ?`{1,2} \|$", PAGE)
    assert [(name, bool(person), tells, command.replace("\\|", "|")) for name, person, tells, command in table] == [
        (each.name, each.judge is None, each.tells, each.command) for each in TRIALS
    ]
    names = {each.name for each in TRIALS}
    points = re.findall(r"(?ms)^- unproven on Windows.*?(?=^- |^#|^\n|\Z)", PAGE)
    assert len(points) >= 20
    assert [point for point in points if not names & set(re.findall(r"`([\w-]+)`", point[point.rfind("(") :]))] == []
    named = set(re.findall(r"`([\w-]+)`", PAGE.partition("## Probes")[2]))
    assert names - named <= {"lease"}, "each trial belongs to a point"
