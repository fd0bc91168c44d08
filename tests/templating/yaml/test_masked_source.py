"""The journal's copy of a file holds no secret in any notation, and stays the same YAML otherwise."""

from __future__ import annotations

import pytest
import yaml

from remediation.model.secrets.masking import MASK, Masker
from remediation.templating.yaml.masked_source import masked_source

SOURCE = r"""# the password is S3cr"et\pass
all:
  vars:
    ansible_password: "S3cr\"et\\pass"  # of the lab
    api_token: 'it''s-a-token-42'
    plain_password: plainSecret99
    shared: &shared anchored-secret-é😀
    db_password: *shared
    tagged_password: &k !!str tagged-secret
    folded_secret: >-
      folded one
      folded two
    next: value
    block_token: |
      block one
      block two

    after: x
    flow: {api_key: "flow secret", port: 1, deep: [{client_secret: deep-secret}]}
    secret: {a: 11111, b: [listed-secret, ~, true]}
    lookup_password: "{{ lookup('env', 'X') }}"
    vault_password: !vault |
      $ANSIBLE_VAULT;1.1;AES256
      33333333
    spread_password: "spread
      secret"
    last_password: last-secret
"""
HIDDEN = ("S3cr", "it''s", "plainSecret", "anchored", "tagged-secret", "folded one", "block two", "flow secret", "deep-secret", "11111",
          "listed-secret", "spread", "last-secret")  # fmt: skip


class Loader(yaml.SafeLoader):
    """Reads `!vault` as the text that it holds."""


Loader.add_constructor("!vault", lambda loader, node: loader.construct_scalar(node))  # type: ignore[no-untyped-call]


def test_the_copy_holds_no_secret_and_everything_else() -> None:
    copy = masked_source(SOURCE, Masker(['S3cr"et\\pass']))
    assert [part for part in HIDDEN if part in copy.replace("spread_password", "")] == []
    values = yaml.load(copy, Loader)["all"]["vars"]
    assert {name: value for name, value in values.items() if value != MASK} == {
        "next": "value", "after": "x", "flow": {"api_key": MASK, "port": 1, "deep": [{"client_secret": MASK}]},
        "secret": {"a": MASK, "b": [MASK, None, True]}, "lookup_password": "{{ lookup('env', 'X') }}",
        "vault_password": "$ANSIBLE_VAULT;1.1;AES256\n33333333\n",
    }  # fmt: skip
    assert f"# the password is {MASK}" in copy
    assert "# of the lab" in copy


def test_a_known_secret_is_masked_under_any_name() -> None:
    copy = masked_source('a: "qu\\"oted-one"\nb: [x, "a qu\\"oted-one b"]\n"qu\\"oted-one": 1\n', Masker(['qu"oted-one']))
    assert "oted-one" not in copy
    assert len(yaml.safe_load(copy)) == 3


@pytest.mark.parametrize(
    ("text", "copy"),
    [
        ("API_TOKEN='abc def'\nOTHER=1\n", f"API_TOKEN={MASK}\nOTHER=1\n"),
        ("export db_password=abc\n[x\n", f"export db_password={MASK}\n[x\n"),
        ("password: abc: [\nuser: x\n", f"password: {MASK}\nuser: x\n"),
        ('a: [1\npassword: "{{ x }}"\n', 'a: [1\npassword: "{{ x }}"\n'),
        ("$ANSIBLE_VAULT;1.1;AES256\n3132\n", "$ANSIBLE_VAULT;1.1;AES256\n3132\n"),
        ("- a: 1\n---\n- token: 12345\n", f'- a: 1\n---\n- token: "{MASK}"\n'),
        ("", ""),
    ],
)  # fmt: skip
def test_files_of_other_kinds(text: str, copy: str) -> None:
    assert masked_source(text, Masker()) == copy


def test_masking_a_copy_again_changes_nothing() -> None:
    mask = Masker(['S3cr"et\\pass'])
    assert masked_source(masked_source(SOURCE, mask), mask) == masked_source(SOURCE, mask)
