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
    "systemd: {name: x}": "systemd: expected one of state, enabled, masked, daemon_reload, daemon_reexec",
    "uri: {url: 'http://x', method: GET ME}": "uri: method: string should match pattern",
    "win_powershell: {}": "win_powershell: expected either script or path",
    "win_powershell: {script: a, path: b}": "win_powershell: expected either script or path",
    "stat: {}": "stat: path: is required",
}
FITS = (
    "systemd: {daemon_reload: true}",
    "service: {name: x, enabled: false}",
    "service: {name: '{{ x }}', state: '{{ x }}'}",
    "copy: {content: x, dest: /tmp/a, mode: '{{ x }}'}",
    "copy: {content: x, dest: /tmp/a, mode: preserve}",
    "file: {path: /tmp/a, mode: 0644}",
    "win_powershell: {script: '{{ x }}'}",
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


def test_parameters_are_checked_together_with_module_defaults(tmp_path: Path) -> None:
    head = "- hosts: all\n  module_defaults:\n    file: {state: folder, mode: '0644'}\n    service: {state: started}\n  tasks:\n"
    found = problems(
        tmp_path, head + "    - file: {path: /tmp/a}\n    - file: {path: /tmp/a, stat: file}\n    - service: {name: x}\n"
    )
    assert [line for line, _ in found] == [3, 7]
    assert "file: state: input should be" in found[0][1]
    assert "the parameter 'stat' is not known; did you mean 'state'?" in found[1][1]
