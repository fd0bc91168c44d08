"""Creates connections from settings. Each transport's modules are imported only when it is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from remediation.connections.calls import Connection
from remediation.connections.guard import Guard, Recorder
from remediation.connections.settings import CONNECTIONS, KINDS, ConnectionSettings
from remediation.connections.worker.transport import Channel
from remediation.model.clock import Clock
from remediation.model.errors import UsageError
from remediation.model.extensions import load_extension

_log = logging.getLogger(__name__)


class ConnectionFactory(Protocol):
    """What an entry point of the group ``remediation.connections`` names: a class or function that makes a connection.

    It connects to nothing yet: the first exchange does. It raises `UsageError` that names the variable for settings it cannot use. The
    connection's ``platform`` must be ``settings.platform``. Check mode and masking are added around it.
    """

    def __call__(self, settings: ConnectionSettings, note: Callable[[str], None], /) -> Connection:
        """Return a connection to the host; `note` takes a sentence that every report must show."""


def open_connection(
    settings: ConnectionSettings,
    *,
    scripts: Callable[[str], str],
    check: bool = False,
    note: Callable[[str], None] = lambda _: None,
    recorder: Recorder | None = None,
    clock: Clock | None = None,
) -> Guard:
    """Return a connection that its first exchange opens.

    `scripts` returns the text of a shipped probe. Remarks about the connection are collected in `notes` and passed to `note` as they
    occur. With `check`, calls marked as writes are refused. `clock` is this machine's clock, not a lab host's.
    """
    notes: list[str] = []

    def noted(text: str) -> None:
        _log.warning("%s", text)
        notes.append(text)
        note(text)

    at = f"{settings.address}:{settings.port}" if settings.port else settings.address
    login, mode = settings.user or "the default login", "check mode" if check else "reads and writes"
    _log.debug("%s: %s connection to %s (%s) as %s, %s", settings.name, settings.kind, at, settings.platform, login, mode)
    for warning in settings.warnings:
        noted(warning)
    inner = _plain(settings, scripts, noted, clock)
    return Guard(inner, check=check, secrets=settings.secrets, notes=notes, recorder=recorder, kind=settings.kind)


def _plain(
    settings: ConnectionSettings, scripts: Callable[[str], str], note: Callable[[str], None], clock: Clock | None
) -> Connection:
    if settings.kind not in KINDS:
        return _extension(settings, note)
    if settings.kind == "local" and settings.platform == "posix":
        from remediation.connections.posix.local import LocalConnection

        return LocalConnection(settings.name, settings.become)
    if settings.kind == "replay":
        from remediation.connections.recorder.replay import ReplayConnection

        return ReplayConnection(settings.name, Path(settings.cassette or ""), settings.cassette_host)
    if settings.kind == "ssh" and settings.platform == "posix":
        from remediation.connections.ssh.connection import SshConnection

        return SshConnection(settings, note)
    from remediation.connections.worker.connection import WorkerConnection

    return WorkerConnection(
        settings.name, _channel(settings, note, clock), scripts=scripts, note=note, opening=settings.timeout,
        powershell=settings.powershell,
    )  # fmt: skip


def _extension(settings: ConnectionSettings, note: Callable[[str], None]) -> Connection:
    make: ConnectionFactory = load_extension(CONNECTIONS, settings.kind)
    connection = make(settings, note)
    if connection.platform != settings.platform:
        raise UsageError(
            f"{settings.name}: the connection {settings.kind} is for {connection.platform} hosts",
            next_step="set ansible_shell_type: powershell for a Windows host, and leave it out for others",
        )
    return connection


def _channel(settings: ConnectionSettings, note: Callable[[str], None], clock: Clock | None) -> Channel:
    """Return the transport of a worker to a Windows host."""
    if settings.kind == "winrm":
        from remediation.connections.winrm.channel import WinRmChannel

        return WinRmChannel(settings, clock)
    if settings.kind == "ssh":
        from remediation.connections.ssh.channel import SshChannel

        return SshChannel(settings, note, clock)
    from remediation.connections.worker.local_process import ChildChannel

    return ChildChannel(settings.name, clock=clock)
