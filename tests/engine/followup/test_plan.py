"""A saved plan is applied exactly or in part, and refused when it is stale, edited, or for other hosts."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from remediation.engine.followup.plan import (
    Plan,
    StalePlan,
    load_plan,
    plan_difference,
    plan_of,
    save_plan,
    verify_hosts,
    verify_plan,
)
from remediation.engine.step.executor import execute_step
from remediation.model.change import Risk, StepCall
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.outcome import Outcome, Result
from tests.engine.fakes.host import GIB, World
from tests.engine.sample_steps import Bench

CALLS = (
    StepCall("sample.file", {"path": "a", "text": "new"}),
    StepCall("sample.closed", {"names": ["chrome", "discord"]}),
)


def bench() -> Bench:
    made = Bench(World(texts={"a": b"old"}))
    made.world.start("chrome.exe", vram=GIB)
    made.world.start("Discord.exe", vram=GIB)
    return made


def checked(made: Bench) -> Plan:
    made.recorded.events.clear()
    context = made.context(check=True)
    for index, call in enumerate(CALLS):
        execute_step(call, replace(context, path=str(index)))
    start = Event("run_start", 0.0, data={"hosts": ["laptop-07"]})
    return plan_of([start, *made.recorded.events], {"playbook": "site.yml"})


def applied(made: Bench, plan: Plan, *only: str) -> list[Result]:
    select = plan.select(only)
    context = made.context(max_risk=Risk.DISRUPTIVE)
    context = replace(context, ports=replace(context.ports, select=select))
    return [execute_step(call, replace(context, path=str(index))) for index, call in enumerate(CALLS)]


def test_a_plan_survives_its_file_and_is_applied_as_it_is(tmp_path: Path) -> None:
    made = bench()
    plan = checked(made)
    save_plan(plan, tmp_path / "plan.json")
    again = load_plan(tmp_path / "plan.json")
    assert again == plan
    assert [str(entry) for entry in again.entries] == [
        "laptop-07: sample.file: write a",
        "laptop-07: sample.closed: close chrome.exe",
        "laptop-07: sample.closed: close Discord.exe",
    ]
    verify_plan(again, checked(made))
    assert [result.outcome for result in applied(made, again)] == [Outcome.CHANGED, Outcome.CHANGED]
    assert made.world.writes == ["write a", "close chrome.exe", "close Discord.exe"]


def test_a_subset_leaves_the_rest_alone() -> None:
    made = bench()
    results = applied(made, checked(made), "3")
    assert [result.outcome for result in results] == [Outcome.SKIPPED, Outcome.CHANGED]
    assert made.world.writes == ["close Discord.exe"]
    assert "excluded by the user: close chrome.exe" in results[1].reason


def test_a_change_that_is_not_in_the_plan_is_refused() -> None:
    made = bench()
    plan = checked(made)
    made.world.start("Discord.exe", vram=GIB, pid=900)
    results = applied(made, plan)
    assert results[1].outcome is Outcome.BLOCKED
    assert results[1].reason == "stale plan: close Discord.exe is not in it"
    assert made.world.writes == ["write a"]


def test_a_fresh_look_that_differs_is_reported_line_by_line() -> None:
    made = bench()
    plan = checked(made)
    made.world.programs.clear()
    made.world.start("chrome.exe", pid=900)
    fresh = checked(made)
    assert plan_difference(plan, fresh) == [
        "- laptop-07: sample.closed: close chrome.exe (in the plan, not predicted now)",
        "- laptop-07: sample.closed: close Discord.exe (in the plan, not predicted now)",
        "+ laptop-07: sample.closed: close chrome.exe (predicted now, not in the plan)",
    ]
    with pytest.raises(StalePlan) as caught:
        verify_plan(plan, fresh)
    assert caught.value.exit_code == 5


def test_amounts_that_moved_do_not_make_a_plan_stale() -> None:
    made = bench()
    plan = checked(made)
    for pid, process in list(made.world.programs.items()):
        made.world.programs[pid] = replace(process, vram=2 * GIB)
    assert plan_difference(plan, checked(made)) == []


def test_a_plan_that_was_edited_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "plan.json"
    save_plan(checked(bench()), path)
    value = json.loads(path.read_text())
    value["entries"][1]["change"]["summary"] = "close Code.exe"
    path.write_text(json.dumps(value))
    with pytest.raises(StalePlan, match="edited"):
        load_plan(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", "null", '{"digest": "x"}'])
def test_a_file_that_is_no_plan_is_a_usage_error(tmp_path: Path, text: str) -> None:
    path = tmp_path / "plan.json"
    path.write_text(text)
    with pytest.raises(UsageError, match="is not a saved plan"):
        load_plan(path)


def test_a_plan_for_other_hosts_and_a_change_it_does_not_have_are_refused(tmp_path: Path) -> None:
    plan = checked(bench())
    with pytest.raises(StalePlan, match="desk-2"):
        verify_hosts(plan, ["laptop-07", "desk-2"])
    with pytest.raises(UsageError, match="'9'"):
        plan.select(["9"])
    with pytest.raises(UsageError, match="cannot read the plan"):
        load_plan(tmp_path / "none.json")


def test_rungs_beyond_the_predicted_end_are_in_the_plan_but_not_compared() -> None:
    rungs = [{"rung": "room", "reached": False, "changes": [{"summary": "close chrome.exe", "subject": "1@2"}]}]
    events = [
        Event("task_start", 1.0, "h", data={"path": "2"}),
        Event("task_result", 2.0, "h", data={"outcome": "would-change", "result": {"foreseen": rungs}}),
    ]
    plan = plan_of(events, {})
    assert [(entry.path, entry.reached) for entry in plan.entries] == [("2", False)]
    assert plan_difference(plan, plan_of([], {})) == []
    assert plan.select()("h", "2/room/0", plan.entries[0].change).value == "planned"
