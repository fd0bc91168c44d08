"""Ansible Vault's own texts are opened, and what is no such text is told."""

from __future__ import annotations

import threading

import pytest

from remediation.model.errors import RemediationError
from remediation.templating.yaml.secret import Secret
from remediation.templating.yaml.vault import Vault, VaultError
from tests.templating.vaults import OPS, SECRET, VALUE, VALUE_OF_OPS, WHOLE, Vaulted


def known(*passwords: tuple[str, str]) -> Vault:
    return Vault([(label, lambda text=text: Secret(text)) for label, text in passwords])  # type: ignore[misc]


@pytest.mark.parametrize("vaulted", [VALUE, VALUE_OF_OPS, WHOLE])
def test_what_ansible_encrypted_is_opened(vaulted: Vaulted) -> None:
    assert known(("default", SECRET), ("ops", OPS))(vaulted.text) == vaulted.holds


def test_the_password_of_the_named_id_is_tried_first() -> None:
    asked: list[str] = []

    def ask(label: str, text: str) -> Secret:
        asked.append(label)
        return Secret(text)

    vault = Vault([("default", lambda: ask("default", SECRET)), ("ops", lambda: ask("ops", OPS))])
    assert vault(VALUE_OF_OPS.text) == VALUE_OF_OPS.holds
    assert asked == ["ops"]


def test_windows_line_ends_and_spaces_around_do_no_harm() -> None:
    assert known(("default", SECRET))("\r\n".join(f"  {line} " for line in VALUE.text.splitlines())) == VALUE.holds


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (VALUE.text.replace("AES256", "AES"), "unsupported vault format 1.1;AES; supported: 1.1;AES256 and 1.2;AES256"),
        (VALUE.text.replace("1.1", "2.0"), "unsupported vault format 2.0;AES256"),
        ("$ANSIBLE_VAULT;1.1\n00\n", "must begin with $ANSIBLE_VAULT;1.1;AES256"),
        (VALUE.text[:-100], "damaged"),
        ("$ANSIBLE_VAULT;1.1;AES256\nzz\n", "damaged"),
        ("$ANSIBLE_VAULT;1.1;AES256\n", "damaged"),
        (VALUE_OF_OPS.text, "none of the known vault passwords decrypts this (its id is 'ops')"),
    ],
)
def test_what_cannot_be_opened_is_told(text: str, message: str) -> None:
    with pytest.raises(VaultError) as caught:
        known(("default", SECRET))(text)
    assert message in str(caught.value)
    assert SECRET not in str(caught.value)


def test_a_changed_text_is_not_opened() -> None:
    lines = VALUE.text.splitlines()
    lines[-1] = lines[-1][:-1] + ("1" if lines[-1][-1] != "1" else "2")
    with pytest.raises(VaultError):
        known(("default", SECRET))("\n".join(lines))


def test_without_a_password_the_option_is_named() -> None:
    with pytest.raises(VaultError) as caught:
        Vault()(VALUE.text)
    assert caught.value.next_step == "give the vault's password: --vault-password-file FILE"


def test_a_password_is_asked_for_once_however_many_want_it() -> None:
    asked: list[int] = []

    def ask() -> Secret:
        asked.append(1)
        return Secret(SECRET)

    vault = Vault([("default", ask)])
    found: list[str] = []
    threads = [threading.Thread(target=lambda: found.append(vault(VALUE.text))) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (found, asked) == ([VALUE.holds] * 8, [1])


def test_a_password_that_cannot_be_had_says_so_each_time() -> None:
    def ask() -> Secret:
        raise RemediationError("nobody answered")

    vault = Vault([("default", ask)])
    for _ in range(2):
        with pytest.raises(RemediationError, match="nobody answered"):
            vault(VALUE.text)
