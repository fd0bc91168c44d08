"""The stdin of a program over SSH, which the program need not read."""

from __future__ import annotations

from typing import cast

import paramiko
import pytest

from remediation.connections.ssh.commands import _feed


class Ended:
    """A channel whose connection has ended; paramiko then raises one of several errors."""

    def __init__(self, error: Exception) -> None:
        self.error, self.tried = error, False

    def sendall(self, _data: bytes) -> None:
        self.tried = True
        raise self.error


@pytest.mark.parametrize("error", [EOFError(), OSError("Socket is closed"), paramiko.SSHException("Channel is not open")])
def test_the_end_of_the_connection_ends_the_feeding_in_silence(error: Exception) -> None:
    channel = Ended(error)
    _feed(cast("paramiko.Channel", channel), b"x" * 100_000)
    assert channel.tried
