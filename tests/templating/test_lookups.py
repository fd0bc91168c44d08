"""Lookups that read files of the controller."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import RemediationError
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import trusted


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    for name, text in {
        "site.yml": "", "a.txt": "alone\n\n", "files/a.txt": "of files\n", "files/b.txt": "b", "conf.d/2.conf": "", "conf.d/1.conf": "",
        "templates/t.j2": "n={{ n }}\n{% for i in l %}\n- {{ i }}\n{% endfor %}\n", "inner/c.txt": "c",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "conf.d/folder.conf").mkdir()
    return Scope([trusted({"n": 5, "l": [1, 2], "playbook_dir": str(tmp_path)})])


@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("lookup('file', 'a.txt')", "of files"),
        ("lookup('first_found', ['no.txt', 'b.txt', 'a.txt'])", "files/b.txt"),
        ("lookup('first_found', 'no.txt', 'site.yml')", "site.yml"),
        ("lookup('first_found', {'files': ['no.txt', 'c.txt'], 'paths': ['conf.d', 'inner']})", "inner/c.txt"),
        ("lookup('first_found', files='c.txt', paths='conf.d:inner')", "inner/c.txt"),
        ("query('first_found', ['no.txt'], skip=true)", []),
        ("query('fileglob', 'conf.d/*.conf')", ["conf.d/1.conf", "conf.d/2.conf"]),
        ("query('fileglob', '*.txt')", ["files/a.txt", "files/b.txt"]),
        ("query('fileglob', 'none*')", []),
        ("lookup('template', 't.j2')", "n=5\n- 1\n- 2\n"),
        ("lookup('file', 'no.txt', errors='ignore')", None),
    ],
)
def test_files_are_found_beside_the_playbook(scope: Scope, tmp_path: Path, expression: str, value: Any) -> None:
    def short(found: Any) -> Any:
        if isinstance(found, list):
            return [short(item) for item in found]
        return found.replace(f"{tmp_path}/", "") if isinstance(found, str) else found

    assert short(scope.expression(expression)) == value


@pytest.mark.parametrize(
    ("expression", "message"),
    [
        ("lookup('file', 'no.txt')", "no file 'no.txt'"),
        ("lookup('first_found', ['no.txt', 'none.txt'])", "none found of: 'no.txt', 'none.txt'"),
        ("lookup('template', 'no.j2')", "no file 'no.j2'"),
        ("lookup('dict', [1])", "takes mappings"),
        ("lookup('sequence', 'start=1')", "give either end or count"),
        ("lookup('vars', 'nobody')", "no such variable"),
    ],
)
def test_what_cannot_be_looked_up_is_told(scope: Scope, expression: str, message: str) -> None:
    with pytest.raises(RemediationError) as caught:
        scope.expression(expression)
    assert message in str(caught.value)


def test_a_variable_is_not_changed_in_place_but_a_templates_own_list_is(scope: Scope) -> None:
    with pytest.raises(RemediationError, match="unsafe"):
        scope.render(trusted("{{ l.append(3) }}"))
    facts = Scope([{"found": [1], "known": {"a": 1}}])
    for expression in ("found.append(2)", "known.update({'b': 2})"):
        with pytest.raises(RemediationError, match="unsafe"):
            facts.expression(expression)
    assert facts.expression("found") == [1]
    text = "{% set r = [] %}{% for i in l %}{% set _ = r.append(i * 2) %}{% endfor %}{{ r | join(',') }}"
    assert scope.render(trusted(text)) == "2,4"
