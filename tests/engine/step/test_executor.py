"""One step on one host: every outcome, with its reason, and what is written to the journal on the way."""

from __future__ import annotations

from dataclasses import replace

import pytest

from remediation.engine.step.executor import execute_step
from remediation.facets.protocols import Reader, Writer
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed, DeadlineExceeded, OutcomeUnknown, Unreachable
from remediation.model.outcome import Outcome
from tests.engine.calls import CLOSED, FILE, with_file
from tests.engine.fakes.host import GIB, MODEL, World
from tests.engine.sample_steps import Bench, FileSays, ProgramsClosed


def test_a_state_that_is_met_is_ok_and_nothing_is_written() -> None:
    bench = with_file("new")
    result = execute_step(FILE, bench.context())
    assert (result.outcome, result.changes, bench.world.writes, bench.recorded.kinds) == (Outcome.OK, (), [], [])
    assert result.values == {"text": "new"}


def test_a_change_has_events_before_and_after_with_its_undo_and_its_effect() -> None:
    bench = with_file()
    result = execute_step(FILE, bench.context())
    assert result.outcome is Outcome.CHANGED
    assert result.reason == "a.txt holds 'new', wanted 'new'"
    assert bench.recorded.kinds == ["change_start", "change_end"]
    start, end = bench.recorded.of("change_start")[0], bench.recorded.of("change_end")[0]
    assert start["change"]["undo"] == {"step": "sample.file", "params": {"path": "a.txt", "text": "old"}}
    assert (start["index"], start["path"], start["step"], start["change"]["risk"]) == (0, "0.0", "sample.file", "safe")
    assert (end["applied"], end["error"], end["effect"]) == (True, "", "held 'old', holds 'new'")


def test_the_start_event_comes_before_anything_is_sent() -> None:
    bench = with_file()
    seen: list[list[str]] = []
    context = bench.context()
    ports = replace(context.ports, emit=lambda event: seen.append([event.kind, *bench.world.writes]))
    execute_step(FILE, replace(context, ports=ports))
    assert seen == [["change_start"], ["change_end", "write a.txt"]]


def test_check_mode_emits_the_plan_and_writes_nothing() -> None:
    bench = with_file()
    result = execute_step(FILE, bench.context(check=True))
    assert (result.outcome, bench.world.writes) == (Outcome.WOULD_CHANGE, [])
    assert [change.summary for change in result.changes] == ["write a.txt"]
    assert bench.recorded.kinds == ["change_planned"]
    assert bench.recorded.of("change_planned")[0]["change"]["before"] == "old"


def test_check_mode_says_what_a_real_run_would_be_refused_for() -> None:
    bench = Bench()
    bench.world.start("chrome.exe", vram=GIB)
    result = execute_step(CLOSED, bench.context(check=True))
    assert result.outcome is Outcome.WOULD_CHANGE
    assert "would be blocked" in result.reason
    assert result.next_step == "allow it with --max-risk disruptive"


def test_one_change_at_a_time_and_no_more_once_the_state_is_met() -> None:
    bench = Bench()
    for _ in range(3):
        bench.world.start("chrome.exe")
    # the second and third are children that go with the first
    bench.world.settles["close"] = 1.0
    bench.world.clock.after(1.5, bench.world.programs.clear)
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE))
    assert result.outcome is Outcome.CHANGED
    assert len(bench.world.writes) < 3


def test_a_change_that_shows_late_is_waited_for_and_not_made_twice() -> None:
    bench = with_file()
    bench.world.settles["write"] = 7.0
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, ["write a.txt"])
    assert bench.world.clock.passed == pytest.approx(7.0, abs=2.0)


def test_a_change_without_effect_is_unverified_and_says_what_is_left() -> None:
    bench = with_file()
    bench.world.settles["write"] = 1000.0
    result = execute_step(FILE, bench.context())
    assert result.outcome is Outcome.UNVERIFIED
    assert result.reason == "write a.txt: no effect within 10 s; a.txt holds 'old', wanted 'new'"
    assert bench.world.writes == ["write a.txt"]


def test_a_plan_that_cannot_reach_the_state_says_so() -> None:
    bench = Bench()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    bench.world.start("game.exe", vram=4 * GIB)
    execute_step(StepCall("sample.preloaded", {"model": MODEL}), bench.context())
    result = execute_step(StepCall("sample.whole", {"model": MODEL}), bench.context())
    assert result.outcome is Outcome.FAILED
    assert "no permitted change would help" in result.reason


def test_check_mode_does_not_judge_a_state_that_hangs_on_a_change_predicted_above() -> None:
    bench = with_file()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    bench.world.start("game.exe", vram=4 * GIB)
    execute_step(StepCall("sample.preloaded", {"model": MODEL}), bench.context())
    context = bench.context(check=True)
    execute_step(FILE, context)
    result = execute_step(StepCall("sample.whole", {"model": MODEL}), context)
    assert result.outcome is Outcome.SKIPPED
    assert "unknown until the changes above are made" in result.reason


def test_an_unknown_state_is_made_known_once_by_a_journaled_change() -> None:
    bench = Bench()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    result = execute_step(StepCall("sample.whole", {"model": MODEL}), bench.context())
    assert result.outcome is Outcome.CHANGED
    assert bench.world.writes == [f"load {MODEL}"]
    assert bench.recorded.of("change_start")[0]["path"] == "0.0/clarify"


def test_an_unknown_state_stays_unknown_in_check_mode() -> None:
    bench = Bench()
    bench.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    result = execute_step(StepCall("sample.whole", {"model": MODEL}), bench.context(check=True))
    assert (result.outcome, bench.world.writes) == (Outcome.WOULD_CHANGE, [])
    assert [change.summary for change in result.changes] == [f"load {MODEL}"]


def test_a_lost_answer_is_looked_at_and_never_repeated() -> None:
    bench = with_file()
    bench.world.fails["files.write"] = [OutcomeUnknown("the answer was lost")]
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.UNVERIFIED, ["write a.txt"])
    end = bench.recorded.of("change_end")[0]
    assert (end["applied"], end["error"]) == (False, "the answer was lost; checked again, not repeated")


def test_a_lost_answer_of_a_change_that_happened_is_a_change() -> None:
    bench = with_file()
    bench.world.fails["files.write"] = [OutcomeUnknown("the answer was lost")]
    bench.world.clock.after(0.5, lambda: bench.world.texts.update({"a.txt": b"new"}))
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, ["write a.txt"])
    end = bench.recorded.of("change_end")[0]
    assert (end["applied"], end["error"]) == (True, "")
    assert "the answer was lost" in end["effect"]


@pytest.mark.parametrize(
    ("error", "outcome"),
    [
        (CallFailed("disk full", next_step="make room"), Outcome.FAILED),
        (DeadlineExceeded("30 s are over"), Outcome.TIMED_OUT),
        (Unreachable("the host is gone"), Outcome.UNREACHABLE),
    ],
)
def test_an_error_of_a_change_is_its_outcome_unless_the_state_says_otherwise(error: Exception, outcome: Outcome) -> None:
    bench = with_file()
    bench.world.fails["files.write"] = [error]  # type: ignore[list-item] - all are HostErrors
    result = execute_step(FILE, bench.context())
    assert result.outcome is outcome
    assert str(error).split("\n")[0] in result.reason
    assert bench.recorded.of("change_end")[0]["applied"] is False


@pytest.mark.parametrize(
    "error", [OutcomeUnknown("the answer was lost"), CallFailed("exit code 1"), DeadlineExceeded("30 s are over")]
)
def test_a_change_after_which_the_host_cannot_be_looked_at_is_unknown(error: Exception) -> None:
    bench = with_file()

    class Lost(FileSays):
        def apply(self, host: Writer, change: Change) -> None:
            super().apply(host, change)
            bench.world.fails["files.read"] = [Unreachable("the host is gone")] * 9
            raise error

    bench.steps = {"sample.file": Lost}
    assert execute_step(FILE, bench.context()).outcome is Outcome.UNREACHABLE
    end = bench.recorded.of("change_end")[0]
    assert (end["applied"], end["error"]) == (None, f"{error}; the host could not be observed afterwards: the host is gone")


def test_a_change_of_several_calls_of_which_one_came_through_is_unknown() -> None:
    bench = with_file()
    context = bench.context()

    class Half(FileSays):
        def apply(self, host: Writer, change: Change) -> None:
            super().apply(host, change)
            context.access.written = 1  # type: ignore[attr-defined] - as a host's access counts
            raise Unreachable("the host is gone")

    bench.steps = {"sample.file": Half}
    assert execute_step(FILE, context).outcome is Outcome.UNREACHABLE
    assert bench.recorded.of("change_end")[0]["applied"] is None


def test_a_failed_call_that_reached_the_state_is_a_change() -> None:
    bench = with_file()

    class Grumbling(FileSays):
        def apply(self, host: Writer, change: Change) -> None:
            super().apply(host, change)
            raise CallFailed("exit code 1")

    bench.steps = {"sample.file": Grumbling}
    assert execute_step(FILE, bench.context()).outcome is Outcome.CHANGED
    assert (
        bench.recorded.of("change_end")[0]["effect"] == "held 'old', holds 'new'; made, although the call ended with: exit code 1"
    )


def test_a_clear_no_is_not_waited_for() -> None:
    bench = with_file()
    bench.world.fails["files.write"] = [CallFailed("no rights")]
    execute_step(FILE, bench.context())
    assert bench.world.clock.passed == 0.0


def test_an_error_of_one_change_that_took_effect_does_not_keep_the_others_from_being_made() -> None:
    class Grumbling(ProgramsClosed):
        def apply(self, host: Writer, change: Change) -> None:
            super().apply(host, change)
            raise CallFailed("exit code 1")

    bench = Bench(steps={"sample.closed": Grumbling})
    bench.world.start("chrome.exe")
    bench.world.start("chrome.exe", pid=7)
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE))
    assert (result.outcome, len(bench.world.writes)) == (Outcome.CHANGED, 2)


@pytest.mark.parametrize(
    ("error", "outcome"), [(Unreachable("no route"), Outcome.UNREACHABLE), (CallFailed("denied"), Outcome.FAILED)]
)
def test_an_error_of_the_first_look_is_an_outcome(error: Exception, outcome: Outcome) -> None:
    bench = with_file()
    bench.world.fails["files.read"] = [error]  # type: ignore[list-item] - all are HostErrors
    assert execute_step(FILE, bench.context()).outcome is outcome


def test_what_was_just_restarted_may_be_silent_for_a_while() -> None:
    bench = with_file()
    bench.world.fails["files.read"] = []
    context = bench.context()
    bench.world.settles["write"] = 0.1
    silent = [CallFailed("connection refused"), CallFailed("connection refused")]
    bench.world.clock.after(0.05, lambda: bench.world.fails["files.read"].extend(silent))
    assert execute_step(FILE, context).outcome is Outcome.CHANGED


def test_check_mode_shows_a_step_what_the_ones_before_it_would_change() -> None:
    seen: list[object] = []

    class Curious(FileSays):
        def observe(self, host: Reader) -> str | None:
            seen.append([change.summary for change in host.context.pending])
            return super().observe(host)

    Curious.name = "sample.curious"
    bench = Bench(World(texts={"a.txt": b"old", "b.txt": b"old"}), steps={**Bench().steps, "sample.curious": Curious})
    context = bench.context(check=True)
    for path in ("a.txt", "b.txt"):
        execute_step(StepCall("sample.curious", {"path": path, "text": "new"}), context)
    assert seen == [[], ["write a.txt"]]


@pytest.mark.parametrize(
    ("call", "reason"),
    [
        (StepCall("sample.fill", {}), "unknown step 'sample.fill'"),
        (StepCall("sample.file", {"path": "a"}), "sample.file: text: Field required"),
        (StepCall("sample.file", {"path": "a", "text": "b", "size": 1}), "sample.file: size: Extra inputs are not permitted"),
    ],
)
def test_a_call_that_cannot_be_built_fails_in_a_sentence(call: StepCall, reason: str) -> None:
    assert execute_step(call, Bench().context()).reason.startswith(reason)


def test_a_change_after_which_the_host_falls_silent_counts_as_done() -> None:
    bench = with_file()
    bench.world.fails["files.read"] = []
    gone = [CallFailed("connection refused")] * 99
    bench.world.clock.after(0.05, lambda: bench.world.fails["files.read"].extend(gone))
    bench.world.settles["write"] = 60.0
    result = execute_step(FILE, bench.context())
    (end,) = bench.recorded.of("change_end")
    assert (result.outcome, len(result.changes)) == (Outcome.FAILED, 1)
    assert (end["applied"], end["error"]) == (True, "")
    assert end["effect"] == "done, but the host could not be observed afterwards: connection refused"
