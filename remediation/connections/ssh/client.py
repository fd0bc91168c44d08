"""A verified SSH connection through fabric. Fabric accepts any host key; here every hop gets a policy that does not."""

from __future__ import annotations

import base64
import errno
import hashlib
import logging
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import fabric  # type: ignore[import-untyped]
import paramiko
from fabric.config import Config  # type: ignore[import-untyped]

from remediation.connections.bounded import watchdog
from remediation.connections.settings import ConnectionSettings
from remediation.model import limits
from remediation.model.errors import AuthenticationFailed, HostKeyRefused, RemediationError, Unreachable

# paramiko logs refused connections, which go to the terminal without a handler
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_log = logging.getLogger(__name__)

KEEP_ALIVE = 15
_OPENING = 2.0
"""Factor on `ansible_timeout` for the whole of key exchange and login. paramiko applies its timeouts to each line and packet."""
_USER_KEYS = "~/.ssh/known_hosts"
_SYSTEM_KEYS = "/etc/ssh/ssh_known_hosts"
_PRIVATE = 0o600


class _Strict(paramiko.MissingHostKeyPolicy):
    """Refuses hosts without a known key."""

    def __init__(self, name: str) -> None:
        self._name = name

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Raise an error with the unknown key."""
        raise HostKeyRefused(
            f"{self._name}: the host key of {hostname} is not in any known_hosts file: {key.get_name()} {fingerprint(key)}",
            host=self._name,
            next_step=f"compare it with the host's own (ssh-keygen -lf on the host), then add it: ssh-keyscan {_scan(hostname)}; or "
            "set ansible_host_key_checking: accept-new for this host",
        )


class _AcceptNew(paramiko.MissingHostKeyPolicy):
    """Stores the key of an unknown host. paramiko refuses changed keys before it calls this policy."""

    def __init__(self, name: str, file: Path, note: Callable[[str], None]) -> None:
        self._name, self._file, self._note = name, file, note

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Add the key to the file."""
        client.get_host_keys().add(hostname, key.get_name(), key)
        self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = not self._file.exists()
        with self._file.open("a", encoding="utf-8") as file:
            file.write(f"{hostname} {key.get_name()} {key.get_base64()}\n")
        if new:
            self._file.chmod(_PRIVATE)
        self._note(
            f"{self._name}: the host key of {hostname} was unknown and has been stored: {key.get_name()} {fingerprint(key)}"
        )


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint in OpenSSH's format."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def open_ssh(settings: ConnectionSettings, note: Callable[[str], None]) -> Any:
    """Return an open `fabric.Connection`. Raises `Unreachable` or a subclass."""
    connection = None
    try:
        connection = _make_connection(settings)
        hops = list(_hops(connection))
        for hop in hops:
            _trust(hop, settings, note)
        _at_once(hops[-1], settings.timeout)
        _open(connection, hops, settings)
        for hop in hops:
            hop.transport.set_keepalive(KEEP_ALIVE)
            _log.debug(
                "%s: SSH connection to %s:%s as %s, server %s",
                settings.name,
                hop.host,
                hop.port,
                hop.user,
                hop.transport.remote_version,
            )
    except RemediationError:
        _close_quietly(connection)
        raise
    except Exception as error:  # paramiko and fabric raise errors of many kinds; `failure` words them
        _close_quietly(connection)
        raise failure(settings, error) from error
    return connection


def _open(connection: Any, hops: Sequence[Any], settings: ConnectionSettings) -> None:
    """Open the connection within a total time limit. Raises fabric's error or `Unreachable`."""
    seconds = _OPENING * settings.timeout * len(hops)
    with watchdog(seconds, lambda: _hang_up(hops[-1])) as dog:
        try:
            connection.open()
        except Exception as error:  # what paramiko raises when its transport is closed under it varies
            if not dog.expired:
                raise
            raise Unreachable(
                f"{settings.name}: the SSH login at {settings.address}:{settings.port or 22} did not complete within {seconds:g} s",
                host=settings.name,
                next_step="check that sshd answers there; ansible_timeout sets the limit",
            ) from error


def failure(settings: ConnectionSettings, error: Exception) -> Unreachable:
    """Convert an error of paramiko, fabric or the socket. Unknown errors are raised again."""
    name, where = settings.name, f"{settings.address}:{settings.port or 22}"
    if isinstance(error, paramiko.BadHostKeyException):
        return HostKeyRefused(
            f"{name}: the host key has changed: got {fingerprint(error.key)}, expected {fingerprint(error.expected_key)}",
            host=name,
            next_step=f"find out why; if the host was reinstalled, remove the old key: ssh-keygen -R {_known_hosts_name(settings)}",
        )
    if isinstance(error, paramiko.PasswordRequiredException):
        return AuthenticationFailed(
            f"{name}: the private key needs its passphrase",
            host=name,
            next_step="set ansible_ssh_private_key_passphrase, or use an agent",
        )
    if isinstance(error, paramiko.AuthenticationException) or "No authentication methods available" in str(error):
        return AuthenticationFailed(
            f"{name}: the host refused the login {settings.user or '(of this user)'}", host=name,
            next_step="correct ansible_user, ansible_ssh_private_key_file or ansible_password, or load the key into the agent",
        )  # fmt: skip
    if isinstance(error, socket.gaierror):
        return Unreachable(f"{name}: the name {settings.address} cannot be resolved", host=name, next_step="correct ansible_host")
    if isinstance(error, FileNotFoundError) and error.filename:
        return Unreachable(
            f"{name}: file {error.filename} does not exist", host=name, next_step="correct the ansible_ssh_* variable"
        )
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError):
        return Unreachable(
            f"{name}: nothing answers at {where}", host=name, next_step="check ansible_host, ansible_port and sshd"
        )
    if isinstance(error, TimeoutError):
        return Unreachable(f"{name}: {where} did not answer within {settings.timeout:g} s", host=name,
                           next_step="check ansible_host and ansible_port; ansible_timeout sets the limit")  # fmt: skip
    if isinstance(error, paramiko.SSHException | EOFError | OSError | ValueError):
        text = " ".join(str(error).split()) or type(error).__name__
        return Unreachable(f"{name}: no SSH connection to {where}: {text}", host=name, next_step="check that sshd answers there")
    raise error


def _make_connection(settings: ConnectionSettings) -> Any:
    wanted = settings.ssh
    # lazy: ignores fabric's own configuration files and variables; ssh's own configuration is read, because it applies to this host
    config = Config(lazy=True, runtime_ssh_path=_path(wanted.config_file) if wanted.config_file else None)
    config.load_ssh_config()
    if wanted.jump:
        config.base_ssh_config.parse([f"Host {settings.address}", f"  ProxyJump {wanted.jump}"])
    keys: dict[str, Any] = {
        "allow_agent": wanted.agent and settings.password is None,
        "look_for_keys": wanted.key_file is None and settings.password is None,
        "banner_timeout": settings.timeout,
        "auth_timeout": settings.timeout,
    }
    if settings.password is not None:
        keys["password"] = settings.password
    if wanted.key_file:
        keys["key_filename"] = _path(wanted.key_file)
        if not Path(keys["key_filename"]).is_file():
            raise FileNotFoundError(2, "no such key file", keys["key_filename"])
    if wanted.passphrase is not None:
        keys["passphrase"] = wanted.passphrase
    return fabric.Connection(
        settings.address, user=settings.user, port=settings.port, config=config, connect_timeout=int(settings.timeout),
        connect_kwargs=keys,
    )  # fmt: skip


def _hops(connection: Any) -> Iterator[Any]:
    """Yield the connection and the jump hosts before it."""
    while isinstance(connection, fabric.Connection):
        yield connection
        connection = connection.gateway


def _trust(hop: Any, settings: ConnectionSettings, note: Callable[[str], None]) -> None:
    files = (
        [settings.ssh.known_hosts]
        if settings.ssh.known_hosts
        else str(hop.ssh_config.get("userknownhostsfile", _USER_KEYS)).split()
    )
    paths = [Path(_path(file)) for file in files]
    for path in [*paths, *([] if settings.ssh.known_hosts else [Path(_SYSTEM_KEYS)])]:
        if path.is_file():
            hop.client.load_system_host_keys(str(path))
    if settings.ssh.host_keys == "accept-new":
        hop.client.set_missing_host_key_policy(_AcceptNew(settings.name, paths[0], note))
    else:
        hop.client.set_missing_host_key_policy(_Strict(settings.name))


class _Socket(socket.socket):
    """A socket that rejects packets larger than SSH allows: paramiko reads a packet of any announced size at once."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive up to `size` bytes."""
        if size > limits.SSH_PACKET:
            raise OSError(errno.EMSGSIZE, limits.exceeded_text("a packet of the SSH server", limits.SSH_PACKET))
        return super().recv(size, flags)


def _hang_up(hop: Any) -> None:
    sock = hop.connect_kwargs.get("sock")
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    hop.client.close()


def _at_once(first: Any, timeout: float) -> None:
    """Give the first hop a socket with TCP_NODELAY.

    SSH messages are small, and several are sent before an answer. Without the option, each waits for the acknowledgement of the
    previous one (40 ms and more). OpenSSH's client sets it too.
    """
    if first.gateway is None:  # a ProxyCommand in ssh_config uses a pipe
        plain = socket.create_connection((first.host, first.port), timeout)
        sock = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        first.connect_kwargs["sock"] = sock


def _close_quietly(connection: Any) -> None:
    for hop in _hops(connection):
        hop.close()
        hop.client.close()  # a refused login leaves a transport that fabric does not know


def _path(name: str) -> str:
    return str(Path(name).expanduser())


def _known_hosts_name(settings: ConnectionSettings) -> str:
    return settings.address if settings.port in {None, 22} else f"[{settings.address}]:{settings.port}"


def _scan(hostname: str) -> str:
    host, _, port = hostname.removeprefix("[").partition("]:")
    return f"-p {port} {host}" if port else host
