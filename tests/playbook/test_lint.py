"""Advice on playbooks that are no mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.inventory.load import load_inventory
from remediation.model.errors import InputError
from remediation.playbook.lint import lint_playbook, warnings_to_json
from remediation.playbook.load import load_playbook

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
        ("    - debug: {msg: x}\n      notify: unknown\n", ["unknown-handler"]),
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


@pytest.mark.parametrize(
    ("template", "task", "rules"),
    [
        ("{{ spare }}\n", "template: {src: t.j2, dest: /a}", []),
        ("{% for one in spare %}{{ one }}{% endfor %}\n", "win_template: {src: t.j2, dest: 'C:/a'}", []),
        ("{{ other }}\n", "template: {src: t.j2, dest: /a}", ["unused-variable"]),
        ("[[ spare ]]\n", "template: {src: t.j2, dest: /a, variable_start_string: '[[', variable_end_string: ']]'}", []),
        ("{% include 'part.j2' %}\n", "template: {src: t.j2, dest: /a}", []),
        ("", "include_tasks: t.j2", []),
    ],
)
def test_a_variable_that_a_file_of_the_playbook_may_use_is_not_called_unused(
    tmp_path: Path, template: str, task: str, rules: list[str]
) -> None:
    for folder in ("templates", "tasks"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "t.j2").write_text(template, encoding="utf-8")
    assert [rule for rule, _ in advice(tmp_path, f"    - set_fact: {{spare: [1]}}\n    - {task}\n")] == rules


FILES = {"files/here.sh": "", "templates/here.j2": "", "vars/here.yml": "a: 1\n", "tasks/here.yml": "[]\n", "roles/here/tasks/main.yml": "[]\n",
         "files/folder/x": "", "next.txt": ""}  # fmt: skip


@pytest.mark.parametrize(
    ("task", "rules"),
    [
        ("copy: {src: NAME.sh, dest: /a}", "missing-file"),
        ("copy: src=NAME.sh dest=/a", "missing-file"),
        ("win_copy: {src: NAME.sh, dest: 'C:/a'}", "missing-file"),
        ("ansible.builtin.template: {src: NAME.j2, dest: /a}", "missing-file"),
        ("script: NAME.sh one two", "missing-file"),
        ("script: {cmd: '\"NAME.sh\" one'}", "missing-file"),
        ("win_powershell: {path: NAME.sh}", "missing-file"),
        ("uri: {url: 'http://a', method: POST, src: NAME.sh}", "missing-file"),
        ("include_vars: NAME.yml", "missing-file"),
        ("include_tasks: NAME.yml", "missing-file"),
        ("include_role: {name: NAME}", "missing-role"),
        ("include_role: {role: NAME}", "missing-role"),
    ],
)
def test_a_file_or_role_that_is_not_there_is_named_with_its_line(tmp_path: Path, task: str, rules: str) -> None:
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    found = {name: advice(tmp_path, f"    - {task.replace('NAME', name)}\n") for name in ("here", "gone")}
    assert found == {"here": [], "gone": [(rules, 3)]}


@pytest.mark.parametrize(
    "task",
    [
        "copy: {src: gone, dest: /a, remote_src: true}",
        "copy: {src: /other/controller, dest: /a}",
        "copy: {src: 'C:/other', dest: /a}",
        "copy: {src: ~/other, dest: /a}",
        "copy: {src: folder/, dest: /a}",
        "copy: {src: ./next.txt, dest: /a}",
        "copy: {content: gone, dest: /a}",
        "copy: {src: '{{ inventory_hostname }}', dest: /a}",
        "include_role: {name: '{{ inventory_hostname }}'}",
        "include_role: {name: remediation.ollama.fix_offload}",
    ],
)
def test_what_may_be_there_on_the_day_is_not_called_missing(tmp_path: Path, task: str) -> None:
    (tmp_path / "files" / "folder").mkdir(parents=True)
    (tmp_path / "next.txt").touch()
    assert advice(tmp_path, f"    - {task}\n") == []


@pytest.mark.parametrize(
    ("hosts", "unknown"),
    [
        ("gpu", []), ("all:!web1", []), ("gpu[0]", []), ("~we.1", []), ("localhost", []), ("'{{ where }}'", []), ("[gpu, 'web*']", []),
        ("gpuu", ["gpuu"]), ("gpu:&prodd", ["prodd"]), ("all:!web9", ["web9"]), ("[gpu, web9]", ["web9"]), ("'db*,gpu'", ["db*"]),
    ],
)  # fmt: skip
def test_hosts_are_looked_up_only_in_an_inventory_that_is_given(tmp_path: Path, hosts: str, unknown: list[str]) -> None:
    (tmp_path / "hosts.yml").write_text("gpu:\n  hosts:\n    web1:\n", encoding="utf-8")
    path = tmp_path / "play.yml"
    path.write_text(f"- hosts: {hosts}\n  tasks: []\n", encoding="utf-8")
    playbook = load_playbook(path)
    assert lint_playbook(playbook, known=["where"]) == []
    found = lint_playbook(playbook, known=["where"], inventory=load_inventory([tmp_path / "hosts.yml"]))
    assert [(item.rule, item.message.split("'")[1], item.place and item.place.line) for item in found] == [
        ("unknown-hosts", name, 1) for name in unknown
    ]


def test_hosts_that_an_earlier_play_adds_may_be_unknown(tmp_path: Path) -> None:
    path = tmp_path / "play.yml"
    path.write_text(
        "- hosts: all\n  tasks:\n    - add_host: {name: new, groups: added}\n- hosts: added\n  tasks: []\n", encoding="utf-8"
    )
    assert lint_playbook(load_playbook(path), inventory=load_inventory(["a,"])) == []


@pytest.mark.parametrize("hosts", ["'gpu['", "'!'", "'~('", "[gpu, 'a]']"])
def test_a_host_pattern_that_cannot_be_read_is_a_mistake_with_its_line(tmp_path: Path, hosts: str) -> None:
    path = tmp_path / "play.yml"
    path.write_text(f"- name: p\n  hosts: {hosts}\n  tasks: []\n", encoding="utf-8")
    with pytest.raises(InputError, match=rf"{path}:2:\d+: hosts: the pattern"):
        load_playbook(path)


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
    assert lint_playbook(load_playbook(path)) == []


def test_a_condition_that_python_cannot_compile_is_a_mistake_and_no_advice(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="when: invalid template: nested too deeply"):
        advice(tmp_path, f"    - debug: {{msg: x}}\n      when: {'not ' * 3000}layers\n")
