"""Ports that are reserved for a server: no other process gets one, whether its server listens or not."""

from __future__ import annotations

import socket
import subprocess
import sys

import pytest

from remediation_lab import free_ports
from remediation_lab.free_ports import free_port

OTHER = """\
import sys
from remediation_lab import free_ports
free_ports.RANGE = range(int(sys.argv[1]), int(sys.argv[2]))
try:
    print(free_ports.free_port())
except OSError as error:
    print(error)
"""


def of_another_process(first: int, last: int) -> str:
    return subprocess.run(
        [sys.executable, "-c", OTHER, str(first), str(last)], capture_output=True, text=True, check=True, timeout=60
    ).stdout.strip()


def test_a_port_is_given_once(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    assert port in free_ports.RANGE
    assert of_another_process(port, port + 1) == "no port is free"
    monkeypatch.setattr(free_ports, "RANGE", range(port, port + 1))
    with pytest.raises(OSError, match="no port is free"):
        free_port()


def test_a_port_that_is_in_use_is_not_given(monkeypatch: pytest.MonkeyPatch) -> None:
    port = free_port()
    with socket.socket() as other:
        other.bind(("127.0.0.1", port))
        monkeypatch.setattr(free_ports, "_reserved", set)
        monkeypatch.setattr(free_ports, "RANGE", range(port, port + 1))
        with pytest.raises(OSError, match="in use"):
            free_port()


def test_the_ports_of_a_process_that_ended_are_free_again() -> None:
    first = int(of_another_process(free_ports.RANGE.start, free_ports.RANGE.stop))
    assert of_another_process(first, first + 1) == str(first)
