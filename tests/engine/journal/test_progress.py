"""A run that is killed at any event and resumed ends as an undisturbed one, and repeats no change."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from remediation.engine.context import HostMemory, StepContext
from remediation.engine.journal.journal import Journal, read_events
from remediation.engine.journal.progress import progress_of, task_key
from remediation.engine.ladder.ladder import Ladder, run_ladder
from remediation.engine.ladder.rung_order import Rung
from remediation.engine.step.executor import execute_step
from remediation.model.change import Change, Risk, StepCall
from remediation.model.event import Event
from remediation.model.finding import Cause, Diagnosis, Finding
from remediation.model.outcome import Outcome, Result
from tests.engine.fakes.host import GIB, MODEL, FakeWriter, World, container
from tests.engine.sample_steps import Bench

CAUSES = Diagnosis((Finding(Cause.EXPLICIT_NUM_GPU, 0.9, "requested"), Finding(Cause.VRAM_OCCUPIED, 0.85, "chrome")))
RELOAD = StepCall("sample.fitted", {"model": MODEL})
LADDER = Ladder(
    (StepCall("sample.whole", {"model": MODEL}),),
    (
        Rung("reload", (Cause.EXPLICIT_NUM_GPU,), calls=(RELOAD,)),
        Rung("room", (Cause.VRAM_OCCUPIED,), calls=(StepCall("sample.closed", {"names": ["chrome", "discord"]}), RELOAD)),
    ),
)
TASKS: Sequence[tuple[str, StepCall | Ladder]] = (
    ("0", StepCall("sample.file", {"path": "a.txt", "text": "new"})),
    ("1", StepCall("sample.restarted", {"container": "web"})),
    ("2", LADDER),
    ("3", StepCall("sample.file", {"path": "b.txt", "text": "new"})),
)


class Killed(BaseException):
    """The controller is gone: nothing is caught, nothing is tidied up."""


def host() -> World:
    world = World(texts={"a.txt": b"old"}, containers={"web": container("web", {}, name="web")})
    world.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    world.start("chrome.exe", vram=2 * GIB)
    world.start("Discord.exe", vram=2 * GIB)
    FakeWriter(world).ollama.load(MODEL, options={"num_gpu": 1})  # as the client left it
    world.writes.clear()
    return world


def walk(
    bench: Bench, journal: Journal, finished: Sequence[str], *, dies_at: int | None = None, written: bool = False
) -> dict[str, Outcome]:
    """Run the tasks that are not finished; the controller dies at one event, before or after it is on disk."""
    count = 0

    def emit(event: Event) -> None:
        nonlocal count
        count += 1
        if count == dies_at and not written:
            raise Killed
        journal.write(event)
        if count == dies_at:
            raise Killed

    def context(path: str) -> StepContext:
        made = bench.context(max_risk=Risk.DISRUPTIVE, path=path, run_started=bench.world.clock.start)
        return replace(made, ports=replace(made.ports, emit=emit))

    def ended(path: str, result: Result) -> Result:
        context(path).emit("task_result", path=path, outcome=str(result.outcome))
        return result

    def run(path: str, task: StepCall | Ladder) -> Result:
        own = context(path)
        own.emit("task_start", path=path)
        if isinstance(task, StepCall):
            return ended(path, execute_step(task, own))

        def rung(item: Rung) -> list[Result]:
            paths = [(f"{path}/{item.name}/{index}", call) for index, call in enumerate(item.calls)]
            return [run(below, call) for below, call in paths if below not in finished]

        return ended(path, run_ladder(task, own, rung))

    return {path: run(path, task).outcome for path, task in TASKS if path not in finished}


def undisturbed(tmp_path: Path) -> tuple[World, dict[str, Outcome], int]:
    bench = Bench(host(), diagnose=lambda _host: CAUSES)
    journal = Journal.create({}, {}, root=tmp_path / "undisturbed")
    outcomes = walk(bench, journal, ())
    journal.close()
    return bench.world, outcomes, sum(1 for _ in read_events(journal.folder))


def state(world: World) -> tuple[object, ...]:
    started = {name: item.started_at > "2024" or item.started_at for name, item in world.containers.items()}
    return world.texts, world.runners, sorted(process.name for process in world.programs.values()), sorted(started)


@pytest.mark.parametrize("written", [False, True], ids=["before it is on disk", "after it is on disk"])
def test_killed_at_every_event_it_ends_the_same_and_repeats_nothing(tmp_path: Path, written: bool) -> None:
    world, outcomes, number = undisturbed(tmp_path)
    assert set(outcomes.values()) == {Outcome.CHANGED}
    assert number > 30
    for dies_at in range(1, number + 1):
        bench = Bench(host(), diagnose=lambda _host: CAUSES)
        journal = Journal.create({}, {}, root=tmp_path / "runs")
        with pytest.raises(Killed):
            walk(bench, journal, (), dies_at=dies_at, written=written)
        journal.close()
        bench.world.clock.sleep(120.0)

        known = progress_of(read_events(journal.folder)).get("laptop-07")
        again = Journal(journal.folder)
        bench.memory = known.memory if known else HostMemory()
        resumed = walk(bench, again, tuple(known.finished) if known else ())
        again.close()

        assert state(bench.world) == state(world), dies_at
        assert Counter(bench.world.writes) == Counter(world.writes), dies_at
        outcomes = {**{path: known.finished[path]["outcome"] for path in (known.finished if known else ())}, **resumed}
        assert {path: str(outcomes[path]) for path, _ in TASKS} == {path: "changed" for path, _ in TASKS}, dies_at


def test_the_fold_knows_what_is_finished_under_way_and_in_flight() -> None:
    change = {"summary": "close chrome.exe", "subject": "1@2"}
    events = [
        Event("task_start", 1, "h", data={"path": "0"}),
        Event("task_result", 2, "h", data={"path": "0", "outcome": "ok", "item": {"a": 1}}),
        Event("task_start", 3, "h", data={"path": "1"}),
        Event("change_start", 4, "h", data={"path": "1", "index": 4, "change": change}),
        Event("host_clock", 5, "h", data={"run_started": 7.5}),
        Event("host_end", 5, "other", data={"outcome": "changed"}),
    ]
    hosts = progress_of(events)
    assert list(hosts["h"].finished) == [task_key("0", {"a": 1})] == ['0#{"a": 1}']
    assert hosts["h"].under_way == ["1"]
    assert [item.summary for item in hosts["h"].memory.in_flight["1"]] == ["close chrome.exe"]
    assert (hosts["h"].memory.changes, hosts["h"].memory.started) == (5, 7.5)
    assert hosts["other"].outcome == "changed"
    events.append(Event("change_end", 6, "h", data={"path": "1", "index": 4, "change": change, "applied": True}))
    memory = progress_of(events)["h"].memory
    assert (memory.in_flight, [item.summary for item in memory.done["1"]]) == ({}, ["close chrome.exe"])


def test_many_changes_done_before_the_cut_do_not_use_up_what_may_be_done_after_it() -> None:
    bench = Bench(World())
    for name in "abcdefgh":
        bench.world.start(f"{name}.exe", vram=GIB)
    context = bench.context(path="0", max_risk=Risk.DISRUPTIVE)
    context.memory.done["0"] = tuple(Change(f"close {name}", subject=name) for name in "ABCDEF")
    result = execute_step(StepCall("sample.closed", {"names": list("abcdefgh")}), context)
    assert result.outcome is Outcome.CHANGED, result.reason
    assert len(result.changes) == 6 + 8
