"""A playbook is read with all its mistakes reported at once, each with its place, the line and the nearest right name."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.model.errors import InputError
from remediation.model.finding import Cause
from remediation.playbook.load import load_playbook
from remediation.playbook.model import Block, Playbook, Task
from tests.engine.sample_steps import TOYS


def load(folder: Path, text: str, **files: str) -> Playbook:
    path = folder / "play.yml"
    path.write_text(text, encoding="utf-8")
    for name, content in files.items():
        (folder / f"{name}.yml").write_text(content, encoding="utf-8")
    return load_playbook(path, steps=lambda: TOYS)


def problems(folder: Path, text: str, **files: str) -> list[str]:
    with pytest.raises(InputError) as refused:
        load(folder, text, **files)
    return [f"{problem.place.line if problem.place else 0}: {problem.message}" for problem in refused.value.problems]


def test_a_playbook_of_another_encoding_is_named_once(tmp_path: Path) -> None:
    path = tmp_path / "site.yml"
    path.write_bytes(b"\x80")
    with pytest.raises(InputError) as caught:
        load_playbook(path)
    assert str(caught.value).splitlines()[0] == f"{path}:1:1: not UTF-8 text (byte 0); save it as UTF-8"


def test_every_mistake_is_reported_at_once_with_its_place_and_the_nearest_name(tmp_path: Path) -> None:
    text = """\
- name: Wrong
  hosts: all
  taks: []
  tasks:
    - name: keyword
      debug: {msg: x}
      whne: true
    - name: step
      sample.fiel: {path: a, text: b}
    - name: parameter
      sample.file: {paht: a, text: b}
    - name: missing
      sample.file: {path: a}
    - name: type
      sample.closed: {names: {a: b}}
    - name: keyword's type
      debug: {msg: x}
      retries: often
    - name: nothing to do
    - name: two things
      debug: {msg: x}
      fail: {msg: y}
    - not a task
    - 5
    -
"""
    assert problems(tmp_path, text) == [
        "3: a play has no keyword 'taks'; did you mean 'tasks'?",
        "7: a task has no keyword 'whne'; did you mean 'when'?",
        "9: the step 'sample.fiel' is not known; did you mean 'sample.file'?",
        "11: sample.file: path: is required",
        "11: sample.file: the parameter 'paht' is not known; did you mean 'path'?",
        "13: sample.file: text: is required",
        "15: sample.closed: names: input should be a valid tuple",
        "18: retries: expected a whole number, got 'often'",
        "19: this task names no step",
        "22: a task has only one step or action, but this has 'debug' and 'fail'",
        "23: expected a task (a mapping), got 'not a task'",
        "24: expected a task (a mapping), got 5",
        "25: expected a task (a mapping), got nothing",
    ]


def test_a_parameter_of_ansibles_that_is_not_supported_is_named_so_and_may_be_left_out(tmp_path: Path) -> None:
    book = tmp_path / "play.yml"
    tasks = """\
- hosts: all
  tasks:
    - ansible.windows.setup: {gather_subset: [min]}
    - ansible.windows.slurp: {src: /a}
    - win_service: {name: a, dependencies: "{{ them | default(omit) }}", unheard: "{{ omit }}"}
"""
    book.write_text(tasks, encoding="utf-8")
    load_playbook(book)
    book.write_text(tasks.replace('"{{ omit }}"', "b").replace('"{{ them | default(omit) }}"', "[b]"), encoding="utf-8")
    with pytest.raises(InputError) as refused:
        load_playbook(book)
    assert [item.message for item in refused.value.problems] == [
        "win_service: dependencies is a parameter of Ansible's that is not supported here",
        "win_service: the parameter 'unheard' is not known",
    ]


def test_templates_that_cannot_be_read_are_mistakes_but_those_of_variables_are_not(tmp_path: Path) -> None:
    text = """\
- hosts: all
  vars: {never: "{{ used"}
  tasks:
    - debug: {msg: "{{ oops"}
      when: "{{ a"
    - block:
        - sample.file: {path: a, text: ["{{ x | nofilter }}"]}
      when: [true, a ===]
    - assert: {that: ["x is", "{{ undefined_is_no_mistake }}"]}
    - debug: {msg: "{% raw %}{{ oops{% endraw %}", var: x}
      until: 1 +
      failed_when: msg is match('{')
      vars: {later: "{{ unused"}
    - debug: {msg: "{{ l | nofilter }}"}
      ignore_errors: true
    - debug: {msg: x, loop: 1}
      loop: ["{% if %}"]
    - ladder:
        goal: [sample.whole: {model: "{{ m"}]
        rungs:
          - tasks: [sample.closed: {names: [chrome], when: x}]
"""
    said = [each.replace("invalid template: ", "").split(", in ")[0] for each in problems(tmp_path, text)]
    assert [each for each in said if "not known" not in each and "needs" not in each] == [
        "4: msg: unexpected end of template, expected 'end of print statement'",
        "5: when: unexpected end of template, expected 'end of print statement'",
        "7: text: No filter named 'nofilter'",
        "8: when: unexpected '='",
        "9: that: unexpected end of template, expected 'name'",
        "11: until: unexpected 'end of template'",
        "17: loop: Expected an expression, got 'end of statement block'",
        "19: goal: unexpected end of template, expected 'end of print statement'",
    ]


def test_the_line_is_shown_with_a_mark_under_the_column(tmp_path: Path) -> None:
    with pytest.raises(InputError) as refused:
        load(tmp_path, "- hosts: all\n  tasks:\n    - debug: {mesg: x}\n")
    assert str(refused.value) == (
        f"{tmp_path}/play.yml:3:15: debug: the parameter 'mesg' is not known; did you mean 'msg'?\n"
        "    3 |     - debug: {mesg: x}\n"
        "      |               ^"
    )


def test_of_a_template_only_the_name_of_its_parameter_is_checked(tmp_path: Path) -> None:
    book = load(tmp_path, '- hosts: all\n  tasks:\n    - sample.closed: {names: "{{ programs }}"}\n')
    (task,) = book.plays[0].tasks
    assert isinstance(task, Task)
    assert problems(tmp_path, '- hosts: all\n  tasks:\n    - sample.closed: {nams: "{{ programs }}"}\n')[-1].startswith(
        "3: sample.closed: the parameter 'nams' is not known"
    )


def test_blocks_and_imports_hand_down_what_their_tasks_do_not_say_themselves(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tags: [play]
  environment: {A: play}
  tasks:
    - when: outer
      vars: {v: outer}
      ignore_errors: true
      block:
        - import_tasks: more.yml
          when: inner
          tags: imported
"""
    more = "- debug: {msg: x}\n  when: own\n  ignore_errors: false\n  tags: own\n"
    (block,) = load(tmp_path, text, more=more).plays[0].tasks
    assert isinstance(block, Block)
    (imported,) = block.block
    assert isinstance(imported, Block)
    (task,) = imported.block
    assert isinstance(task, Task)
    assert task.settings.when == ("outer", "inner", "own")
    assert task.settings.tags == {"play", "imported", "own"}
    assert (task.settings.ignore_errors, task.settings.environment) == (False, ({"A": "play"},))
    assert task.path == "0.tasks.0/block.0/block.0"
    assert task.place is not None
    assert (Path(task.place.file).name, task.place.line) == ("more.yml", 1)


def test_a_ladder_knows_its_goal_its_rungs_and_the_causes_they_treat(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - name: repair
      ladder:
        goal: [sample.whole: {model: m}]
        rungs:
          - name: room
            treats: [vram_occupied]
            last_resort: yes
            tasks: [sample.closed: {names: [chrome]}]
"""
    (task,) = load(tmp_path, text).plays[0].tasks
    assert isinstance(task, Task)
    assert task.ladder is not None
    assert task.ladder.goal[0].name == "sample.whole"
    (rung,) = task.ladder.rungs
    assert (rung.name, rung.treats, rung.last_resort) == ("room", (Cause.VRAM_OCCUPIED,), True)
    assert [inner.path for inner in rung.tasks] == ["0.tasks.0/0.0"]


def test_mistakes_of_a_ladder_have_their_places_too(tmp_path: Path) -> None:
    text = """\
- hosts: all
  tasks:
    - ladder:
        goal: [sample.hole: {model: m}]
        rungs:
          - treats: [vram_ocupied]
            tasks: [sample.closed: {nmes: [chrome]}]
          - name: never
            tasks: [meta: end_play]
    - ladder: {goal: []}
"""
    found = problems(tmp_path, text)
    assert found[0] == "4: the step 'sample.hole' is not known; did you mean 'sample.whole'?"
    assert found[1] == "6: the cause 'vram_ocupied' is not known; did you mean 'vram_occupied'?"
    assert "7: sample.closed: the parameter 'nmes' is not known; did you mean 'names'?" in found
    assert "9: meta is not allowed inside a rung: hosts climb a ladder independently" in found
    assert found[-2:] == ["10: a ladder needs goal", "10: a ladder needs rungs"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "1: expected a list of plays, got nothing"),
        ("[]", "1: this playbook has no plays"),
        ("hosts: all\n", "1: expected a list of plays, got a mapping"),
        ("- name: x\n  tasks: []\n", "1: this play has no hosts"),
        ("- hosts: all\n  tasks: {a: b}\n", "2: tasks: expected a list, got a mapping"),
        ("- import_playbook: gone.yml\n", "1: there is no file 'gone.yml' in "),
        ("- import_playbook: gone.yml who=web\n", "1: there is no file 'gone.yml who=web' in "),
        ("- import_playbook: play.yml\n", "1: play.yml is imported within itself"),
        ("- hosts: all\n  tasks:\n    - import_tasks: gone.yml\n", "3: there is no file 'gone.yml' in "),
        ("- hosts: all\n  vars_files: [gone.yml]\n", "2: vars_files: there is no file 'gone.yml' in "),
        (
            "- hosts: all\n  tasks:\n    - debug: {msg: x}\n      rescue: []\n",
            "4: rescue belongs to a block, and this task has none",
        ),
        ("- hosts: all\n  tasks:\n    - command: {argv: [a], cmd: a}\n", "3: command: expected either a command line or argv"),
        ("- hosts: all\n  tasks:\n    - meta: end_world\n", "3: meta: free_form: input should be 'noop'"),
        ("- hosts: all\n  tasks:\n    - command: x\n      risk: huge\n", "4: risk: unknown risk 'huge'"),
        ("- hosts: all\n  tasks: [\n", "3: invalid YAML: "),
        (
            '- hosts: all\n  tasks:\n    - action: "{{ which }}"\n',
            "3: the name of a module cannot be a template; write a task for each",
        ),
        (
            "- hosts: all\n  tasks:\n    - command: x\n      register: none\n",
            "4: register: expected the name of a variable, got 'none'",
        ),
        ('- hosts: all\n  vars: {a-b: "{{ c }}"}\n  tasks: []\n', "2: vars: expected a mapping of variables"),
        ('- hosts: all\n  tasks:\n    - command: x\n      vars: "{{ c }}"\n', "4: vars: expected a mapping of variables"),
        (
            "- hosts: all\n  tasks:\n    - command: x\n      with_flattened: [[1]]\n",
            "4: a task has no keyword 'with_flattened', which is Ansible's; write loop",
        ),
        (
            "- hosts: all\n  handlers:\n    - name: h\n      block: [{debug: {msg: x}}]\n",
            "4: a handler cannot be a block; write a handler",
        ),
        ("- hosts: all\n  handlers:\n    - include_role: {name: x}\n", "3: include_role cannot be a handler"),
        ("- hosts: all\n  handlers:\n    - import_role: {name: x}\n", "3: import_role cannot be a handler"),
        ("- hosts: all\n  handlers:\n    - meta: flush_handlers\n", "3: meta cannot be a handler"),
        (
            "- hosts: all\n  tasks:\n    - file: {path: /x, src: y, state: absent}\n",
            "3: file: src requires state: link or hard",
        ),
    ],
)
def test_what_is_invalid_is_refused(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, text)
    assert any(item.startswith(message) for item in found), found


def test_keywords_of_which_all_lines_are_commented_out_count_as_left_out(tmp_path: Path) -> None:
    book = load(tmp_path, "- hosts: all\n  vars:\n  tasks:\n    - command: echo\n      args:\n      notify:\n      vars:\n")
    (task,) = book.plays[0].sections[1]
    assert isinstance(task, Task)
    assert (book.plays[0].vars, task.settings.notify, task.settings.vars) == ({}, (), ())


def test_names_of_imports_may_hold_what_is_known_before_any_host_is(tmp_path: Path) -> None:
    (tmp_path / "part-one.yml").write_text("- debug: {msg: one}\n", encoding="utf-8")
    path = tmp_path / "play.yml"
    path.write_text('- hosts: all\n  tasks:\n    - import_tasks: "part-{{ part }}.yml"\n', encoding="utf-8")
    book = load_playbook(path, steps=lambda: TOYS, extra={"part": "one"})
    assert [file.name for file in book.files] == ["play.yml", "part-one.yml"]
    with pytest.raises(InputError, match="cannot depend on host variables"):
        load_playbook(path, steps=lambda: TOYS)


def test_several_playbooks_are_one_run_with_their_own_folders(tmp_path: Path) -> None:
    for name in ("one", "two"):
        tasks = tmp_path / name / "roles/r/tasks"
        tasks.mkdir(parents=True)
        (tasks / "main.yml").write_text(f"- debug: {{msg: {name}}}\n", encoding="utf-8")
        (tmp_path / name / "site.yml").write_text(f"- {{name: {name}, hosts: all, roles: [r]}}\n", encoding="utf-8")
    found = load_playbook(tmp_path / "one/site.yml", also=(tmp_path / "two/site.yml",))
    assert [(play.index, play.name) for play in found.plays] == [(0, "one"), (1, "two")]
    assert [play.roles[0].path.parent.parent.name for play in found.plays] == ["one", "two"]


@pytest.mark.parametrize(
    ("keywords", "refused"),
    [
        ("become: true, become_method: su", True),
        ("become: yes, become_method: runas", True),
        ("become: false, become_method: su", False),
        ("become_method: runas", False),
        ("become: true, become_method: ansible.builtin.sudo", False),
        ("become: true, become_method: '{{ how }}'", False),
    ],
)
def test_only_sudo_becomes_another_user(tmp_path: Path, keywords: str, *, refused: bool) -> None:
    text = f"- hosts: all\n  tasks:\n    - {{command: id, {keywords}}}\n"
    if not refused:
        load(tmp_path, text)
        return
    [problem] = problems(tmp_path, text)
    assert "is not available; use sudo" in problem
