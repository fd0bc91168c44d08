"""How far a pull has come: few events of many lines."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from remediation.engine.step.attempts import PullReporter
from remediation.model.facts import PullProgress

WHICH = {"index": 3, "step": "model.present", "path": "0.tasks.0"}


def reported(lines: list[PullProgress]) -> list[dict[str, Any]]:
    events: list[dict[str, Any]] = []
    pulling = PullReporter(lambda kind, **data: events.append({"kind": kind, **data}), WHICH)
    for line in lines:
        pulling(line)
    return events


def test_each_word_and_each_percent_is_one_event() -> None:
    lines = [PullProgress("pulling manifest")] * 3 + [PullProgress("pulling aa", "sha256:aa", None, 1000)]
    lines += [PullProgress("pulling aa", "sha256:aa", done, 1000) for done in range(0, 1001, 3)]
    lines += [PullProgress("success")]
    events = reported(lines)
    assert [event["status"] for event in events if event["total"] is None] == ["pulling manifest", "success"]
    assert [event["completed"] for event in events if event["total"]][:3] == [None, 0, 12]
    assert len(events) == 2 + 1 + 100
    assert all({**event, **WHICH, "kind": "change_progress"} == event for event in events)


@given(st.lists(st.tuples(st.sampled_from("abc"), st.integers(0, 50)), max_size=400))
def test_layers_that_come_side_by_side_do_not_flood(seen: list[tuple[str, int]]) -> None:
    grown = sorted(seen, key=lambda each: each[1])
    events = reported([PullProgress(f"pulling {name}", name, done, 50) for name, done in grown])
    assert len(events) == len(set(seen))


def test_a_layer_without_a_size_is_reported_by_its_status() -> None:
    assert [event["completed"] for event in reported([PullProgress("x", "", 5, 0), PullProgress("x", "", 6, 0)])] == [5]
