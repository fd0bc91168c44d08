"""Read-only calls of one exchange over SSH run at the same time, each over a separate channel."""

from __future__ import annotations

import os
import shlex
import signal
import sys
import threading
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Failed, Http, HttpReply, Run
from tests.connections.conftest import opened
from tests.connections.keepalive import until
from tests.connections.sshd import Sshd, sshd
from tests.connections.web import Web

_LIMIT = 60.0


def together(folder: Path, count: int) -> list[Run]:
    """Return programs that end only once all of them run."""
    meet = f'touch {shlex.quote(str(folder))}/$0; until [ "$(ls {shlex.quote(str(folder))} | wc -l)" -ge {count} ]; do sleep 0.05; done; echo $0'
    return [Run(("sh", "-c", meet, str(number)), timeout=_LIMIT) for number in range(count)]


def test_reads_share_a_round_trip_and_keep_their_order(ssh_server: Sshd, tmp_path: Path, web: Web) -> None:
    guard = opened(ssh_server.variables())
    *replies, page, failed = guard.exchange([*together(tmp_path, 6), Http("GET", f"{web.url}/hello"), Run(("false",))])
    assert [reply.stdout for reply in replies if isinstance(reply, Completed)] == [b"%d\n" % number for number in range(6)]
    assert isinstance(page, HttpReply)
    assert failed == Completed(1, b"", b"")
    assert guard.round_trips == 1
    guard.close()


def test_a_write_waits_for_the_reads_before_it_and_the_reads_after_it_wait_for_the_write(
    ssh_server: Sshd, tmp_path: Path
) -> None:
    file = shlex.quote(str(tmp_path / "file"))
    look = Run(("sh", "-c", f"sleep 0.3; cat {file} 2>/dev/null; true"))
    replies = opened(ssh_server.variables()).exchange([look, look, Run(("sh", "-c", f"echo x >{file}"), writes=True), look, look])
    assert [reply.stdout for reply in replies if isinstance(reply, Completed)] == [b"", b"", b"", b"x\n", b"x\n"]


@pytest.mark.parametrize("most", [1, 2])
def test_a_server_that_allows_fewer_sessions_answers_all_calls_over_one_connection(tmp_path: Path, most: int) -> None:
    with sshd(tmp_path, f"MaxSessions {most}") as server:
        guard = opened(server.variables())
        calls = [Run(("sh", "-c", 'sleep 0.2; echo "$0 $SSH_CONNECTION"', str(number))) for number in range(5)]
        lines = [
            reply.text.split(maxsplit=1) for _ in range(2) for reply in guard.exchange(calls) if isinstance(reply, Completed)
        ]
        guard.close()
    assert [number for number, _ in lines] == ["0", "1", "2", "3", "4"] * 2
    assert len({connection for _, connection in lines}) == 1


def test_one_late_program_ends_alone(ssh_server: Sshd, tmp_path: Path) -> None:
    late = Run(("sh", "-c", f"echo $$ >{shlex.quote(str(tmp_path / 'pid'))}; sleep 1000"), timeout=2.0)
    first, timeout, last = opened(ssh_server.variables()).exchange(
        [Run(("echo", "a")), late, Run(("sh", "-c", "sleep 3; echo b"))]
    )
    assert [first, last] == [Completed(0, b"a\n", b""), Completed(0, b"b\n", b"")]
    assert isinstance(timeout, Failed)
    assert timeout.kind == "timeout"
    until(lambda: not Path(f"/proc/{(tmp_path / 'pid').read_text().strip()}").exists())


def test_reads_whose_connection_is_lost_are_repeated(ssh_server: Sshd, tmp_path: Path) -> None:
    # each program ends the server's process for this connection the first time it runs
    lose = f"[ -e {shlex.quote(str(tmp_path))}/$0 ] || {{ touch {shlex.quote(str(tmp_path))}/$0; kill -9 $(ps -o ppid= -p $(ps -o ppid= -p $$)); sleep 60; }}; echo $0"
    guard = opened(ssh_server.variables())
    first, second = guard.exchange([Run(("sh", "-c", lose, "once"), timeout=_LIMIT), Run(("sh", "-c", "sleep 1; echo other"))])
    assert [first, second] == [Completed(0, b"once\n", b""), Completed(0, b"other\n", b"")]


def test_ctrl_c_ends_all_programs_that_run(ssh_server: Sshd, tmp_path: Path) -> None:
    pids = [tmp_path / str(number) for number in range(3)]
    calls = [Run(("sh", "-c", f"echo $$ >{shlex.quote(str(path))}; sleep 1000"), timeout=300.0) for path in pids]

    def interrupt() -> None:
        until(lambda: all(path.exists() and path.read_text().strip() for path in pids))
        os.kill(os.getpid(), signal.SIGINT)

    guard = opened(ssh_server.variables())
    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        guard.exchange(calls)
    thread.join()
    until(lambda: not any(Path(f"/proc/{path.read_text().strip()}").exists() for path in pids))
    assert guard.exchange([Run(("echo", "again"))] * 2) == [Completed(0, b"again\n", b"")] * 2


def test_a_wrong_password_of_sudo_is_tried_once(tmp_path: Path) -> None:
    (tmp_path / "sudo").write_text(
        f"#!{sys.executable} -I\nimport sys\nopen({str(tmp_path / 'attempts')!r}, 'a').write('x')\nsys.exit('sudo: 1 incorrect password attempt')\n",
        "utf-8",
    )
    (tmp_path / "sudo").chmod(0o755)
    with sshd(tmp_path / "server", programs=tmp_path) as server:
        guard = opened(server.variables(ansible_become=True, ansible_become_password="wrong"))
        replies = guard.exchange([Run(("true",))] * 5)
        guard.close()
    assert {reply.message for reply in replies if isinstance(reply, Failed)} == {
        "sudo refused: sudo: 1 incorrect password attempt"
    }
    assert len(replies) == 5
    assert (tmp_path / "attempts").read_text() == "x"
