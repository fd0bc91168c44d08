"""A JSON Schema of inventories for editors: groups, hosts, and the connection variables with what they mean."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from remediation.model.change import Risk

DRAFT = "http://json-schema.org/draft-07/schema#"

_TEMPLATE = {"type": "string", "pattern": "\\{[{%#]"}
_TEXT: Mapping[str, Any] = {"type": ["string", "number"]}
_NUMBER: Mapping[str, Any] = {"anyOf": [{"type": "number"}, {"type": "string", "pattern": "^[0-9.]+$"}, _TEMPLATE]}
_PORT: Mapping[str, Any] = {"anyOf": [{"type": "integer", "minimum": 1, "maximum": 65535}, {"type": "string"}]}
_SWITCH: Mapping[str, Any] = {"type": ["boolean", "string", "integer"]}


def _one_of(*words: str) -> Mapping[str, Any]:
    """Return a text for which an editor offers `words`; other values may be templates or another distribution's."""
    return {"anyOf": [{"enum": list(words)}, {"type": "string"}]}


_VARIABLES: Mapping[tuple[str, ...], tuple[Mapping[str, Any], str]] = {
    ("ansible_connection",): (_one_of("ssh", "winrm", "local", "replay"), "How the host is reached; ssh unless it is this machine."),
    ("ansible_host", "ansible_ssh_host", "ansible_winrm_host"): (_TEXT, "Address or name to connect to; the host's name by default."),
    ("ansible_port", "ansible_ssh_port", "ansible_winrm_port"): (_PORT, "Port to connect to: 22, 5986 (WinRM over HTTPS) or 5985."),
    ("ansible_user", "ansible_ssh_user", "ansible_winrm_user"): (_TEXT, "Login on the host."),
    ("ansible_password", "ansible_ssh_pass", "ansible_ssh_password", "ansible_winrm_pass", "ansible_winrm_password"): (
        _TEXT, "Password of the login. Keep it out of the file: lookup('env', 'NAME'), a vault, password_file, keyring or prompt.",
    ),
    ("ansible_timeout", "ansible_ssh_timeout", "ansible_winrm_connection_timeout"): (_NUMBER, "Seconds to open a connection; 30 by default."),
    ("ansible_shell_type",): (_one_of("powershell", "sh"), "powershell for a Windows host over SSH or on this machine."),
    ("ansible_winrm_transport",): (_one_of("ntlm", "certificate", "basic", "kerberos", "credssp"), "Authentication; ntlm by default, basic needs HTTPS."),
    ("ansible_winrm_scheme",): (_one_of("https", "http"), "https by default; http if the port is 5985, where NTLM encrypts each message."),
    ("ansible_winrm_path",): (_TEXT, "Path of the WinRM service; /wsman by default."),
    ("ansible_winrm_server_cert_validation",): (_one_of("validate", "ignore"), "Whether the certificate is verified; every report warns of ignore."),
    ("ansible_winrm_ca_trust_path",): (_TEXT, "PEM file with a private authority, or with the host's own certificate."),
    ("ansible_winrm_cert_pem",): (_TEXT, "Client certificate for the transport certificate."),
    ("ansible_winrm_cert_key_pem",): (_TEXT, "Key of the client certificate."),
    ("ansible_winrm_operation_timeout_sec",): (_NUMBER, "Seconds that the host may take to answer one request; 20 by default."),
    ("ansible_winrm_read_timeout_sec",): (_NUMBER, "Seconds to wait for an answer; 10 more than the operation timeout by default."),
    ("ansible_winrm_message_encryption",): (_one_of("auto", "always", "never"), "Whether messages are encrypted; auto by default."),
    ("ansible_winrm_proxy",): (_TEXT, "HTTP proxy to the host; proxies of the environment are not used."),
    ("ansible_winrm_service",): (_TEXT, "Service part of the Kerberos principal."),
    ("ansible_winrm_kerberos_delegation",): (_SWITCH, "Whether Kerberos credentials are delegated to the host."),
    ("ansible_winrm_kerberos_hostname_override",): (_TEXT, "Host name in the Kerberos principal."),
    ("ansible_ssh_private_key_file", "ansible_private_key_file"): (_TEXT, "Private key for the login."),
    ("ansible_ssh_private_key_passphrase",): (_TEXT, "Passphrase of the private key."),
    ("ansible_ssh_agent",): (_SWITCH, "Whether keys of the SSH agent are tried."),
    ("ansible_host_key_checking", "ansible_ssh_host_key_checking"): (
        {"anyOf": [{"enum": [True, False, "accept-new"]}, {"type": "string"}]},
        "true (default) refuses an unknown host key; accept-new stores it. A changed key is always refused.",
    ),
    ("ansible_ssh_known_hosts_file",): (_TEXT, "File of host keys; ~/.ssh/known_hosts by default."),
    ("ansible_ssh_config_file",): (_TEXT, "OpenSSH configuration; ~/.ssh/config by default."),
    ("ansible_ssh_proxy_jump",): (_TEXT, "Host to connect through, which is verified too."),
    ("ansible_become",): (_SWITCH, "Whether programs run as another user, through sudo."),
    ("ansible_become_user",): (_TEXT, "User to become; root by default."),
    ("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"): (_TEXT, "Password for sudo, sent to its standard input."),
    ("ansible_become_method",): (_one_of("sudo"), "How to become another user."),
    ("ansible_replay_file",): (_TEXT, "Recording to replay instead of a connection (--record)."),
    ("ansible_replay_host",): ({"type": ["integer", "string"]}, "Which host of the recording to replay; the first by default."),
    ("ansible_group_priority",): ({"type": ["integer", "string"]}, "Precedence of a group's variables among groups of equal depth."),
    ("model",): (_TEXT, "Ollama model that the host serves, such as mistral:7b-instruct-q4_K_M."),
    ("endpoint",): (_TEXT, "Address of the Ollama server as seen from the host; found on the host by default."),
    ("max_risk",): (_one_of(*map(str, Risk)), "Highest risk of a change on this host without asking; safe by default."),
    ("close_programs",): (_SWITCH, "Whether programs with a window may be closed while a user is logged in at the desktop."),
    ("warn_seconds",): (_NUMBER, "Seconds in advance that the desktop user is warned before a program is closed; 60 by default."),
}  # fmt: skip
"""Names of a variable, the type of its value, and the text that an editor shows."""


def variable_names() -> list[str]:
    """Return the names of all variables that a connection or the engine reads."""
    return [name for names in _VARIABLES for name in names]


def inventory_schema() -> dict[str, Any]:
    """Return the JSON Schema of inventory files in YAML."""
    variables = {
        name: {**kind, "description": text if name == names[0] else f"The same as {names[0]}. {text}"}
        for names, (kind, text) in _VARIABLES.items()
        for name in names
    }
    host = {"anyOf": [{"$ref": "#/definitions/vars"}, {"type": "null"}]}
    groups = {"type": ["object", "null"], "additionalProperties": {"$ref": "#/definitions/group"}}
    return {
        "$schema": DRAFT,
        "title": "An inventory of remediation",
        "type": "object",
        "properties": {
            "lab": {
                "type": "object",
                "description": "Simulated hosts to start; their addresses and logins are filled in (docs/lab.md).",
                "properties": {
                    "hosts": {"type": "integer", "minimum": 1, "description": "How many hosts to start."},
                    "world": {"type": "string", "description": "Kind of the hosts; docker-desktop by default."},
                },
                "additionalProperties": False,
            }
        },
        "additionalProperties": {"$ref": "#/definitions/group"},
        "definitions": {
            "group": {
                "type": ["object", "null"],
                "description": "A group: its hosts, the variables of all of them, and groups within it.",
                "properties": {
                    "hosts": {
                        "type": ["object", "null"],
                        "description": "Hosts by name, each with its own variables. A range such as dev-[01:20] names several.",
                        "additionalProperties": host,
                    },
                    "vars": {"$ref": "#/definitions/vars", "description": "Variables of all hosts of the group."},
                    "children": {**groups, "description": "Groups whose hosts belong to this group too."},
                },
                "additionalProperties": False,
            },
            "vars": {"type": ["object", "null"], "properties": variables, "additionalProperties": True},
        },
    }
