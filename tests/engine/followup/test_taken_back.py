"""Runs that are taken back, and plans that are saved and applied."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.followup.followups import apply_plan, undo_run
from remediation.engine.followup.plan import StalePlan, plan_of
from remediation.engine.journal.history import find_run
from remediation.engine.journal.journal import Journal
from remediation.engine.play.runner import run_playbook
from remediation.model.errors import UsageError
from tests.engine.playbook_runs import results, run
from tests.engine.sample_steps import RecordedEvents
from tests.engine.step_runs import Flow

CHANGES = """\
- hosts: all
  tasks:
    - {name: first, sample.file: {path: a, text: new}}
    - {name: second, sample.file: {path: b, text: new}}
    - {name: third, command: work now}
"""


def journaled(made: Flow, folder: Path, **more: Any) -> tuple[Any, str]:
    journal = Journal.create({"started": 1.0}, {}, root=folder)
    summary = made.run(journal.write, run=journal.run, **more)
    journal.close()
    return summary, journal.run


def test_a_run_is_taken_back_the_last_change_first_and_what_cannot_be_is_said_before(tmp_path: Path) -> None:
    made = Flow.of(tmp_path / "p", CHANGES, "one")
    world = made.worlds["one"]
    world.texts = {"a": b"old", "b": b"old"}
    _, run_id = journaled(made, tmp_path / "runs")
    assert world.texts == {"a": b"new", "b": b"new"}
    recorded = RecordedEvents()
    record = find_run(run_id, tmp_path / "runs")
    checked = undo_run(record, made.request(policy={"check": True}), made.ports(recorded), made.open)
    assert (checked.exit_code, world.texts["a"]) == (4, b"new")
    assert [note["text"] for note in recorded.of("note")] == ["cannot be undone: run work now"]
    recorded = RecordedEvents()
    undone = undo_run(record, made.request(), made.ports(recorded), made.open)
    assert (undone.exit_code, world.texts) == (0, {"a": b"old", "b": b"old"})
    assert results(recorded, "one") == [("second", "changed"), ("first", "changed")]
    again = undo_run(record, made.request(), made.ports(RecordedEvents()), made.open)
    assert again.hosts["one"]["changed"] == 0
    with pytest.raises(UsageError, match="changed nothing in the task 'fourth'"):
        undo_run(record, made.request(), made.ports(RecordedEvents()), made.open, task="fourth")


def test_what_was_changed_by_other_rights_is_taken_back_by_them(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - {name: plain, sample.file: {path: a, text: new}}
    - {name: raised, become: true, become_user: "{{ 'ol' + 'lama' }}", sample.file: {path: b, text: new}}
"""
    made = Flow.of(tmp_path / "p", text, "one")
    made.worlds["one"].texts = {"a": b"old", "b": b"old"}
    rights: list[tuple[object, object]] = []

    def noting(host: str, variables: Mapping[str, Any], *, check: bool) -> Any:
        rights.append((variables.get("ansible_become"), variables.get("ansible_become_user")))
        return made.open(host, variables, check=check)

    journal = Journal.create({"started": 1.0}, {}, root=tmp_path / "runs")
    run_playbook(made.request(run=journal.run), made.ports(journal.write), noting)
    journal.close()
    assert rights == [(None, None), (True, "ollama")]
    rights.clear()
    undone = undo_run(find_run(journal.run, tmp_path / "runs"), made.request(), made.ports(RecordedEvents()), noting)
    assert (undone.exit_code, made.worlds["one"].texts) == (0, {"a": b"old", "b": b"old"})
    assert rights == [(True, "ollama"), (None, None)]


def test_one_task_of_a_run_is_taken_back(tmp_path: Path) -> None:
    made = Flow.of(tmp_path / "p", CHANGES, "one")
    made.worlds["one"].texts = {"a": b"old", "b": b"old"}
    _, run_id = journaled(made, tmp_path / "runs")
    undo_run(find_run(run_id, tmp_path / "runs"), made.request(), made.ports(RecordedEvents()), made.open, task="first")
    assert made.worlds["one"].texts == {"a": b"old", "b": b"new"}


def test_a_plan_is_applied_in_part_and_refused_where_the_host_is_another(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES, "one")
    world = made.worlds["one"]
    _, recorded = run(made, policy={"check": True})
    plan = plan_of(recorded.events, {})
    assert [(entry.id, entry.step) for entry in plan.entries] == [(1, "sample.file"), (2, "sample.file"), (3, "command")]
    summary = apply_plan(plan, made.request(), made.ports(RecordedEvents()), made.open, only=("2",))
    assert (summary.exit_code, world.texts) == (0, {"b": b"new"})
    assert world.writes == ["write b"]
    with pytest.raises(StalePlan, match=r"(?s)stale plan.*- one: sample.file: write b \(in the plan, not predicted now\)"):
        apply_plan(plan, made.request(), made.ports(RecordedEvents()), made.open)
    assert world.writes == ["write b"]


def test_a_whole_plan_is_applied(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES, "one")
    _, recorded = run(made, policy={"check": True})
    summary = apply_plan(plan_of(recorded.events, {}), made.request(), made.ports(RecordedEvents()), made.open)
    assert (summary.exit_code, made.worlds["one"].writes) == (0, ["write a", "write b", "ran work now"])


def test_an_undo_that_is_interrupted_while_it_waits_for_the_host_takes_back_no_more(tmp_path: Path) -> None:
    made = Flow.of(tmp_path / "p", CHANGES, "one")
    made.worlds["one"].texts = {"a": b"old", "b": b"old"}
    _, run_id = journaled(made, tmp_path / "runs")
    recorded = RecordedEvents()
    answers = iter([False])
    ports = dataclasses.replace(made.ports(recorded), cancelled=lambda: next(answers, True))
    summary = undo_run(find_run(run_id, tmp_path / "runs"), made.request(), ports, made.open)
    assert (summary.exit_code, made.worlds["one"].texts) == (130, {"a": b"new", "b": b"new"})
    assert results(recorded, "one") == [("second", "skipped")]
