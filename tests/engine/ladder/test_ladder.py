"""The ladder: the goal first, the remedy that the findings call for, and no more than is needed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from remediation.engine.context import SNAPSHOT_TTL, StepContext, TimedSnapshot
from remediation.engine.journal.serialization import build
from remediation.engine.ladder.ladder import Ladder, run_ladder
from remediation.engine.ladder.rung_order import Rung, arrange
from remediation.engine.step.executor import execute_step
from remediation.engine.step.observation import observe
from remediation.facets.protocols import Reader
from remediation.model.change import Change, Risk, StepCall
from remediation.model.errors import CallFailed, Unreachable
from remediation.model.finding import Cause, Diagnosis, Finding, RuledOut
from remediation.model.outcome import Outcome, Result
from tests.engine.fakes.host import GIB, MODEL, World
from tests.engine.sample_steps import TOYS, Bench
from tests.engine.snapshot_hosts import Looked, Silent

GOAL = (StepCall("sample.whole", {"model": MODEL}),)
RELOAD = StepCall("sample.reloaded", {"model": MODEL})
CLOSE = StepCall("sample.closed", {"names": ["chrome"]})
NUM_GPU = Rung("A client left few layers", (Cause.EXPLICIT_NUM_GPU,), calls=(RELOAD,))
ROOM = Rung("Make room", (Cause.VRAM_OCCUPIED,), calls=(CLOSE, RELOAD))
RESTART = Rung("Restart it all", (Cause.DOCKER_DESKTOP_STATE,), last_resort=True, calls=(RELOAD,))
ROOM_FOR_ALL = replace(ROOM, calls=(CLOSE, replace(RELOAD, params={"model": MODEL, "predicts": [33, 33]})))
NUM_GPU_SECOND = replace(NUM_GPU, calls=(replace(CLOSE, params={"names": ["chrome", "discord"]}), RELOAD))
LADDER = Ladder(GOAL, (NUM_GPU, ROOM, RESTART))


def found(**causes: float) -> Diagnosis:
    return Diagnosis(tuple(Finding(Cause(name), sure, "because", cure=f"cure {name}") for name, sure in causes.items()))


def says(diagnosis: Diagnosis) -> Callable[[Reader], Diagnosis]:
    def diagnose(host: Reader) -> Diagnosis:
        return diagnosis

    return diagnose


def occupied(**bench: object) -> Bench:
    """A host whose VRAM a browser holds, with the model loaded by half."""
    made = Bench(World(), **bench)  # type: ignore[arg-type] - fields of Bench
    made.world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    made.world.start("chrome.exe", vram=4 * GIB)
    execute_step(StepCall("sample.preloaded", {"model": MODEL}), made.context())
    made.world.writes.clear()
    made.recorded.events.clear()
    return made


def rungs_by(context: StepContext) -> Callable[[Rung], Sequence[Result]]:
    """Run a rung's steps as a play does: one after the other, until one is bad."""

    def run(rung: Rung) -> Sequence[Result]:
        results: list[Result] = []
        for index, call in enumerate(rung.calls):
            results.append(execute_step(call, replace(context, path=f"{context.path}/{rung.name}/{index}")))
            if results[-1].outcome.bad:
                break
        return results

    return run


def run(bench: Bench, ladder: Ladder = LADDER, **policy: object) -> Result:
    context = bench.context(**{"max_risk": Risk.DISRUPTIVE, **policy})  # type: ignore[arg-type] - fields of Policy
    return run_ladder(ladder, context, rungs_by(context))


def rungs(bench: Bench, kind: str = "rung_start") -> list[str]:
    return [data["rung"] for data in bench.recorded.of(kind)]


def test_a_goal_that_is_met_changes_nothing_and_asks_no_diagnosis() -> None:
    bench = occupied()
    bench.world.programs.clear()
    run(bench, Ladder(GOAL, (NUM_GPU,)))
    bench.world.writes.clear()
    bench.recorded.events.clear()
    result = run(bench)
    assert (result.outcome, bench.world.writes, bench.recorded.kinds) == (Outcome.OK, [], ["goal"])
    assert bench.recorded.of("goal")[0]["state"] == "met"


def test_an_unknown_goal_is_preloaded_once_and_then_met() -> None:
    bench = occupied()
    bench.world.programs.clear()
    bench.world.runners.clear()
    result = run(bench)
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, [f"load {MODEL}"])
    assert [data["state"] for data in bench.recorded.of("goal")] == ["unknown", "met"]
    assert rungs(bench) == []


def test_the_rung_that_treats_the_confirmed_cause_comes_first_and_is_the_last() -> None:
    bench = occupied(diagnose=says(found(vram_occupied=0.97)))
    result = run(bench)
    assert result.outcome is Outcome.CHANGED
    assert rungs(bench) == ["Make room"]
    assert bench.world.writes == ["close chrome.exe", f"unload {MODEL}", f"load {MODEL}"]
    assert bench.recorded.of("goal")[-1]["state"] == "met"
    assert (result.values["rungs"], result.values["causes"]) == (["Make room"], ["vram_occupied"])
    assert len(result.changes) == 3


def test_ruled_out_causes_take_their_rungs_with_them() -> None:
    diagnosis = replace(found(vram_occupied=0.5), ruled_out=(RuledOut(Cause.EXPLICIT_NUM_GPU, "requested=-1"),))
    bench = occupied(diagnose=says(diagnosis))
    run(bench)
    assert rungs(bench) == ["Make room"]
    skipped = {data["rung"]: data["reason"] for data in bench.recorded.of("rung_skipped")}
    assert skipped["A client left few layers"] == "explicit_num_gpu is ruled out (requested=-1)"


def test_without_a_confirmed_cause_the_least_risky_comes_first() -> None:
    bench = occupied()
    run(bench, Ladder(GOAL, (ROOM, NUM_GPU)))
    assert rungs(bench) == ["A client left few layers", "Make room"]


def test_after_a_change_that_did_not_do_the_host_is_diagnosed_again() -> None:
    asked: list[int] = []

    def diagnose(host: object) -> Diagnosis:
        asked.append(1)
        if len(asked) == 1:
            return replace(found(explicit_num_gpu=0.95), ruled_out=(RuledOut(Cause.VRAM_OCCUPIED, "not yet seen"),))
        return found(vram_occupied=0.9)

    bench = occupied(diagnose=diagnose)
    result = run(bench)
    assert result.outcome is Outcome.CHANGED
    assert rungs(bench) == ["A client left few layers", "Make room"]


def test_a_rung_with_a_step_that_does_not_apply_here_is_skipped_and_never_offered() -> None:
    absent = Rung("Edit the Compose file", (Cause.VRAM_OCCUPIED,), calls=(StepCall("sample.absent"), RELOAD))
    resort = replace(absent, name="Restart Docker Desktop", treats=(Cause.DOCKER_DESKTOP_STATE,), last_resort=True)
    for check in (False, True):
        bench = occupied(diagnose=says(found(vram_occupied=0.97)))
        result = run(bench, Ladder(GOAL, (absent, resort)), check=check)
        assert (bench.world.writes, rungs(bench)) == ([], [])
        skipped = {data["rung"]: data["reason"] for data in bench.recorded.of("rung_skipped")}
        assert skipped["Edit the Compose file"] == "no such thing on this kind of host"
        assert result.next_step == "cure vram_occupied"


def test_a_step_that_does_not_apply_here_is_skipped_with_the_reason() -> None:
    bench = occupied()
    result = execute_step(StepCall("sample.absent"), bench.context())
    assert (result.outcome, result.applies, result.reason) == (Outcome.SKIPPED, False, "no such thing on this kind of host")


def test_a_last_resort_runs_only_if_its_cause_is_confirmed_or_the_user_says_so() -> None:
    ladder = Ladder(GOAL, (RESTART,))
    bench = occupied(diagnose=says(found(docker_desktop_state=0.6)))
    result = run(bench, ladder)
    assert (result.outcome, bench.world.writes) == (Outcome.FAILED, [])
    assert "--last-resort" in result.next_step
    run(bench, ladder, last_resort=True)
    assert rungs(bench) == ["Restart it all"]
    sure = occupied(diagnose=says(found(docker_desktop_state=0.8)))
    run(sure, ladder)
    assert rungs(sure) == ["Restart it all"]


def test_nothing_treats_the_cause_says_so_with_the_cure_by_hand() -> None:
    ladder = Ladder(GOAL, (NUM_GPU,))
    diagnosis = replace(found(driver_too_old=0.95), ruled_out=(RuledOut(Cause.EXPLICIT_NUM_GPU, "no"),))
    bench = occupied(diagnose=says(diagnosis))
    result = run(bench, ladder)
    assert (result.outcome, bench.world.writes) == (Outcome.FAILED, [])
    assert "no rung of this ladder treats driver_too_old" in result.reason
    assert result.next_step == "cure driver_too_old"


def test_a_blocked_cure_of_the_confirmed_cause_ends_the_ladder_and_guesses_nothing() -> None:
    bench = occupied(diagnose=says(found(vram_occupied=0.97)))
    result = run(bench, max_risk=Risk.SAFE)
    assert (result.outcome, bench.world.writes) == (Outcome.BLOCKED, [])
    assert rungs(bench) == ["Make room"]
    assert result.next_step == "allow it with --max-risk disruptive"


def test_a_rung_that_is_blocked_is_passed_over_where_nothing_is_confirmed() -> None:
    bench = occupied()
    result = run(bench, max_risk=Risk.SAFE)
    assert rungs(bench) == ["A client left few layers", "Make room"]
    assert result.outcome is Outcome.BLOCKED


def test_rungs_that_did_not_help_leave_it_unverified_with_what_each_came_to() -> None:
    bench = occupied(diagnose=says(found(explicit_num_gpu=0.9)))
    result = run(bench, Ladder(GOAL, (NUM_GPU,)))
    assert result.outcome is Outcome.UNVERIFIED
    assert "A client left few layers" in result.reason
    assert len(result.changes) == 2


def test_why_a_last_resort_is_left_out_is_said_of_each_of_its_causes() -> None:
    for treats, words in (
        ((Cause.MODEL_CORRUPT,), "a last resort, but model_corrupt is not confirmed"),
        ((Cause.MODEL_CORRUPT, Cause.DRIVER_LOST), "a last resort, but model_corrupt and driver_lost are not confirmed"),
        ((), "a last resort"),
    ):
        order = arrange([replace(RESTART, treats=treats)], Diagnosis(), last_resort=False, risk_of=lambda _rung: Risk.SAFE)
        assert [each.reason for each in order.left] == [words]


def test_where_a_proven_cure_failed_the_next_step_is_its_own_and_no_last_resort() -> None:
    bench = occupied(diagnose=says(found(vram_occupied=0.97)))
    bench.world.fails["processes.close"] = [CallFailed("chrome.exe does not end", next_step="close it by hand")] * 1000
    result = run(bench, Ladder(GOAL, (ROOM, RESTART)))
    assert result.outcome is Outcome.UNVERIFIED
    assert result.next_step == "close it by hand"
    guessed = occupied()
    guessed.world.fails["processes.close"] = [CallFailed("chrome.exe does not end", next_step="close it by hand")] * 1000
    assert "--last-resort" in run(guessed, Ladder(GOAL, (ROOM, RESTART))).next_step


def test_rungs_with_the_same_result_are_reported_together() -> None:
    bench = occupied()
    bench.world.fails["processes.close"] = [CallFailed("Ollama does not answer")] * 1000
    again = replace(ROOM, name="Make room again")
    result = run(bench, Ladder(GOAL, (ROOM, again)))
    assert result.reason.endswith("after Make room, Make room again: Ollama does not answer")


def test_an_unreachable_host_ends_the_ladder_at_once() -> None:
    bench = occupied(diagnose=says(found(vram_occupied=0.97)))
    bench.world.fails["processes.close"] = [Unreachable("the host is gone")]
    result = run(bench)
    assert (result.outcome, result.reason) == (Outcome.UNREACHABLE, "the host is gone")
    assert rungs(bench) == ["Make room"]


def test_a_server_that_does_not_answer_is_an_unmet_goal_with_its_own_words() -> None:
    bench = occupied()
    bench.world.fails["ollama.running"] = [CallFailed("Ollama does not answer", next_step="start it")] * 1000
    result = run(bench, Ladder(GOAL, ()))
    assert (result.outcome, result.next_step) == (Outcome.FAILED, "start it")
    assert result.reason.startswith("Ollama does not answer; no rung")


def test_check_mode_lists_the_rungs_in_order_and_where_it_would_stop() -> None:
    bench = occupied(diagnose=says(found(vram_occupied=0.97, explicit_num_gpu=0.9)))
    result = run(bench, Ladder(GOAL, (ROOM_FOR_ALL, NUM_GPU_SECOND)), check=True)
    assert (result.outcome, bench.world.writes) == (Outcome.WOULD_CHANGE, [])
    start = bench.recorded.of("rung_start")
    assert [(data["rung"], data["stops"], data["risk"]) for data in start] == [("Make room", True, "disruptive")]
    planned = [data["change"]["summary"] for data in bench.recorded.of("change_planned")]
    assert planned == ["close chrome.exe", f"unload {MODEL}", f"load {MODEL}"]
    assert [change.summary for change in result.changes] == planned
    after = {data["rung"]: data["reason"] for data in bench.recorded.of("rung_skipped")}
    assert after["A client left few layers"] == "not reached: Make room is predicted to meet the goal"
    assert [(item["rung"], item["stops"]) for item in result.values["foreseen"]] == [
        ("Make room", True),
        ("A client left few layers", False),
    ]


def test_check_mode_of_an_unknown_goal_predicts_the_preload() -> None:
    bench = occupied()
    bench.world.runners.clear()
    result = run(bench, check=True)
    assert (result.outcome, bench.world.writes) == (Outcome.WOULD_CHANGE, [])
    assert [change.summary for change in result.changes] == [f"load {MODEL}"]


def test_ctrl_c_stops_between_two_rungs() -> None:
    bench = occupied(diagnose=says(found(explicit_num_gpu=0.9)))
    bench.cancelled = lambda: len(bench.world.writes) >= 2
    result = run(bench)
    assert result.outcome is Outcome.UNVERIFIED
    assert result.reason.startswith("interrupted")
    assert rungs(bench) == ["A client left few layers"]


def test_a_resumed_ladder_goes_on_with_the_rung_under_way_and_repeats_none() -> None:
    bench = occupied(diagnose=says(found(explicit_num_gpu=0.95)))
    bench.memory.climbed["0.0"] = (NUM_GPU.name,)
    bench.memory.climbing["0.0"] = ROOM.name
    assert run(bench).outcome is Outcome.CHANGED
    assert rungs(bench) == ["Make room"]


def test_a_resumed_ladder_whose_goal_is_met_by_now_says_changed() -> None:
    bench = occupied()
    bench.world.programs.clear()
    run(bench)
    bench.world.writes.clear()
    bench.memory.done["0.0/Make room/0"] = (Change("close chrome.exe"),)
    result = run(bench)
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, [])
    assert [change.summary for change in result.changes] == ["close chrome.exe"]


def test_risk_is_predicted_only_where_it_decides_the_order() -> None:
    asked: list[str] = []

    def risk_of(rung: Rung) -> Risk:
        asked.append(rung.name)
        return Risk.SAFE

    arrange([NUM_GPU, ROOM], found(vram_occupied=0.9), last_resort=False, risk_of=risk_of)
    assert asked == []
    arrange([NUM_GPU, ROOM], Diagnosis(), last_resort=False, risk_of=risk_of)
    assert asked == [NUM_GPU.name, ROOM.name]


def test_a_rung_that_treats_several_causes_is_dropped_only_when_all_are_ruled_out() -> None:
    both = Rung("both", (Cause.EXPLICIT_NUM_GPU, Cause.OTHER_MODEL_LOADED))
    one_out = Diagnosis(ruled_out=(RuledOut(Cause.EXPLICIT_NUM_GPU, "no"),))
    all_out = Diagnosis(ruled_out=(*one_out.ruled_out, RuledOut(Cause.OTHER_MODEL_LOADED, "none")))
    for diagnosis, tried in ((one_out, 1), (all_out, 0)):
        order = arrange([both], diagnosis, last_resort=True, risk_of=lambda _rung: Risk.SAFE)
        assert len(order.choices) == tried


def test_a_last_resort_for_a_mechanism_needs_evidence_of_it() -> None:
    """A mechanism is never ruled out, so a rung for nothing else would always be left to try."""
    mechanism = replace(RESTART, treats=("num-ctx-in-modelfile-too-large",))
    found_one = Finding(Cause.CONTEXT_TOO_LARGE, 0.5, "a long context", mechanism="num-ctx-in-modelfile-too-large")
    for diagnosis, tried in ((Diagnosis(), 0), (Diagnosis((found_one,)), 1)):
        order = arrange([mechanism], diagnosis, last_resort=True, risk_of=lambda _rung: Risk.SAFE)
        assert len(order.choices) == tried
        assert [each.reason for each in order.left] == ["no evidence of num-ctx-in-modelfile-too-large"] * (1 - tried)


def looked(between: Callable[[StepContext], None] = lambda _: None) -> list[str]:
    """Return what was looked for in a repair, with the number of the look; `between` happens after the rung's last step."""
    bench = occupied(diagnose=says(found(vram_occupied=0.97)))
    access = Looked(bench.world)
    context = replace(bench.context(max_risk=Risk.DISRUPTIVE), access=access)
    run_rung = rungs_by(context)

    def run(rung: Rung) -> Sequence[Result]:
        results = run_rung(rung)
        between(context)
        return results

    assert run_ladder(LADDER, context, run).outcome is Outcome.CHANGED
    return access.numbered()


def test_nothing_is_looked_at_twice_between_two_changes() -> None:
    assert looked() == [
        "sample.whole 0", "diagnosis 0", "sample.closed 0", "sample.reloaded 0", "sample.closed 0",  # what the rung would do, and its first step
        "sample.closed 1", "sample.reloaded 1",
        "sample.reloaded 2",
        "sample.reloaded 3", "sample.whole 3",
    ]  # fmt: skip


def test_a_look_stands_for_a_later_one_for_a_moment_only() -> None:
    assert looked(lambda context: context.ports.clock.sleep(SNAPSHOT_TTL + 0.1))[-2:] == ["sample.reloaded 3", "sample.whole 4"]


def test_a_part_without_an_answer_in_the_last_look_is_read_again() -> None:
    bench = occupied()
    context = bench.context()
    observations = [observe(build(GOAL[0], TOYS), context)]
    context.memory.seen = TimedSnapshot(Silent(bench.world), context.ports.clock.monotonic())
    observations.append(observe(build(GOAL[0], TOYS), context, max_age=SNAPSHOT_TTL))
    assert observations[0].text == observations[1].text
    assert not isinstance(observations[1].snapshot, Silent)
