"""Reads a host's connection settings from Ansible's variables."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from remediation.connections import addresses
from remediation.connections.variables import FALSE, TRUE, ConnectionVariables
from remediation.model import limits
from remediation.model.errors import UsageError
from remediation.model.extensions import extension_names
from remediation.model.text.json_text import load_json

LOCAL_NAMES = frozenset({"localhost", "127.0.0.1", "::1"})
CONNECTIONS = "remediation.connections"
"""The entry-point group of connections in other distributions. An entry point's name is a value of ``ansible_connection``; see
`remediation.connections.factory.ConnectionFactory` for what it names."""
KINDS = ("local", "ssh", "winrm", "replay")
TRANSPORTS = ("ntlm", "certificate", "basic", "kerberos", "credssp")
ENCRYPTION = ("auto", "always", "never")
HOST_KEYS = ("strict", "accept-new")
_LEGACY = "legacy_requests"
"""pywinrm's name for the proxies in the environment."""
_SERVERS: Mapping[str, Callable[[object], str]] = {"endpoint": addresses.endpoint, "registry": addresses.registry_address}
_HTTPS_PORT, _HTTP_PORT = 5986, 5985


@dataclass(frozen=True, slots=True)
class WinRmSettings:
    """WinRM settings. `verify` is False only if the inventory disables verification for this host."""

    transport: str = "ntlm"
    scheme: str = "https"
    path: str = "/wsman"
    verify: bool = True
    ca_trust_path: str | None = None
    cert_pem: str | None = None
    cert_key_pem: str | None = None
    encryption: str = "auto"
    operation_timeout: int = 20
    read_timeout: int = 30
    proxy: str | None = None
    kerberos_hostname: str | None = None


@dataclass(frozen=True, slots=True)
class SshSettings:
    """SSH settings. `host_keys` is ``strict`` or ``accept-new``; accepting any key is not possible."""

    host_keys: str = "strict"
    known_hosts: str | None = None
    key_file: str | None = None
    passphrase: str | None = field(default=None, repr=False)
    jump: str | None = None
    config_file: str | None = None
    agent: bool = True


@dataclass(frozen=True, slots=True)
class Become:
    """Run commands as another user, through sudo. The password is passed on stdin."""

    user: str = "root"
    password: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class ConnectionSettings:
    """How to reach a host. Passwords are plain text but excluded from the representation."""

    name: str
    kind: str = "ssh"
    address: str = ""
    port: int | None = None
    user: str | None = None
    password: str | None = field(default=None, repr=False)
    platform: str = "posix"
    timeout: float = 30.0
    powershell: str = "powershell.exe"
    winrm: WinRmSettings = field(default_factory=WinRmSettings)
    ssh: SshSettings = field(default_factory=SshSettings)
    become: Become | None = None
    cassette: str | None = None
    cassette_host: int = 1
    variables: Mapping[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """All variables of the host, for the connections of other distributions; `ConnectionVariables` reads them."""

    @property
    def endpoint(self) -> str:
        """The URL of the host's WinRM service."""
        port = self.port or (_HTTPS_PORT if self.winrm.scheme == "https" else _HTTP_PORT)
        address = f"[{self.address}]" if ":" in self.address else self.address
        return f"{self.winrm.scheme}://{address}:{port}{self.winrm.path}"

    @property
    def secrets(self) -> tuple[str, ...]:
        """The secrets in these settings."""
        texts = (self.password, self.ssh.passphrase, self.become.password if self.become else None)
        return tuple(text for text in texts if text)

    @property
    def warnings(self) -> tuple[str, ...]:
        """Warnings about this connection that every report shows."""
        found = []
        if self.kind == "winrm" and self.winrm.scheme == "https" and not self.winrm.verify:
            found.append(
                f"{self.name}: the certificate is not verified (ansible_winrm_server_cert_validation: ignore); an attacker in between "
                "can read and change everything, including the password if the transport sends it"
            )
        if self.kind == "winrm" and self.winrm.transport in {"kerberos", "credssp"}:
            found.append(
                f"{self.name}: the transport {self.winrm.transport} is provided by pywinrm and not tested by this project"
            )
        if self.kind == "ssh" and self.ssh.host_keys == "accept-new":
            found.append(f"{self.name}: unknown host keys are accepted and stored (accept-new); changed ones are refused")
        return tuple(found)


def with_servers(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """Return `variables` with server addresses in URL form. Raises `UsageError` naming the variable."""
    found = dict(variables)
    for name, read in _SERVERS.items():
        if (value := found.get(name)) not in {None, ""}:
            try:
                found[name] = read(value)
            except UsageError as error:
                raise UsageError(f"{host}: {error.message}", next_step=error.next_step) from error
    return found


def from_variables(host: str, variables: Mapping[str, Any]) -> ConnectionSettings:
    """Read the settings of `host`. Raises `UsageError` naming the variable."""
    read = ConnectionVariables(host, variables)
    local = host in LOCAL_NAMES
    kind = read.choice("ansible_connection", _kinds(variables), "local" if local else "ssh", aliases=_ALIASES)
    return ConnectionSettings(
        name=host,
        kind=kind,
        address=read.address(kind),
        port=read.port("ansible_port", "ansible_ssh_port"),
        user=read.text("ansible_user", "ansible_ssh_user", "ansible_winrm_user"),
        password=read.text(
            "ansible_password", "ansible_ssh_pass", "ansible_ssh_password", "ansible_winrm_password", "ansible_winrm_pass"
        ),
        platform=_platform(read, kind),
        timeout=read.seconds("ansible_timeout", "ansible_ssh_timeout", default=30.0),
        powershell=read.text("remediation_powershell") or "powershell.exe",
        winrm=_winrm(read, kind),
        ssh=_ssh(read),
        become=_become(read),
        cassette=read.require("ansible_replay_file", "the cassette to replay") if kind == "replay" else None,
        cassette_host=read.whole("ansible_replay_host", 1),
        variables={} if kind in KINDS else variables,
    )


def _kinds(variables: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the kinds of connections. Those of other distributions are looked up only for a name that is not built in."""
    named = str(variables.get("ansible_connection", KINDS[0])).lower()
    return KINDS if named in {*KINDS, *_ALIASES} else (*KINDS, *extension_names(CONNECTIONS))


_ALIASES = {"paramiko": "ssh", "paramiko_ssh": "ssh", "smart": "ssh", "fabric": "ssh", "ansible.builtin.ssh": "ssh",
            "ansible.builtin.local": "local", "ansible.builtin.winrm": "winrm"}  # fmt: skip
_HOST_KEY_ALIASES = {"accept_new": "accept-new", "yes": "strict", "true": "strict"}


def _platform(read: ConnectionVariables, kind: str) -> str:
    import sys

    if kind == "winrm":
        return "windows"
    if kind == "replay":
        return _recorded_platform(read)
    shell = (read.text("ansible_shell_type") or "").lower()
    if shell in {"powershell", "cmd"}:
        return "windows"
    if kind == "local" and not shell:
        return "windows" if sys.platform == "win32" else "posix"
    return "posix"


def _recorded_platform(read: ConnectionVariables) -> str:
    """Return the host's platform from the cassette's first line. Errors in the file are reported when it is opened."""
    with (
        suppress(OSError, ValueError, LookupError, TypeError),
        _regular(Path(read.text("ansible_replay_file") or "")).open(encoding="utf-8") as file,
    ):
        for host in load_json(file.readline(limits.JSON_SIZE))["hosts"]:
            if host["host"] == read.whole("ansible_replay_host", 1):
                return str(host["platform"])
    return "posix"


def _regular(path: Path) -> Path:
    """Return `path`. Raises `OSError` for a FIFO, which would block."""
    if not path.is_file():
        raise OSError(f"{path} is not a regular file")
    return path


def _winrm(read: ConnectionVariables, kind: str) -> WinRmSettings:
    if kind != "winrm":
        return WinRmSettings()
    transport = read.choice(
        "ansible_winrm_transport", TRANSPORTS, "ntlm", aliases={"ssl": "basic", "plaintext": "basic"}, first=True
    )
    port = read.port("ansible_port")
    scheme = read.choice("ansible_winrm_scheme", ("https", "http"), "http" if port == _HTTP_PORT else "https")
    encryption = read.choice("ansible_winrm_message_encryption", ENCRYPTION, "auto")
    if scheme == "http" and (transport in {"basic", "certificate"} or encryption == "never"):
        what = (
            f"the transport {transport}" if transport in {"basic", "certificate"} else "ansible_winrm_message_encryption: never"
        )
        raise UsageError(
            f"{read.host}: {what} would send everything unencrypted over http",
            next_step="set ansible_winrm_scheme: https, or use the transport ntlm, which encrypts each message",
        )
    if transport == "certificate":
        read.require("ansible_winrm_cert_pem", "the client certificate")
        read.require("ansible_winrm_cert_key_pem", "the client certificate's key")
    elif transport != "kerberos":
        read.require("ansible_user", "the user name")
        read.require("ansible_password", "its password")
    operation = read.whole("ansible_winrm_operation_timeout_sec", 20)
    reading = read.whole("ansible_winrm_read_timeout_sec", operation + 10)
    if not 0 < operation < reading:
        raise UsageError(
            f"{read.host}: ansible_winrm_operation_timeout_sec ({operation}) must be over 0 and below "
            f"ansible_winrm_read_timeout_sec ({reading})",
            next_step="set the read timeout at least 10 s above the operation timeout",
        )
    verify = read.choice("ansible_winrm_server_cert_validation", ("validate", "ignore"), "validate")
    return WinRmSettings(
        transport=transport,
        scheme=scheme,
        path="/" + (read.text("ansible_winrm_path") or "wsman").lstrip("/"),
        verify=verify == "validate",
        ca_trust_path=read.text("ansible_winrm_ca_trust_path"),
        cert_pem=read.text("ansible_winrm_cert_pem"),
        cert_key_pem=read.text("ansible_winrm_cert_key_pem"),
        encryption=encryption,
        operation_timeout=operation,
        read_timeout=reading,
        proxy=_proxy(read),
        kerberos_hostname=read.text("ansible_winrm_kerberos_hostname_override"),
    )


def _proxy(read: ConnectionVariables) -> str | None:
    value = read.text("ansible_winrm_proxy")
    if not value or value == _LEGACY:
        return value
    try:
        return addresses.proxy("ansible_winrm_proxy", value)
    except UsageError as error:
        raise UsageError(f"{read.host}: {error.message}", next_step=error.next_step) from error


def _ssh(read: ConnectionVariables) -> SshSettings:
    # Ansible's host_key_checking: false accepts every key; here it means accept-new
    checked = read.text("ansible_host_key_checking", "ansible_ssh_host_key_checking")
    policy = (checked or "strict").lower()
    if policy in FALSE:
        policy = "accept-new"
    policy = _HOST_KEY_ALIASES.get(policy, "strict" if policy in TRUE else policy)
    if policy not in HOST_KEYS:
        raise read.wrong("ansible_host_key_checking", checked, HOST_KEYS)
    return SshSettings(
        host_keys=policy,
        known_hosts=read.text("ansible_ssh_known_hosts_file"),
        key_file=read.text("ansible_ssh_private_key_file", "ansible_private_key_file"),
        passphrase=read.text("ansible_ssh_private_key_passphrase"),
        jump=read.text("ansible_ssh_proxy_jump"),
        config_file=read.text("ansible_ssh_config_file"),
        agent=read.flag("ansible_ssh_agent", default=True),
    )


def _become(read: ConnectionVariables) -> Become | None:
    if not read.flag("ansible_become", default=False):
        return None
    method = read.text("ansible_become_method") or "sudo"
    if method not in {"sudo", "ansible.builtin.sudo"}:
        raise read.wrong("ansible_become_method", method, ("sudo",))
    return Become(
        user=read.text("ansible_become_user") or "root",
        password=read.text("ansible_become_password", "ansible_become_pass", "ansible_sudo_pass"),
    )
