"""A run on workers: the same results as a run in one process, and what becomes of the hosts of a worker that is lost."""

from __future__ import annotations

import threading
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.journal.journal import JournalError
from remediation.engine.play.context.run_request import RunSummary
from remediation.model.change import Risk
from remediation.model.event import Event
from remediation.model.outcome import Outcome
from tests.engine.executors.in_process_workers import NearbyCluster, run_spread
from tests.engine.fakes.host import World
from tests.engine.playbook_runs import run
from tests.engine.sample_steps import RecordedEvents
from tests.engine.step_runs import Flow

HOSTS = ("one", "two", "three", "four")
ODD_ONE_OUT = "inventory_hostname == 'two'"

PLAYS = {
    "steps and registered results": """
- hosts: all
  tasks:
    - sample.file: {path: a, text: "{{ inventory_hostname }}"}
      register: made
    - debug: {msg: "{{ made.changed }} {{ groups.all | length }}"}
""",
    "two plays share a host's facts": """
- hosts: all
  tasks:
    - set_fact: {mine: "of {{ inventory_hostname }}"}
- hosts: all
  tasks:
    - debug: {msg: "{{ mine }}"}
""",
    "hostvars of hosts on other workers": """
- hosts: all
  tasks:
    - set_fact: {mine: "of {{ inventory_hostname }}"}
    - debug: {msg: "{{ groups.all | map('extract', hostvars, 'mine') | join(',') }}"}
""",
    "hostvars of an earlier wave": """
- hosts: all
  serial: 1
  tasks:
    - set_fact: {mine: "of {{ inventory_hostname }}"}
    - debug: {msg: "{{ groups.all | map('extract', hostvars) | selectattr('mine', 'defined') | map(attribute='mine') | join(',') }}"}
""",
    "run_once": """
- hosts: all
  tasks:
    - set_fact: {chosen: "{{ inventory_hostname }}"}
      run_once: true
    - debug: {msg: "{{ chosen }}"}
""",
    "serial and max_fail_percentage": f"""
- hosts: all
  serial: 2
  max_fail_percentage: 40
  tasks:
    - fail: {{msg: broken}}
      when: {ODD_ONE_OUT}
    - sample.file: {{path: a, text: b}}
""",
    "any_errors_fatal": f"""
- hosts: all
  any_errors_fatal: true
  tasks:
    - fail: {{msg: broken}}
      when: {ODD_ONE_OUT}
    - sample.file: {{path: a, text: b}}
""",
    "handlers, rescue and always": f"""
- hosts: all
  tasks:
    - block:
        - sample.file: {{path: a, text: b}}
          notify: inform
        - fail: {{msg: broken}}
          when: {ODD_ONE_OUT}
      rescue:
        - debug: {{msg: "{{{{ ansible_failed_result.msg }}}}"}}
      always:
        - debug: {{msg: always}}
  handlers:
    - name: inform
      sample.file: {{path: c, text: d}}
""",
    "a host that leaves, and a play that ends": f"""
- hosts: all
  tasks:
    - meta: end_host
      when: {ODD_ONE_OUT}
    - debug: {{msg: "{{{{ ansible_play_hosts | join(',') }}}}"}}
    - meta: end_play
    - fail: {{msg: too far}}
- hosts: all
  tasks:
    - sample.file: {{path: a, text: b}}
""",
    "loops, conditions and retries": """
- hosts: all
  tasks:
    - sample.file: {path: "{{ item }}", text: x}
      loop: [a, b]
      when: inventory_hostname != 'one'
    - command: /bin/echo {{ inventory_hostname }}
      register: said
      until: said.rc == 0
      retries: 2
      delay: 0
    - assert: {that: "said.stdout == inventory_hostname"}
""",
    "no_log": """
- hosts: all
  tasks:
    - command: /bin/echo hidden
      no_log: true
""",
}


TIMES = {"seconds", "round_trips", "start", "end", "delta"}


def _untimed(value: Any) -> Any:
    return {key: each for key, each in value.items() if key not in TIMES} if isinstance(value, dict) else value


def events_by_host(recorded: RecordedEvents) -> dict[str, Counter[str]]:
    """Return what each host's events say, without times and order among hosts."""
    found: dict[str, Counter[str]] = {}
    for event in recorded.events:
        data = {key: _untimed(value) for key, value in event.data.items() if key not in TIMES}
        found.setdefault(event.host, Counter())[f"{event.kind} {event.task} {data}"] += 1
    return found


def host_events(recorded: RecordedEvents) -> dict[str, Counter[str]]:
    return {host: events for host, events in events_by_host(recorded).items() if host}


@pytest.mark.parametrize("name", PLAYS)
def test_a_run_on_workers_has_the_events_and_the_summary_of_a_local_run(name: str, tmp_path: Path) -> None:
    here, there = (Flow.of(tmp_path / each, PLAYS[name], *HOSTS) for each in ("here", "there"))
    summary, recorded = run(here, forks=1)
    cluster = NearbyCluster(there)
    spread, recorded_there = run_spread(there, cluster)
    took_part = set(spread.outcomes)  # a local run that was ended by a failure also names the hosts that it did not reach
    assert host_events(recorded_there) == {host: events for host, events in host_events(recorded).items() if host in took_part}
    assert spread.exit_code == summary.exit_code
    assert (spread.hosts, spread.outcomes) == (
        {host: summary.hosts[host] for host in took_part},
        {host: summary.outcomes[host] for host in took_part},
    )
    assert {worker for places in cluster.places.values() for worker in places} <= {"worker-0", "worker-1"}
    assert [world.writes for world in there.worlds.values()] == [world.writes for world in here.worlds.values()]


CHANGES_ONE = """
- hosts: all
  tasks:
    - debug: {msg: first}
    - sample.file: {path: a, text: b}
    - sample.file: {path: c, text: d}
"""


class Losing:
    """Receives a run's events, and loses the worker of a host at its n-th event of a kind."""

    def __init__(self, cluster: NearbyCluster, host: str, kind: str, count: int = 1) -> None:
        self.cluster, self.host, self.kind, self.left = cluster, host, kind, count
        self.events: list[Event] = []

    def __call__(self, event: Event) -> None:
        self.events.append(event)
        if event.host == self.host and event.kind == self.kind:
            self.left -= 1
            if not self.left:
                self.cluster.worker_of(self.host).lose()

    def of(self, host: str, kind: str) -> list[Event]:
        return [event for event in self.events if event.host == host and event.kind == kind]


def lost_at(
    made: Flow, kind: str, count: int = 1, *, workers: int = 2, spare: int = 0, host: str = "two", **more: Any
) -> tuple[RunSummary, Losing]:
    cluster = NearbyCluster(made, workers, spare)
    losing = Losing(cluster, host, kind, count)
    summary, _ = run_spread(made, cluster, losing, **more)
    return summary, losing


@pytest.mark.parametrize("count", [1, 2])
def test_a_host_whose_worker_is_lost_during_a_change_is_reported_as_lost_and_the_change_is_not_sent_again(
    count: int, tmp_path: Path
) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two")
    summary, losing = lost_at(made, "change_start", count)
    assert summary.outcomes == {"one": Outcome.CHANGED, "two": Outcome.UNVERIFIED}
    assert summary.exit_code == 2
    (end,) = losing.of("two", "host_end")
    assert "was lost during a change, and whether it was made is unknown: write" in end.data["reason"]
    assert len(losing.of("two", "change_start")) == count
    assert made.worlds["two"].writes == ["write a"] * (count - 1)  # the answer to change_start never came


@pytest.mark.parametrize(
    ("kind", "count", "writes"), [("task_start", 1, 0), ("task_result", 1, 0), ("change_end", 1, 1), ("task_result", 2, 1)]
)
def test_a_host_that_was_not_in_a_change_continues_on_another_worker(kind: str, count: int, writes: int, tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two")
    summary, losing = lost_at(made, kind, count)
    assert summary.outcomes == {"one": Outcome.CHANGED, "two": Outcome.CHANGED}
    assert made.worlds["two"].writes == ["write a", "write c"]
    assert [event.data["path"] for event in losing.of("two", "task_result")] == ["0.tasks.0", "0.tasks.1", "0.tasks.2"]
    (note,) = losing.of("two", "note")
    assert note.data["text"].endswith("was lost; two continues on another one")
    assert len(set(losing.cluster.places["two"])) <= 2


@pytest.mark.parametrize("first", ["sample.file: {path: a, text: b}", "command: /bin/a"], ids=["a step", "a program"])
def test_what_check_mode_found_before_a_worker_was_lost_counts(first: str, tmp_path: Path) -> None:
    made = Flow.of(tmp_path, f"- hosts: all\n  tasks:\n    - {first}\n    - debug: {{msg: after}}\n", "one", "two")
    summary, losing = lost_at(made, "task_start", 2, policy={"check": True})
    assert losing.of("two", "note")
    assert summary.outcomes == {"one": Outcome.WOULD_CHANGE, "two": Outcome.WOULD_CHANGE}


def test_a_host_that_waited_for_the_others_is_not_walked_again(tmp_path: Path) -> None:
    text = "- hosts: all\n  tasks:\n    - command: /bin/once\n      run_once: true\n    - debug: {msg: after}\n"
    made = Flow.of(tmp_path, text, "one", "two")
    summary, losing = lost_at(made, "task_start", 1)
    assert summary.outcomes == {"one": Outcome.CHANGED, "two": Outcome.FAILED}
    (end,) = losing.of("two", "host_end")
    assert "was lost after the hosts had waited for each other in this play" in end.data["reason"]
    assert [*made.worlds["one"].writes, *made.worlds["two"].writes] == ["ran /bin/once "]


def test_hosts_end_as_failed_once_no_worker_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation.engine.executors.remote.NEW_WORKERS", 0.3)
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two")
    summary, losing = lost_at(made, "task_start", workers=1)
    assert summary.outcomes["two"] is Outcome.FAILED
    (end,) = losing.of("two", "host_end")
    assert end.data["reason"] == "no worker is left at nearby; the last one was worker-0; resume the run to continue"


def test_a_worker_that_joins_later_takes_the_hosts_of_the_last_one(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "two")
    summary, losing = lost_at(made, "task_start", workers=1, spare=1)
    assert set(summary.outcomes.values()) == {Outcome.CHANGED}
    assert losing.cluster.places["two"][-1] == "worker-1"
    assert made.worlds["two"].writes == ["write a", "write c"]


def test_the_next_play_runs_the_hosts_of_a_lost_worker_elsewhere_with_their_facts(tmp_path: Path) -> None:
    text = (
        "- hosts: all\n  tasks:\n    - set_fact: {mine: 'of {{ inventory_hostname }}'}\n"
        "- hosts: one\n  tasks:\n    - debug: {msg: between}\n"
        "- hosts: all\n  tasks:\n    - debug: {msg: '{{ mine }}'}\n"
    )
    made = Flow.of(tmp_path, text, "one", "two")
    cluster = NearbyCluster(made)
    recorded: list[Event] = []

    def emit(event: Event) -> None:
        recorded.append(event)
        if event.kind == "play_start" and event.data["hosts"] == ["one"]:
            cluster.workers[1].lose()

    summary, _ = run_spread(made, cluster, emit)
    assert summary.outcomes == {"one": Outcome.OK, "two": Outcome.OK}
    said = {
        event.host: event.data["msg"] for event in recorded if event.kind == "task_result" and event.data["path"] == "2.tasks.0"
    }
    assert said == {"one": "of one", "two": "of two"}


def test_hosts_that_are_one_machine_share_a_worker_and_its_lease(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two", "three")
    shared = World()
    made.worlds = dict.fromkeys(made.worlds, shared)
    inventory = tmp_path / "hosts.yml"
    inventory.write_text("all: {hosts: {one: {ansible_host: a}, two: {ansible_host: a}, three: {ansible_host: a}}}\n")
    from remediation.inventory.load import load_inventory

    cluster = NearbyCluster(made, workers=3)
    used: dict[str, str] = {}
    cluster.on_open = lambda worker, host: used.update({host: worker.name})
    summary, _ = run_spread(made, cluster, inventory=load_inventory([inventory]))
    assert summary.exit_code == 0
    assert len(set(used.values())) <= 1


def test_a_journal_that_cannot_be_written_ends_the_run_before_the_change(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two")

    full = threading.Event()

    def emit(event: Event) -> None:
        if event.kind == "change_start":
            full.set()
        if full.is_set() and event.kind not in {"host_end", "run_end"}:
            raise JournalError("the disk is full")

    summary, _ = run_spread(made, None, emit)
    assert (summary.exit_code, summary.error) == (1, "the disk is full")
    assert [world.writes for world in made.worlds.values()] == [[], []]


def test_ctrl_c_ends_the_hosts_on_the_workers_after_their_current_change(tmp_path: Path) -> None:
    pressed = threading.Event()
    made = Flow.of(tmp_path, CHANGES_ONE + "    - pause: {seconds: 600}\n", "one", "two")
    made.cancelled = pressed.is_set
    recorded: list[Event] = []

    def emit(event: Event) -> None:
        recorded.append(event)
        if event.kind == "task_start" and event.data["path"] == "0.tasks.3":
            pressed.set()

    summary, _ = run_spread(made, None, emit)
    assert summary.exit_code == 130
    assert {event.kind for event in recorded[-2:]} <= {"host_end", "run_end"}


def test_the_controllers_user_is_asked_and_its_masker_learns_a_workers_secrets(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, "- hosts: all\n  tasks:\n    - set_fact: {api_token: 'tok-{{ 40 + 2 }}-abcdef'}\n", "one")
    recorded = RecordedEvents()
    from remediation.engine.executors.remote import RemoteExecutor
    from remediation.engine.play.runner import run_playbook

    ports = made.ports(recorded)
    run_playbook(made.request(), ports, made.open, RemoteExecutor(NearbyCluster(made)))
    assert ports.mask.text("the token is tok-42-abcdef") == "the token is ***"
    assert "tok-42" not in str(recorded.events)


@pytest.mark.parametrize(("risk", "asked"), [("destructive", ("one",)), ("disruptive", ("disruptive: run true",))])
def test_the_consent_to_a_change_on_a_worker_is_asked_of_the_controllers_user(
    risk: str, asked: tuple[str, ...], tmp_path: Path
) -> None:
    made = Flow.of(tmp_path, f"- hosts: all\n  tasks:\n    - command: 'true'\n      risk: {risk}\n", "one")
    made.prompt.answers.append(False)
    summary, _ = run_spread(made, policy={"interactive": True, "max_risk": Risk.SAFE})
    assert summary.outcomes == {"one": Outcome.BLOCKED}
    assert [details for _, details in made.prompt.asked] == [asked]


def test_leases_are_returned_and_sessions_end_with_the_run(tmp_path: Path) -> None:
    made = Flow.of(tmp_path, CHANGES_ONE, "one", "two")
    cluster = NearbyCluster(made)
    run_spread(made, cluster)
    for world in made.worlds.values():
        (lease,) = world.variables["leases"].values()
        assert b'"expires": 0.0' in lease or b'"expires":0.0' in lease
