"""An exception in our own code is the failure of the host it happened at: one sentence, with a traceback file."""

from __future__ import annotations

import dataclasses
import stat
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.context import Ports
from remediation.engine.events import Emitter
from remediation.engine.internal_errors import CrashLog, contain_errors, summary
from remediation.engine.play.runner import run_playbook
from remediation.engine.workers import gather
from remediation.model.errors import CallFailed, RemediationError
from remediation.model.event import Event
from remediation.model.outcome import Outcome
from remediation.model.secrets.masking import MASK, Masker
from tests.engine.playbook_runs import results, run
from tests.engine.step_runs import Flow, FlowAccess

TASK = "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n      register: done\n"
SURPRISES = [
    KeyError("DesktopUser"),
    TypeError("'int' object is not iterable"),
    RecursionError(),
    MemoryError(),
    AttributeError("x"),
]


def flow(tmp_path: Path, text: str, surprise: Exception, *names: str, point: str = "files.read") -> Flow:
    """Return hosts of which the first gives a wrong answer to each call."""
    made = Flow.of(tmp_path, text, *names)
    made.worlds[names[0]].fails[point] = [surprise] * 100  # type: ignore[list-item] - no error of a host
    return made


@pytest.mark.parametrize("surprise", SURPRISES, ids=lambda error: type(error).__name__)
def test_the_other_hosts_the_waves_the_next_play_and_the_summary_go_on(tmp_path: Path, surprise: Exception) -> None:
    text = "- hosts: all\n  serial: 2\n  tasks:\n    - sample.file: {path: a, text: b}\n- hosts: all\n  tasks:\n    - debug: {msg: second}\n"
    made = flow(tmp_path, text, surprise, "one", "two", "three")
    summary, recorded = run(made)
    assert summary.outcomes == {"one": Outcome.FAILED, "two": Outcome.CHANGED, "three": Outcome.CHANGED}
    assert (summary.exit_code, recorded.kinds[-1], summary.error) == (2, "run_end", "")
    assert results(recorded, "two") == results(recorded, "three") == [("sample.file", "changed"), ("debug", "ok")]
    (reason,) = [end["reason"] for end in recorded.of("host_end") if end["outcome"] == "failed"]
    assert reason.startswith(f"internal error: {type(surprise).__name__}")


def test_it_behaves_as_a_failed_task_so_a_rescue_takes_over_and_errors_can_be_ignored(tmp_path: Path) -> None:
    block = "    - block:\n        - sample.file: {path: a, text: b}\n      rescue:\n        - debug: {msg: '{{ ansible_failed_result.msg }}'}\n"
    made = flow(tmp_path, f"- hosts: all\n  tasks:\n{block}", KeyError("DesktopUser"), "one")
    summary, recorded = run(made)
    assert (summary.exit_code, summary.hosts["one"]["rescued"], results(recorded, "one")[-1]) == (0, 1, ("debug", "ok"))
    assert recorded.of("task_result")[-1]["msg"] == "internal error: KeyError: 'DesktopUser'"
    made = flow(tmp_path, f"{TASK}      ignore_errors: true\n    - debug: {{msg: on}}\n", KeyError("DesktopUser"), "one")
    summary, recorded = run(made)
    assert (summary.exit_code, summary.hosts["one"]["ignored"], results(recorded, "one")[-1]) == (0, 1, ("debug", "ok"))


def test_it_is_tried_again_where_the_task_says_so(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, f"{TASK}      retries: 2\n      delay: 1\n", "one")
    made.worlds["one"].fails["files.read"] = [KeyError("Id")]  # type: ignore[list-item] - no error of a host
    summary, _ = run(made)
    assert summary.outcomes == {"one": Outcome.CHANGED}


@pytest.mark.parametrize(
    ("keyword", "outcomes"),
    [
        ("any_errors_fatal: true", ["one"]),
        ("max_fail_percentage: 10", ["one", "two"]),
        ("max_fail_percentage: 60", ["one", "two", "three", "four"]),
    ],
)
def test_it_counts_for_what_ends_a_run_early(tmp_path: Path, keyword: str, outcomes: list[str]) -> None:
    size = 1 if "fatal" in keyword else 2
    text = f"- hosts: all\n  serial: {size}\n  {keyword}\n  tasks:\n    - sample.file: {{path: a, text: b}}\n"
    summary, recorded = run(flow(tmp_path, text, KeyError("Id"), "one", "two", "three", "four"))
    begun = [name for name in summary.outcomes if results(recorded, name)]
    assert (begun, summary.outcomes["one"]) == (outcomes, Outcome.FAILED)
    assert recorded.kinds[-1] == "run_end"


def test_a_leader_of_run_once_that_fails_so_fails_those_who_follow(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - sample.file: {path: a, text: b}\n      run_once: true\n    - debug: {msg: never}\n"
    summary, recorded = run(flow(tmp_path, text, KeyError("Id"), "one", "two"))
    assert summary.outcomes == {"one": Outcome.FAILED, "two": Outcome.FAILED}
    assert "debug" not in str(recorded.of("task_result"))


def test_in_a_handler_it_ends_that_host_alone(tmp_path: Path) -> None:
    text = (
        "- hosts: all\n  tasks:\n    - command: work\n      notify: after\n"
        "  handlers:\n    - name: after\n      sample.file: {path: a, text: b}\n"
    )
    summary, _ = run(flow(tmp_path, text, KeyError("Id"), "one", "two"))
    assert summary.outcomes == {"one": Outcome.FAILED, "two": Outcome.CHANGED}


def test_during_a_change_the_journal_has_its_end_and_the_result_keeps_what_was_changed(tmp_path: Path) -> None:
    made = flow(tmp_path, TASK, KeyError("Id"), "one", point="files.write")
    summary, recorded = run(made)
    (end,) = recorded.of("change_end")
    assert (end["applied"], end["error"], summary.exit_code) == (None, "internal error: KeyError: 'Id'", 2)


class Odd(FlowAccess):
    """A host whose access fails where it should not."""

    def close(self) -> None:
        raise KeyError("session")


def test_in_opening_and_in_closing_a_host_it_ends_nothing_else(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, TASK, "one", "two", "three")

    def open_host(host: str, variables: Mapping[str, Any], *, check: bool) -> FlowAccess:
        if host == "one":
            raise TypeError("port")
        return (Odd if host == "two" else FlowAccess)(made.worlds[host], host, check=check)

    recorded: list[Event] = []
    summary = run_playbook(made.request(), made.ports(recorded.append), open_host)
    assert summary.outcomes == {"one": Outcome.FAILED, "two": Outcome.CHANGED, "three": Outcome.CHANGED}
    assert recorded[-1].kind == "run_end"


def test_an_error_of_one_host_outside_any_task_ends_that_host_alone(tmp_path: Path) -> None:
    """The variables of a host are read before its first task."""
    made = Flow.of(tmp_path, TASK, "one", "two")
    request = made.request()

    class Inventory:
        """One whose second host has no layers."""

        def __getattr__(self, name: str) -> Callable[..., Any]:
            return getattr(request.inventory, name)  # type: ignore[no-any-return]

        def layers(self, host: str) -> Any:
            if host == "one":
                raise KeyError(host)
            return request.inventory.layers(host)

    recorded: list[Event] = []
    summary = run_playbook(dataclasses.replace(request, inventory=Inventory()), made.ports(recorded.append), made.open)
    assert summary.outcomes == {"one": Outcome.FAILED, "two": Outcome.CHANGED}
    assert [event.data["reason"] for event in recorded if event.kind == "host_end" and event.host == "one"] == [
        "internal error: KeyError: 'one'"
    ]


def test_an_exception_in_a_report_costs_that_report_the_event_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    recorded: list[Event] = []

    def report(event: Event) -> None:
        if event.kind == "goal":
            raise TypeError("layers")
        recorded.append(event)

    journal: list[Event] = []
    emit = Emitter([journal.append, report])
    for kind in ("run_start", "goal", "goal", "run_end"):
        emit(Event(kind, 1.0))
    assert [event.kind for event in recorded] == ["run_start", "run_end"]
    assert len(journal) == 4
    assert capsys.readouterr().err.count("a report skips an event of kind goal: internal error: TypeError: layers") == 1


def test_the_traceback_is_in_a_file_of_its_owner_without_secrets(tmp_path: Path) -> None:
    log = CrashLog(tmp_path / "errors", Masker(["hunter22"]))
    sentences = []
    for _time in range(2):
        with pytest.raises(RemediationError) as recorded, contain_errors("../laptop-07", log):
            raise KeyError("hunter22\x1b[31m")
        sentences.append(recorded.value.message)
    (path,) = (tmp_path / "errors").iterdir()
    assert (path.name, stat.S_IMODE(path.stat().st_mode) & 0o077) == ("_laptop-07.txt", 0)
    text = path.read_text(encoding="utf-8")
    assert (text.count("Traceback"), "hunter22" in text, MASK in text) == (2, False, True)
    assert sentences == [f"internal error: KeyError: '{MASK}\\x1b[31m' ({path})"] * 2


def test_a_sentence_is_one_short_line_for_any_exception() -> None:
    assert summary(ValueError("a\nb\x1b[2J" + "c" * 5000)) == f"internal error: ValueError: a b\\x1b[2J{'c' * 189}…"


def test_errors_that_are_ours_pass_and_the_rest_is_contained() -> None:
    for error, kind in ((CallFailed("no"), CallFailed), (KeyboardInterrupt(), KeyboardInterrupt), (SystemExit(3), SystemExit)):
        with pytest.raises(kind), contain_errors("one", Ports(emit=lambda _: None).crashed):
            raise error


def test_many_hosts_are_looked_at_in_order_and_one_exception_does_not_keep_the_others_from_ending() -> None:
    ended: list[int] = []

    def work(number: int) -> int:
        if number == 3:
            raise KeyError(number)
        ended.append(number)
        return 10 * number

    assert gather(work, [0, 1, 2], 2) == [0, 10, 20]
    with pytest.raises(KeyError):
        gather(work, range(20), 4)
    assert len(ended) == 3 + 19
