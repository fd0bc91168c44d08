"""Literals that do not fit a module's parameters are refused when the playbook is loaded, all at once, each with its place."""

from __future__ import annotations

from pathlib import Path

import pytest

from remediation.model.errors import InputError
from remediation.playbook.load import load_playbook

HEAD = "- hosts: all\n  vars: {x: y}\n  tasks:\n"
WRONG = {
    "copy: {content: x, dest: /tmp/a, mode: banana}": "copy: mode: 'banana' is not a mode",
    "template: {src: a, dest: /tmp/a, mode: 'u+q'}": "template: mode: 'u+q' is not a mode",
    "file: {path: /tmp/a, mode: '0999'}": "file: mode: '0999' is not a mode",
    "lineinfile: {path: /tmp/a, regexp: '(', line: x}": "lineinfile: regexp: is not a regular expression",
    "replace: {path: /tmp/a, regexp: '['}": "replace: regexp: is not a regular expression",
    "service: {name: x}": "service: expected one of state, enabled",
    "service: {state: started}": "service: name: is required",
    "systemd: {enabled: true}": "systemd: name: is required",
    "uri: {url: 'http://x', method: GET ME}": "uri: method: string should match pattern",
    "win_powershell: {}": "win_powershell: expected either script or path",
    "win_powershell: {script: a, path: b}": "win_powershell: expected either script or path",
    "stat: {}": "stat: path: is required",
    "uri: {url: 'http://x', body: a, src: b}": "uri: body and src are mutually exclusive",
    "get_url: {url: 'http://x', dest: /tmp/a, checksum: abc}": "get_url: checksum: 'abc' is not ALGORITHM:SUM",
    "get_url: {url: 'http://x', dest: /tmp/a, checksum: 'crc32:1'}": "get_url: checksum: 'crc32:1' is not ALGORITHM:SUM",
    "copy: {content: x, dest: /tmp/a, validate: visudo -c}": "copy: validate: 'visudo -c' must contain %s",
    "lineinfile: {path: /tmp/a, line: x, validate: sshd -t}": "lineinfile: validate: 'sshd -t' must contain %s",
    "lineinfile: {path: /tmp/a, line: x, insertafter: '('}": "lineinfile: insertafter: is not a regular expression",
    "blockinfile: {path: /tmp/a, block: x, insertbefore: '['}": "blockinfile: insertbefore: is not a regular expression",
    "file: {path: /tmp/a, state: file, recurse: true}": "file: recurse requires state: directory",
    "wait_for: {port: 70000}": "wait_for: port: input should be less than or equal to 65535",
    "assert: {that: }": "assert: that: is empty",
    "shell: echo it's": "the quote ' is not closed",
    'command: echo "a b': 'the quote " is not closed',
    "debug: msg='a b": "the quote ' is not closed",
}
FITS = (
    "systemd: {daemon_reload: true}",
    "systemd: {name: x}",
    "service: {name: x, enabled: false}",
    "service: {name: '{{ x }}', state: '{{ x }}'}",
    "copy: {content: x, dest: /tmp/a, mode: '{{ x }}'}",
    "copy: {content: x, dest: /tmp/a, mode: preserve}",
    "file: {path: /tmp/a, mode: 0644}",
    "win_powershell: {script: '{{ x }}'}",
    "uri: {url: 'http://x', body: '{{ x }}'}",
    "get_url: {url: 'http://x', dest: /tmp/a, checksum: 'SHA256:http://x/sums'}",
    "setup: {gather_subset: '!all,network'}",
    "setup: {gather_subset: [min, hardwar]}",
    "lineinfile: {path: /tmp/a, line: x, insertafter: EOF}",
    "file: {path: /tmp/a, recurse: true}",
    "wait_for: {port: '{{ x }}'}",
    "shell: echo it\\'s {{ x | default(\"it's\") }}",
)


def problems(tmp_path: Path, text: str) -> list[tuple[int, str]]:
    path = tmp_path / "play.yml"
    path.write_text(text, encoding="utf-8")
    try:
        load_playbook(path)
    except InputError as error:
        return [(problem.place.line if problem.place else 0, problem.message) for problem in error.problems]
    return []


def test_all_wrong_literals_are_reported_at_once_with_their_lines(tmp_path: Path) -> None:
    found = problems(tmp_path, HEAD + "".join(f"    - {task}\n" for task in WRONG))
    assert [line for line, _ in found] == [4 + number for number in range(len(WRONG))]
    for (_, message), sentence in zip(found, WRONG.values(), strict=True):
        assert sentence in message


@pytest.mark.parametrize("task", FITS)
def test_what_fits_or_is_a_template_is_accepted(tmp_path: Path, task: str) -> None:
    assert problems(tmp_path, f"{HEAD}    - {task}\n") == []


@pytest.mark.parametrize("keyword", ["ignore_errors: true", "failed_when: false"])
def test_a_task_that_may_fail_is_not_refused_for_its_parameters(tmp_path: Path, keyword: str) -> None:
    assert problems(tmp_path, f"{HEAD}    - file: {{path: /tmp/a, stat: file}}\n      {keyword}\n") == []
    inside = "    - block:\n        - file: {path: /tmp/a, stat: file}\n"
    assert problems(tmp_path, f"{HEAD}{inside}      rescue:\n        - debug:\n") == []
    (found,) = problems(tmp_path, f"{HEAD}{inside}      always:\n        - debug:\n")
    assert "did you mean 'state'?" in found[1]


def test_parameters_are_checked_together_with_module_defaults(tmp_path: Path) -> None:
    head = "- hosts: all\n  module_defaults:\n    file: {state: folder, mode: '0644'}\n    service: {state: started}\n  tasks:\n"
    found = problems(
        tmp_path, head + "    - file: {path: /tmp/a}\n    - file: {path: /tmp/a, stat: file}\n    - service: {name: x}\n"
    )
    assert [line for line, _ in found] == [3, 7]
    assert "file: state: input should be" in found[0][1]
    assert "the parameter 'stat' is not known; did you mean 'state'?" in found[1][1]


@pytest.mark.parametrize(
    "text",
    ["- src: geerlingguy.nginx\n  version: 1.0\n", "roles:\n  - {src: a.b}\n", "collections: [{name: a.b}]\nroles: []\n"],
)
def test_a_list_of_requirements_is_refused_with_what_to_do(tmp_path: Path, text: str) -> None:
    ((line, message),) = problems(tmp_path, text)
    assert line == 1
    assert "no playbook" in message
    assert "copy roles into roles/" in message


@pytest.mark.parametrize("name", ["key with space", "1st", "größe", "a-b"])
def test_names_of_variables_are_checked_where_a_playbook_sets_them(tmp_path: Path, name: str) -> None:
    tasks = "  tasks:\n    - debug:\n"
    (found,) = problems(tmp_path, f"- hosts: all\n  vars: {{{name}: 1}}\n{tasks}")
    assert "names have the letters a to z" in found[1]
    (found,) = problems(tmp_path, f"- hosts: all\n{tasks}      vars: {{{name}: 1}}\n")
    assert found[0] == 4
