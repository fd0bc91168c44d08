"""A recorded run: it holds no name and no secret, and replayed it answers as the host did."""

from __future__ import annotations

import getpass
import json
import socket
import sys
from pathlib import Path

import pytest

from remediation.connections.calls import (
    Call,
    Completed,
    Failed,
    FileContent,
    Http,
    HttpReply,
    Probe,
    ProbeReply,
    ReadFile,
    Reply,
    Run,
    WriteFile,
)
from remediation.connections.factory import open_connection
from remediation.connections.guard import Guard
from remediation.connections.recorder import cassette
from remediation.connections.recorder.cassette import Cassette
from remediation.connections.settings import from_variables
from remediation.diagnosis.collect import collect
from remediation.diagnosis.diagnose import diagnose
from remediation.facets.host_factory import Host
from remediation.facets.scripts import script as shipped
from remediation.model.clock import SystemClock
from remediation.model.errors import UsageError
from remediation.model.finding import Diagnosis
from remediation_lab import control
from tests.connections.conftest import PASSWORD, StartPeer, opened, winrm_variables

CALLS: list[Call] = [
    Run(("nvidia-smi", "--query"), stdin=b"\0in"), Probe("session", {"a": [1]}), Http("POST", "http://127.0.0.1:11434/api/show", {"model": "m"}),
    ReadFile("C:\\Users\\maria\\x.log", tail=True), WriteFile("/etc/x", b"secret-free"), Run(("wsl", "-l")),
]  # fmt: skip
REPLIES: list[Reply] = [
    Completed(0xC0000005, "RTX \U0001f600, maria's card\r\n".encode(), b"\xff\xfe\x00\x01"),
    ProbeReply({"User": "CORP\\ops7", "DesktopUser": "CORP\\maria", "Elevated": True, "Hostname": "GAMINGBOX"}),
    HttpReply(200, b'{"model": "gamingbox.corp.example s3cr3t!"}', 1.5, 0.25), FileContent(b"on gamingbox: maria stops", truncated=True), FileContent(),
    Completed(0, "maria's Ubuntu".encode("utf-16-le"), b""),
]  # fmt: skip
VARIABLES = {
    "ansible_connection": "winrm", "ansible_host": "gamingbox.corp.example", "ansible_user": "CORP\\ops7", "ansible_password": "s3cr3t!"
}  # fmt: skip


def replay(path: Path, host: int = 1) -> dict[str, object]:
    return {"ansible_connection": "replay", "ansible_replay_file": str(path), "ansible_replay_host": host}


@pytest.fixture
def taped(tmp_path: Path) -> Path:
    path = tmp_path / "tape.jsonl"
    recorded = Cassette(path)
    recorder = recorded.recorder(from_variables("gamingbox", VARIABLES))
    recorder(CALLS, REPLIES)
    recorded.save()
    return path


def test_no_name_and_no_secret_is_in_it(taped: Path) -> None:
    text = taped.read_text("utf-8").lower()
    for name in ("maria", "ops7", "corp", "gamingbox", "s3cr3t", "example"):
        assert name not in text, name
    assert "stops" in text  # whole names only
    assert taped.stat().st_mode & 0o077 == 0


def test_it_answers_as_the_host_did(taped: Path) -> None:
    guard = opened(replay(taped))
    assert guard.platform == "windows"
    cleaned = [ReadFile("C:\\Users\\someone-3\\x.log", tail=True) if isinstance(call, ReadFile) else call for call in CALLS]
    found = guard.exchange(cleaned)
    assert found == [
        Completed(0xC0000005, "RTX \U0001f600, someone-3's card\r\n".encode(), b"\xff\xfe\x00\x01"),
        ProbeReply(
            {"User": "someone-1\\someone-2", "DesktopUser": "someone-1\\someone-3", "Elevated": True, "Hostname": "a-host-1"}
        ),
        HttpReply(200, b'{"model": "a-host-2 ***"}', 1.5, 0.25),
        FileContent(b"on a-host-1: someone-3 stops", truncated=True),
        FileContent(),
        Completed(0, "someone-3's Ubuntu".encode("utf-16-le"), b""),
    ]


def test_answers_come_in_the_order_given_and_the_last_one_stays(tmp_path: Path) -> None:
    recorded = Cassette(tmp_path / "t")
    recorder = recorded.recorder(from_variables("localhost", {}))
    look = Run(("look",), timeout=3)
    for said in (b"1", b"2"):
        recorder([look], [Completed(0, said, b"")])
    recorded.save()
    guard = opened(replay(tmp_path / "t"))
    replies = [guard.exchange([Run(("look",), timeout=9)])[0] for _ in range(4)]
    assert [reply.stdout for reply in replies if isinstance(reply, Completed)] == [b"1", b"2", b"2", b"2"]
    (unknown,) = guard.exchange([Run(("never", "asked"))])
    assert isinstance(unknown, Failed)
    assert "no answer to never asked" in unknown.message


def test_what_came_after_a_change_is_not_said_before_it(tmp_path: Path) -> None:
    recorded = Cassette(tmp_path / "t")
    recorder = recorded.recorder(from_variables("localhost", {}))
    look, change, late = Run(("look",)), Run(("change",), writes=True), Run(("late",))
    for call, said in ((look, b"1"), (change, b""), (look, b"2"), (late, b"seen"), (change, b""), (look, b"3")):
        recorder([call], [Completed(0, said, b"")])
    recorded.save()

    def outputs(*calls: Call) -> list[bytes]:
        replies = opened(replay(tmp_path / "t")).exchange(list(calls))
        return [reply.stdout for reply in replies if isinstance(reply, Completed)]

    assert outputs(look, look, look) == [b"1", b"1", b"1"]
    assert outputs(look, change, look, look, change, look, change, look) == [b"1", b"", b"2", b"2", b"", b"3", b"", b"3"]
    assert outputs(late, look) == [b"seen", b"1"]  # a later answer is better than none
    assert outputs(change, change, late) == [b"", b"", b"seen"]


def test_the_holder_of_the_host_is_not_recorded(tmp_path: Path) -> None:
    recorded = Cassette(tmp_path / "t")
    recorder = recorded.recorder(from_variables("one", {}))
    lease = {"id": "ab12", "owner": "jens@workbench.corp.example", "purpose": "fix-offload", "expires": 1.0}
    content = json.dumps(lease).encode()
    recorder([WriteFile("/lease", content), ReadFile("/lease")], [FileContent(), FileContent(content)])
    recorded.save()
    text = (tmp_path / "t").read_text("utf-8")
    assert [name for name in ("jens", "workbench", "corp") if name in text] == []
    assert "fix-offload" in text


def test_several_hosts_share_one(tmp_path: Path) -> None:
    recorded = Cassette(tmp_path / "t")
    for number, name in enumerate(("one", "two"), 1):
        recorded.recorder(from_variables(name, {}))([Run(("x",))], [Completed(number, b"", b"")])
    recorded.save()
    for number in (1, 2):
        assert opened(replay(tmp_path / "t", number)).exchange([Run(("x",))]) == [Completed(number, b"", b"")]
    with pytest.raises(UsageError, match="t:1: not a line of a cassette with host 3"):
        opened(replay(tmp_path / "t", 3))


def test_a_run_over_winrm_is_replayed(start_peer: StartPeer, tmp_path: Path) -> None:
    server = start_peer()
    variables = winrm_variables(server)
    recorded = Cassette(tmp_path / "t")
    recorder = recorded.recorder(from_variables("box", variables))
    calls: list[Call] = [
        Run((sys.executable, "-I", "-c", "import sys; sys.stdout.buffer.write(bytes(range(256)))")), Probe("gpu"), Run(("no-such-program",)),
        ReadFile(str(tmp_path / "none")),
    ]  # fmt: skip
    guard = opened(variables, recorder=recorder)
    first = guard.exchange(calls)
    guard.close()
    recorded.save()
    assert opened(replay(tmp_path / "t")).exchange(calls) == first
    text = (tmp_path / "t").read_text("utf-8")
    assert PASSWORD not in text
    assert "ops" not in text.split()


def test_this_machine_s_names_are_taken_out(tmp_path: Path) -> None:
    recorded = Cassette(tmp_path / "t")
    settings = from_variables("localhost", {})
    recorder = recorded.recorder(settings)
    recorder([Run(("hostname",))], [Completed(0, f"{socket.gethostname()} {getpass.getuser()}".encode(), b"")])
    recorded.save()
    line = json.loads((tmp_path / "t").read_text("utf-8").splitlines()[1])
    assert socket.gethostname() not in line["reply"]["stdout"]["text"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("", "the cassette is empty"),
        ("{}", r"t:1: not a line"),
        ("{", r"t:1: "),
        ('{"hosts": [{"host": 1, "platform": "posix"}]}\n{}', "t:2: "),
    ],
)
def test_a_file_that_is_none(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "t").write_text(content, "utf-8")
    with pytest.raises(UsageError, match=said) as caught:
        cassette.load_cassette(tmp_path / "t")
    assert "--record" in caught.value.next_step


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot read the cassette"):
        opened(replay(tmp_path / "none"))


def test_a_replayed_diagnosis_is_the_recorded_one(tmp_path: Path) -> None:
    lab = control.start(tmp_path / "lab", hosts=1, scale=100)
    recorded = Cassette(tmp_path / "t")
    try:
        host = lab.hosts[0]
        variables = VARIABLES | {
            "ansible_host": host.address, "ansible_port": host.port, "ansible_winrm_scheme": "http", "ansible_user": lab.user,
            "ansible_password": lab.password,
        }  # fmt: skip
        first = diagnosed(host.name, variables, recorded)
    finally:
        control.stop(tmp_path / "lab")
    recorded.save()
    again = diagnosed("elsewhere", replay(tmp_path / "t"), None)
    assert [(each.cause, each.confidence) for each in again.findings] == [
        (each.cause, each.confidence) for each in first.findings
    ]
    assert first.findings
    text = (tmp_path / "t").read_text("utf-8").lower()
    assert [name for name in ("maria", host.name, host.address, lab.password.lower(), "lab\\\\") if name in text] == []


def diagnosed(name: str, variables: dict[str, object], tape: Cassette | None) -> Diagnosis:
    settings = from_variables(name, variables)
    recorder = tape.recorder(settings) if tape is not None else None

    def connect() -> Guard:
        return open_connection(settings, scripts=shipped, check=True, recorder=recorder)

    host = Host(settings, variables, connect, check=True, clock=SystemClock())
    try:
        return diagnose(collect(host.reader))
    finally:
        host.close()
