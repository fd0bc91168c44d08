"""Connections with a quick heartbeat of their own, and waiting for what they do of themselves."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator

import pytest

from remediation.connections.calls import Completed, Run
from remediation.connections.guard import Guard
from remediation.connections.keepalive import KeepAliveThread
from remediation.connections.worker.connection import WorkerConnection
from tests.connections.conftest import opened, winrm_variables
from tests.connections.peer.winrm_server import WinRmPeer
from tests.connections.planned_faults import Impatient, ended

PAUSE = 0.03


@pytest.fixture
def heartbeat() -> Iterator[KeepAliveThread]:
    one = KeepAliveThread(PAUSE)
    yield one
    until(lambda: one._thread is None)  # no connection was left behind


def until(so: Callable[[], bool]) -> None:
    for _ in range(2000):
        if so():
            return
        threading.Event().wait(0.01)
    pytest.fail("what was awaited does not come")


def beaten(server: WinRmPeer, heartbeat: KeepAliveThread, **more: object) -> Guard:
    guard = opened(winrm_variables(server, **more), clock=Impatient())
    inner(guard)._turn._heartbeat = heartbeat
    return guard


def inner(guard: Guard) -> WorkerConnection:
    assert isinstance(guard._inner, WorkerConnection)
    return guard._inner


def used(guard: Guard) -> None:
    assert isinstance(found := ended(guard, Run(("true",))), Completed), found


def beats(server: WinRmPeer, number: int = 3) -> None:
    """Return once a server has got so many more keep-alive requests."""
    seen = server.counts["Receive"]
    until(lambda: server.counts["Receive"] >= seen + number)
