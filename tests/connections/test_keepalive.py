"""An idle connection sends a keep-alive request with its login; a failure concerns only the next call."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Run
from remediation.connections.keepalive import KeepAliveThread
from remediation.model.errors import AuthenticationFailed, Unreachable
from tests.connections import certificates
from tests.connections.conftest import StartPeer
from tests.connections.keepalive import beaten, beats, heartbeat, inner, until, used
from tests.connections.planned_faults import FAULTS, add, ended, pairs

__all__ = ["heartbeat"]
HELD = Run((sys.executable, "-I", "-c", "import sys; print(open(sys.argv[1]).read())"), timeout=60)


def test_a_connection_that_waits_keeps_its_shell(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
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
    assert guard.round_trips == trips + 2, "keep-alive requests are not counted"
    guard.close()
    assert server.shells == {}


def test_who_is_busy_is_not_disturbed(start_peer: StartPeer, heartbeat: KeepAliveThread, tmp_path: Path) -> None:
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


@pytest.mark.parametrize(("fault", "action"), list(pairs(FAULTS, ("Send", "Receive"))))
def test_a_beat_that_fails_is_silent_and_the_next_call_reconnects(
    start_peer: StartPeer, heartbeat: KeepAliveThread, tmp_path: Path, fault: str, action: str
) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    legs = server.counts["legs"]
    server.plan(action, 0, fault)
    if (action, fault) in {("Send", "garbage"), ("Send", "truncated")}:
        beats(server)  # the answer to a Send says nothing: its status is enough
    else:
        until(lambda: inner(guard)._session is None)
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


def test_a_cut_connection_is_not_logged_in_to_by_a_beat(
    start_peer: StartPeer, heartbeat: KeepAliveThread, tmp_path: Path
) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    legs = server.counts["legs"]
    (tmp_path / "users").write_text(":ops:changed meanwhile\n", encoding="utf-8")
    server.hang_up()
    until(lambda: inner(guard)._session is None)
    assert (server.counts["legs"], server.counts["refused"]) == (legs, 0)
    for _ in range(3):
        assert isinstance(ended(guard, Run(("true",))), AuthenticationFailed)
    assert server.counts["refused"] == 2, "no oftener than without a beat"
    guard.close()
    assert server.counts["refused"] == 2


def test_the_next_call_reopens_a_cut_connection(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    server.hang_up()
    until(lambda: inner(guard)._session is None)
    assert server.shells, "no beat deletes anything"
    used(guard)
    assert len(server.shells) == 1
    guard.close()
    assert (server.shells, server.counts["Create"]) == ({}, 2)


def test_a_host_that_is_gone_is_said_by_the_next_call_alone(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
    server = start_peer()
    guard = beaten(server, heartbeat)
    used(guard)
    for program in next(iter(server.shells.values())).values():
        program.end()
    server.shells.clear()
    server.socket.close()
    server.hang_up()
    until(lambda: inner(guard)._session is None)
    assert isinstance(ended(guard, Run(("true",))), Unreachable)
    guard.close()


def test_a_login_that_each_message_repeats_is_not_beaten(
    start_peer: StartPeer, heartbeat: KeepAliveThread, tmp_path: Path
) -> None:
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


def test_where_each_call_has_its_own_process_there_is_nothing_to_keep(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
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


def test_one_thread_beats_all(start_peer: StartPeer, heartbeat: KeepAliveThread) -> None:
    servers = [start_peer() for _ in range(3)]
    guards = [beaten(server, heartbeat) for server in servers]
    for guard in guards:
        used(guard)
    for server in servers:
        beats(server)
    assert sum(each.name == "heartbeat" for each in threading.enumerate()) == 1
    for guard in guards:
        guard.close()


class Waiting:
    """A connection that is always due; its beats wait for `go_on`."""

    def __init__(self, go_on: threading.Event | None = None) -> None:
        self.beats, self._go_on, self._lock = 0, go_on, threading.Lock()

    def idle(self) -> float:
        return 0.0 if self._lock.locked() else 1.0

    def beat(self) -> None:
        with self._lock:
            self.beats += 1
            if self._go_on is not None:
                self._go_on.wait(20)


def test_hosts_that_hang_keep_no_others_waiting(heartbeat: KeepAliveThread) -> None:
    go_on = threading.Event()
    hanging, well = [Waiting(go_on) for _ in range(13)], Waiting()
    for each in (*hanging, well):
        heartbeat.join(each)
    until(lambda: well.beats >= 5)
    assert [each.beats for each in hanging] == [1] * 13
    for each in (*hanging, well):
        heartbeat.leave(each)
    go_on.set()
