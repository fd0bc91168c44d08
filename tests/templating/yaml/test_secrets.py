"""A secret stays one through every operation; a mistake in its source says what to do and not what it is."""

from __future__ import annotations

import json
import os
import pickle
import sys
from pathlib import Path
from typing import Any

import pytest

from remediation.model.errors import RemediationError
from remediation.model.secrets.names import MASK, sounds_secret
from remediation.templating.templar import Scope
from remediation.templating.yaml.located import mark_trusted
from remediation.templating.yaml.secret import Secret, masked

PASSWORD = "pa55 word"

posix = pytest.mark.skipif(sys.platform == "win32", reason="file modes and programs are POSIX's here")


@pytest.fixture
def scope() -> Scope:
    return Scope([mark_trusted({"p": "{{ given }}", "n": 5, "list": ["{{ p }}", "x"]}), {"given": Secret(PASSWORD)}])


def test_no_form_of_it_shows_it() -> None:
    secret = Secret(PASSWORD)
    assert {str(secret), repr(secret), f"{secret}", f"{secret:>3}", str([secret]), str({"a": secret})} == {
        MASK, "[***]", "{'a': ***}",
    }  # fmt: skip
    with pytest.raises(TypeError):
        json.dumps(secret)
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(secret)


@pytest.mark.parametrize(
    ("expression", "text"),
    [
        ("p", PASSWORD),
        ("p ~ '!'", f"{PASSWORD}!"),
        ("'x' ~ n ~ p", f"x5{PASSWORD}"),
        ("p + '!'", f"{PASSWORD}!"),
        ("'!' + p", f"!{PASSWORD}"),
        ("p | upper", PASSWORD.upper()),
        ("p.upper()", PASSWORD.upper()),
        ("p | replace('5', 's')", "pass word"),
        ("p | b64encode", "cGE1NSB3b3Jk"),
        ("[p, 'x'] | join('-')", f"{PASSWORD}-x"),
        ("p | default('none')", PASSWORD),
        ("(p if n == 5 else '')", PASSWORD),
        ("list[0]", PASSWORD),
        ("list | first", PASSWORD),
        ("p | split(' ') | last", "word"),
    ],
)
def test_what_is_made_of_it_is_secret(scope: Scope, expression: str, text: str) -> None:
    value = scope.expression(expression)
    assert isinstance(value, Secret)
    assert value.reveal() == text


def test_a_text_around_it_is_secret(scope: Scope) -> None:
    value = scope.render(mark_trusted("user=ops password={{ p }}"))
    assert isinstance(value, Secret)
    assert value.reveal() == f"user=ops password={PASSWORD}"


@pytest.mark.parametrize(
    "condition",
    [
        "p == 'pa55 word'",
        "p != 'x'",
        "p is match('pa55')",
        "'word' in p",
        "p | length == 9",
        "p is string or true",
        "p is vault_encrypted",
    ],
)
def test_conditions_see_what_it_holds(scope: Scope, condition: str) -> None:
    assert scope.condition(mark_trusted(condition))


def test_an_error_about_it_does_not_show_it(scope: Scope) -> None:
    for expression in ("p + n", "p.nosuch", "p | from_json", "p | int + 'x'", "p"):
        with pytest.raises(RemediationError) as caught:
            scope.condition(mark_trusted(expression))
        assert PASSWORD not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "secret"),
    [
        ("ansible_password", True), ("ansible_ssh_pass", True), ("ansible_become_password", True), ("ansible_winrm_password", True),
        ("ansible_ssh_private_key_passphrase", True), ("ansible_ssh_private_key_file", False), ("password", False),
        ("ansible_user", False), ("ansible_password_file", False),
    ],
)  # fmt: skip
def test_ansibles_password_variables_are_secret_however_they_are_written(name: str, secret: bool) -> None:
    for written in (PASSWORD, "{{ 'pa55' ~ ' word' }}", 1234):
        value = Scope([mark_trusted({name: written})])[name]
        assert isinstance(value, Secret) is secret
        assert value == (str(written) if secret and written == 1234 else 1234 if written == 1234 else PASSWORD)


def test_names_that_sound_secret_are_masked_deep_inside() -> None:
    value = {"db": {"password": "a", "size": 1, "api_key": "b", "tokens": 3}, "list": [{"client_secret": "c"}, Secret("d"), "e"]}
    assert masked(value) == {
        "db": {"password": MASK, "size": 1, "api_key": MASK, "tokens": 3}, "list": [{"client_secret": MASK}, MASK, "e"],
    }  # fmt: skip
    assert not sounds_secret("compass")


def look_up(expression: str, **names: Any) -> Any:
    return Scope([names]).expression(expression)


def test_the_environment_is_read_at_each_lookup(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOOKED_UP", "value")
    monkeypatch.delenv("NOT_THERE", raising=False)
    assert look_up("lookup('env', 'LOOKED_UP')") == "value"
    assert look_up("lookup('ansible.builtin.env', 'NOT_THERE')") == ""
    assert look_up("lookup('env', 'NOT_THERE', default='d')") == "d"
    assert look_up("query('env', 'LOOKED_UP', 'NOT_THERE')") == ["value", ""]


@posix
def test_a_password_file_is_its_owners_alone(tmp_path: Path) -> None:
    path = tmp_path / "pw"
    path.write_text(f"{PASSWORD}\n", encoding="utf-8")
    path.chmod(0o600)
    value = look_up("lookup('password_file', 'pw')", playbook_dir=str(tmp_path))
    assert isinstance(value, Secret)
    assert value == PASSWORD
    path.chmod(0o640)
    with pytest.raises(RemediationError, match=r"other users can access it \(mode 0640\)") as caught:
        look_up("lookup('password_file', path)", path=str(path))
    assert caught.value.next_step == f"chmod 600 {path}"
    path.chmod(0o600)
    path.write_text("\n", encoding="utf-8")
    with pytest.raises(RemediationError, match="the secret is empty"):
        look_up("lookup('password_file', path)", path=str(path))


@posix
def test_a_command_is_words_and_never_a_shells(tmp_path: Path) -> None:
    value = look_up("lookup('password_command', ['printf', '%s\\n', '$HOME; id'])")
    assert isinstance(value, Secret)
    assert value == "$HOME; id"
    assert look_up("lookup('pipe', \"printf '%s' 'a  b' > no\")") == "a  b>no"
    assert not (tmp_path / "no").exists()


@posix
def test_a_command_is_run_once_for_all_hosts(tmp_path: Path) -> None:
    words = ["sh", "-c", f"echo asked >> {tmp_path}/calls; echo {PASSWORD}"]
    for _ in range(3):
        assert look_up("lookup('password_command', words)", words=words) == PASSWORD
    assert (tmp_path / "calls").read_text(encoding="utf-8") == "asked\n"


@posix
@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["sh", "-c", "echo locked >&2; exit 3"], "the command sh exited with code 3: locked"),
        (["sh", "-c", "true"], "the command sh: the secret is empty"),
        (["no-such-program-here", "s3cret"], "cannot run the command no-such-program-here: No such file"),
        ([], "no command given"),
        ("pass 'open", "has an unclosed quote"),
    ],
)
def test_a_command_that_fails_is_named_without_its_arguments(words: object, message: str) -> None:
    with pytest.raises(RemediationError) as caught:
        look_up("lookup('password_command', words)", words=words)
    assert message in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_there_is_no_prompt_without_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with open(os.devnull, encoding="utf-8") as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        with pytest.raises(RemediationError, match="no terminal") as caught:
            look_up("lookup('prompt', 'Password of ops')")
    assert "environment" in caught.value.next_step


@posix
def test_a_prompt_on_a_terminal_comes_once_and_hides_the_input() -> None:
    pty = pytest.importorskip("pty")
    program = (
        "from remediation.templating.templar import Scope\n"
        "for _ in range(2): print('=', Scope([]).expression(\"lookup('prompt', 'Password of ops') == 'pa55 word'\"))\n"
    )
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(sys.executable, [sys.executable, "-c", program])  # noqa: S606 - it needs no shell
    seen = b""
    while b"Password of ops: " not in seen:
        seen += os.read(terminal, 1024)
    os.write(terminal, f"{PASSWORD}\n".encode())
    try:
        while more := os.read(terminal, 1024):
            seen += more
    except OSError:  # the other end is closed
        pass
    os.close(terminal)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert seen.count(b"Password of ops: ") == 1
    assert seen.count(b"= True") == 2
    assert PASSWORD.encode() not in seen


def test_without_keyring_its_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "keyring", None)  # an import of it fails, as where it is not installed
    with pytest.raises(RemediationError) as caught:
        look_up("lookup('community.general.keyring', 'servicename ops')")
    assert caught.value.next_step == "pip install 'remediation[keyring]'"


def test_a_password_of_the_keyring_is_secret() -> None:
    keyring = pytest.importorskip("keyring", reason="keyring is not installed (extra keyring)")

    class Memory(keyring.backend.KeyringBackend):  # type: ignore[misc, name-defined]
        priority = 1

        def get_password(self, service: str, username: str) -> str | None:
            return PASSWORD if (service, username) == ("fleet", "ops") else None

        def set_password(self, service: str, username: str, password: str) -> None: ...

        def delete_password(self, service: str, username: str) -> None: ...

    before = keyring.get_keyring()
    keyring.set_keyring(Memory())
    try:
        value = look_up("lookup('keyring', 'fleet ops')")
        assert isinstance(value, Secret)
        assert value == PASSWORD
        with pytest.raises(RemediationError, match="the keyring has no password for 'unknown' of 'fleet'"):
            look_up("lookup('keyring', 'fleet unknown')")
    finally:
        keyring.set_keyring(before)


def test_an_unknown_lookup_lists_those_there_are() -> None:
    with pytest.raises(RemediationError, match="unknown lookup 'envv'") as caught:
        look_up("lookup('envv', 'HOME')")
    assert "password_command" in caught.value.next_step
