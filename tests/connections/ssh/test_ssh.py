"""SSH against a real sshd: whom it trusts, how it logs in, what becomes of a lost connection, sudo, hops, and Windows behind it."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Failed, FileContent, Probe, ProbeReply, ReadFile, Run, WriteFile
from remediation.connections.settings import from_variables
from remediation.connections.ssh import client as ssh_open
from remediation.connections.ssh import commands as ssh_exec
from remediation.connections.ssh import connection as ssh
from remediation.model.errors import AuthenticationFailed, HostKeyRefused, OutcomeUnknown, Unreachable
from tests.connections.conftest import PROGRAMS, opened, script
from tests.connections.sshd import Sshd, keygen, sshd
from tests.connections.web import Web
from tests.support.requirements import need_program

TRUE = Run(("true",))


def test_an_unknown_host_is_refused_with_its_fingerprint(ssh_server: Sshd, tmp_path: Path) -> None:
    empty = tmp_path / "known_hosts"
    guard = opened(ssh_server.variables(ansible_ssh_known_hosts_file=str(empty)))
    with pytest.raises(HostKeyRefused, match="is not in any known_hosts file: ssh-ed25519 SHA256:") as caught:
        guard.exchange([TRUE])
    shown = subprocess.run(
        [need_program("ssh-keygen", "openssh-client"), "-lf", str(ssh_server.folder / "host.pub")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()[1]
    assert shown in str(caught.value)
    assert "accept-new" in caught.value.next_step
    assert not empty.exists()


def test_accept_new_remembers_a_host_once(ssh_server: Sshd, tmp_path: Path) -> None:
    remembered = tmp_path / "ssh" / "known_hosts"
    for expected in (2, 1):  # the warning, and the first time the key
        variables = ssh_server.variables(ansible_ssh_known_hosts_file=str(remembered), ansible_host_key_checking="accept-new")
        guard = opened(variables)
        assert isinstance(guard.exchange([TRUE])[0], Completed)
        assert len(guard.notes) == expected
        guard.close()
    assert remembered.read_text("utf-8") == ssh_server.known_hosts.read_text("utf-8")
    assert remembered.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("policy", ["strict", "accept-new"])
def test_a_changed_key_is_refused_under_every_policy(ssh_server: Sshd, tmp_path: Path, policy: str) -> None:
    keygen(tmp_path / "other")
    public = (tmp_path / "other.pub").read_text("utf-8").split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{ssh_server.port} {' '.join(public)}\n", "utf-8")
    variables = ssh_server.variables(ansible_ssh_known_hosts_file=str(tmp_path / "known_hosts"), ansible_host_key_checking=policy)
    with pytest.raises(HostKeyRefused, match="the host key has changed") as caught:
        opened(variables).exchange([TRUE])
    assert f"ssh-keygen -R [127.0.0.1]:{ssh_server.port}" in caught.value.next_step


def test_a_key_that_opens_nothing(ssh_server: Sshd, tmp_path: Path) -> None:
    keygen(tmp_path / "wrong")
    guard = opened(ssh_server.variables(ansible_ssh_private_key_file=str(tmp_path / "wrong")))
    with pytest.raises(AuthenticationFailed, match="refused the login"):
        guard.exchange([TRUE])


def test_a_password_that_opens_nothing_is_in_no_message(ssh_server: Sshd) -> None:
    variables = ssh_server.variables(ansible_password="s3cret-pw")
    del variables["ansible_ssh_private_key_file"]
    with pytest.raises(AuthenticationFailed) as caught:
        opened(variables).exchange([TRUE])
    assert "s3cret-pw" not in str(caught.value)


def test_a_key_with_a_passphrase(ssh_server: Sshd, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    keygen(locked, "open sesame")
    accepted = ssh_server.folder / "authorized_keys"
    before = accepted.read_text("utf-8")
    accepted.write_text(before + locked.with_suffix(".pub").read_text("utf-8"), "utf-8")
    variables = ssh_server.variables(ansible_ssh_private_key_file=str(locked))
    try:
        with pytest.raises(AuthenticationFailed, match="needs its passphrase"):
            opened(variables).exchange([TRUE])
        guard = opened(variables | {"ansible_ssh_private_key_passphrase": "open sesame"})
        assert isinstance(guard.exchange([TRUE])[0], Completed)
        guard.close()
    finally:
        accepted.write_text(before, "utf-8")


def test_files_and_ports_that_are_not_there(ssh_server: Sshd, tmp_path: Path) -> None:
    with pytest.raises(Unreachable, match=r"file .*none does not exist"):
        opened(ssh_server.variables(ansible_ssh_private_key_file=str(tmp_path / "none"))).exchange([TRUE])
    with pytest.raises(Unreachable, match=r"nothing answers at 127\.0\.0\.1:1"):
        opened(ssh_server.variables(ansible_port=1)).exchange([TRUE])
    with socket.create_server(("127.0.0.1", 0)) as silent:
        variables = ssh_server.variables(ansible_port=silent.getsockname()[1], ansible_timeout=1)
        with pytest.raises(Unreachable):
            opened(variables).exchange([TRUE])


def test_one_connection_serves_a_run(ssh_server: Sshd, tmp_path: Path) -> None:
    guard = opened(ssh_server.variables())
    say = Run(("sh", "-c", 'echo "$SSH_CONNECTION"'))
    said = {bytes(reply.stdout) for _ in range(4) for reply in guard.exchange([say, say]) if isinstance(reply, Completed)}
    guard.exchange([WriteFile(str(tmp_path / "f"), b"x"), ReadFile(str(tmp_path / "f"))])
    assert len(said) == 1
    guard.close()


def _cut(guard: object) -> None:
    """Kill the sshd process that serves this connection, as a lost network would."""
    guard._inner._ssh.transport.sock.shutdown(socket.SHUT_RDWR)  # type: ignore[attr-defined]


def test_a_lost_connection_is_made_again_for_what_only_reads(ssh_server: Sshd) -> None:
    guard = opened(ssh_server.variables())
    guard.exchange([TRUE])
    _cut(guard)
    assert isinstance(guard.exchange([TRUE])[0], Completed)
    # the program itself cuts the line it is served over: the second time it finds none to cut and ends well
    kill = 'if mkdir "$0" 2>/dev/null; then kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); sleep 5; fi; echo done'
    folder = f"/tmp/remediation-cut-{os.getpid()}"
    try:
        reply = guard.exchange([Run(("sh", "-c", kill, folder))])[0]
        assert isinstance(reply, Completed)
        assert reply.stdout == b"done\n"
    finally:
        Path(folder).rmdir()
        guard.close()


def test_a_write_that_loses_its_connection_is_uncertain(ssh_server: Sshd, tmp_path: Path) -> None:
    guard = opened(ssh_server.variables())
    count = tmp_path / "count"
    kill = 'printf x >>"$0"; kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); sleep 5'
    with pytest.raises(OutcomeUnknown, match="may or may not"):
        guard.exchange([Run(("sh", "-c", kill, str(count)), writes=True)])
    assert count.read_text("utf-8") == "x"
    assert isinstance(guard.exchange([TRUE])[0], Completed)
    guard.close()


def test_a_server_without_sftp_and_forwarding(tmp_path: Path, web: Web) -> None:
    need_program("curl", "curl")
    with sshd(tmp_path / "sshd", "AllowTcpForwarding no", sftp="/no/such/program") as server:
        guard = opened(server.variables())
        written, content, missing = guard.exchange([
            WriteFile(str(tmp_path / "f"), b"\0\xff", backup=str(tmp_path / "b")), ReadFile(str(tmp_path / "f"), limit=1, tail=True),
            ReadFile(str(tmp_path / "none")),
        ])  # fmt: skip
        web.check(lambda call: guard.exchange([call])[0])
        guard.close()
    assert written == FileContent()
    assert content == FileContent(b"\xff", truncated=True)
    assert missing == FileContent(missing=True)


def test_a_hop_is_verified_too(ssh_server: Sshd, tmp_path: Path) -> None:
    with sshd(tmp_path / "hop") as hop:
        config = tmp_path / "config"
        config.write_text(
            f"Host hop\n  HostName 127.0.0.1\n  Port {hop.port}\n  User {hop.user}\n  IdentityFile {hop.key}\n"
            "Host 127.0.0.1\n  ProxyJump hop\n", "utf-8",
        )  # fmt: skip
        both = tmp_path / "both"
        both.write_text(ssh_server.known_hosts.read_text("utf-8") + hop.known_hosts.read_text("utf-8"), "utf-8")
        variables = ssh_server.variables(ansible_ssh_config_file=str(config))
        with pytest.raises(HostKeyRefused, match=f"host key of .*{hop.port}"):
            opened(variables).exchange([TRUE])
        guard = opened(variables | {"ansible_ssh_known_hosts_file": str(both)})
        (reply,) = guard.exchange([Run(("echo", "through"))])
        assert reply == Completed(0, b"through\n", b"")
        guard.close()
        settings = from_variables("box", variables | {"ansible_ssh_known_hosts_file": str(both)})
        connection = ssh_open.open_ssh(settings, lambda _: None)
        assert connection.gateway.transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
        connection.close()
        connection.gateway.close()


def test_a_windows_host_gets_the_worker_through_its_exec_channel(ssh_server: Sshd, tmp_path: Path) -> None:
    player = tmp_path / "powershell.exe"
    player.write_text(f'#!/bin/sh\nexec {shlex.join(PROGRAMS["powershell"])} "$@"\n', "utf-8")
    player.chmod(0o755)
    variables = ssh_server.variables(ansible_shell_type="powershell", remediation_powershell=str(player))
    guard = opened(variables)
    assert guard.platform == "windows"
    words = ["a b", 'q"', "ü", ""]
    echoed, probed, missing = guard.exchange([
        Run((sys.executable, "-I", "-c", "import sys; print(sys.argv[1:])", *words)), Probe("gpu"), Run(("no-such-program",)),
    ])  # fmt: skip
    assert isinstance(echoed, Completed)
    assert echoed.text.strip() == str(words)
    assert isinstance(probed, ProbeReply)
    assert probed.value["script"] == script("gpu")
    assert isinstance(missing, Failed)
    _cut(type("G", (), {"_inner": guard._inner._channel})())  # type: ignore[attr-defined]
    (again,) = guard.exchange([Run(("echo", "again"))])
    assert again == Completed(0, b"again\n", b"")
    guard.close()


def test_a_server_that_stops_answering_is_left_for_a_new_connection(tmp_path: Path) -> None:
    count = tmp_path / "count"
    with sshd(tmp_path / "sshd") as server:
        guard = opened(server.variables())
        (reply,) = guard.exchange([Run(("sh", "-c", "ps -o ppid= -p $PPID"))])
        assert isinstance(reply, Completed)
        serving = int(reply.stdout)
        os.kill(serving, signal.SIGSTOP)
        try:
            # no channel was opened, so nothing was started: a write may be sent again
            (done,) = guard.exchange([Run(("sh", "-c", 'printf x >>"$0"', str(count)), timeout=0.5, writes=True)])
        finally:
            os.kill(serving, signal.SIGCONT)
        guard.close()
    assert isinstance(done, Completed)
    assert count.read_text("utf-8") == "x"


def test_no_message_waits_for_the_acknowledgement_of_the_one_before(ssh_server: Sshd) -> None:
    connection = ssh_open.open_ssh(from_variables("box", ssh_server.variables()), lambda _: None)
    try:
        assert connection.transport.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
    finally:
        connection.close()


def test_a_refused_login_leaves_no_connection_open(ssh_server: Sshd, tmp_path: Path) -> None:
    keygen(tmp_path / "other")
    before = threading.active_count()
    for _ in range(3):
        with pytest.raises(AuthenticationFailed):
            ssh_open.open_ssh(
                from_variables("box", ssh_server.variables(ansible_ssh_private_key_file=str(tmp_path / "other"))), lambda _: None
            )
    for _ in range(200):
        if threading.active_count() <= before:
            break
        threading.Event().wait(0.02)
    assert threading.active_count() <= before


def test_ctrl_c_before_the_first_output_ends_the_program(ssh_server: Sshd, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    groups: list[int | None] = []
    guard = opened(ssh_server.variables())
    assert isinstance(guard.exchange([TRUE])[0], Completed)
    monkeypatch.setattr(ssh_exec, "_feed", interrupted)  # stdin goes out before anything comes back
    monkeypatch.setattr(ssh.SshConnection, "_kill", lambda _, group: groups.append(group))
    with pytest.raises(KeyboardInterrupt):
        guard.exchange([Run(("sleep", "60"))])
    guard.close()
    assert groups[0] is not None
    os.killpg(groups[0], signal.SIGKILL)
