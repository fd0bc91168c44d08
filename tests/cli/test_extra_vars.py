"""``-e`` as Ansible reads it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from remediation.cli.extra_vars import extra_variables
from remediation.model.errors import UsageError


@pytest.mark.parametrize(
    ("given", "read"),
    [
        (["model=mistral:7b"], {"model": "mistral:7b"}),
        (["a=1 b='two words'"], {"a": "1", "b": "two words"}),
        (["a=1", "a=2"], {"a": "2"}),
        (["a="], {"a": ""}),
        (["url=http://x?a=b"], {"url": "http://x?a=b"}),
        (["{ctx: 4096, close: [chrome]}"], {"ctx": 4096, "close": ["chrome"]}),
        (['{"deep": {"yes": true}}'], {"deep": {"yes": True}}),
        (["a='{{ b }} c' d={{ e | default('x y') }}"], {"a": "{{ b }} c", "d": "{{ e | default('x y') }}"}),
        ([r"path=C:\dev\activia1 next='C:\Program Files'"], {"path": r"C:\dev\activia1", "next": r"C:\Program Files"}),
        ([r"a=x\ny b='it\'s' c=\\server\new"], {"a": r"x\ny", "b": "it's", "c": r"\\server\new"}),
        (['a=b"c d"e'], {"a": 'b"c d"e'}),
        ([], {}),
    ],
)
def test_forms(given: list[str], read: dict[str, Any]) -> None:
    assert extra_variables(given) == read


def test_a_file_keeps_its_types(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_text("ctx: 4096\nname: España\n", encoding="utf-8")
    assert extra_variables([f"@{tmp_path / 'vars.yml'}"]) == {"ctx": 4096, "name": "España"}


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("model", "-e 'model' is not a variable: 'model' does not have the form NAME=VALUE"),
        ("7b=x", "-e '7b=x' is not a variable: '7b' does not"),
        ("a='open", '-e "a=\'open" has an unclosed quote'),
        ("{a: [}", "-e {a: [}: not YAML at line 1"),
        ("{1: 2}", "-e {1: 2}: not a mapping of names to values"),
        ("@no-such-file.yml", "-e @no-such-file.yml: cannot read the file"),
        (" ", "-e has an empty value"),
    ],
)
def test_what_cannot_be_read_is_named(given: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        extra_variables([given])
    assert caught.value.message.startswith(message)


def test_a_file_that_is_not_text_is_told_so(tmp_path: Path) -> None:
    (tmp_path / "vars.yml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UsageError, match="not UTF-8"):
        extra_variables([f"@{tmp_path / 'vars.yml'}"])
