"""``add_host`` and ``group_by``: hosts and groups that a run adds to its inventory."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from remediation.engine.context import Policy, Ports
from remediation.engine.events import Emitter
from remediation.engine.followup.followups import undo_run, with_added_hosts
from remediation.engine.journal.history import find_run
from remediation.engine.journal.journal import Journal
from remediation.engine.play.context.run_request import RunRequest
from remediation.facets.host_factory import open_host
from remediation.inventory.load import load_inventory
from remediation.model.errors import InputError, UsageError
from remediation.model.event import Event
from remediation.playbook.load import load_playbook
from tests.playbook.play_runner import Ran, run

INVENTORY = "all: {vars: {ansible_connection: local}, hosts: {a: , b: }}\n"


def ran(folder: Path, playbook: str, *, check: bool = False, **request: object) -> Ran:
    (folder / "play.yml").write_text(playbook, encoding="utf-8")
    (folder / "hosts.yml").write_text(INVENTORY, encoding="utf-8")
    return run(folder / "play.yml", [folder / "hosts.yml"], check=check, **request)


GROWING = """\
- hosts: a
  tasks:
    - add_host: {name: new, groups: late, ansible_connection: local, x: 1}
    - group_by: {key: late}
- hosts: late
  tasks: [{name: seen, debug: {msg: "{{ inventory_hostname }} {{ x | default(0) }}"}}]
"""


def test_check_mode_adds_hosts_too_and_predicts_no_change_of_a_host(tmp_path: Path) -> None:
    found = ran(tmp_path, GROWING, check=True)
    assert found.task_results("new") == [("seen", "ok", "new 1")]
    assert (found.task_results("a")[-1], found.summary.exit_code) == (("seen", "ok", "a 0"), 0)


def test_the_end_of_a_host_comes_after_its_last_result(tmp_path: Path) -> None:
    found = ran(tmp_path, GROWING)
    kinds = [(event.kind, event.host) for event in found.events if event.kind in {"task_result", "host_end"}]
    for host in ("a", "new"):
        assert [kind for kind, name in kinds if name == host][-1] == "host_end"


def test_a_limit_leaves_out_added_hosts(tmp_path: Path) -> None:
    found = ran(tmp_path, GROWING, limit="a")
    assert sorted(found.summary.hosts) == ["a"]


def test_a_group_that_would_contain_itself_fails_the_task(tmp_path: Path) -> None:
    found = ran(
        tmp_path,
        "- hosts: a\n  tasks:\n    - group_by: {key: one, parents: two}\n    - {name: t, group_by: {key: two, parents: one}}\n",
    )
    assert found.results("t", "a")["outcome"] == "failed"
    assert "the group two would contain itself" in found.results("t", "a")["msg"]


def test_hosts_meet_after_group_by_so_that_each_sees_all_groups(tmp_path: Path) -> None:
    slow = "command: sleep 0.3"
    found = ran(
        tmp_path,
        f"- hosts: all\n  tasks:\n    - {{{slow}, when: inventory_hostname == 'b'}}\n    - group_by: {{key: both}}\n"
        "    - {name: t, debug: {msg: \"{{ groups.both | sort | join(' ') }}\"}}\n",
    )
    assert {found.results("t", host)["msg"] for host in "ab"} == {"a b"}


@pytest.mark.parametrize(
    ("task", "sentence"),
    [
        ("add_host: {groups: x}", "add_host: name: is required"),
        ("group_by: {}", "group_by: key: is required"),
        ("group_by: {key: a, parent: b}", "group_by: the parameter 'parent' is not known; did you mean 'parents'"),
    ],
)
def test_bad_parameters_are_refused_at_load(tmp_path: Path, task: str, sentence: str) -> None:
    with pytest.raises((InputError, UsageError)) as refused:
        ran(tmp_path, f"- hosts: a\n  tasks:\n    - {task}\n")
    assert sentence in str(refused.value)


def test_a_name_that_is_no_variable_fails_the_task(tmp_path: Path) -> None:
    found = ran(tmp_path, "- hosts: a\n  tasks:\n    - {name: t, add_host: {name: x, not-a-name: 1}}\n")
    assert "'not-a-name' is not a valid variable name" in found.results("t", "a")["msg"]


def test_undo_reaches_a_host_that_the_run_added(tmp_path: Path) -> None:
    text = """\
- hosts: a
  tasks:
    - add_host: {name: "new{{ item }}", groups: late, ansible_connection: local, ansible_password: hidden-word, x: "{{ '{{ y }}' }}"}
      loop: [1, 2]
- hosts: late
  tasks: [{copy: {dest: FOLDER/made, content: x}, run_once: true}]
""".replace("FOLDER", str(tmp_path))
    journal = Journal.create({"started": 1.0}, {}, root=tmp_path / "runs")
    ran(tmp_path, text, sinks=[journal.write], open_with=open_host)
    journal.close()
    assert (tmp_path / "made").exists()
    request = RunRequest(
        command="undo",
        playbook=load_playbook(tmp_path / "play.yml"),
        inventory=load_inventory([tmp_path / "hosts.yml"]),
        run="8b12",
        policy=Policy(run_started=time.time()),
    )
    record = find_run(journal.run, tmp_path / "runs")
    undone = undo_run(record, request, Ports(emit=Emitter([])), open_host)
    assert ([*undone.hosts], undone.exit_code, (tmp_path / "made").exists()) == (["new1"], 0, False)
    added = with_added_hosts(request.inventory, record.events)
    assert added.select("late") == ("new1", "new2")
    assert next(dict(layer) for layer in added.layers("new2")) == {"ansible_connection": "local", "x": "{{ y }}"}


@pytest.mark.parametrize("added", [{"host_name": "odd"}, {"host_name": "odd", "groups": 3, "host_vars": {}}, None])
def test_undo_of_a_run_whose_added_host_is_damaged_in_the_journal_says_so(tmp_path: Path, added: object) -> None:
    journal = Journal.create({"started": 1.0}, {}, root=tmp_path / "runs")
    ran(tmp_path, GROWING, sinks=[journal.write])
    result = {"add_host": added} if added is not None else None
    journal.write(Event("task_result", 2.0, host="a", data={"action": "add_host", "result": result}))
    journal.close()
    request = RunRequest(
        command="undo",
        playbook=load_playbook(tmp_path / "play.yml"),
        inventory=load_inventory([tmp_path / "hosts.yml"]),
        run="8b12",
        policy=Policy(run_started=time.time()),
    )
    with pytest.raises(UsageError, match=f"run {journal.run} (is damaged|changed nothing)"):
        undo_run(find_run(journal.run, tmp_path / "runs"), request, Ports(emit=Emitter([])), open_host)
