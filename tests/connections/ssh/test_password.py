"""A password over SSH: Debian's sshd would ask the machine's own accounts, so paramiko's server side plays the host."""

from __future__ import annotations

import re
import socket
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import paramiko
import pytest

from remediation.connections.calls import Completed, Run
from remediation.model.errors import AuthenticationFailed
from remediation.templating.yaml.secret import Secret
from tests.connections.conftest import opened

PASSWORD = "pass wörd"


class Door(paramiko.ServerInterface):
    """Takes one password, and answers every program with the ways that were tried."""

    def __init__(self) -> None:
        self.tried: list[str] = []

    def get_allowed_auths(self, username: str) -> str:
        return "password,publickey"

    def check_auth_publickey(self, username: str, key: paramiko.PKey) -> int:
        self.tried.append("publickey")
        return paramiko.AUTH_FAILED

    def check_auth_password(self, username: str, password: str) -> int:
        self.tried.append("password")
        return paramiko.AUTH_SUCCESSFUL if (username, password) == ("ops", PASSWORD) else paramiko.AUTH_FAILED

    def check_channel_request(self, kind: str, chanid: int) -> int:
        return paramiko.OPEN_SUCCEEDED

    def check_channel_exec_request(self, channel: paramiko.Channel, command: bytes) -> bool:
        def answer() -> None:
            (mark,) = re.findall(rb"echo ([0-9a-f]{32}) ", command)[:1]  # a shell writes this line first
            channel.sendall_stderr(mark + b" 1\n")
            channel.sendall(mark + b"\n" + " ".join(self.tried).encode())
            channel.send_exit_status(0)
            channel.close()

        threading.Timer(0.05, answer).start()
        return True


@pytest.fixture
def host(tmp_path: Path) -> Iterator[dict[str, object]]:
    key = paramiko.ECDSAKey.generate()
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {key.get_name()} {key.get_base64()}\n", "utf-8")
    (tmp_path / "config").write_text("", "utf-8")
    transports: list[paramiko.Transport] = []

    def serve() -> None:
        with suppress(OSError):
            while True:
                connection, _ = listener.accept()
                transport = paramiko.Transport(connection)
                transports.append(transport)
                transport.add_server_key(key)
                with suppress(paramiko.SSHException, EOFError):
                    transport.start_server(server=Door())

    thread = threading.Thread(target=serve)
    thread.start()
    yield {
        "ansible_host": "127.0.0.1", "ansible_port": port, "ansible_user": "ops", "ansible_ssh_known_hosts_file": str(tmp_path / "known_hosts"),
        "ansible_ssh_config_file": str(tmp_path / "config"),
    }  # fmt: skip
    listener.shutdown(socket.SHUT_RDWR)
    listener.close()
    thread.join()
    for transport in transports:
        transport.close()


def test_a_password_is_the_only_thing_tried_where_one_is_given(host: dict[str, object]) -> None:
    guard = opened({**host, "ansible_password": Secret(PASSWORD)})
    # a key for each try would use up what the host allows before the password's turn comes
    assert guard.exchange([Run(("x",))]) == [Completed(0, b"password", b"")]
    guard.close()


def test_a_wrong_one_is_tried_once(host: dict[str, object]) -> None:
    with pytest.raises(AuthenticationFailed) as caught:
        opened({**host, "ansible_password": "wrong pass"}).exchange([Run(("x",))])
    assert "wrong pass" not in str(caught.value)
