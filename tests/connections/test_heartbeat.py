"""A connection that waits gives a sign of life, by the login it has; what comes of it is nobody's worry but the next call's."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from remediation.connections import ssh_open
from remediation.connections.base import Completed, Run
from remediation.connections.child import ChildChannel
from remediation.connections.guard import Guard
from remediation.connections.heartbeat import Heartbeat, Turn
from remediation.connections.worker import WorkerConnection
from remediation.model.errors import AuthenticationFailed, Unreachable
from tests.connections import certificates
from tests.connections.conftest import PROGRAMS, StartPeer, opened, script, winrm_variables
from tests.connections.peer.winrm_server import WinRmPeer
from tests.connections.sshd import Sshd, sshd
from tests.connections.test_faults import FAULTS, Impatient, add, ended

PAUSE = 0.03
HELD = Run((sys.executable, "-I", "-c", "import sys; print(open(sys.argv[1]).read())"), timeout=60)


@pytest.fixture
def heartbeat() -> Iterator[Heartbeat]:
    one = Heartbeat(PAUSE)
    yield one
    until(lambda: one._thread is None)  # no connection was left behind


def until(so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if so():
            return
        threading.Event().wait(0.01)
    pytest.fail("what was awaited does not come")


def beaten(server: WinRmPeer, heartbeat: Heartbeat, **more: object) -> Guard:
    guard = opened(winrm_variables(server, **more), clock=Impatient())
    inner(guard)._turn._heartbeat = heartbeat
    return guard


def inner(guard: Guard) -> WorkerConnection:
    assert isinstance(guard._inner, WorkerConnection)
    return guard._inner


def used(guard: Guard) -> None:
    assert isinstance(found := ended(guard, Run(("true",))), Completed), found


def beats(server: WinRmPeer, number: int = 3) -> None:
    """Return once a server has been told so many more times that somebody is there."""
    seen = server.counts["Receive"]
    until(lambda: server.counts["Receive"] >= seen + number)


def test_a_connection_that_waits_keeps_its_shell(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    shells, legs, trips = list(server.shells), server.counts["legs"], guard.round_trips
    beats(server)
    used(guard)
    beats(server)
    used(guard)
    assert list(server.shells) == shells
    assert (server.counts["Create"], server.counts["Command"], server.counts["legs"]) == (1, 1, legs)
    assert guard.round_trips == trips + 2, "only what somebody asked for is counted"
    guard.close()
    assert server.shells == {}


def test_who_is_busy_is_not_disturbed(start_peer: StartPeer, heartbeat: Heartbeat, tmp_path: Path) -> None:
    busy, waiting = start_peer(), start_peer()
    first, second = beaten(busy, heartbeat), beaten(waiting, heartbeat)
    used(second)
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    sent: list[int] = []

    def let_go() -> None:
        until(lambda: busy.counts["Send"] == 2)  # the worker's own text, and the call
        beats(waiting, 5)
        sent.append(busy.counts["Send"])
        gate.write_text("now", "utf-8")

    thread = threading.Thread(target=let_go)
    thread.start()
    found = ended(first, Run((*HELD.argv, str(gate)), timeout=60))
    thread.join()
    assert isinstance(found, Completed)
    assert sent == [2]
    beats(busy)
    for each in (first, second):
        each.close()
    assert (busy.shells, waiting.shells) == ({}, {})


@pytest.mark.parametrize("action", ["Send", "Receive"])
@pytest.mark.parametrize("fault", FAULTS)
def test_a_beat_that_fails_is_silent_and_the_next_call_opens_anew(
    start_peer: StartPeer, heartbeat: Heartbeat, tmp_path: Path, fault: str, action: str
) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    legs = server.counts["legs"]
    server.plan(action, 0, fault)
    if (action, fault) in {("Send", "garbage"), ("Send", "truncated")}:
        beats(server)  # the answer to a Send says nothing: its status is enough
    else:
        until(lambda: inner(guard)._talk is None)
        assert server.counts["struck"] == 1, "nothing is sent twice"
    server.plan(action, 0, "")
    assert server.counts["legs"] == legs, "no beat logs in"
    path = tmp_path / "count"
    assert isinstance(found := ended(guard, add(path, writes=True)), Completed), found
    assert path.read_text("utf-8") == "x"
    assert guard.notes == []
    beats(server)
    guard.close()
    assert server.shells == {}


def test_a_cut_connection_is_not_logged_in_to_by_a_beat(start_peer: StartPeer, heartbeat: Heartbeat, tmp_path: Path) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    legs = server.counts["legs"]
    (tmp_path / "users").write_text(":ops:changed meanwhile\n", encoding="utf-8")
    server.hang_up()
    until(lambda: inner(guard)._talk is None)
    assert (server.counts["legs"], server.counts["refused"]) == (legs, 0)
    for _ in range(3):
        assert isinstance(ended(guard, Run(("true",))), AuthenticationFailed)
    assert server.counts["refused"] == 2, "no oftener than without a beat"
    guard.close()
    assert server.counts["refused"] == 2


def test_a_cut_connection_is_opened_anew_by_the_next_call(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    server.hang_up()
    until(lambda: inner(guard)._talk is None)
    assert server.shells, "no beat deletes anything"
    used(guard)
    assert len(server.shells) == 1
    guard.close()
    assert (server.shells, server.counts["Create"]) == ({}, 2)


def test_a_host_that_is_gone_is_said_by_the_next_call_alone(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    for program in next(iter(server.shells.values())).values():
        program.end()
    server.shells.clear()
    server.socket.close()
    server.hang_up()
    until(lambda: inner(guard)._talk is None)
    assert isinstance(ended(guard, Run(("true",))), Unreachable)
    guard.close()


def test_after_the_end_nothing_more_comes(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
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


def test_a_login_that_each_message_repeats_is_not_beaten(start_peer: StartPeer, heartbeat: Heartbeat, tmp_path: Path) -> None:
    authority, context = certificates.made(tmp_path, "127.0.0.1")
    basic, other = start_peer(basic=True, tls=context), start_peer()
    guard = beaten(
        basic,
        heartbeat,
        ansible_winrm_scheme="https",
        ansible_winrm_transport="basic",
        ansible_winrm_ca_trust_path=str(authority),
    )
    used(guard)
    requests = basic.counts["requests"]
    used(second := beaten(other, heartbeat))
    beats(other, 5)
    assert basic.counts["requests"] == requests
    used(guard)
    for each in (guard, second):
        each.close()


def test_where_each_call_has_its_own_process_there_is_nothing_to_keep(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
    deaf, other = start_peer(environment={"PEER_DEAF": "1"}), start_peer()
    guard = beaten(deaf, heartbeat)
    inner(guard)._greeting = 0.2
    used(guard)
    requests = deaf.counts["requests"]
    used(second := beaten(other, heartbeat))
    beats(other)
    assert deaf.counts["requests"] == requests
    for each in (guard, second):
        each.close()


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
    start_peer: StartPeer, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    held = Held(guard, monkeypatch)
    assert held.begun.wait(20)
    sent = server.counts["Send"]
    thread = threading.Thread(target=lambda: os.kill(os.getpid(), signal.SIGINT))
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012 - the signal comes at any moment after the start
        thread.start()
        guard.exchange([Run(("true",))])
    thread.join()
    assert server.counts["Send"] == sent
    held.go_on.set()
    used(guard)
    assert server.counts["Create"] == 1
    guard.close()
    assert server.shells == {}


def test_an_end_waits_for_a_beat(start_peer: StartPeer, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch) -> None:
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


def test_an_end_does_not_wait_for_ever(heartbeat: Heartbeat) -> None:
    begun, go_on, done = threading.Event(), threading.Event(), []

    def beat() -> None:
        begun.set()
        go_on.wait(20)

    turn = Turn(beat, lambda: True, heartbeat)
    turn.join()
    assert begun.wait(20)
    with turn.last(0.05):
        done.append(go_on.is_set())
    assert done == [False]
    go_on.set()


def test_one_thread_beats_all(start_peer: StartPeer, heartbeat: Heartbeat) -> None:
    servers = [start_peer() for _ in range(3)]
    guards = [beaten(server, heartbeat) for server in servers]
    for guard in guards:
        used(guard)
    for server in servers:
        beats(server)
    assert sum(each.name == "heartbeat" for each in threading.enumerate()) == 1
    for guard in guards:
        guard.close()


def over_ssh(ssh_server: Sshd, folder: Path) -> Guard:
    player = folder / "powershell.exe"
    player.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAMS["powershell"])} "$@"\n', "utf-8")
    player.chmod(0o755)
    return opened(ssh_server.variables(ansible_shell_type="powershell", remediation_powershell=str(player)))


@pytest.mark.parametrize("way", ["ssh", "child"])
def test_workers_that_something_else_carries_are_beaten_too(
    ssh_server: Sshd, heartbeat: Heartbeat, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, way: str
) -> None:
    if way == "ssh":
        guard = over_ssh(ssh_server, tmp_path)
    else:
        guard = Guard(WorkerConnection("box", ChildChannel("box", before=PROGRAMS["powershell"]), scripts=script), check=False)
    inner(guard)._turn._heartbeat = heartbeat
    used(guard)
    talk = inner(guard)._talk
    assert talk is not None
    number = talk._number
    until(lambda: talk._number >= number + 3)
    used(guard)
    assert inner(guard)._talk is talk
    with monkeypatch.context() as broken:
        broken.setattr(inner(guard)._channel, "receive", lambda _: (_ for _ in ()).throw(OSError("cut")))
        until(lambda: inner(guard)._talk is None)
    used(guard)
    assert inner(guard)._talk is not talk
    guard.close()


def test_a_waiting_ssh_connection_says_so_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ssh_open, "KEEP_ALIVE", 0.05)
    with sshd(tmp_path / "sshd", "LogLevel DEBUG1") as server:
        guard = opened(server.variables())
        used(guard)
        assert server.process.stderr is not None
        assert any("keepalive@" in line for line in server.process.stderr)
        guard.close()
