"""JSON Lines: the shape that scripts rely on."""

from __future__ import annotations

import io
import json

from remediation.report.json_lines import JsonLines
from tests.report import stream


def test_each_event_is_one_line_and_the_last_is_run_end_with_every_counter() -> None:
    out = io.StringIO()
    report = JsonLines(out)
    for event in stream.whole():
        report(event)
    report.close()
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert [line["event"] for line in lines] == [event.kind for event in stream.whole()]
    last = lines[-1]
    assert last["event"] == "run_end"
    assert set(last["hosts"][stream.HOST]) == {
        "ok",
        "changed",
        "skipped",
        "failed",
        "rescued",
        "ignored",
        "unreachable",
        "blocked",
    }
    assert (last["run"], last["exit_code"]) == ("7f3a", 0)


def test_a_task_result_holds_every_promised_field_even_when_empty() -> None:
    out = io.StringIO()
    JsonLines(out)(stream.event("task_result", 3, outcome="ok"))
    line = json.loads(out.getvalue())
    assert {"event", "play", "task", "host", "outcome", "ignored", "msg", "result", "changes"} <= set(line)
    assert (line["ignored"], line["changes"], line["result"]) == (False, [], {})
    assert "item" not in line


def test_text_stays_readable() -> None:
    out = io.StringIO()
    JsonLines(out)(stream.event("note", 3, text="España · 33/33", level="info"))
    assert "España · 33/33" in out.getvalue()
