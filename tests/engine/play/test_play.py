"""Playbooks walked on hosts in memory: outcomes, waves, meetings, handlers, ladders, and what a run says of itself."""

from __future__ import annotations

import json
import threading
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.play.context.results import of_result, to_registered
from remediation.model.change import Risk
from remediation.model.errors import UsageError
from remediation.model.event import Event
from remediation.model.outcome import Outcome, Result
from remediation.modules.result import ActionResult
from tests.engine.playbook_runs import results, run
from tests.engine.snapshot_hosts import LookedFlow
from tests.engine.step_runs import Flow


def test_a_run_emits_its_start_its_plays_its_hosts_and_its_end(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, "- name: P\n  hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n", "one")
    summary, recorded = run(made)
    assert recorded.kinds == [
        "run_start", "play_start", "task_start", "host_facts", "change_start", "change_end", "task_result", "host_end", "run_end",
    ]  # fmt: skip
    (end,) = recorded.of("run_end")
    assert end["hosts"]["one"] == {
        "ok": 1, "changed": 1, "skipped": 0, "failed": 0, "rescued": 0, "ignored": 0, "unreachable": 0, "blocked": 0,
    }  # fmt: skip
    assert (summary.exit_code, summary.outcomes) == (0, {"one": Outcome.CHANGED})
    assert recorded.of("task_result")[0]["path"] == recorded.of("change_start")[0]["path"] == "0.tasks.0"


def test_a_second_run_changes_nothing(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n", "one")
    run(made)
    written = list(made.worlds["one"].writes)
    summary, recorded = run(made)
    assert made.worlds["one"].writes == written
    assert (summary.exit_code, results(recorded, "one")) == (0, [("sample.file", "ok")])


def test_check_mode_changes_nothing_takes_no_lease_and_ends_with_changes_pending(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n    - command: work now\n"
    made = Flow.of(tmp_path, text, "one")
    made.worlds["one"].frozen = True
    summary, recorded = run(made, policy={"check": True})
    assert results(recorded, "one") == [("sample.file", "would-change"), ("command", "skipped")]
    assert [planned["step"] for planned in recorded.of("change_planned")] == ["sample.file", "command"]
    assert (summary.exit_code, made.worlds["one"].variables.get("folders")) == (4, None)


def test_a_step_of_too_high_a_risk_is_blocked_and_the_host_stops(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - command: work now\n      risk: disruptive\n    - debug: {msg: never}\n"
    made = Flow.of(tmp_path, text, "one")
    summary, recorded = run(made, policy={"max_risk": Risk.SAFE})
    assert results(recorded, "one") == [("command", "blocked")]
    assert recorded.of("task_result")[0]["next_step"] == "allow it with --max-risk disruptive"
    assert (summary.exit_code, summary.hosts["one"]["blocked"], made.worlds["one"].writes) == (5, 1, [])


def test_no_playbook_raises_its_own_limits(tmp_path: Path) -> None:
    text = """\
- hosts: all
  vars: {max_risk: destructive}
  tasks:
    - set_fact: {max_risk: destructive}
    - command: work now
      risk: disruptive
"""
    made = Flow.of(tmp_path, text, "one")
    assert run(made, policy={"max_risk": Risk.SAFE})[0].exit_code == 5
    assert run(made, policy={"max_risk": Risk.SAFE}, extra={"max_risk": "disruptive"})[0].exit_code == 0
    assert made.worlds["one"].writes == ["ran work now"]


def test_a_host_that_hangs_delays_no_other(tmp_path: Path) -> None:
    """The slow host's task ends only once the other one has come to its last task."""
    made = Flow.of(tmp_path, "- hosts: all\n  tasks:\n    - command: work a\n    - command: work b\n", "slow", "fast")
    done = threading.Event()
    first = made.open

    def open_host(host: str, variables: Any, *, check: bool) -> Any:
        access = first(host, variables, check=check)
        exchange = access.connection.exchange

        def waiting(calls: Any) -> Any:
            if host == "slow" and not done.is_set():
                assert done.wait(60)
            answers = exchange(calls)
            if host == "fast" and getattr(calls[0], "argv", ("",))[-1] == "b":
                done.set()
            return answers

        access.connection.exchange = waiting  # type: ignore[method-assign]
        return access

    made.open = open_host  # type: ignore[method-assign]
    summary, recorded = run(made)
    assert summary.exit_code == 0
    assert results(recorded, "slow") == results(recorded, "fast") == [("command", "changed")] * 2


def test_run_once_runs_on_the_first_host_and_all_get_the_result_with_any_forks(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - command: work once
      run_once: true
      register: said
    - sample.file: {path: a, text: "{{ said.stdout }}"}
"""
    for forks in (1, 2, 50):
        made = Flow.of(tmp_path / str(forks), text, *(f"h{number}" for number in range(5)))
        summary, recorded = run(made, forks=forks)
        assert summary.exit_code == 0
        assert [host for host in made.worlds if "ran work once" in made.worlds[host].writes] == ["h0"]
        assert {world.texts["a"] for world in made.worlds.values()} == {b"once"}
        assert [len(results(recorded, host)) for host in made.worlds] == [2, 1, 1, 1, 1]


def test_a_canary_that_fails_stops_the_waves_behind_it(tmp_path: Path) -> None:
    text = "- hosts: all\n  serial: [1, 100%]\n  max_fail_percentage: 0\n  tasks:\n    - command: 'false'\n"
    made = Flow.of(tmp_path, text, "one", "two", "three")
    summary, recorded = run(made)
    assert summary.exit_code == 2
    assert {event.host for event in recorded.events if event.kind == "task_result"} == {"one"}


def test_throttle_lets_only_so_many_hosts_at_a_task(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - command: work now\n      throttle: 1\n"
    made = Flow.of(tmp_path, text, *(f"h{number}" for number in range(6)))
    inside, most, lock = [0], [0], threading.Lock()
    first = made.open

    def open_host(host: str, variables: Any, *, check: bool) -> Any:
        access = first(host, variables, check=check)
        exchange = access.connection.exchange

        def counted(calls: Any) -> Any:
            with lock:
                inside[0] += 1
                most[0] = max(most[0], inside[0])
            answers = exchange(calls)
            with lock:
                inside[0] -= 1
            return answers

        access.connection.exchange = counted  # type: ignore[method-assign]
        return access

    made.open = open_host  # type: ignore[method-assign]
    assert run(made, forks=6)[0].exit_code == 0
    assert most == [1]


def test_ctrl_c_stops_every_host_before_its_next_task(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, "- hosts: all\n  tasks:\n    - command: work a\n    - command: work b\n", "one")
    made.cancelled = lambda: "ran work a" in made.worlds["one"].writes
    summary, recorded = run(made)
    assert (summary.exit_code, results(recorded, "one")) == (130, [("command", "changed")])
    (end,) = recorded.of("host_end")
    assert (end["outcome"], end["reason"]) == ("unverified", "interrupted")


def test_an_unknown_handler_ends_the_run_with_its_place(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - command: work a\n      notify: restart\n    - debug: {msg: never}\n"
    summary, recorded = run(Flow.of(tmp_path, text, "one"))
    assert summary.exit_code == 1
    assert f"{tmp_path}/play.yml:3:7: unknown handler 'restart'" in summary.error
    assert recorded.kinds[-1] == "run_end"


def test_no_log_shows_nothing_of_a_task_and_registers_all_of_it(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - command: "work {{ item }}"
      loop: [hunter2]
      no_log: true
      register: said
    - sample.file: {path: a, text: "{{ said.results[0].stdout | length }} letters"}
"""
    made = Flow.of(tmp_path, text, "one")
    _, recorded = run(made)
    assert made.worlds["one"].texts["a"] == b"7 letters"
    assert not [event for event in recorded.events if "hunter2" in str(event.to_json())]


@pytest.mark.parametrize("name", ["", "A B", "A=B", "$(touch x)", "1A"])
def test_a_variable_by_no_valid_name_is_a_mistake_with_its_place(tmp_path: Path, name: str) -> None:
    text = f"- hosts: all\n  tasks:\n    - command: work\n      environment: {{{name!r}: x}}\n"
    summary, recorded = run(made := Flow.of(tmp_path, text, "one"))
    assert (summary.exit_code, made.worlds["one"].writes) == (2, [])
    assert recorded.of("task_result")[0]["msg"] == (
        f"{tmp_path}/play.yml:3:7: environment: {name!r} is not a valid variable name"
    )


TAGGED = """- hosts: all
  tags: [whole]
  tasks:
    - {debug: {msg: m}, tags: [first, "two,three"]}
    - block: [{debug: {msg: m}, tags: inner}]
  handlers:
    - {name: h, debug: {msg: m}, tags: late}
"""


@pytest.mark.parametrize("option", ["tags", "skip_tags"])
@pytest.mark.parametrize(
    "tag", ["whole", "first", "two", "three", "inner", "late", "all", "always", "never", "tagged", "untagged"]
)
def test_tags_of_plays_tasks_blocks_and_handlers_are_known(tmp_path: Path, option: str, tag: str) -> None:
    run(Flow.of(tmp_path, TAGGED, "one"), **{option: (tag,)})


@pytest.mark.parametrize(
    ("option", "given"), [("tags", ("frist",)), ("tags", ("first,frist",)), ("skip_tags", ("inner", "frist"))]
)
def test_an_unknown_tag_is_refused_with_the_known_ones(tmp_path: Path, option: str, given: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=rf"--{option.replace('_', '-')}: .*'frist'; did you mean 'first'") as caught:
        run(Flow.of(tmp_path, TAGGED, "one"), **{option: given})
    assert caught.value.next_step == "known tags: first, inner, late, three, two, whole"


def test_files_that_are_included_later_may_have_more_tags(tmp_path: Path) -> None:
    (tmp_path / "more.yml").write_text("- {debug: {msg: m}, tags: deep}\n", encoding="utf-8")
    text = "- hosts: all\n  tasks:\n    - {include_tasks: more.yml, tags: always}\n"
    assert ("debug", "ok") in results(run(Flow.of(tmp_path, text, "one"), tags=("deep",))[1], "one")


def test_start_at_task_leaves_out_what_comes_before_and_knows_the_nearest_name(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - {name: first, debug: {msg: a}}\n    - {name: second, debug: {msg: b}}\n"
    made = Flow.of(tmp_path, text, "one")
    assert results(run(made, start_at="second")[1], "one") == [("second", "ok")]
    later = Flow.of(
        tmp_path, text.replace("all", "one") + "- hosts: two\n  tasks:\n    - {name: third, debug: {msg: c}}\n", "one", "two"
    )
    assert results(run(later, start_at="second")[1], "two") == [("third", "ok")]  # later plays run as a whole
    with pytest.raises(UsageError, match="no task is named 'secnd'") as refused:
        run(made, start_at="secnd")
    assert refused.value.next_step == "did you mean 'second'?"


def test_a_host_that_another_run_holds_is_blocked_and_its_holder_named(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n", "one")
    world = made.worlds["one"]
    until = world.clock.now() + 1000
    lease = {"id": "9a2c", "owner": "maria@ws-14", "purpose": "fix-offload", "expires": until}
    world.variables["leases"] = {1: json.dumps(lease).encode()}
    summary, recorded = run(made)
    assert (summary.exit_code, results(recorded, "one"), world.writes) == (5, [("sample.file", "blocked")], [])
    assert "maria@ws-14 is working on this host: fix-offload (run 9a2c" in recorded.of("task_result")[0]["reason"]


def test_a_keyword_that_cannot_be_evaluated_fails_its_task_and_can_be_rescued(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - block:
        - name: once
          debug: {msg: never}
          run_once: "{{ gone }}"
      rescue:
        - {name: instead, debug: {msg: "{{ ansible_failed_result.msg }}"}}
"""
    summary, recorded = run(Flow.of(tmp_path, text, "one"))
    assert results(recorded, "one") == [("once", "failed"), ("instead", "ok")]
    assert recorded.of("task_result")[-1]["msg"].startswith(f"{tmp_path}/play.yml:6:21: 'gone' is undefined")
    assert (summary.exit_code, summary.hosts["one"]["rescued"]) == (0, 1)


@pytest.mark.parametrize(
    ("between", "shared"),
    [
        ("debug: {msg: now}", True),
        ("command: work now", False),
        ("wait_for: {timeout: 0}", False),
        ("sample.file: {path: b, text: c}", False),
    ],
)
def test_a_step_rests_on_the_last_look_unless_something_was_done_on_the_host_meanwhile(
    tmp_path: Path, between: str, *, shared: bool
) -> None:
    text = f"- hosts: all\n  tasks:\n    - sample.file: {{path: a, text: b}}\n    - {between}\n    - sample.file: {{path: a, text: b}}\n"
    made = Flow.of(tmp_path, text, "one")
    access = LookedFlow(made.worlds["one"], "one", check=False)
    made.open = lambda *_, **__: access  # type: ignore[method-assign]
    summary, _ = run(made)
    assert summary.exit_code == 0
    looks = access.numbered()
    before = looks.index("sample.file 1")  # after the first change; what is looked at last is the third task's
    assert (looks[-1] == looks[before]) is shared


def test_each_try_of_a_step_looks_again(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n      until: false\n      retries: 2\n      delay: 0\n"
    made = Flow.of(tmp_path, text, "one")
    access = LookedFlow(made.worlds["one"], "one", check=False)
    made.open = lambda *_, **__: access  # type: ignore[method-assign]
    run(made)
    assert [look for look in access.numbered() if look.startswith("sample.file")][-3:] == [
        "sample.file 1",
        "sample.file 2",
        "sample.file 3",
    ]


def test_notes_of_connections_appear_once_per_host_also_in_a_playbook_of_commands(tmp_path: Path) -> None:
    made = Flow.of(tmp_path / "p", "- hosts: all\n  tasks:\n    - command: work a\n    - command: work b\n", "one", "two")
    first = made.open

    def open_host(host: str, variables: Any, *, check: bool) -> Any:
        access = first(host, variables, check=check)
        access.notes = [f"{host}: the certificate is not verified"]
        exchange = access.connection.exchange

        def slow(calls: Any) -> Any:
            access.notes = [*access.notes, f"{host}: each call starts a separate PowerShell"]
            return exchange(calls)

        access.connection.exchange = slow  # type: ignore[method-assign]
        return access

    made.open = open_host  # type: ignore[method-assign]
    recorded: list[Event] = []
    made.run(recorded.append)
    notes = [(event.host, event.data["text"], event.data["level"]) for event in recorded if event.kind == "note"]
    assert sorted(notes) == [
        (host, f"{host}: {text}", "warning")
        for host in ("one", "two")
        for text in ("each call starts a separate PowerShell", "the certificate is not verified")
    ]


def test_only_results_of_steps_and_outcomes_that_ansible_lacks_have_an_outcome() -> None:
    done = ActionResult(Outcome.CHANGED, {"rc": 0})
    assert "outcome" not in to_registered(done)
    assert to_registered(replace(done, outcome=Outcome.UNVERIFIED))["outcome"] == "unverified"
    assert to_registered(of_result(Result(Outcome.OK)))["outcome"] == "ok"
