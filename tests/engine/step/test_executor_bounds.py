"""What bounds a step on a host: its needs, its time, the run it belongs to, and an interruption."""

from __future__ import annotations

from dataclasses import replace

from remediation.engine.step.executor import EXTRA_CHANGES, execute_step
from remediation.model.change import Change, Risk, StepCall
from remediation.model.outcome import Outcome
from tests.engine.calls import CLOSED, FILE, with_file
from tests.engine.fakes.host import FakeClock, FakeWriter, World, container
from tests.engine.sample_steps import Bench


def test_a_need_that_is_not_there_blocks_at_once() -> None:
    bench = Bench(World(desktop_user=None))
    bench.world.start("chrome.exe", has_window=True)
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE, close_programs=True))
    assert result.outcome is Outcome.BLOCKED
    assert result.reason == "close chrome.exe needs a user logged in at the desktop (no interactive session)"
    assert bench.world.writes == []


def test_a_program_that_comes_back_each_time_is_given_up() -> None:
    bench = Bench()
    for pid in range(1, 20):  # each program that is closed is followed by another before the next look
        bench.world.clock.after(0.2 * pid, lambda pid=pid: bench.world.start("chrome.exe", pid=pid))
    bench.world.start("chrome.exe", pid=100)
    bench.world.settles["close"] = 0.25
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE))
    assert result.outcome is Outcome.UNVERIFIED
    assert len(bench.world.writes) == 1 + EXTRA_CHANGES
    assert "remaining: close chrome.exe" in result.reason


def test_ctrl_c_finishes_the_change_in_flight_and_makes_no_other() -> None:
    bench = Bench()
    bench.world.start("chrome.exe")
    bench.world.start("chrome.exe")
    bench.cancelled = lambda: bool(bench.world.writes)
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE))
    assert (result.outcome, len(bench.world.writes), len(result.changes)) == (Outcome.UNVERIFIED, 1, 1)
    assert result.reason == "interrupted before: close chrome.exe"
    assert bench.recorded.kinds == ["change_start", "change_end"]


def test_ctrl_c_before_the_first_change_skips_the_task() -> None:
    bench = with_file()
    bench.cancelled = lambda: True
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.SKIPPED, [])


def test_the_tasks_own_time_limit_stops_between_two_changes() -> None:
    bench = Bench()
    bench.world.start("chrome.exe")
    bench.world.start("chrome.exe")
    bench.world.settles["close"] = 4.0
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE, timeout=3.0))
    assert (result.outcome, len(bench.world.writes)) == (Outcome.TIMED_OUT, 1)


def test_a_change_that_takes_longer_than_its_deadline_has_timed_out() -> None:
    bench = Bench()
    bench.world.start("chrome.exe")
    bench.world.start("chrome.exe", pid=7)
    steps = dict(bench.steps)
    steps["sample.closed"] = type("Hurried", (steps["sample.closed"],), {"deadline": 0.5, "__module__": __name__})
    bench.steps = steps
    bench.world.stubborn.add("chrome.exe")
    result = execute_step(CLOSED, bench.context(max_risk=Risk.DISRUPTIVE))
    assert result.outcome is Outcome.TIMED_OUT
    assert result.reason == "close chrome.exe: took 1.0 s, more than the allowed 0.5 s"


def test_restarted_is_measured_from_the_runs_start_and_reached_once() -> None:
    world = World(containers={"web": container("web", {}, name="web")})
    bench = Bench(world)
    call = StepCall("sample.restarted", {"container": "web"})
    context = bench.context(max_risk=Risk.DISRUPTIVE)
    assert execute_step(call, context).outcome is Outcome.CHANGED
    assert execute_step(call, context).outcome is Outcome.OK
    assert world.writes == ["restart web"]
    # a new run repeats it
    world.clock.sleep(60)
    later = Bench(world).context(max_risk=Risk.DISRUPTIVE, run_started=world.clock.now())
    assert execute_step(call, later).outcome is Outcome.CHANGED


def test_a_hosts_clock_that_is_off_or_runs_faster_is_the_one_that_counts() -> None:
    world = World(containers={"web": container("web", {}, name="web")}, texts={"a.txt": b"old"})
    bench = Bench(world)
    # the controller's clock is a day behind and stands still; the host's runs on
    controller = FakeClock(world.clock.start - 86_400.0)
    context = bench.context(max_risk=Risk.DISRUPTIVE, run_started=controller.now())
    context = replace(context, ports=replace(context.ports, clock=controller))
    execute_step(FILE, context)
    world.clock.sleep(30.0)
    FakeWriter(world).engine.restart("web")  # by another step of this run
    world.clock.sleep(30.0)
    assert execute_step(StepCall("sample.restarted", {"container": "web"}), context).outcome is Outcome.OK
    assert world.writes == ["write a.txt", "restart web"]


def test_a_change_in_flight_when_the_run_was_cut_off_is_looked_at_not_repeated() -> None:
    bench = with_file("new")
    bench.memory.in_flight["0.0"] = (Change("write a.txt", subject="a.txt"),)
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, [])
    assert "did happen" in bench.recorded.of("note")[0]["text"]


def test_a_change_in_flight_that_has_not_happened_is_made() -> None:
    bench = with_file()
    bench.memory.in_flight["0.0"] = (Change("write a.txt", subject="a.txt"),)
    result = execute_step(FILE, bench.context())
    assert (result.outcome, bench.world.writes) == (Outcome.CHANGED, ["write a.txt"])
