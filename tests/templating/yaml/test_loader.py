"""YAML is read with places, in Ansible's YAML 1.1, and every mistake is reported with its line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.model.errors import InputError, Place
from remediation.templating.yaml.loader import load_text, problem, read_yaml
from remediation.templating.yaml.located import Rows, Table, Text, plain
from remediation.templating.yaml.secret import Secret
from remediation.templating.yaml.vault import Vault
from tests.templating.vaults import SECRET, VALUE, WHOLE

NAME = "site.yml"


def problems_of(text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        load_text(text, NAME)
    return [str(problem) for problem in caught.value.problems]


def test_every_value_knows_its_place() -> None:
    table = load_text("a: 1\nb:\n  - {c: word}\n  - 'x y'\n", NAME)
    assert isinstance(table, Table)
    assert (table.key_places["b"], table.value_places["a"]) == (Place(NAME, 2, 1), Place(NAME, 1, 4))
    rows = table["b"]
    assert isinstance(rows, Rows)
    assert rows.places == (Place(NAME, 3, 5), Place(NAME, 4, 5))
    word = rows[0]["c"]
    assert isinstance(word, Text)
    assert (word, word.place, word.template) == ("word", Place(NAME, 3, 9), False)


def test_types_are_yaml_1_1() -> None:
    text = "[yes, No, on, OFF, 0755, '0755', 1:30, 1_000, 0x1f, .inf, 1e3, ~, 2001-02-03, !!str 5, null, '', =]"
    values = plain(load_text(text, NAME))
    assert values[:9] == [True, False, True, False, 493, "0755", 90, 1000, 31]
    assert values[9] == float("inf")
    assert values[10] == "1e3"  # YAML 1.1 wants a dot
    assert values[11] is None
    assert str(values[12]) == "2001-02-03"
    assert values[13:] == ["5", None, "", "="]


def test_an_alias_is_its_anchor_and_merges_are_weaker_than_own_keys() -> None:
    table = load_text("a: &x {k: 1, l: 2}\nb: {l: 3, <<: *x}\nc: {<<: [{k: 9}, *x]}\n", NAME)
    assert plain(table) == {"a": {"k": 1, "l": 2}, "b": {"l": 3, "k": 1}, "c": {"k": 9, "l": 2}}
    assert table["b"].key_places["k"] == Place(NAME, 1, 8)


def bomb(levels: int) -> str:
    first = "a0: &a0 [x, x, x, x, x, x, x, x, x]"
    return "\n".join([first, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, levels))])


def test_an_alias_is_the_value_of_its_anchor() -> None:
    table = load_text(bomb(4), NAME)
    assert table["a3"][0] is table["a3"][8] is table["a2"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (bomb(9), "site.yml:6:10: too large: its aliases represent more than 100,000 values"),
        ("a: [" + "1," * 600_000 + "]", "too large: the file holds more than 500,000 values"),
        ("- 1\n" * 600_000, "too large: the file holds more than 500,000 values"),
        ("? a\n" * 600_000, "too large: the file holds more than 500,000 values"),
        ("a: " + "[" * 5000, "nesting depth"),
        ("a: " + "[" * 120 + "]" * 120, "site.yml:1:103: too large: values are nested more than 100 levels deep"),
        ("- " * 150 + "x", "values are nested more than 100 levels deep"),
        ("a: " + "{a: " * 150 + "}" * 150, "values are nested more than 100 levels deep"),
        ("a: " + "9" * 4400, "a number has at most 3,000 digits"),
        ("a: 0x" + "f" * 4400, "a number has at most 3,000 digits"),
        ("a: " + "1:" * 4000 + "1", "a number has at most 3,000 digits"),
        ("a: " + "9" * 4400 + ".5", "a number has at most 3,000 digits"),
    ],
)
def test_what_would_fill_the_memory_is_refused(text: str, message: str) -> None:
    found = problems_of(text)
    assert message in found[0]
    assert max(map(len, found[0].splitlines())) < 500


def test_brackets_in_texts_and_many_anchors_are_no_depth() -> None:
    lines = [f"k{n}: &k{n} {{a: [1], b: '[[['}}" for n in range(500)]
    table = load_text("\n".join([*lines, "all: [*k1, *k2, *k499]"]), NAME)
    assert table["all"][2] == {"a": [1], "b": "[[["}


def test_a_file_that_is_none_is_refused(tmp_path: Path) -> None:
    large = tmp_path / "large.yml"
    with large.open("wb") as file:
        file.truncate(17 * 1024**2)
    os.mkfifo(tmp_path / "pipe.yml")
    for path, reason in (
        (large, "larger than 16 MiB"),
        (tmp_path / "pipe.yml", "not a regular file"),
        (Path("/dev/zero"), "not a regular file"),
        (tmp_path, "Is a directory"),
        (tmp_path / "no\0name", "null byte"),
    ):
        with pytest.raises(InputError, match=reason):
            read_yaml(path)


def test_unsafe_text_is_never_a_template() -> None:
    table = load_text("a: !unsafe '{{ x }}'\nb: !unsafe {c: ['{{ x }}']}\nd: '{{ x }}'\n", NAME)
    assert (table["a"], type(table["a"])) == ("{{ x }}", str)
    assert (table["b"], type(table["b"]["c"][0])) == ({"c": ["{{ x }}"]}, str)
    assert table["d"].template


def test_an_empty_file_holds_nothing(tmp_path: Path) -> None:
    (tmp_path / "e.yml").write_text("# only words\n---\n", encoding="utf-8")
    assert read_yaml(tmp_path / "e.yml") is None


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "b.yml").write_bytes(b"\xef\xbb\xbfa: 1\r\nb: 2\r\n")
    assert read_yaml(tmp_path / "b.yml") == {"a": 1, "b": 2}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "site.yml:2:1: duplicate key 'a'\n    2 | a: 2\n      | ^"),
        (
            "a:\n\tb: 1\n",
            "site.yml:2:1: invalid YAML: found character '\\t' that cannot start any token (the indentation contains a tab",
        ),
        ("a: b: c\n", "site.yml:1:5: invalid YAML: mapping values are not allowed here (a colon in plain text needs quotes"),
        ("msg: {{ x }}\n", "a value that begins with {{ needs quotes"),
        ("a: {m: 1, msg: {{ x }}, b: 2}\n", 'a value that begins with {{ needs quotes: msg: "{{ x }}"'),
        ("a: {path: '{{ x }}', msg: {{ y }}}\n", 'a value that begins with {{ needs quotes: msg: "{{ y }}"'),
        ("a: [{msg: {{ x }}/b}]\n", "invalid YAML"),
        ("a: [1, 2\nb: 3\n", "site.yml:2:2: invalid YAML: expected ',' or ']'"),
        ("a: 'open\n", "site.yml:2:1: invalid YAML: found unexpected end of stream"),
        ("a: *unknown\n", "site.yml:1:4: invalid YAML: found undefined alias 'unknown'"),
        (
            "a: !secret x\n",
            "site.yml:1:4: unknown tag !secret; only !vault and !unsafe are allowed\n    1 | a: !secret x\n      |    ^",
        ),
        ("a: !secret {b: 1}\n", "site.yml:1:4: unknown tag !secret; only !unsafe is allowed here"),
        ("a: &x [*x]\n", "site.yml:1:4: this value contains itself"),
        ("a: 2001-99-99\n", "site.yml:1:4: '2001-99-99' is not a valid value"),
        ("a: {<<: 5}\n", "site.yml:1:9: << merges mappings, and this is not a mapping"),
        ("a: 1\n---\nb: 2\n", "invalid YAML: found another document"),
        ("a: x\x07y\n", "site.yml:1:5: invalid YAML"),
        ("? [a]\n: b\n", "site.yml:1:3: this key is not a plain value"),
        (
            "a: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  00\n",
            "site.yml:1:4: encrypted by Ansible Vault, and no password is known",
        ),
    ],
)
def test_a_mistake_has_place_and_line(text: str, message: str) -> None:
    (found,) = problems_of(text)
    assert message in found


def test_all_mistakes_of_a_file_are_reported_in_its_order() -> None:
    assert [line.partition(": ")[0] for line in problems_of("a: 1\na: 2\nb: !x 1\nc: {d: 1, d: 2}\n")] == [
        "site.yml:2:1", "site.yml:3:4", "site.yml:4:11",
    ]  # fmt: skip


def test_the_mark_stands_below_the_column_even_after_a_tab(tmp_path: Path) -> None:
    path = tmp_path / "t.yml"
    path.write_text("a:\tb\n", encoding="utf-8")
    assert problem("wrong", Place(str(path), 1, 4)).excerpt == "    1 | a:\tb\n      |   \t^"


@pytest.mark.parametrize(("content", "reason"), [(b"a: \xff", "not UTF-8 text (byte 3)"), (None, "cannot be read: No such file")])
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    path = tmp_path / "v.yml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InputError) as caught:
        read_yaml(path)
    assert f"{path}: {reason}" in str(caught.value)


def test_what_was_encrypted_is_secret_and_never_quoted(tmp_path: Path) -> None:
    vault = Vault([("default", lambda: Secret(SECRET))])
    path = tmp_path / "v.yml"
    path.write_text(WHOLE.text, encoding="utf-8")
    table = read_yaml(path, decrypt=vault)
    assert [type(table[name]) for name in ("user", "password")] == [Secret, Secret]
    assert table["ref"].template
    broken = Vault([("default", lambda: Secret(SECRET))])
    broken_text = "password: hunter3\npassword: hunter4\nday: 2001-99-99\n"
    with pytest.raises(InputError) as caught:
        read_yaml(path, decrypt=lambda text: broken(text) and broken_text)
    assert len(caught.value.problems) == 2
    assert not [word for word in ("hunter3", "hunter4", "2001-99") if word in str(caught.value)]


def test_a_vaulted_value_is_a_secret() -> None:
    indented = VALUE.text.replace("\n", "\n  ")
    table = load_text(f"a: !vault |\n  {indented}\nb: 1\n", NAME, decrypt=Vault([("x", lambda: Secret(SECRET))]))
    assert table == {"a": VALUE.holds, "b": 1}
    assert repr(table) == "{'a': ***, 'b': 1}"


@given(st.text(alphabet=st.sampled_from("ab:-[]{}!&*#|>'\" \n\t,?%@0123é\x07"), max_size=60))
def test_any_text_is_read_or_refused_with_a_reason(text: str) -> None:
    try:
        load_text(text, NAME)
    except InputError as error:
        problems = error.problems
    else:
        return
    assert problems
    for found in problems:
        assert found.message
        assert found.place is None or found.place.line <= text.count("\n") + 2


@pytest.mark.parametrize(
    ("line", "shown"),
    [
        ("  ansible_password: hunter2", "  ansible_password: *******"),
        ("a: {db_password: 'x y', port: 70000}", "a: {db_password: *****, port: 70000}"),
        ("token: abc # why", "token: *********"),
        ("ansible_password: \"{{ lookup('env', 'X') }}\"", "ansible_password: \"{{ lookup('env', 'X') }}\""),
        ("password: !vault |", "password: !vault |"),
        ("bypass: no", "bypass: **"),
        ("passage: no", "passage: no"),
    ],
)
def test_a_password_on_the_line_of_a_mistake_is_starred_out(tmp_path: Path, line: str, shown: str) -> None:
    path = tmp_path / "p.yml"
    path.write_text(f"{line}\n", encoding="utf-8")
    assert problem("wrong", Place(str(path), 1, 1)).excerpt.splitlines()[0] == f"    1 | {shown}"
