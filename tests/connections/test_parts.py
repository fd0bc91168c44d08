"""The small parts under the connections: frames out of noise, CLIXML, the guard, quoting, what a module loads."""

from __future__ import annotations

import base64
import json
import shlex
import shutil
import subprocess
import sys
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from remediation.connections.calls import Call, Completed, Failed, Reply, Run, WriteFile
from remediation.connections.guard import Guard
from remediation.connections.posix import sudo
from remediation.connections.settings import Become
from remediation.connections.worker import clixml
from remediation.connections.worker.session import Frames, Garbled, line_of
from remediation.model.errors import Unreachable, WriteRefused

NONCE = "0" * 32


def framed(value: object) -> bytes:
    return f"{NONCE} {base64.b64encode(json.dumps(value).encode()).decode()}\r\n".encode()


@given(
    st.lists(st.dictionaries(st.text(), st.text()), max_size=5),
    st.integers(1, 40),
    st.sampled_from([b"", b"banner\r\n", b"\xff\xfe no end "]),
)
def test_frames_are_found_however_the_stream_is_cut(values: list[dict[str, str]], size: int, noise: bytes) -> None:
    stream = b"".join(noise + framed(value) for value in values)
    frames = Frames(NONCE)
    found = [frame for at in range(0, len(stream), size) for frame in frames.feed(stream[at : at + size])]
    assert found == values
    assert noise.strip() in frames.noise or not values


@pytest.mark.parametrize("text", [b"%%%", b"bnVsbA==", base64.b64encode(b'{"cut": ')])
def test_an_incomplete_frame_is_an_error(text: bytes) -> None:
    with pytest.raises(Garbled):
        list(Frames(NONCE).feed(NONCE.encode() + b" " + text + b"\r\n"))


def test_a_line_for_the_worker_is_ascii() -> None:
    line = line_of({"é": "\u2028\n"})
    assert line.isascii()
    assert line.count(b"\n") == 1


_HEAD = b'#< CLIXML\r\n<Objs Version="1.1.0.1" xmlns="http://schemas.microsoft.com/powershell/2004/04">'


@pytest.mark.parametrize(
    ("data", "text"),
    [
        (b"plain \xc3\xa9\r\n", "plain é"),
        (b"\xef\xbb\xbfplain", "plain"),
        (b"caf\x82", "café"),  # cp437, where it is no UTF-8
        (_HEAD + b'<S S="Error">one_x000D__x000A_</S><S S="Error">two &lt;3&gt;</S></Objs>', "one\r\ntwo <3>"),
        (_HEAD + b'<Obj S="progress" RefId="0"><MS/></Obj><S S="verbose">no</S></Objs>', ""),
        (_HEAD + b'<S S="Error">_xD83C__xDF89_ a_x005F_b</S></Objs>', "\U0001f389 a_b"),
        (b"native says no\r\n" + _HEAD + b'<S S="Warning">careful</S></Objs>', "native says no\r\ncareful"),
        (_HEAD + b'<S S="Error">a</S></Objs>' + _HEAD + b'<S S="Error">b</S></Objs>', "ab"),
        (_HEAD + b'<S S="Error">whole</S><S S="Err', "whole"),
    ],
)
def test_stderr_is_made_readable(data: bytes, text: str) -> None:
    assert clixml.readable_stderr(data) == text


class Deaf:
    """A connection that answers with what it was made for."""

    host, platform, round_trips = "box", "posix", 0

    def __init__(self, answer: Reply | Exception) -> None:
        self.answer = answer
        self.asked: list[Call] = []

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        self.asked += calls
        if isinstance(self.answer, Exception):
            raise self.answer
        return [self.answer for _ in calls]

    def close(self) -> None:
        """Nothing to close."""


def test_no_secret_leaves_in_words() -> None:
    inner = Deaf(Unreachable("box: wrong pa55 here", next_step="try pa55-longer"))
    guard = Guard(inner, check=False, secrets=["pa55", "pa55-longer"])
    with pytest.raises(Unreachable) as caught:
        guard.exchange([Run(("x",))])
    assert "pa55" not in f"{caught.value} {caught.value.args} {caught.value.next_step}"
    assert caught.value.next_step == "try ***"
    guard = Guard(Deaf(Failed("error", "pa55 again")), check=False, secrets=["pa55"])
    assert guard.exchange([Run(("x",))]) == [Failed("error", "*** again")]


def test_check_mode_lets_no_write_through_and_all_else() -> None:
    inner = Deaf(Completed(0, b"", b""))
    guard = Guard(inner, check=True)
    for calls in ([WriteFile("/f", b"")], [Run(("x",)), Run(("y",), writes=True)]):
        with pytest.raises(WriteRefused):
            guard.exchange(calls)
    assert inner.asked == []
    assert guard.exchange([Run(("x",))]) == [Completed(0, b"", b"")]
    assert guard.exchange([]) == []


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_a_remote_shell_gets_its_words_back(words: list[str]) -> None:
    started = sudo.with_environment(words, {"A": "b c"})
    assert shlex.split(shlex.join(started.argv))[-len(words) :] == words
    assert started.head.startswith(b"export A='b c'\n")


@pytest.mark.parametrize("shell", ["dash", "bash", "bash --posix", "busybox sh", "sh"])
def test_every_shell_passes_variables_on_as_they_are(shell: str) -> None:
    words = shell.split()
    if shutil.which(words[0]) is None:
        pytest.skip(f"there is no {words[0]} here")
    names = [
        "UID",
        "PPID",
        "OPTIND",
        "IFS",
        "RANDOM",
        "SECONDS",
        "BASHPID",
        "EPOCHSECONDS",
        "HOME",
        "PWD",
        "OLDPWD",
        "CDPATH",
        "ENV",
        "line",
    ]
    variables = {**dict.fromkeys(names, "any text"), "ALL": bytes(range(1, 256)).decode("latin-1") + "é漢🎉\r\n'\"$(id)`id`\\"}
    program = [sys.executable, "-I", "-c", "import json, os, sys; print(json.dumps([dict(os.environ), sys.stdin.read()]))"]
    started = sudo.with_environment(program, variables)
    assert started.argv[0] == "sh"
    ended = subprocess.run([*words, *started.argv[1:]], input=started.head + b"own\n", capture_output=True, check=True)
    environment, own = json.loads(ended.stdout)
    assert {name: environment.get(name) for name in variables} == variables
    assert (own, ended.stderr) == ("own\n", b"")


def test_a_password_for_sudo_is_on_no_command_line() -> None:
    elevated = sudo.sudo(Become("root", "pa55"), ["id"], {})
    assert "pa55" not in " ".join(elevated.argv)
    assert elevated.head.startswith(b"pa55\n")
    assert sudo.sudo(Become(), ["id"], {}).argv[:2] == ("sudo", "-n")


@pytest.mark.parametrize(
    ("module", "unloaded"),
    [
        ("settings", {"winrm", "paramiko", "fabric", "requests", "subprocess"}),
        ("factory", {"winrm", "paramiko", "fabric", "requests"}),
        ("posix.local", {"winrm", "paramiko", "fabric", "requests"}),
        ("winrm.channel", {"paramiko", "fabric"}),
        ("ssh.connection", {"winrm", "requests_ntlm"}),
        ("recorder.replay", {"winrm", "paramiko", "fabric", "requests"}),
    ],
)
def test_a_transport_loads_what_it_needs_alone(module: str, unloaded: set[str]) -> None:
    code = f"import sys, remediation.connections.{module}; print(*{{name.split('.')[0] for name in sys.modules}})"
    loaded = set(subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split())
    assert loaded & unloaded == set()
