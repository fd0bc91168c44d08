"""Creates connections from settings. Each transport's modules are imported only when it is used."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from remediation.connections.calls import Connection
from remediation.connections.guard import Guard, Recorder
from remediation.connections.settings import ConnectionSettings
from remediation.connections.worker.transport import Channel
from remediation.model.clock import Clock


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
        notes.append(text)
        note(text)

    for warning in settings.warnings:
        noted(warning)
    inner = _plain(settings, scripts, noted, clock)
    return Guard(inner, check=check, secrets=settings.secrets, notes=notes, recorder=recorder)


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
    """Return the transport of a worker to a Windows host."""
    if settings.kind == "winrm":
        from remediation.connections.winrm.channel import WinRmChannel

        return WinRmChannel(settings, clock)
    if settings.kind == "ssh":
        from remediation.connections.ssh.channel import SshChannel

        return SshChannel(settings, note, clock)
    from remediation.connections.worker.local_process import ChildChannel

    return ChildChannel(settings.name, clock=clock)
