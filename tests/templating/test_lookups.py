"""Lookups that read files of the controller."""

from __future__ import annotations

import stat
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import RemediationError
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import mark_trusted
from remediation.templating.yaml.secret import Secret


@pytest.fixture
def scope(tmp_path: Path) -> Scope:
    for name, text in {
        "site.yml": "", "a.txt": "alone\n\n", "files/a.txt": "of files\n", "files/b.txt": "b", "conf.d/2.conf": "", "conf.d/1.conf": "",
        "templates/t.j2": "n={{ n }}\n{% for i in l %}\n- {{ i }}\n{% endfor %}\n", "inner/c.txt": "c",
        "files/t.csv": "a,1\nb,2\n", "files/t.ini": "[s]\nk=v\nK2=w\n", "files/p.properties": "x=1\npassword\n", "files/no.ini": "x=1\n",
        "files/sealed.yml": "$ANSIBLE_VAULT;1.1;AES256\n00\n",
    }.items():  # fmt: skip
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(text, encoding="utf-8")
    (tmp_path / "conf.d/folder.conf").mkdir()
    return Scope([mark_trusted({"n": 5, "l": [1, 2], "playbook_dir": str(tmp_path)})])


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
        ("lookup('csvfile', 'a file=t.csv delimiter=,')", "1"),
        ("query('csvfile', 'z', file='t.csv', delimiter=',')", []),
        ("lookup('csvfile', 'z', file='t.csv', delimiter=',', default='d')", "d"),
        ("lookup('csvfile', 'a file=t.csv col=x', errors='ignore')", None),
        ("lookup('ini', 'k2', section='s', file='t.ini')", "w"),
        ("lookup('ini', 'k2', section='s', file='t.ini', case_sensitive=true)", ""),
        ("query('ini', 'k.', section='s', file='t.ini', re=true)", ["w"]),
        ("lookup('ini', 'x type=properties file=no.ini')", "1"),
        ("lookup('unvault', 't.ini')", "[s]\nk=v\nK2=w\n"),
    ],
)
def test_files_are_found_next_to_the_playbook(scope: Scope, tmp_path: Path, expression: str, value: Any) -> None:
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
        ("lookup('vars', 'unknown')", "no such variable"),
        ("lookup('csvfile', 'a file=t.csv col=x')", "lookup('csvfile'): col must be a whole number, not 'x'"),
        ("lookup('csvfile', 'a file=t.csv col=-1')", "col must be a whole number, not '-1'"),
        ("lookup('csvfile', 'a file=t.csv delimiter=;;')", "delimiter must be one character or TAB, not ';;'"),
        ("lookup('csvfile', 'a fil=t.csv')", "lookup('csvfile'): unknown option 'fil'; use file, delimiter"),
        ("lookup('ini', 'x file=no.ini')", "files/no.ini:1: expected [section], key=value or a comment"),
        ("lookup('ini', 'x type=properties file=p.properties')", "files/p.properties:2: expected [section]"),
        ("lookup('unvault', 'sealed.yml')", "files/sealed.yml is encrypted; load it with vars_files or include_vars"),
        ("lookup('inventory_hostnames', 'all')", "lookup('inventory_hostnames') needs an inventory"),
        ("lookup('keyring', 'service')", "expected a service and a user, separated by a space"),
        ("lookup('password', 'pw length=x')", "lookup('password'): length must be a whole number, not 'x'"),
        ("lookup('password', 'pw length=0')", "length must be at least 1"),
        ("lookup('password', 'pw chars=')", "chars must name at least one character"),
        ("lookup('password', 'pw length=' ~ 10**12)", "too large"),
        ("lookup('password', 'pw lenght=8')", "unknown option 'lenght'; use length, chars"),
        ("lookup('password', 'pw encrypt=sha512')", "encrypt is not supported"),
        ("lookup('password', 'inner')", "cannot keep the password in {folder}/inner: Is a directory"),
        ("lookup('password', 'a.txt/pw')", "cannot keep the password in {folder}/a.txt/pw: "),
    ],
)
def test_what_cannot_be_looked_up_is_an_error(scope: Scope, tmp_path: Path, expression: str, message: str) -> None:
    with pytest.raises(RemediationError) as caught:
        scope.expression(expression)
    assert message.replace("{folder}", str(tmp_path)) in str(caught.value)
    assert "Error:" not in str(caught.value)  # no name of a Python exception
    assert not (tmp_path / "pw").exists()


def test_a_broken_line_of_a_properties_file_is_not_shown(scope: Scope) -> None:
    with pytest.raises(RemediationError) as caught:
        scope.expression("lookup('ini', 'x type=properties file=p.properties')")
    assert "password" not in str(caught.value).partition("expected")[2]


def test_a_generated_password_is_kept_in_a_private_file_and_is_secret(scope: Scope, tmp_path: Path) -> None:
    first = scope.expression("lookup('password', 'keys/pw length=8 chars=digits')")
    assert isinstance(first, Secret)
    assert first.reveal().isdecimal()
    assert len(first) == 8
    assert stat.S_IMODE((tmp_path / "keys/pw").stat().st_mode) == 0o600
    assert scope.expression("lookup('password', 'keys/pw length=30')") == first
    assert [path.name for path in (tmp_path / "keys").iterdir()] == ["pw"]


def test_a_seed_repeats_a_password_as_in_ansible(scope: Scope) -> None:
    assert scope.expression("lookup('password', '/dev/null seed=host1 length=12')").reveal() == ".FxC8RS71Bo:"


def test_hosts_that_need_a_new_password_at_the_same_time_get_the_same_one(scope: Scope, tmp_path: Path) -> None:
    hosts = 8
    ready = threading.Barrier(hosts)

    def one(_: int) -> str:
        inner = Scope([mark_trusted({"playbook_dir": str(tmp_path)})])
        ready.wait()
        return str(inner.expression("lookup('password', 'shared')").reveal())

    with ThreadPoolExecutor(hosts) as pool:
        for _ in range(20):
            (tmp_path / "shared").unlink(missing_ok=True)
            found = set(pool.map(one, range(hosts)))
            assert len(found) == 1
            assert len(found.pop()) == 20


def test_a_variable_is_not_changed_in_place_but_a_templates_own_list_is(scope: Scope) -> None:
    with pytest.raises(RemediationError, match="unsafe"):
        scope.render(mark_trusted("{{ l.append(3) }}"))
    facts = Scope([{"found": [1], "known": {"a": 1}}])
    for expression in ("found.append(2)", "known.update({'b': 2})"):
        with pytest.raises(RemediationError, match="unsafe"):
            facts.expression(expression)
    assert facts.expression("found") == [1]
    text = "{% set r = [] %}{% for i in l %}{% set _ = r.append(i * 2) %}{% endfor %}{{ r | join(',') }}"
    assert scope.render(mark_trusted(text)) == "2,4"
