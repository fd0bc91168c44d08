"""The pages that a run's events become: what stands in them, how wide they are, and that colour carries nothing alone."""

from __future__ import annotations

import io
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from dataclasses import replace

import pytest

from remediation.model.event import Event
from remediation.report.html import html
from remediation.report.junit import junit
from remediation.report.terminal import Hints, PlainScreen, Terminal
from remediation.report.text import WIDTH
from tests.report import stream

ALL = Hints(frozenset({"undo", "show"}))


def page(events: Iterable[Event], *, diff: bool = False, verbose: bool = False, hints: Hints = ALL) -> list[str]:
    out = io.StringIO()
    terminal = Terminal(PlainScreen(out), diff=diff, verbose=verbose, hints=hints)
    for event in events:
        terminal(event)
    terminal.close()
    rows = out.getvalue().splitlines()
    assert all(len(row) <= WIDTH for row in rows)
    return rows


def starting(rows: list[str], start: str) -> list[str]:
    return [row for row in rows if row.startswith(start)]


def test_the_page_shows_host_target_goal_cause_changes_and_proof_in_this_order() -> None:
    rows = page(stream.whole())
    order = ["laptop-07  Windows 11", "  target    mistral", "  looked    1.4 s, 3 round trips", "  goal      1/33", "  found     vram_occupied 0.97",
             "            dead settings", "  ruled out explicit_num_gpu (requested=-1)", "  ✓ change 1  vram.free", "  ✓ change 2  model.reloaded",
             "  goal met  33/33 layers"]  # fmt: skip
    found = [next(index for index, row in enumerate(rows) if row.startswith(start)) for start in order]
    assert found == sorted(found)


def test_each_found_value_stands_with_its_source() -> None:
    text = " ".join(" ".join(page(stream.whole())).split())
    assert "mistral:7b-instruct-q4_K_M (from .env: OLLAMA_MODEL)" in text
    assert r"docker-compose.yml + docker-compose.gpu.yml in C:\dev\activia1 (from the container's labels)" in text
    assert "http://127.0.0.1:11434 (published by ai-native-ollama)" in text


def test_a_long_quote_keeps_the_end_where_the_verdict_stands() -> None:
    text = " ".join(" ".join(page(stream.whole())).split())
    assert 'log:812: msg="loading model"' in text
    assert "GPULayers:1[ID:GPU-1 Layers:1(31..31)]" in text
    assert "x" * 200 not in text.replace(" ", "")


def test_a_change_says_what_was_predicted_and_measured() -> None:
    (row,) = starting(page(stream.whole()), "  ✓ change 1")
    assert "close chrome.exe (4.0 s): predicted +2.3 GiB, measured +2.3 GiB" in row


def test_the_table_has_units_and_says_simulated() -> None:
    rows = page(stream.whole())
    head = next(index for index, row in enumerate(rows) if "before" in row and "after" in row and "simulated" in row)
    table = [" ".join(row.split()) for row in rows[head + 1 : head + 6]]
    assert table == [
        "layers on the GPU 1/33 33/33",
        "first token, warm 2.9 s 0.2 s",
        "50 tokens, warm ≈ 31 s (8 seen) 1.9 s",
        "VRAM used by the model 0.3 GiB 4.9 GiB",
        "GPU / CPU during the request 3 % / 94 % 92 % / 12 %",
    ]


def test_the_last_line_counts_and_offers_only_tasks_that_exist() -> None:
    events = stream.whole()
    assert page(events, hints=Hints())[-1] == "1 host repaired · 2 changes, none destructive · 38 s"
    assert "remediate undo 7f3a" in "".join(page(events)[-2:])
    assert "undo" not in page(events, hints=Hints(frozenset({"show"})))[-1]


@pytest.mark.parametrize(("code", "offered"), [(130, True), (3, True), (2, False), (0, False)])
def test_a_run_that_can_be_continued_says_how_in_a_narrow_terminal_too(code: int, offered: bool) -> None:
    events = [*stream.whole()[:-1], stream.run_end(code=code)]
    for width in (80, 40):
        text = io.StringIO()
        terminal = Terminal(PlainScreen(text, width), hints=Hints(frozenset({"show", "resume"})))
        for event in events:
            terminal(event)
        rows = text.getvalue().splitlines()
        assert ("resume: remediate resume 7f3a" in " ".join(rows)) is offered
        assert "remediate show 7f3a" in " ".join(rows[-3:])


UNDO = {"step": "file.restored", "params": {"path": "docker-compose.gpu.yml"}}
MASKED = {"step": "file.restored", "params": {"path": "a.env", "content": "TOKEN=***"}}


@pytest.mark.parametrize(
    ("changes", "offered"),
    [
        ([(None, True), (None, True)], None),
        ([(MASKED, True)], None),
        ([(UNDO, False)], None),
        ([(UNDO, True), (None, True), (None, True)], "remediate undo 7f3a (1 of 3 changes)"),
        ([(UNDO, True), (UNDO, True)], "remediate undo 7f3a"),
        ([(UNDO, None)], "remediate undo 7f3a"),
    ],
    ids=("none", "masked", "not made", "some", "all", "unknown whether made"),
)
def test_undo_is_offered_for_what_it_can_take_back(
    changes: list[tuple[dict[str, object] | None, bool | None]], offered: str | None
) -> None:
    made = [
        stream.event("change_end", 4, index=index, step="x", change=stream.change("it", undo=undo), applied=applied)
        for index, (undo, applied) in enumerate(changes)
    ]
    events = [stream.run_start(), *made, stream.event("host_end", 6, outcome="changed", reason=""), stream.run_end()]
    last = "    ".join(page(events)[-3:])
    assert last.partition("undo: ")[2].partition("    ")[0].strip() == (offered or "")
    written = re.sub(r"</?code>", "", html(events))
    assert ("remediate undo" in written) is bool(offered)
    assert written.count(f"{offered}</p>") == bool(offered)


@pytest.mark.parametrize(
    ("inner", "rows"),
    [
        ([], ["laptop-07"]),
        ([stream.event("note", 1, text="slow")], ["laptop-07", "  note      slow"]),
        (
            [stream.event("task_result", 1, outcome="failed", reason="exit code 1")],
            ["laptop-07", "  ✗ failed  All layers on the GPU: exit code 1"],
        ),
    ],
    ids=("nothing to say", "a note", "a failed task"),
)
def test_a_single_host_is_named_without_facts_of_it(inner: list[Event], rows: list[str]) -> None:
    events = [stream.run_start(), *inner, stream.event("host_end", 3, outcome="ok", reason=""), stream.run_end()]
    assert page(events)[: len(rows)] == rows


def test_a_single_host_with_facts_is_named_once() -> None:
    assert len(starting(page(stream.whole()), "laptop-07")) == 1


def test_a_healthy_host_gets_no_change_and_one_column() -> None:
    events = [
        stream.run_start(),
        stream.facts(),
        stream.event("goal", 1, state="met", text="33/33 layers on the GPU", values={"layers": [33, 33]}),
        stream.event("measurement", 2, label="before", figures=stream.AFTER),
        stream.event("host_end", 3, outcome="ok", reason=""),
        stream.run_end(),
    ]
    rows = page(events)
    assert starting(rows, "  goal met  33/33")
    assert not any("change " in row for row in rows)
    assert "1 host with nothing to do" in rows[-1] or "1 host with nothing to do" in rows[-3]


def test_a_measurement_is_counted_as_such_and_not_as_a_change() -> None:
    asked = {**stream.change("ask phi3:3.8b for 50 tokens (1 of 1)", risk="safe"), "measures": True}
    events = [
        stream.run_start(),
        stream.event("change_end", 2, index=0, step="model.responds", change=asked, applied=True, effect="2.4 s", seconds=2.4),
        stream.event("host_end", 3, outcome="ok", reason=""),
        stream.run_end(),
    ]
    rows = page(events)
    assert starting(rows, "  ✓ measured")
    assert not any("change" in row for row in rows)
    assert "1 host with nothing to do · 1 measurement" in rows[-1]


@pytest.mark.parametrize(
    ("undos", "said"),
    [([UNDO, None, None], "all but 2, 3"), ([None, None], "none of it"), ([UNDO, UNDO], None)],
)
def test_check_says_what_could_not_be_taken_back(undos: list[dict[str, object] | None], said: str | None) -> None:
    planned = [
        stream.event("change_planned", 4, index=0, step="stack.up", change=stream.change("recreate it", undo=undo))
        for undo in undos
    ]
    rows = page([stream.run_start(check=True), *planned, stream.event("host_end", 6, outcome="would-change", reason="")])
    assert starting(rows, "  undo") == ([f"  undo      remediate undo could undo {said}"] if said else [])


@pytest.mark.parametrize("ladder", [False, True])
def test_check_lists_the_changes_with_their_risk_and_the_diff(ladder: bool) -> None:
    diff = "--- docker-compose.gpu.yml\n+++ docker-compose.gpu.yml\n@@ -3,2 +3,1 @@\n-      - OLLAMA_LLM_LIBRARY=cuda\n"
    planned = [
        stream.event(
            "change_planned", 4, index=0, step="compose.environment", change=stream.change("take it out", risk="safe", diff=diff)
        ),
        stream.event("change_planned", 5, index=0, step="stack.up", change=stream.change("recreate ollama")),
    ]
    events = [
        stream.run_start(check=True),
        stream.facts(),
        stream.event("findings", 3, diagnosis=stream.DIAGNOSIS),
        *([stream.event("rung_start", 3, rung="GPU libraries", risk="safe", treats=[])] if ladder else []),
        *planned,
        stream.event("host_end", 6, outcome="would-change", reason=""),
        stream.run_end(code=4),
    ]
    rows = page(events, diff=True)
    assert starting(rows, "  ○ 1  compose.environment")
    assert starting(rows, "  ○ 2  stack.up")
    assert any(row.strip() == "-      - OLLAMA_LLM_LIBRARY=cuda" for row in rows)
    (would,) = starting(rows, "  would     ")
    assert "change 2 things (1 safe, 1 disruptive), predicted 33/33 layers" in would
    assert ("stops as soon as the goal is met" in " ".join(" ".join(rows).split())) is ladder
    assert rows[-1] == "nothing was changed · 38 s · exit 4"
    assert not any("OLLAMA_LLM_LIBRARY" in row for row in page(events))


@pytest.mark.parametrize("outcome", ["failed", "unverified", "blocked", "timed-out", "unreachable"])
def test_a_bad_end_says_outcome_reason_and_next_action_once(outcome: str) -> None:
    reason = "chrome.exe did not close within 10 s"
    events = [
        stream.run_start(),
        stream.facts(),
        stream.event("task_result", 4, task="vram.free", outcome=outcome, ignored=False, reason=reason, next_step="close it by hand", result={}, changes=[]),
        stream.event("task_result", 5, outcome=outcome, ignored=False, reason=reason, next_step="", result={}, changes=[]),
        stream.event("host_end", 6, outcome=outcome, reason=reason),
        stream.run_end(code=2),
    ]  # fmt: skip
    rows = page(events)
    assert sum(reason in row for row in rows) == 1
    (row,) = (row for row in rows if reason in row)
    assert outcome in row
    assert any("next: close it by hand" in row for row in rows)
    assert f"1 host {outcome}" in rows[-1] or any(f"1 host {outcome}" in row for row in rows)


def test_what_to_do_next_is_said_once_and_by_the_ladder() -> None:
    step = {"ignored": False, "reason": "chrome.exe did not close", "next_step": "close it by hand", "result": {}, "changes": []}
    rung = {"rung": "Make room", "path": "0.1", "outcome": "failed", "reason": step["reason"]}
    for reason in ("1/33 layers on the GPU after Make room: chrome.exe did not close", step["reason"]):
        rows = page([
            stream.run_start(),
            stream.facts(),
            stream.event("rung_start", 3, rung="Make room", path="0.1", treats=["vram_occupied"], reason="confirmed"),
            stream.event("task_result", 4, task="vram.free", outcome="failed", **step),
            stream.event("rung_end", 4, **rung),
            stream.event("task_result", 5, task="All layers", outcome="unverified", **{**step, "reason": reason}),
            stream.event("host_end", 6, outcome="unverified", reason=reason),
            stream.run_end(code=2),
        ])  # fmt: skip
        assert sum("next: close it by hand" in row for row in rows) == 1
        assert next(i for i, row in enumerate(rows) if "next:" in row) > next(
            i for i, row in enumerate(rows) if "did not close" in row
        )


def test_a_change_that_failed_is_marked_by_a_symbol_and_not_counted() -> None:
    failed = stream.event(
        "change_end",
        5,
        index=0,
        step="vram.free",
        change=stream.change("close chrome.exe"),
        applied=False,
        error="access denied",
        seconds=1.0,
    )
    rows = page(
        [
            stream.run_start(),
            stream.facts(),
            failed,
            stream.event("host_end", 6, outcome="failed", reason="x"),
            stream.run_end(code=2),
        ]
    )
    (row,) = starting(rows, "  ✗ not done")
    assert "access denied" in row
    assert not any("1 change" in row for row in rows)


def lost() -> list[Event]:
    """Return the events of a run of which one change was sent without an answer, and one was in flight as it was cut off."""
    change = stream.change("run sleep 600")
    ended = stream.event(
        "change_end", 5, index=0, step="command", change=change, applied=None, error="the answer was lost", seconds=1.0
    )
    begun = stream.event("change_start", 6, index=1, step="command", change=stream.change("run sleep 604"))
    return [
        stream.run_start(),
        stream.event("note", 2, text="the certificate is not verified", level="warning"),
        ended,
        stream.event("task_start", 6, task="second", path="0.1"),
        begun,
    ]


def test_a_change_whose_outcome_is_not_known_is_unknown_in_every_report() -> None:
    rows = page(lost())
    (row,) = starting(rows, "  ? unknown")
    assert "the answer was lost" in row
    assert not starting(rows, "  ✗ not done")
    shown = html(lost())
    assert shown.count("? unknown") == 2
    assert "in flight when the run ended" in shown
    assert "the certificate is not verified" in shown
    suite = ET.fromstring(junit(lost())).find("testsuite")
    assert suite is not None
    assert suite.get("errors") == "1"
    assert [error.get("type") for error in suite.iter("error")] == ["unknown"]
    assert [item.get("value") for item in suite.iter("property")] == ["the certificate is not verified"]


def test_what_was_in_flight_when_a_run_was_cut_off_is_unknown() -> None:
    screen = io.StringIO()
    terminal = Terminal(PlainScreen(screen))
    for event in lost():
        terminal(event)
    terminal.cut_off()
    rows = starting(screen.getvalue().splitlines(), "  ? unknown")
    assert len(rows) == 2
    assert "run sleep 604" in rows[1]


def test_the_end_of_a_fleet_run_says_what_to_do_about_failures() -> None:
    step = "raise MaxEnvelopeSizekb on the host, such as: " + "winrm set winrm/config '@{MaxEnvelopeSizekb=\"500\"}' " * 3
    hosts = ["dev-01", "dev-02", "dev-03"]
    rows = page([
        stream.run_start(*hosts),
        *(
            event
            for host in hosts[:2]
            for event in (
                stream.event("task_result", 4, host=host, task="t", outcome="failed", reason="refused", next_step=step),
                stream.event("host_end", 5, host=host, outcome="failed", reason="refused"),
            )
        ),
        stream.event("host_end", 5, host="dev-03", outcome="ok"),
        stream.run_end(code=2),
    ])  # fmt: skip
    said = " ".join(" ".join(rows).split())
    assert said.count(f"next dev-01, dev-02: {step.strip()}") == 1


def test_a_fleet_gets_one_line_per_host_and_the_causes_counted() -> None:
    hosts = ["dev-01", "dev-02", "dev-03"]
    unreachable = [
        stream.event("host_end", 9, host="dev-03", outcome="unreachable", reason="dev-03: no route"),
    ]
    events = [
        stream.run_start(*hosts),
        *stream.repair("dev-01"),
        *stream.repair("dev-02"),
        *unreachable,
        stream.run_end(*hosts, code=3),
    ]
    rows = page(events, hints=Hints())
    assert rows[:3] == [
        "✓ dev-01  2 changes · 33/33 layers · cause vram_occupied",
        "✓ dev-02  2 changes · 33/33 layers · cause vram_occupied",
        "✗ dev-03  unreachable: no route",
    ]
    assert rows[3:5] == ["by cause  2 vram_occupied → cured by vram.free", "          1 unreachable (dev-03: no route)"]
    assert rows[-1] == "2 hosts repaired · 1 host unreachable · 4 changes, none destructive · 38 s · exit 3"


@pytest.mark.parametrize("check", [False, True])
def test_a_fleet_shows_messages_and_differences_below_each_host(check: bool) -> None:
    change = {"summary": "write /a", "diff": "-one\n+two", "risk": "safe", "data": {}}
    kind, more = ("change_planned", {}) if check else ("change_end", {"applied": True})
    events = [
        stream.run_start("dev-01", "dev-02", check=check),
        *(
            event
            for host in ("dev-01", "dev-02")
            for event in (
                stream.event(kind, 1, host=host, step="file.managed", index=1, change=change, **more),
                stream.event("task_result", 2, host=host, task="debug", outcome="ok", action="debug", msg=f"disk of {host}"),
                stream.event("task_result", 3, host=host, task="quiet", outcome="ok", action="command", msg="unseen"),
                stream.event("host_end", 4, host=host, outcome="changed"),
            )
        ),
        stream.run_end("dev-01", "dev-02"),
    ]
    plain, shown = page(events), page(events, diff=True)
    assert [row.strip() for row in plain if "disk" in row] == ["· debug: disk of dev-01", "· debug: disk of dev-02"]
    assert not [row for row in plain if "write /a" in row or "unseen" in row]
    first, second = (next(index for index, row in enumerate(shown) if f" {host}  " in row) for host in ("dev-01", "dev-02"))
    for rows in (shown[first:second], shown[second:]):
        assert [row.strip() for row in rows if row.strip() in {"-one", "+two"}] == ["-one", "+two"]


def test_a_play_without_a_diagnosis_claims_no_cure() -> None:
    hosts = ["dev-01", "dev-02", "dev-03"]
    events = [
        stream.run_start(*hosts),
        *(stream.event("host_end", 2, host=host, outcome=outcome, reason=reason)
          for host, outcome, reason in (("dev-01", "changed", ""), ("dev-02", "failed", "x"), ("dev-03", "failed", "y"))),
        stream.run_end(*hosts, code=2),
    ]  # fmt: skip
    (row,) = starting(page(events), "by cause")
    assert row == "by cause  2 failed (dev-02, dev-03)"


def test_a_run_that_goes_on_knows_the_figures_and_changes_of_its_first_process() -> None:
    past, rest = stream.repair()[:9], stream.repair()[9:]
    out = io.StringIO()
    terminal = Terminal(PlainScreen(out), hints=ALL)
    terminal.recall([stream.run_start(), *past])
    assert out.getvalue() == ""
    for event in [stream.run_start(), *rest, stream.run_end()]:
        terminal(event)
    rows = out.getvalue().splitlines()
    assert len(starting(rows, "  ✓ change 2  model.reloaded")) == 1
    assert any(row.split() == ["layers", "on", "the", "GPU", "1/33", "33/33"] for row in rows)
    assert any("2 changes, none destructive" in row for row in rows)


def test_verbose_adds_the_rungs_that_were_left_out() -> None:
    assert any("left out  A client left few layers: ruled out" in row for row in page(stream.whole(), verbose=True))
    assert not any("skipped" in row for row in page(stream.whole()))


def test_a_note_is_said_once() -> None:
    note = stream.event("note", 2, text="a client requested num_gpu=1 again", level="warning")
    rows = page([stream.run_start(), note, replace(note, time=note.time + 1), stream.run_end()])
    assert len(starting(rows, "  warning   a client requested num_gpu=1 again")) == 1


def test_an_unannounced_host_still_gets_its_page() -> None:
    assert page([*stream.repair("late-host"), stream.run_end("late-host")])


def test_a_model_that_was_only_loaded_is_reported_as_loaded() -> None:
    kept = [event for event in stream.repair() if event.kind not in {"change_start", "change_end"}]
    loading = {"index": 0, "step": "model.loaded", "change": stream.change("load mistral", risk="safe")}
    one = stream.event("change_end", 8.0, applied=True, effect="", seconds=1.0, **loading)
    rows = page([stream.run_start(), *kept[:-3], one, *kept[-3:], stream.run_end()], hints=Hints())
    assert rows[-1].startswith("1 host loaded · 1 change")


def test_the_figures_of_a_host_that_failed_are_those_before_and_not_of_now() -> None:
    kept = [
        event for event in stream.repair() if event.kind in {"host_facts", "measurement"} and event.data.get("label") != "after"
    ]
    for outcome, head in (("failed", "before"), ("ok", "now")):
        rows = page([stream.run_start(), *kept, stream.event("host_end", 17.2, outcome=outcome, reason=""), stream.run_end()])
        heads = [row.split()[0] for row in rows if row.split()[:1] in (["before"], ["now"])]
        assert heads == [head], rows
