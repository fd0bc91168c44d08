"""The way from settings to a connection. What a transport needs is imported only when that transport is used."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from remediation.connections.calls import Connection
from remediation.connections.guard import Guard, Recorder
from remediation.connections.settings import ConnectionSettings
from remediation.connections.worker.transport import Channel
from remediation.model.clock import Clock

_log = logging.getLogger(__name__)


def open_connection(
    settings: ConnectionSettings,
    *,
    scripts: Callable[[str], str],
    check: bool = False,
    note: Callable[[str], None] = lambda _: None,
    recorder: Recorder | None = None,
    clock: Clock | None = None,
) -> Guard:
    """Return a connection, opened by its first exchange.

    `scripts` gives the text of a shipped probe. What the user should know of the connection is in `notes`, and `note` is told
    of it as it comes up. With `check` no call marked as a write is let through. `clock` is this machine's, not a lab host's.
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


def _channel(settings: ConnectionSettings, note: Callable[[str], None], clock: Clock | None) -> Channel:
    """Return what carries a worker to a Windows host."""
    if settings.kind == "winrm":
        from remediation.connections.winrm.channel import WinRmChannel

        return WinRmChannel(settings, clock)
    if settings.kind == "ssh":
        from remediation.connections.ssh.channel import SshChannel

        return SshChannel(settings, note, clock)
    from remediation.connections.worker.local_process import ChildChannel

    return ChildChannel(settings.name, clock=clock)
