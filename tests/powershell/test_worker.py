"""The worker under a real PowerShell, by the same code that speaks to a host; skipped where there is none."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.connections.calls import Call, Completed, Failed, FileContent, Probe, ProbeReply, ReadFile, Reply, Run, WriteFile
from remediation.connections.worker import bootstrap, protocol
from remediation.connections.worker.connection import WorkerConnection
from remediation.connections.worker.local_process import ChildChannel
from tests.powershell import shell

TELL = "import sys, os, json; print(json.dumps([sys.argv[1:], os.getcwd(), os.environ.get('WORD')]))"
CAT = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
SAY = "import sys; sys.stdout.write('out'); sys.stderr.write('err'); sys.exit(int(sys.argv[1]))"
BIG = "import sys; sys.stdout.buffer.write(bytes(range(256)) * (int(sys.argv[1]) // 256))"
BYTES = bytes(range(256)) + "é漢🎉".encode() + b"\r\n\0\n\x1a"
WORDS = [
    "plain", "two words", "", "'", '"', "\u2018", "\u2019\u201a\u201b", 'say "hi"', "%PATH%", "$HOME", "`date`", "$(date)", "a&b|c<d>e^f",
    "(a) [b] {c}", "back\\", "back\\\\", 'q\\"', 'q\\\\"x', "C:\\Program Files\\x\\", "line\nbreak", "ends with\\\n", "\ttab", "emoji 🎉 漢字 ñ",
    "-n", "--", "@{}", "x" * 8000,
]  # fmt: skip
PROBES = {
    "text": "param($Data)\n'{\"got\":' + (ConvertTo-Json -Depth 20 -Compress -InputObject $Data) + '}'",
    "object": "param($Data)\n@{ n = 1; deep = @(@{ a = @(1, @{ b = 'é' }) }) }",
    "nothing": "param($Data)\n$null = 1",
    "several": "param($Data)\n1\n2",
    "noisy": "param($Data)\nWrite-Warning 'noise'\nWrite-Output '[1]'",
    "failing": "param($Data)\n$ErrorActionPreference = 'Stop'\nGet-Item -LiteralPath '/no/such/thing'",
    "unread": "param($Data)\nthis is { no script",
    "scope": "param($Data)\n$Nonce = 'mine'\nfunction Write-Line { throw 'mine' }\n'null'",
}


class Mixed:
    """One way to start the worker."""

    def __init__(self, *, one_call_each: bool) -> None:
        self.channel = ChildChannel("here", before=(shell.program(),))
        self.connection = WorkerConnection("here", self.channel, scripts=PROBES.__getitem__, opening=60.0, greeting=60.0)
        self.connection._one_call_each = one_call_each

    def exchange(self, *calls: Call) -> list[Reply]:
        return self.connection.exchange(calls)


@pytest.fixture(params=[False, True], ids=["worker", "one-call"], scope="module")
def host(request: pytest.FixtureRequest) -> Iterator[Mixed]:
    mixed = Mixed(one_call_each=request.param)
    yield mixed
    mixed.connection.close()


def python(code: str, *words: str, **more: object) -> Run:
    return Run((sys.executable, "-I", "-c", code, *words), **more)  # type: ignore[arg-type]  # a Run's fields


def done(host: Mixed, call: Run) -> Completed:
    (reply,) = host.exchange(call)
    assert isinstance(reply, Completed), reply
    return reply


def test_it_greets_with_its_version(host: Mixed) -> None:
    done(host, python(SAY, "0"))
    if not host.connection._one_call_each:
        assert host.connection.about["language_mode"] == "FullLanguage"
        assert int(str(host.connection.about["ps_version"]).split(".")[0]) >= 5


def test_every_word_arrives_as_it_was_given(host: Mixed) -> None:
    assert json.loads(done(host, python(TELL, *WORDS)).stdout)[0] == WORDS


@pytest.mark.parametrize("content", [b"", BYTES, BYTES * 1000])
def test_stdin_and_stdout_are_bytes(host: Mixed, content: bytes) -> None:
    assert done(host, python(CAT, stdin=content)).stdout == content


def test_ten_megabytes_come_back_whole(host: Mixed) -> None:
    assert done(host, python(BIG, "10000128", timeout=60)).stdout == bytes(range(256)) * 39063


def test_codes_streams_environment_and_folder(host: Mixed, tmp_path: Path) -> None:
    folder = tmp_path / "a folder's ü"
    folder.mkdir()
    said, printed = host.exchange(python(SAY, "7"), python(TELL, cwd=str(folder), env={"WORD": "a 'b' é"}))
    assert said == Completed(7, b"out", b"err")
    assert isinstance(printed, Completed)
    assert json.loads(printed.stdout)[1:] == [str(folder), "a 'b' é"]


def test_exit_codes_have_as_many_bits_as_the_system_gives_them(host: Mixed) -> None:
    bits = 0xFFFFFFFF if sys.platform == "win32" else 0xFF
    assert done(host, python("import os; os._exit(0xE0434352 - 2**32)")).rc == 0xE0434352 & bits


def test_what_is_not_there(host: Mixed, tmp_path: Path) -> None:
    replies = host.exchange(
        Run(("no-such-program",)), python(SAY, "0", cwd=str(tmp_path / "none")), Run(()), Run(("x.cmd", "a&b"))
    )
    kinds = [reply.kind for reply in replies if isinstance(reply, Failed)]
    assert kinds[0] == "not-found"
    assert kinds[2:] == ["error", "error"]
    assert len(kinds) == 4


def test_a_program_that_does_not_end_is_ended(host: Mixed) -> None:
    late, after = host.exchange(python("import time; time.sleep(600)", timeout=1), python(SAY, "0"))
    assert isinstance(late, Failed)
    assert late.kind == "timeout"
    assert isinstance(after, Completed)


def test_an_engine_that_hangs_is_waited_for_once(host: Mixed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "server_of", lambda call: "the Docker engine" if call.argv[0] == sys.executable else "")
    counted = f"open({str(tmp_path / 'started')!r}, 'a').write('x')"
    waiting = python(f"{counted}; import time; time.sleep(600)", timeout=1)
    late, unsent = host.exchange(waiting, python(counted))
    assert isinstance(late, Failed)
    assert late.kind == "timeout"
    started = len((tmp_path / "started").read_text())
    assert (unsent == late, started) == (True, 1) or host.connection._one_call_each
    assert isinstance(host.exchange(python(counted))[0], Completed), "the next request asks again"


def test_the_output_of_a_job_comes_as_it_runs(host: Mixed, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation.connections.worker.protocol.LONGEST", 0.5)
    code = "import sys, time; print('begun', flush=True); time.sleep(1); print('ended'); sys.exit(4)"
    ended = done(host, python(code, timeout=60))
    assert (ended.rc, ended.text.split()) == (4, ["begun", "ended"])
    (late,) = host.exchange(python("import time; time.sleep(600)", timeout=1.0))
    assert isinstance(late, Failed)


@pytest.mark.parametrize("content", [b"", BYTES, BYTES * 1600])
def test_files_come_and_go_whole(host: Mixed, tmp_path: Path, content: bytes) -> None:
    path = str(tmp_path / "a file's ü.txt")
    wrote, read = host.exchange(WriteFile(path, content), ReadFile(path))
    assert (wrote, read) == (FileContent(), FileContent(content))
    assert len(list(tmp_path.iterdir())) == 1
    again, tail, missing = host.exchange(
        WriteFile(path, b"second", backup=f"{path}.bak"), ReadFile(path, limit=3, tail=True), ReadFile(f"{path}.none")
    )
    assert (again, tail, missing) == (FileContent(), FileContent(b"ond", truncated=True), FileContent(missing=True))
    assert Path(f"{path}.bak").read_bytes() == content


def test_a_folder_that_is_not_there(host: Mixed, tmp_path: Path) -> None:
    (reply,) = host.exchange(WriteFile(str(tmp_path / "none" / "f"), b"x"))
    assert isinstance(reply, Failed)
    assert reply.kind == "not-found"


def test_probes(host: Mixed) -> None:
    data = {"text": "é '\"$x\u2019", "list": [1], "none": None}
    found = host.exchange(*(Probe(name, data) for name in PROBES), python(SAY, "0"))
    values = {name: reply.value for name, reply in zip(PROBES, found, strict=False) if isinstance(reply, ProbeReply)}
    assert values["text"] == {"got": data}
    assert values["object"] == {"n": 1, "deep": [{"a": [1, {"b": "é"}]}]}
    assert (values["nothing"], values["several"], values["noisy"], values["scope"]) == (None, [1, 2], [1], None)
    failed = {name for name, reply in zip(PROBES, found, strict=False) if isinstance(reply, Failed)}
    assert failed == {"failing", "unread"}
    assert isinstance(found[-1], Completed)


def test_the_bootstrap_fits_this_shell() -> None:
    assert bootstrap.worker_command(shell.program())[0] == shell.program()
