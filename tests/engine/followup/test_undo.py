"""Undo walks the recorded steps backwards, in another process than the one that made the changes."""

from __future__ import annotations

from pathlib import Path

from remediation.engine.followup.undo import undo_calls, undo_plan
from remediation.engine.journal.journal import Journal, read_events
from remediation.engine.step.executor import execute_step
from remediation.model.change import Risk, StepCall
from remediation.model.errors import CallFailed
from remediation.model.event import Event
from remediation.model.outcome import Outcome
from tests.engine.fakes.host import World
from tests.engine.sample_steps import Bench


def edit(path: str, text: str) -> StepCall:
    return StepCall("sample.file", {"path": path, "text": text})


def changed(tmp_path: Path) -> tuple[Bench, list[Event]]:
    bench = Bench(World(texts={"a": b"1", "b": b"1"}))
    bench.world.start("chrome.exe")
    for index, call in enumerate(
        [edit("a", "2"), edit("b", "2"), StepCall("sample.closed", {"names": ["chrome"]}), edit("a", "3")]
    ):
        execute_step(call, bench.context(max_risk=Risk.DISRUPTIVE, path=str(index)))
    journal = Journal.create({}, {}, root=tmp_path)
    for event in bench.recorded.events:
        journal.write(event)
    journal.close()
    bench.world.writes.clear()
    bench.recorded.events.clear()
    return bench, list(read_events(journal.folder))


def test_changes_are_taken_back_the_last_first_and_what_lasts_is_said(tmp_path: Path) -> None:
    bench, events = changed(tmp_path)
    plan = undo_plan(events)
    assert [item.change.summary for item in plan.lasting] == ["close chrome.exe"]
    assert plan.hosts == ("laptop-07",)
    results = undo_calls(plan, bench.context())
    assert [result.outcome for _, result in results] == [Outcome.CHANGED] * 3
    assert bench.world.writes == ["write a", "write b", "write a"]
    assert (bench.world.texts["a"], bench.world.texts["b"]) == (b"1", b"1")


def test_undo_in_check_mode_writes_nothing_and_a_second_undo_changes_nothing(tmp_path: Path) -> None:
    bench, events = changed(tmp_path)
    checked = undo_calls(undo_plan(events), bench.context(check=True))
    assert (checked[0][1].outcome, bench.world.writes) == (Outcome.WOULD_CHANGE, [])
    undo_calls(undo_plan(events), bench.context())
    bench.world.writes.clear()
    # the middle value of a file that was changed twice is passed through again, its end is the start
    undo_calls(undo_plan(events), bench.context())
    assert (bench.world.texts["a"], bench.world.texts["b"]) == (b"1", b"1")


def test_undo_of_one_host_or_one_task_leaves_the_rest(tmp_path: Path) -> None:
    _, events = changed(tmp_path)
    assert undo_plan(events, wanted=lambda host: host != "laptop-07").steps == ()
    assert len(undo_plan(events, task="task").steps) == 3
    assert undo_plan(events, task="another").steps == ()


def test_undo_stops_at_the_first_that_fails(tmp_path: Path) -> None:
    bench, events = changed(tmp_path)
    bench.world.fails["files.write"] = [CallFailed("no rights")]
    results = undo_calls(undo_plan(events), bench.context())
    assert [result.outcome for _, result in results] == [Outcome.FAILED]


def test_a_change_in_flight_is_undone_as_well() -> None:
    change = {"summary": "write a", "subject": "a", "undo": {"step": "sample.file", "params": {"path": "a", "text": "1"}}}
    plan = undo_plan([Event("change_start", 1.0, "laptop-07", data={"index": 0, "change": change})])
    bench = Bench(World(texts={"a": b"1"}))
    assert [result.outcome for _, result in undo_calls(plan, bench.context())] == [Outcome.OK]
