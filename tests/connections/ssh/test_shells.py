"""Logins whose shell is not sh: programs run all the same, or the shell is named as what keeps them from running."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from remediation.connections.bounded import BoundedOutput
from remediation.connections.calls import Completed, Failed, Run
from remediation.connections.ssh.commands import _MarkedOutput, run_by_sh
from tests.connections.conftest import opened
from tests.connections.sshd import sshd
from tests.support.requirements import need_program

TEXTS = ("a", "it's", "a\\b", "\\'", "\\\\n'", "x\ny", '$HOME `id` "q" !! %', "!x\\!y", "line 1\n\nline 3 !!\n", "größer")
CALLS = [
    Run(("sh", "-c", "printf '%s' \"$1\" | sed 's/\\(b\\)/\\1\\\\/'", "name", "it's a \\b"), cwd="/"),
    Run(("printf", "%s", "$HOME"), env={"A": "it's"}),
    Run(("no-such-program",)),
    Run(("true",), cwd="/no/such/folder"),
]


@pytest.mark.parametrize(
    ("shell", "package"), [("sh", "dash"), ("bash", "bash"), ("fish", "fish"), ("zsh", "zsh"), ("tcsh", "tcsh")]
)
def test_a_word_means_the_same_in_every_shell(shell: str, package: str) -> None:
    program = need_program(shell, package)
    script = " ".join(f"printf %s {shlex.quote(text)}; printf '\\0';" for text in TEXTS)
    done = subprocess.run([program, "-c", run_by_sh(script)], capture_output=True, text=True, encoding="utf-8", check=True)
    assert done.stdout.split("\0")[:-1] == list(TEXTS)


@pytest.mark.parametrize("shell", ["fish", "tcsh", "zsh"])
def test_programs_run_whatever_the_shell_of_the_login_is(tmp_path: Path, shell: str) -> None:
    program = need_program(shell, shell)
    with sshd(tmp_path / "sshd", f'ForceCommand exec {program} -c "$SSH_ORIGINAL_COMMAND"') as server:
        guard = opened(server.variables())
        first, second, third, fourth = guard.exchange(CALLS)
        guard.close()
    assert (first, second) == (Completed(0, b"it's a \\b\\", b""), Completed(0, b"$HOME", b""))
    assert isinstance(third, Failed)
    assert isinstance(fourth, Failed)
    assert (third.missing, fourth.missing) == ("no-such-program", "/no/such/folder")


def test_what_the_start_files_print_is_no_output_of_a_program(tmp_path: Path) -> None:
    greeting = 'echo Welcome to gpu-01; seq 40000; echo "3 updates" >&2; exec sh -c "$SSH_ORIGINAL_COMMAND"'
    with sshd(tmp_path / "sshd", f"ForceCommand {greeting}") as server:
        guard = opened(server.variables())
        who, both, large, nothing = guard.exchange([
            Run(("printf", "lena")), Run(("sh", "-c", "echo out; echo err >&2; exit 3")), Run(("head", "-c", "300000", "/dev/zero")), Run(("true",)),
        ])  # fmt: skip
        guard.close()
    assert who == Completed(0, b"lena", b"")
    assert both == Completed(3, b"out\n", b"err\n")
    assert large == Completed(0, bytes(300000), b"")
    assert nothing == Completed(0, b"", b"")


@pytest.mark.parametrize("cut", range(1, 12))
def test_the_mark_is_found_wherever_the_chunks_end(cut: int) -> None:
    kept, heard = BoundedOutput("stdout"), bytearray()
    output = _MarkedOutput(kept, "mark", heard.extend)
    text = b"hello\nmark\nown mark\n"
    for start in range(0, len(text), cut):
        output.take(text[start : start + cut])
    assert (kept.content(), bytes(heard)) == (b"own mark\n", b"own mark\n")


@pytest.mark.parametrize(
    ("command", "words"),
    [
        ("exit 0", "exit code 0, no output"),
        ("/bin/false", "exit code 1, no output"),
        ("echo This account is currently not available.; exit 1", "'This account is currently not available.' (exit code 1)"),
        ("echo gone away >&2; exit 3", "'gone away' (exit code 3)"),
    ],
)
def test_a_shell_that_runs_no_programs_is_named(tmp_path: Path, command: str, words: str) -> None:
    with sshd(tmp_path / "sshd", f"ForceCommand {command}") as server:
        guard = opened(server.variables())
        (reply,) = guard.exchange([Run(("true",))])
        guard.close()
    assert isinstance(reply, Failed)
    assert (reply.kind, reply.message.partition(";")[0]) == ("denied", f"the login's shell runs no programs: {words}")
