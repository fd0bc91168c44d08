"""Leases and connections of a run's hosts: nothing that a lease needs is closed before it is given back."""

from __future__ import annotations

import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Failed, Run
from remediation.connections.posix.local import LocalConnection
from remediation.engine.context import Ports
from remediation.engine.lease.lock import claim
from remediation.engine.play.context.open_hosts import OpenHosts, SharedLock
from remediation.facets.access import HostAccess
from remediation.model.errors import Blocked
from tests.engine.fakes.host import FakeAccess, World


class Access(FakeAccess):
    """An opened host that says when it is closed."""

    def __init__(self, closed: threading.Event) -> None:
        super().__init__(World())
        self._closed = closed

    def close(self) -> None:
        self._closed.set()


class Lease:
    """A lease that is given back only once something else had every chance to close a connection."""

    def __init__(self, closed: threading.Event) -> None:
        self._closed = closed
        self.too_late: bool | None = None

    def give_back(self) -> None:
        self.too_late = self._closed.wait(0.3)


def test_every_lease_is_given_back_before_a_connection_is_closed() -> None:
    """A play that looks in check mode and changes something has two connections to one host, and they are closed side by side."""
    closed = threading.Event()

    def open_host(name: str, variables: Mapping[str, Any], *, check: bool) -> HostAccess:
        return Access(closed)

    hosts = OpenHosts(open_host, claim("r1", "verify"), Ports(emit=lambda _: None))
    for check in (True, False):
        hosts.open("a", "a", dict, check=check, rights={})
    lease = Lease(closed)
    hosts._locks["a"] = SharedLock(lock=lease)  # type: ignore[assignment]  # in place of a HostLock
    hosts.close()
    assert (lease.too_late, closed.is_set()) == (False, True)


def test_a_thread_that_is_still_at_work_neither_opens_a_host_nor_takes_a_lease_once_all_are_closed() -> None:
    def open_host(name: str, variables: Mapping[str, Any], *, check: bool) -> HostAccess:
        return Access(threading.Event())

    hosts = OpenHosts(open_host, claim("r1", "verify"), Ports(emit=lambda _: None))
    opened = hosts.open("a", "a", dict, check=False, rights={})
    hosts.close()
    with pytest.raises(Blocked, match="a: the run is ending"):
        hosts.lease(opened, lambda _: None)
    with pytest.raises(Blocked, match="a: the run is ending"):
        hosts.open("a", "a", dict, check=False, rights={})


@pytest.mark.skipif(sys.platform == "win32", reason="another connection is used there")
def test_a_connection_to_this_machine_starts_no_program_once_it_is_closed(tmp_path: Path) -> None:
    connection = LocalConnection("here")
    connection.close()
    (reply,) = connection.exchange([Run(("touch", str(tmp_path / "late")))])
    assert reply == Failed("error", "touch was not started: the connection is closed")
    assert not (tmp_path / "late").exists()
