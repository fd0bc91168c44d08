"""A verified SSH connection by fabric. Fabric itself takes any host key; here every hop gets a policy that does not."""

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

# paramiko tells of a port where nothing listens in its log, and without a handler that goes to the terminal
logging.getLogger("paramiko").addHandler(logging.NullHandler())

_log = logging.getLogger(__name__)

KEEP_ALIVE = 15
_OPENING = 2.0
"""So many times `ansible_timeout` may key exchange and login take together: each has it for itself, but anew for every line and packet."""
_USER_KEYS = "~/.ssh/known_hosts"
_SYSTEM_KEYS = "/etc/ssh/ssh_known_hosts"
_PRIVATE = 0o600


class _Strict(paramiko.MissingHostKeyPolicy):
    """Refuse a host whose key nobody has confirmed."""

    def __init__(self, name: str) -> None:
        self._name = name

    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        """Say whose key is unknown, and which."""
        raise HostKeyRefused(
            f"{self._name}: the host key of {hostname} is in no known_hosts file: {key.get_name()} {fingerprint(key)}",
            host=self._name,
            next_step=f"compare it with the host's own (ssh-keygen -lf on the host), then add it: ssh-keyscan {_scan(hostname)}; or "
            "set ansible_host_key_checking: accept-new for this host",
        )


class _AcceptNew(paramiko.MissingHostKeyPolicy):
    """Remember the key of a host that was never met; a changed key is refused by paramiko before this is asked."""

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
        self._note(f"{self._name}: the host key of {hostname} was new and is remembered: {key.get_name()} {fingerprint(key)}")


def fingerprint(key: paramiko.PKey) -> str:
    """Return a key's fingerprint as OpenSSH prints it."""
    digest = base64.b64encode(hashlib.sha256(key.asbytes()).digest()).decode("ascii")
    return f"SHA256:{digest.rstrip('=')}"


def open_ssh(settings: ConnectionSettings, note: Callable[[str], None]) -> Any:
    """Return an open `fabric.Connection`; raises `Unreachable` and its kinds."""
    connection = None
    try:
        connection = _made(settings)
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
        _closed(connection)
        raise
    except Exception as error:
        _closed(connection)
        raise failure(settings, error) from error
    return connection


def _open(connection: Any, hops: Sequence[Any], settings: ConnectionSettings) -> None:
    """Open the connection before a deadline for all of it; raises what fabric raises, or `Unreachable`."""
    seconds = _OPENING * settings.timeout * len(hops)
    with watchdog(seconds, lambda: _hang_up(hops[-1])) as dog:
        try:
            connection.open()
        except Exception as error:
            if not dog.bit:
                raise
            raise Unreachable(
                f"{settings.name}: the SSH login at {settings.address}:{settings.port or 22} was not complete within {seconds:g} s",
                host=settings.name,
                next_step="check that sshd answers there; ansible_timeout sets the seconds",
            ) from error


def failure(settings: ConnectionSettings, error: Exception) -> Unreachable:
    """Return what an error of paramiko, fabric or the socket means; one that means nothing known is raised as it is."""
    name, where = settings.name, f"{settings.address}:{settings.port or 22}"
    if isinstance(error, paramiko.BadHostKeyException):
        return HostKeyRefused(
            f"{name}: the host key has changed: it is {fingerprint(error.key)}, known is {fingerprint(error.expected_key)}",
            host=name,
            next_step=f"find out why; if the host was set up anew, remove the old key: ssh-keygen -R {_bracketed(settings)}",
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
            f"{name}: there is no file {error.filename}", host=name, next_step="correct the ansible_ssh_* variable"
        )
    if isinstance(error, paramiko.ssh_exception.NoValidConnectionsError | ConnectionError):
        return Unreachable(
            f"{name}: nothing answers at {where}", host=name, next_step="check ansible_host, ansible_port and sshd"
        )
    if isinstance(error, TimeoutError):
        return Unreachable(f"{name}: {where} did not answer within {settings.timeout:g} s", host=name,
                           next_step="check ansible_host and ansible_port; ansible_timeout sets the seconds")  # fmt: skip
    if isinstance(error, paramiko.SSHException | EOFError | OSError | ValueError):
        text = " ".join(str(error).split()) or type(error).__name__
        return Unreachable(f"{name}: no SSH connection to {where}: {text}", host=name, next_step="check that sshd answers there")
    raise error


def _made(settings: ConnectionSettings) -> Any:
    wanted = settings.ssh
    # lazy: neither fabric's own configuration files nor its variables; ssh's are read, for they are the user's for this host
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
    """Yield the connection and every host it goes through."""
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
    """A socket from which no packet is read that is larger than any that SSH allows: paramiko asks for all of a packet at once."""

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive up to `size` bytes."""
        if size > limits.SSH_PACKET:
            raise OSError(errno.EMSGSIZE, limits.exceeded("a packet of the SSH server", limits.SSH_PACKET))
        return super().recv(size, flags)


def _hang_up(hop: Any) -> None:
    sock = hop.connect_kwargs.get("sock")
    if sock is not None:
        with suppress(OSError):
            sock.shutdown(socket.SHUT_RDWR)
    hop.client.close()


def _at_once(first: Any, timeout: float) -> None:
    """Give the hop that is reached from here a socket that holds no message back.

    A message of SSH is small, and several go out before an answer is due: TCP would let each wait for the acknowledgement of the one
    before (40 ms and more), which OpenSSH's own client turns off as well.
    """
    if first.gateway is None:  # what an ssh_config's ProxyCommand starts is a pipe
        plain = socket.create_connection((first.host, first.port), timeout)
        sock = _Socket(plain.family, plain.type, plain.proto, plain.detach())
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.settimeout(timeout)
        first.connect_kwargs["sock"] = sock


def _closed(connection: Any) -> None:
    for hop in _hops(connection):
        hop.close()
        hop.client.close()  # a login that was refused leaves a transport that fabric knows nothing of


def _path(name: str) -> str:
    return str(Path(name).expanduser())


def _bracketed(settings: ConnectionSettings) -> str:
    return settings.address if settings.port in {None, 22} else f"[{settings.address}]:{settings.port}"


def _scan(hostname: str) -> str:
    host, _, port = hostname.removeprefix("[").partition("]:")
    return f"-p {port} {host}" if port else host
