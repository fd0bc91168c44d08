"""Advice on playbooks that are no mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.model.errors import InputError
from remediation.playbook.lint import lint_playbook, warnings_to_json
from remediation.playbook.load import load_playbook
from remediation.steps.registry import registry

ROOT = Path(__file__).parents[2]


def advice(folder: Path, tasks: str, *, play: str = "", known: tuple[str, ...] = ()) -> list[tuple[str, int]]:
    path = folder / "play.yml"
    path.write_text(f"- hosts: all\n{play}  tasks:\n{tasks}", encoding="utf-8")
    found = lint_playbook(load_playbook(path), known=known)
    return [(item.rule, item.place.line if item.place else 0) for item in found]


@pytest.mark.parametrize(
    ("task", "rules"),
    [
        ("    - command: ls\n", ["command-without-changed-when"]),
        ("    - command: ls\n      changed_when: false\n", []),
        ("    - command: {cmd: make, creates: /x}\n", []),
        ("    - command: docker volume rm models\n      changed_when: true\n", ["destructive-without-backup"]),
        ("    - command: {argv: [rm, -rf, /data]}\n      changed_when: true\n", ["destructive-without-backup"]),
        ("    - command: rm -rf /data\n      changed_when: true\n      risk: destructive\n", []),
        ("    - command: docker compose down -v\n      changed_when: true\n", ["bare-down-v"]),
        ("    - command: docker compose down\n      changed_when: true\n", []),
        ("    - debug: {msg: x}\n      notify: nobody\n", ["unknown-handler"]),
        ('    - debug: {msg: x}\n      notify: "{{ item }}"\n      loop: [a]\n', []),
        ("    - set_fact: {spare: 1}\n", ["unused-variable"]),
        ("    - set_fact: {spare: 1}\n    - debug: {msg: x}\n      when: spare == 1\n", []),
        ("    - debug: {msg: x}\n      when: layerz > 3\n", ["undefined-variable"]),
        ("    - debug: {msg: \"{{ layers | default(0) }} {{ hostvars['a'].x }} {{ lookup('env', 'HOME') }}\"}\n", []),
        ("    - debug: {msg: x}\n      when: layers is defined and layers > 3\n", []),
    ],
)
def test_each_rule_speaks_where_it_should_and_nowhere_else(tmp_path: Path, task: str, rules: list[str]) -> None:
    assert [rule for rule, _ in advice(tmp_path, task)] == rules


def test_what_the_inventory_sets_is_known_and_what_hosts_read_is_used(tmp_path: Path) -> None:
    task = '    - debug: {msg: "{{ layers }}"}\n'
    assert advice(tmp_path, task, play="  vars: {model: m, max_risk: safe}\n") == [("undefined-variable", 4)]
    assert advice(tmp_path, task, known=("layers",)) == []


def test_advice_has_its_line(tmp_path: Path) -> None:
    path = tmp_path / "play.yml"
    path.write_text("- hosts: all\n  vars: {spare: 1}\n", encoding="utf-8")
    (found,) = lint_playbook(load_playbook(path))
    assert str(found).startswith(f"{path}:2:10: the variable 'spare' is not used in this playbook [unused-variable]\n")
    assert warnings_to_json(found) == {
        "rule": "unused-variable",
        "message": "the variable 'spare' is not used in this playbook",
        "file": str(path),
        "line": 2,
        "column": 10,
    }


@pytest.mark.parametrize("path", sorted((ROOT / "playbooks").glob("*.yml")), ids=lambda path: path.name)
def test_the_shipped_playbooks_need_no_advice(path: Path) -> None:
    assert lint_playbook(load_playbook(path), steps=registry) == []


def test_a_condition_that_python_cannot_compile_is_a_mistake_and_no_advice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="when: invalid template: nested too deeply"):
        advice(tmp_path, f"    - debug: {{msg: x}}\n      when: {'not ' * 3000}layers\n")
