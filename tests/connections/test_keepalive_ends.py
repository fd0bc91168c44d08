"""A beat and what ends it: an end, Ctrl-C, a carrier that breaks; and SSH's own keep-alive."""

from __future__ import annotations

import os
import shlex
import signal
import threading
from pathlib import Path

import pytest

from remediation.connections.calls import Run
from remediation.connections.guard import Guard
from remediation.connections.keepalive import ConnectionLock, KeepAliveThread
from remediation.connections.ssh import client as ssh_open
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from tests.connections.conftest import PROGRAMS, StartPeer, opened, script
from tests.connections.keepalive import beaten, beats, heartbeat, inner, until, used
from tests.connections.sshd import Sshd, sshd

__all__ = ["heartbeat"]


def test_after_the_end_nothing_more_comes(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
    ending, staying = start_peer(), start_peer()
    first, second = beaten(ending, heartbeat), beaten(staying, heartbeat)
    used(first)
    used(second)
    beats(ending)
    first.close()
    requests = ending.counts["requests"]
    beats(staying, 5)
    assert (ending.counts["requests"], ending.shells) == (requests, {})
    second.close()
    thread = heartbeat._thread
    if thread is not None:
        thread.join(20)
    assert heartbeat._thread is None
    used(third := beaten(staying, heartbeat))
    beats(staying)
    third.close()


class Held:
    """Holds a connection's beat in the middle."""

    def __init__(self, guard: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
        self.begun, self.go_on = threading.Event(), threading.Event()
        channel = inner(guard)._channel
        receive = channel.receive

        def held(deadline: float) -> bytes:
            if threading.current_thread().name == "heartbeat":
                self.begun.set()
                assert self.go_on.wait(20)
            return receive(deadline)

        monkeypatch.setattr(channel, "receive", held)


def test_a_call_waits_for_a_beat_and_ctrl_c_ends_the_waiting(
    start_peer: StartPeer, heartbeat: KeepAliveThread, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    held = Held(guard, monkeypatch)
    assert held.begun.wait(20)
    sent = server.counts["Send"]
    thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal comes at any time after the start
        thread.start()
        guard.exchange([Run(("true",))])
    thread.join()
    assert server.counts["Send"] == sent
    held.go_on.set()
    used(guard)
    assert server.counts["Create"] == 1
    guard.close()
    assert server.shells == {}


def test_an_end_waits_for_a_beat(start_peer: StartPeer, heartbeat: KeepAliveThread, monkeypatch: pytest.MonkeyPatch) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    held = Held(guard, monkeypatch)
    assert held.begun.wait(20)
    ending = threading.Thread(target=guard.close)
    ending.start()
    until(lambda: inner(guard)._turn._ended)
    assert len(server.shells) == 1
    held.go_on.set()
    ending.join()
    assert server.shells == {}
    requests = server.counts["requests"]
    inner(guard)._turn.beat()
    assert server.counts["requests"] == requests


def test_an_end_does_not_wait_for_ever(heartbeat: KeepAliveThread) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def beat() -> None:
        begun.set()
        go_on.wait(20)

    turn = ConnectionLock(beat, lambda: True, heartbeat)
    turn.join()
    assert begun.wait(20)
    with turn.last(0.05):
        done.append(go_on.is_set())
    assert done == [False]
    go_on.set()


def over_ssh(ssh_server: Sshd, folder: Path) -> Guard:
    player = folder / "powershell.exe"
    player.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAMS["powershell"])} "$@"\n', "utf-8")
    player.chmod(0o755)
    return opened(ssh_server.variables(ansible_shell_type="powershell", remediation_powershell=str(player)))


@pytest.mark.parametrize("way", ["ssh", "child"])
def test_workers_that_something_else_carries_are_beaten_too(
    ssh_server: Sshd, heartbeat: KeepAliveThread, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    if way == "ssh":
        guard = over_ssh(ssh_server, tmp_path)
    else:
        guard = Guard(WorkerConnection("box", ChildChannel("box", before=PROGRAMS["powershell"]), scripts=script), check=False)
    inner(guard)._turn._heartbeat = heartbeat
    used(guard)
    session = inner(guard)._session
    assert session is not None
    number = session._number
    until(lambda: session._number >= number + 3)
    used(guard)
    assert inner(guard)._session is session
    with monkeypatch.context() as broken:
        broken.setattr(inner(guard)._channel, "receive", lambda _: (_ for _ in ()).throw(OSError("cut")))
        until(lambda: inner(guard)._session is None)
    used(guard)
    assert inner(guard)._session is not session
    guard.close()


def test_an_idle_ssh_connection_sends_keep_alives(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_open, "KEEP_ALIVE", 0.05)
    with sshd(tmp_path / "sshd", "LogLevel DEBUG1") as server:
        guard = opened(server.variables())
        used(guard)
        until(lambda: "keepalive@" in (server.folder / "sshd.log").read_text("utf-8"))
        guard.close()
