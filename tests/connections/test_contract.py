"""One contract for every connection: calls arrive unchanged, and answers come back unchanged."""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Failed, FileContent, Http, Probe, ProbeReply, ReadFile, Reply, Run, WriteFile
from remediation.connections.guard import Guard
from remediation.model.errors import Unreachable, WriteRefused
from tests.connections import contract
from tests.connections.web import Web

TELL = "import sys, os, json; print(json.dumps([sys.argv[1:], os.getcwd(), dict(os.environ)]))"
CAT = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read())"
SAY = "import sys; sys.stdout.write('to stdout'); sys.stderr.write('to stderr'); sys.exit(int(sys.argv[1]))"
BIG = "import sys; sys.stdout.buffer.write(bytes(range(256)) * (int(sys.argv[1]) // 256))"
BYTES = bytes(range(256)) + "é漢🎉".encode() + b"\r\n\0\n\x1a"
WORDS = [
    "plain", "two words", "", "'", '"', "\u2018", "\u2019\u201a\u201b", "it's", 'say "hi"', "%PATH%", "$HOME", "`date`", "$(date)", "!x",
    "a&b|c<d>e^f", "(a) [b] {c}", "semi;colon", "back\\", "back\\\\", 'q\\"', "C:\\Program Files\\x\\", "line\nbreak", "cr\r\nlf", "\ttab",
    "emoji 🎉", "漢字 ñ", "-n", "--", "*", "~", "#no", "x" * 8000, ("a' \"%&\\" * 1142)[:8000],
]  # fmt: skip


@pytest.fixture(params=contract.ALL)
def host(request: pytest.FixtureRequest) -> Iterator[Guard]:
    yield from contract.way(request.param, request)


def python(code: str, *words: str, **more: object) -> Run:
    return Run((sys.executable, "-I", "-c", code, *words), **more)  # type: ignore[arg-type]  # a Run's fields


def one(host: Guard, call: Run | Http | ReadFile | WriteFile | Probe) -> Reply:
    (reply,) = host.exchange([call])
    return reply


def done(host: Guard, call: Run) -> Completed:
    reply = one(host, call)
    assert isinstance(reply, Completed), reply
    return reply


def test_every_word_arrives_as_it_was_given(host: Guard) -> None:
    completed = done(host, python(TELL, *WORDS))
    assert completed.rc == 0, completed
    assert json.loads(completed.stdout)[0] == WORDS


def test_stdin_and_stdout_are_bytes(host: Guard) -> None:
    assert done(host, python(CAT, stdin=BYTES)).stdout == BYTES
    assert done(host, python(CAT)).stdout == b""
    large = BYTES * 1500
    assert done(host, python(CAT, stdin=large)).stdout == large


def test_a_program_that_does_not_read_its_stdin_is_no_error(host: Guard) -> None:
    assert done(host, python(SAY, "0", stdin=b"x" * 300_000)).stdout == b"to stdout"


# longer than any step in which a connection waits for a program: the rest of stdin must still reach it
SLOW = "import sys, time; time.sleep(1.2); sys.stdout.buffer.write(sys.stdin.buffer.read()[-5:])"
LATE = "import sys, time; sys.stdin.buffer.read(1); sys.stdin.close(); time.sleep(1.2); print('ended')"
BOTH = """
import sys, threading
def say():
    for _ in range(160): sys.stdout.buffer.write(b'o' * 65536)
    sys.stdout.flush()
thread = threading.Thread(target=say); thread.start()
read = len(sys.stdin.buffer.read()); thread.join(); sys.stderr.write(str(read))
"""


def test_a_slow_program_gets_its_stdin(host: Guard) -> None:
    assert done(host, python(SLOW, stdin=b"hello")).stdout == b"hello"


@pytest.mark.parametrize("host", ["local", "ssh"], indirect=True)
def test_ten_megabytes_of_stdin_go_to_a_program_that_is_slow_or_stops_reading(host: Guard) -> None:
    large = b"x" * 10_000_000 + b"hello"
    assert done(host, python(SLOW, stdin=large)).stdout == b"hello"
    assert done(host, python(LATE, stdin=large)).stdout == b"ended\n"
    assert done(host, python("import sys; sys.exit(3)", stdin=large)).rc == 3
    assert done(host, python("import time; time.sleep(1.2)", stdin=large)).rc == 0


@pytest.mark.parametrize("host", ["local", "ssh"], indirect=True)
def test_a_program_may_say_much_while_it_is_given_much(host: Guard) -> None:
    both = done(host, python(BOTH, stdin=b"i" * 10_000_000))
    assert (len(both.stdout), both.stderr) == (160 * 65536, b"10000000")


def test_ten_megabytes_come_back_whole(host: Guard) -> None:
    size = 10_000_128
    assert done(host, python(BIG, str(size))).stdout == bytes(range(256)) * (size // 256)


@pytest.mark.parametrize("code", [0, 1, 7, 255])
def test_streams_are_apart_and_exit_codes_come_through(host: Guard, code: int) -> None:
    assert done(host, python(SAY, str(code))) == Completed(code, b"to stdout", b"to stderr")


def test_a_program_ended_by_a_signal_has_its_number(host: Guard) -> None:
    assert done(host, python("import os; os.kill(os.getpid(), 9)")).rc == 137


def test_environment_and_working_folder(host: Guard, tmp_path: Path) -> None:
    folder = tmp_path / "a folder's ü"
    folder.mkdir()
    words, cwd, environment = json.loads(done(host, python(TELL, "x", cwd=str(folder), env={"WORD": "a 'b' \"$c\" é\n"})).stdout)
    assert (words, cwd, environment["WORD"]) == (["x"], str(folder), "a 'b' \"$c\" é\n")
    assert "WORD" not in json.loads(done(host, python(TELL)).stdout)[2]


COMMAND_LINES = """
import glob, os, sys
for path in glob.glob('/proc/[0-9]*/cmdline'):
    try: sys.stdout.buffer.write(open(path, 'rb').read() + b'\\n')
    except OSError: pass
print(os.environ['API_TOKEN'])
"""


@pytest.mark.skipif(sys.platform != "linux", reason="/proc shows every process's command line")
def test_no_variable_s_value_is_on_a_command_line(host: Guard) -> None:
    shown = done(host, python(COMMAND_LINES, env={"API_TOKEN": "s3cret\n'value' $HOME", "OTHER": "0ther-secret"})).stdout
    lines, token, _ = shown.rpartition(b"s3cret\n'value' $HOME\n")
    assert token
    assert b"/proc/[0-9]*/cmdline" in lines, "the program itself is among them"
    assert [word for word in (b"s3cret", b"0ther-secret") if word in lines] == []


@pytest.mark.parametrize("host", ["local", "ssh"], indirect=True)
def test_variables_arrive_with_any_name_and_value(host: Guard) -> None:
    text = BYTES.replace(b"\0", b"").decode("latin-1")
    given = {
        "UID": "7",
        "PPID": "8",
        "OPTIND": "word",
        "IFS": "x",
        "line": "1",
        "text": text,
        "EMPTY": "",
        "_": "last",
        "x" * 300: "y" * 50_000,
    }
    stdin = b"export line=2\nits own\n"
    code = "import json, os, sys; print(json.dumps([dict(os.environ), sys.stdin.read()]))"
    environment, read = json.loads(done(host, python(code, env=given, stdin=stdin)).stdout)
    given.pop("_")  # a shell's own
    assert {name: environment.get(name) for name in given} == given
    assert read == stdin.decode()


@pytest.mark.parametrize("host", ["local", "ssh"], indirect=True)
@pytest.mark.parametrize("name", ["", "A B", "A=B", "A;touch x", "$(touch x)", "1A", "A\n", "\u00c4", "A\0"])
def test_a_variable_by_no_valid_name_starts_nothing(host: Guard, name: str) -> None:
    reply = one(host, python(TELL, env={name: "x"}))
    assert isinstance(reply, Failed)
    assert reply.message == f"{name!r} is not a valid name of an environment variable"
    nul = one(host, python(TELL, env={"A": "x\0y"}))
    assert isinstance(nul, Failed)
    assert "variable A contains a NUL" in nul.message


@pytest.mark.parametrize("host", ["ssh"], indirect=True)
def test_a_program_is_found_in_the_path_that_it_is_given(host: Guard, tmp_path: Path) -> None:
    (tmp_path / "only-here").write_text("#!/bin/sh\necho found\n", "utf-8")
    (tmp_path / "only-here").chmod(0o755)
    assert done(host, Run(("only-here",), env={"PATH": f"{tmp_path}:/usr/bin:/bin"})).stdout == b"found\n"


def test_a_missing_file_differs_from_a_failure(host: Guard, tmp_path: Path) -> None:
    replies = host.exchange([Run(("no-such-program", "x")), python(SAY, "127"), python(TELL, cwd=str(tmp_path / "none"))])
    assert [reply.kind if isinstance(reply, Failed) else reply.rc for reply in replies if isinstance(reply, Failed | Completed)] == [
        "not-found", 127, "not-found",
    ]  # fmt: skip


def test_a_program_that_does_not_end_is_ended_with_what_it_started(host: Guard, tmp_path: Path) -> None:
    # the child holds a lock as long as it lives: when the lock is free, the child is gone
    lock = tmp_path / "lock"
    hold = (
        "import fcntl, subprocess, sys, time\n"
        "if len(sys.argv) == 2: subprocess.Popen([sys.executable, '-c', open(sys.argv[0]).read(), sys.argv[1], 'child'])\n"
        "else: f = open(sys.argv[1], 'w'); fcntl.flock(f, fcntl.LOCK_EX)\n"
        "time.sleep(600)\n"
    )
    program = tmp_path / "hold.py"
    program.write_text(
        hold.replace("[sys.executable, '-c', open(sys.argv[0]).read(), ", "[sys.executable, sys.argv[0], "), "utf-8"
    )
    reply = one(host, Run((sys.executable, str(program), str(lock)), timeout=1.5))
    assert isinstance(reply, Failed)
    assert reply.kind == "timeout"
    assert done(host, python(FREE, str(lock), timeout=20)).stdout == b"free\n"


HOLD = (
    "import fcntl, sys, time\n"
    "lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX)\n"
    "open(sys.argv[2], 'w').close()\n"
    "time.sleep(600)\n"
)
FREE = "import fcntl, sys; lock = open(sys.argv[1], 'w'); fcntl.flock(lock, fcntl.LOCK_EX); print('free')"


# the peer's child worker gives its programs sessions of their own; on Windows the tree is ended
@pytest.mark.parametrize("host", [way for way in contract.WAYS if way != "child"], indirect=True)
@pytest.mark.skipif(sys.platform == "win32", reason="named pipes in the file system tell here that the program runs")
def test_ctrl_c_ends_what_is_in_flight_and_the_next_call_is_answered(host: Guard, tmp_path: Path) -> None:
    lock, begun = tmp_path / "lock", tmp_path / "begun"
    os.mkfifo(begun)

    def interrupt() -> None:
        begun.read_bytes()  # returns when the program has opened and closed it
        os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=interrupt)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        host.exchange([python(HOLD, str(lock), str(begun), timeout=60)])
    thread.join()
    assert done(host, python(FREE, str(lock), timeout=20)).stdout == b"free\n"


def test_one_failure_leaves_the_others_alone_and_in_order(host: Guard, tmp_path: Path) -> None:
    path = str(tmp_path / "f")
    replies = host.exchange([
        WriteFile(path, b"one"), ReadFile(path), Run(("no-such-program",)), python(SAY, "3"), ReadFile(path + "none"), WriteFile(path, b"two"),
        ReadFile(path),
    ])  # fmt: skip
    assert replies[1] == FileContent(b"one")
    assert isinstance(replies[2], Failed)
    assert isinstance(replies[3], Completed)
    assert replies[4] == FileContent(missing=True)
    assert replies[6] == FileContent(b"two")


@pytest.mark.parametrize("content", [b"", BYTES, BYTES * 4000])
def test_files_come_and_go_whole(host: Guard, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "a file's ü.txt"
    assert one(host, WriteFile(str(path), content)) == FileContent()
    assert path.read_bytes() == content
    assert one(host, ReadFile(str(path))) == FileContent(content)
    assert [each.name for each in tmp_path.iterdir() if "part" in each.name] == []


def test_a_file_is_read_from_its_end_and_up_to_a_limit(host: Guard, tmp_path: Path) -> None:
    path = tmp_path / "log"
    content = BYTES * 4000
    path.write_bytes(content)
    assert one(host, ReadFile(str(path), limit=10)) == FileContent(content[:10], truncated=True)
    assert one(host, ReadFile(str(path), limit=10, tail=True)) == FileContent(content[-10:], truncated=True)
    assert one(host, ReadFile(str(path), limit=900_000, tail=True)) == FileContent(content[-900_000:], truncated=True)
    assert one(host, ReadFile(str(path), limit=len(content), tail=True)) == FileContent(content)


def test_a_backup_keeps_what_was_there(host: Guard, tmp_path: Path) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"before")
    one(host, WriteFile(str(path), b"after", backup=f"{path}.bak"))
    assert (path.read_bytes(), (tmp_path / "f.bak").read_bytes()) == (b"after", b"before")


def test_a_folder_that_is_not_there_is_said(host: Guard, tmp_path: Path) -> None:
    reply = one(host, WriteFile(str(tmp_path / "none" / "f"), b"x"))
    assert isinstance(reply, Failed)
    assert reply.kind == "not-found"


def test_probes_and_http_by_platform(host: Guard, web: Web) -> None:
    if host.platform == "windows":
        first, second = host.exchange([Probe("gpu", {"a": "ü", "n": [1]}), Probe("gpu")])
        assert isinstance(first, ProbeReply)
        assert first.value == {"name": "gpu", "script": contract.script("gpu"), "data": {"a": "ü", "n": [1]}}
        assert isinstance(second, ProbeReply)
        return
    assert isinstance(one(host, Probe("gpu")), Failed)
    web.check(lambda call: one(host, call))


def test_a_long_program_is_read_to_its_end(host: Guard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("remediation.connections.worker.protocol.LONGEST", 0.2)
    code = "import sys, time; print('begun', flush=True); time.sleep(0.3); print('ended'); sys.exit(4)"
    assert done(host, python(code, timeout=20)) == Completed(4, b"begun\nended\n", b"")
    late = one(host, python("import time; time.sleep(60)", timeout=0.5))
    assert isinstance(late, Failed)
    assert late.kind == "timeout"


def test_check_mode_sends_no_write(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    for name in contract.WAYS[:3]:
        for guard in contract.way(name, request):
            checked = Guard(guard._inner, check=True)
            before = checked.round_trips
            for write in (WriteFile(str(tmp_path / "f"), b"x"), Run(("touch", str(tmp_path / "f")), writes=True)):
                with pytest.raises(WriteRefused, match="check mode"):
                    checked.exchange([python(SAY, "0"), write])
            assert checked.round_trips == before
    assert list(tmp_path.glob("f")) == []


def test_a_closed_connection_stays_closed(host: Guard) -> None:
    done(host, python(SAY, "0"))
    host.close()
    if host.host and type(host._inner).__name__ != "LocalConnection":
        with pytest.raises(Unreachable, match="closed"):
            host.exchange([python(SAY, "0")])


def test_a_program_that_takes_a_while_gets_its_stdin(host: Guard) -> None:
    late = "import sys, time; time.sleep(0.7); sys.stdout.buffer.write(sys.stdin.buffer.read())"
    assert done(host, python(late, stdin=BYTES * 1000)).stdout == BYTES * 1000
