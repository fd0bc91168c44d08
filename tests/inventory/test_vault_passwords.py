"""Where the password of a vault comes from, and that the files it opens are variables like any other."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path

import pytest

from remediation.inventory.load import load_inventory
from remediation.inventory.secrets import VARIABLE, vault_of
from remediation.model.errors import InputError, RemediationError
from remediation.templating.templar import Scope
from remediation.templating.yaml.secret import Secret
from tests.inventory.conftest import Written
from tests.templating.vaults import OPS, SECRET, VALUE, VALUE_OF_OPS, WHOLE

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes are POSIX's")


def kept(folder: Path, name: str, text: str, mode: int = 0o600) -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_a_file_holds_the_password(tmp_path: Path) -> None:
    vault = vault_of([str(kept(tmp_path, "pw", f"{SECRET}\n"))])
    assert vault(VALUE.text) == VALUE.holds


def test_several_passwords_are_distinguished_by_their_ids(tmp_path: Path) -> None:
    both = [str(kept(tmp_path, "pw", SECRET)), f"ops@{kept(tmp_path, 'pw2', OPS)}"]
    for given in (both, both[::-1]):
        vault = vault_of(given)
        assert (vault(VALUE.text), vault(VALUE_OF_OPS.text)) == (VALUE.holds, VALUE_OF_OPS.holds)


def test_ansibles_own_variable_counts_where_no_option_is_given(tmp_path: Path) -> None:
    path = kept(tmp_path, "pw", SECRET)
    assert vault_of([], {VARIABLE: str(path)})(VALUE.text) == VALUE.holds
    assert vault_of([], {}).passwords == []


@posix
def test_a_program_prints_the_password_and_runs_once(tmp_path: Path) -> None:
    path = kept(tmp_path, "ask", f"#!/bin/sh\necho asked >> {tmp_path}/calls\necho {SECRET}\n", 0o700)
    vault = vault_of([str(path)])
    assert [vault(VALUE.text), vault(VALUE.text)] == [VALUE.holds] * 2
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "asked\n"


@posix
def test_a_password_that_others_may_read_is_refused(tmp_path: Path) -> None:
    path = kept(tmp_path, "pw", SECRET, 0o644)
    with pytest.raises(RemediationError, match="other users can access it") as caught:
        vault_of([str(path)])(VALUE.text)
    assert caught.value.next_step == f"chmod 600 {path}"
    assert stat.S_IMODE(path.stat().st_mode) == 0o644  # reported, not changed


def test_without_a_terminal_there_is_no_prompt(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(RemediationError, match="no terminal"):
            vault_of(["prompt"])(VALUE.text)


def test_vaulted_variables_are_secrets_with_a_place(written: Written, tmp_path: Path) -> None:
    indented = VALUE.text.replace("\n", "\n  ").rstrip()
    path = written("web: {hosts: {alpha: }}", name="inv/hosts.yml")
    (path.parent / "group_vars").mkdir()
    (path.parent / "group_vars/all.yml").write_text(f"plain: 1\nhidden: !vault |\n  {indented}\n", encoding="utf-8")
    (path.parent / "group_vars/web.yml").write_text(WHOLE.text, encoding="utf-8")
    decrypt = vault_of([str(kept(tmp_path, "pw", SECRET))])
    scope = Scope(load_inventory([path], decrypt=decrypt).layers("alpha"))
    assert isinstance(scope["hidden"], Secret)
    assert scope["hidden"] == VALUE.holds
    assert (scope["user"], scope["nested"]["n"], scope["ref"]) == ("ops", 5, "ops")
    assert isinstance(scope["user"], Secret)
    assert isinstance(scope["ref"], Secret)


def test_every_file_that_stays_closed_is_named(written: Written) -> None:
    path = written("all: {hosts: {alpha: }}")
    (path.parent / "host_vars").mkdir()
    (path.parent / "host_vars/alpha.yml").write_text(WHOLE.text, encoding="utf-8")
    with pytest.raises(InputError, match=r"alpha\.yml:1:1: encrypted .* --vault-password-file FILE"):
        load_inventory([path])
    wrong = kept(path.parent.parent, "pw", "not it")
    with pytest.raises(InputError, match="none of the known vault passwords decrypts this"):
        load_inventory([path], decrypt=vault_of([str(wrong)]))
