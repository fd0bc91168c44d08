"""Ansible's variable names, each with its own error; no password in any representation."""

from __future__ import annotations

from typing import Any

import pytest

from remediation.connections.settings import from_variables
from remediation.model.errors import UsageError
from remediation.templating.yaml.secret import Secret

WINRM = {"ansible_connection": "winrm", "ansible_user": "CORP\\ops", "ansible_password": Secret("s3cr3t")}


@pytest.mark.parametrize(
    ("host", "variables", "kind", "platform"),
    [
        ("localhost", {}, "local", "posix"),
        ("gpu-1.example", {}, "ssh", "posix"),
        ("gpu-1.example", {"ansible_connection": "paramiko"}, "ssh", "posix"),
        ("gpu-1.example", {"ansible_shell_type": "powershell"}, "ssh", "windows"),
        ("gpu-1.example", WINRM, "winrm", "windows"),
        ("localhost", {"ansible_connection": "ssh"}, "ssh", "posix"),
    ],
)
def test_what_kind_of_host_it_is(host: str, variables: dict[str, Any], kind: str, platform: str) -> None:
    settings = from_variables(host, variables)
    assert (settings.kind, settings.platform, settings.address) == (kind, platform, host)


@pytest.mark.parametrize(
    ("more", "endpoint"),
    [
        ({}, "https://box:5986/wsman"),
        ({"ansible_port": 5985}, "http://box:5985/wsman"),
        ({"ansible_winrm_scheme": "http"}, "http://box:5985/wsman"),
        ({"ansible_host": "::1", "ansible_port": "15986"}, "https://[::1]:15986/wsman"),
        ({"ansible_winrm_path": "other"}, "https://box:5986/other"),
    ],
)
def test_where_winrm_is(more: dict[str, Any], endpoint: str) -> None:
    assert from_variables("box", {**WINRM, **more}).endpoint == endpoint


def test_secrets_are_plain_only_for_the_login() -> None:
    more = {"ansible_ssh_private_key_passphrase": "phr4se", "ansible_become": "yes", "ansible_become_password": Secret("b3come")}
    settings = from_variables("box", {**WINRM, **more})
    assert settings.password == "s3cr3t"
    assert set(settings.secrets) == {"s3cr3t", "phr4se", "b3come"}
    assert not any(secret in repr(settings) for secret in settings.secrets)


def test_https_is_verified_by_default_and_the_exception_is_noted() -> None:
    assert from_variables("box", WINRM).winrm.verify
    ignoring = from_variables("box", {**WINRM, "ansible_winrm_server_cert_validation": "ignore"})
    assert not ignoring.winrm.verify
    assert "not verified" in ignoring.warnings[0]
    assert from_variables("box", {**WINRM, "ansible_winrm_transport": ["credssp"]}).warnings


@pytest.mark.parametrize(
    ("value", "policy"),
    [(None, "strict"), (True, "strict"), ("accept-new", "accept-new"), ("accept_new", "accept-new"), (False, "accept-new")],
)
def test_no_policy_takes_every_key(value: object, policy: str) -> None:
    settings = from_variables("box", {} if value is None else {"ansible_host_key_checking": value})
    assert settings.ssh.host_keys == policy
    assert bool(settings.warnings) == (policy != "strict")


@pytest.mark.parametrize(
    ("variables", "said", "step"),
    [
        ({"ansible_connection": "winrn"}, "ansible_connection cannot be 'winrn'", "did you mean winrm?"),
        ({"ansible_port": "70000"}, "ansible_port is '70000', not a TCP port", ""),
        ({"ansible_port": "ssh"}, "ansible_port is 'ssh'", ""),
        ({"ansible_timeout": "soon"}, "ansible_timeout is 'soon', not a number of seconds", "ansible_timeout: 30"),
        ({"ansible_timeout": "nan"}, "ansible_timeout", ""),
        ({"ansible_user": ["a"]}, "ansible_user: expected a string, got list", ""),
        ({"ansible_host_key_checking": "maybe"}, "ansible_host_key_checking cannot be 'maybe'", "strict, accept-new"),
        ({"ansible_become": "perhaps"}, "ansible_become cannot be", ""),
        ({"ansible_become": True, "ansible_become_method": "su"}, "ansible_become_method cannot be 'su'", "sudo"),
        ({"ansible_connection": "replay"}, "ansible_replay_file (the cassette to replay) is missing", ""),
        ({"ansible_connection": "winrm"}, "ansible_user (the user name) is missing", ""),
        ({**WINRM, "ansible_password": ""}, "ansible_password (its password) is missing", "lookup('env', 'NAME')"),
        ({**WINRM, "ansible_winrm_transport": "ntml"}, "ansible_winrm_transport cannot be 'ntml'", "did you mean ntlm?"),
        ({**WINRM, "ansible_winrm_server_cert_validation": "no"}, "ansible_winrm_server_cert_validation", "validate, ignore"),
        ({**WINRM, "ansible_winrm_scheme": "http", "ansible_winrm_transport": "basic"}, "the transport basic would send everything unencrypted", "https"),
        ({**WINRM, "ansible_winrm_scheme": "http", "ansible_winrm_message_encryption": "never"}, "message_encryption: never would send", "https"),
        ({**WINRM, "ansible_winrm_transport": "certificate"}, "ansible_winrm_cert_pem (the client certificate) is missing", ""),
        (
            {**WINRM, "ansible_winrm_operation_timeout_sec": 30, "ansible_winrm_read_timeout_sec": 30},
            "ansible_winrm_operation_timeout_sec (30) must be over 0 and below", "at least 10 s above",
        ),
    ],
)  # fmt: skip
def test_an_invalid_variable_is_named(variables: dict[str, Any], said: str, step: str) -> None:
    with pytest.raises(UsageError) as caught:
        from_variables("box", variables)
    assert caught.value.message.startswith("box: ")
    assert said in caught.value.message
    assert step in caught.value.next_step
    assert caught.value.next_step
    assert "s3cr3t" not in str(caught.value)
