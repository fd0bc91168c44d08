"""A playbook killed at any event and resumed ends as an undisturbed one, and repeats no change."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.followup.followups import resume_run
from remediation.engine.journal.history import find_run
from remediation.engine.journal.journal import Journal, read_events
from remediation.model.errors import OutcomeUnknown, Unreachable, UsageError
from remediation.model.event import Event
from remediation.model.finding import Cause, Diagnosis, Finding
from remediation.model.outcome import Outcome
from tests.engine.fakes.host import GIB, MODEL, FakeWriter, World
from tests.engine.step_runs import Flow

CAUSES = Diagnosis((Finding(Cause.EXPLICIT_NUM_GPU, 0.9, "requested"), Finding(Cause.VRAM_OCCUPIED, 0.85, "chrome")))

PLAYBOOK = f"""
- name: Repair
  hosts: all
  tasks:
    - name: one file
      sample.file: {{path: a, text: new}}
      register: first
    - name: several files
      sample.file: {{path: "f{{{{ item }}}}", text: "{{{{ first.text }}}}"}}
      loop: [1, 2]
      register: several
    - name: remembered
      set_fact: {{count: "{{{{ several.results | length }}}}"}}
    - name: a program
      command: work once
      register: said
      notify: again
    - name: guarded
      block:
        - name: breaks
          command: "false"
          changed_when: false
      rescue:
        - name: instead
          sample.file: {{path: rescued, text: "{{{{ count }}}} {{{{ said.stdout }}}}"}}
    - name: more
      include_tasks: more.yml
      loop: [x, y]
    - name: all on the GPU
      ladder:
        goal: [sample.whole: {{model: "{MODEL}"}}]
        rungs:
          - name: reload
            treats: [explicit_num_gpu]
            tasks: [sample.fitted: {{model: "{MODEL}"}}]
          - name: make room
            treats: [vram_occupied]
            tasks:
              - sample.closed: {{names: [chrome]}}
              - sample.fitted: {{model: "{MODEL}"}}
  handlers:
    - name: again
      sample.file: {{path: handled, text: "yes"}}
"""
MORE = '- sample.file: {path: "more-{{ item }}", text: new}\n- command: "work {{ item }}"\n'


class Killed(BaseException):
    """The controller is gone: no handler of the engine's may catch this."""


def world() -> World:
    made = World()
    made.models[MODEL] = None  # type: ignore[assignment] - only the name counts
    made.start("chrome.exe", vram=2 * GIB, has_window=True)
    FakeWriter(made).ollama.load(MODEL, options={"num_gpu": 1})
    made.writes.clear()
    return made


def flow(folder: Path) -> Flow:
    made = Flow.of(folder, PLAYBOOK, laptop=world())
    (folder / "more.yml").write_text(MORE, encoding="utf-8")
    made.diagnosis = CAUSES
    return made


def state(made: Flow) -> tuple[Any, ...]:
    there = made.worlds["laptop"]
    return there.texts, there.runners, sorted(process.name for process in there.programs.values())


POLICY = {"close_programs": True}


def run_until(made: Flow, journal: Journal, dies_at: int, *, written: bool) -> None:
    count = 0

    def emit(event: Event) -> None:
        nonlocal count
        count += 1
        if count == dies_at and not written:
            raise Killed
        journal.write(event)
        if count == dies_at:
            raise Killed

    made.run(emit, policy=POLICY, run=journal.run)


WRITTEN = pytest.mark.parametrize("written", [False, True], ids=["before it is on disk", "after it is on disk"])


@WRITTEN
def test_killed_at_some_events_it_ends_the_same_and_repeats_nothing(tmp_path: Path, written: bool) -> None:
    kill_at(tmp_path, slice(2, None, 11), written=written)


@pytest.mark.every
@WRITTEN
def test_killed_at_every_event_it_ends_the_same_and_repeats_nothing(tmp_path: Path, written: bool) -> None:
    kill_at(tmp_path, slice(None), written=written)


def kill_at(tmp_path: Path, which: slice, *, written: bool) -> None:
    calm = flow(tmp_path / "calm")
    recorded: list[Event] = []
    summary = calm.run(recorded.append, policy=POLICY)
    assert summary.exit_code == 0, summary
    assert len(recorded) > 60
    programs = [line for line in calm.worlds["laptop"].writes if line.startswith("ran ")]
    assert programs == ["ran work once", "ran work x", "ran work y"]

    for dies_at in range(1, len(recorded) + 1)[which]:
        made = flow(tmp_path / f"at{dies_at}")
        journal = Journal.create({"started": made.worlds["laptop"].clock.start}, {}, root=tmp_path / "runs")
        with pytest.raises(Killed):
            run_until(made, journal, dies_at, written=written)
        journal.close()
        made.worlds["laptop"].clock.sleep(150.0)  # what it held of the host has expired
        again = Journal(journal.folder)
        record = find_run(journal.run, tmp_path / "runs")
        if dies_at == len(recorded) and written:
            with pytest.raises(UsageError, match="is complete"):
                resume_run(record, made.request(policy=POLICY), made.ports(again.write), made.open)
            again.close()
            continue
        ended = resume_run(record, made.request(policy=POLICY), made.ports(again.write), made.open)
        again.close()

        if ended.exit_code == 2:  # a program was in flight: its result is unknown, and it is not repeated
            lost = [event for event in read_events(journal.folder) if event.data.get("outcome") == "unverified"]
            assert lost, dies_at
            assert "in flight" in lost[0].data["reason"], dies_at
            ran = [line for line in made.worlds["laptop"].writes if line.startswith("ran ")]
            assert len(ran) == len(set(ran)), dies_at
            continue
        assert ended.exit_code == 0, (dies_at, ended)
        assert state(made) == state(calm), dies_at
        assert Counter(made.worlds["laptop"].writes) == Counter(calm.worlds["laptop"].writes), dies_at
        assert ended.hosts == summary.hosts, dies_at


def test_interrupted_at_some_moments_it_ends_the_same_and_repeats_nothing(tmp_path: Path) -> None:
    interrupt_at(tmp_path, slice(0, None, 7))


@pytest.mark.every
def test_interrupted_at_every_moment_it_ends_the_same_and_repeats_nothing(tmp_path: Path) -> None:
    interrupt_at(tmp_path, slice(None))


def interrupt_at(tmp_path: Path, which: slice) -> None:
    """Press Ctrl-C at one event after the other, each time in another run, and resume."""
    calm = flow(tmp_path / "calm")
    recorded: list[Event] = []
    summary = calm.run(recorded.append, policy=POLICY)
    for number in range(1, len(recorded))[which]:
        made = flow(tmp_path / f"at{number}")
        journal = Journal.create({"started": made.worlds["laptop"].clock.start}, {}, root=tmp_path / "runs")
        pressed: list[Event] = []

        def emit(event: Event, pressed: list[Event] = pressed, journal: Journal = journal) -> None:
            pressed.append(event)
            journal.write(event)

        made.cancelled = lambda pressed=pressed, number=number: len(pressed) >= number  # type: ignore[misc]
        interrupted = made.run(emit, policy=POLICY, run=journal.run)
        journal.close()
        assert interrupted.exit_code == 130, (number, interrupted)
        made.cancelled = lambda: False
        again = Journal(journal.folder)
        record = find_run(journal.run, tmp_path / "runs")
        where = (number, pressed[min(number, len(pressed)) - 1])
        try:
            ended = resume_run(record, made.request(policy=POLICY), made.ports(again.write), made.open)
        except UsageError as error:
            assert "is complete" in str(error), where  # noqa: PT017 - only after the last events
            ended = None
        again.close()
        assert ended is None or (ended.exit_code, ended.hosts) == (0, summary.hosts), where
        assert state(made) == state(calm), where
        # fewer of them where the second look at the causes finds a shorter way
        assert Counter(made.worlds["laptop"].writes) <= Counter(calm.worlds["laptop"].writes), where


@pytest.mark.parametrize(
    "answer", [OutcomeUnknown("the answer to work was lost"), None], ids=["the answer was lost", "the run was killed"]
)
def test_a_program_with_an_unknown_result_is_never_repeated_by_resume(tmp_path: Path, answer: OutcomeUnknown | None) -> None:
    made = Flow.of(tmp_path / "p", "- hosts: all\n  tasks:\n    - command: work once\n    - command: work twice\n", "near")
    first = made.open

    def open_host(host: str, variables: Any, *, check: bool) -> Any:
        access = first(host, variables, check=check)
        exchange = access.connection.exchange

        def lost(calls: Any) -> Any:
            replies = exchange(calls)
            if calls[0].argv[:2] == ("work", "once"):
                raise answer or Killed
            return replies

        access.connection.exchange = lost  # type: ignore[method-assign]
        return access

    made.open = open_host  # type: ignore[method-assign]
    journal = Journal.create({}, {}, root=tmp_path / "runs")
    if answer is None:
        with pytest.raises(Killed):
            made.run(journal.write, run=journal.run)
    else:
        assert made.run(journal.write, run=journal.run).outcomes == {"near": Outcome.UNVERIFIED}
    journal.close()
    for _time in range(3):
        again = Journal(journal.folder)
        ended = resume_run(find_run(journal.run, tmp_path / "runs"), made.request(), made.ports(again.write), made.open)
        again.close()
        assert (ended.exit_code, ended.outcomes["near"]) == (2, Outcome.UNVERIFIED)
        assert made.worlds["near"].writes == ["ran work once"]


def test_a_file_that_changed_since_is_no_way_to_go_on(tmp_path: Path) -> None:
    made = flow(tmp_path / "f")
    text = made.playbook.read_text(encoding="utf-8")
    journal = Journal.create({}, {"play.yml": text}, root=tmp_path / "runs")
    with pytest.raises(Killed):
        run_until(made, journal, 9, written=True)
    journal.close()
    made.playbook.write_text(text + "\n# edited\n", encoding="utf-8")
    record = find_run(journal.run, tmp_path / "runs")
    with pytest.raises(UsageError, match=r"play.yml changed since run"):
        resume_run(record, made.request(policy=POLICY), made.ports(lambda _event: None), made.open)


def test_a_host_that_was_lost_is_taken_up_where_it_was_lost(tmp_path: Path) -> None:
    made = Flow.of(tmp_path / "p", "- hosts: all\n  tasks:\n    - command: work a\n    - command: work b\n", "near", "far")
    reach, first = [False], made.open

    def open_host(host: str, variables: Any, *, check: bool) -> Any:
        access = first(host, variables, check=check)
        exchange = access.connection.exchange

        def perhaps(calls: Any) -> Any:
            if host == "far" and not reach[0] and "ran work a" in made.worlds["far"].writes:
                raise Unreachable("far: the connection was lost", host="far")
            return exchange(calls)

        access.connection.exchange = perhaps  # type: ignore[method-assign]
        return access

    made.open = open_host  # type: ignore[method-assign]
    journal = Journal.create({}, {}, root=tmp_path / "runs")
    lost = made.run(journal.write, run=journal.run)
    assert (lost.exit_code, lost.outcomes["far"], lost.hosts["far"]["unreachable"]) == (3, Outcome.UNREACHABLE, 1)
    journal.close()

    reach[0] = True
    again = Journal(journal.folder)
    ended = resume_run(find_run(journal.run, tmp_path / "runs"), made.request(), made.ports(again.write), made.open)
    again.close()
    assert ended.exit_code == 0
    assert ended.hosts == {name: {**ended.hosts["near"], "ok": 2, "changed": 2} for name in ("near", "far")}
    assert [world.writes for world in made.worlds.values()] == [["ran work a", "ran work b"]] * 2
