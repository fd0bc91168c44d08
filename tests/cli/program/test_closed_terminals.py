"""A closed terminal, and signals while the program loads and unloads: the documented exit code, no traceback, and nothing left running."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
import time
from pathlib import Path

import pytest

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")

HANGS = 4_000_000
ON_A_TERMINAL = "import fcntl, os, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0); os.execv(sys.argv[1], sys.argv[1:])"
"""Make standard input the controlling terminal, as a terminal's window does; whoever closes it sends SIGHUP."""


@pytest.fixture
def hanging(tmp_path: Path, environment: dict[str, str]) -> dict[str, str]:
    """An environment whose programs that look at the machine say that they began, and hang."""
    (tmp_path / "programs").mkdir()
    for name in ("nvidia-smi", "docker"):
        program = tmp_path / "programs" / name
        program.write_text(f"#!/bin/sh\ntouch {tmp_path}/begun\nexec sleep {HANGS + os.getpid()}\n", encoding="utf-8")
        program.chmod(0o755)
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    h0: {ansible_connection: local}\n", encoding="utf-8")
    return {**environment, "PATH": f"{tmp_path}/programs{os.pathsep}{os.environ['PATH']}", "TERM": "xterm"}


@pytest.mark.parametrize("words", ["monitor", "diagnose", "check-host", "watch --name other", "verify", "fix-offload"])
def test_a_closed_terminal_ends_every_command_with_130(tmp_path: Path, hanging: dict[str, str], words: str) -> None:
    terminal, ours = pty.openpty()
    command = [sys.executable, "-m", "remediation.cli.main", *words.split(), "--inventory", "hosts.yml", "--log-file", "log"]
    process = subprocess.Popen(
        [sys.executable, "-c", ON_A_TERMINAL, *command], cwd=tmp_path, env=hanging, start_new_session=True,
        stdin=ours, stdout=ours, stderr=ours,
    )  # fmt: skip
    os.close(ours)
    while not (tmp_path / "begun").exists():
        assert process.poll() is None, os.read(terminal, 10_000)
        time.sleep(0.05)
    os.close(terminal)
    assert process.wait(timeout=60) == 130
    log = (tmp_path / "log").read_text(encoding="utf-8")
    assert "Traceback" not in log
    assert "130" in log or "interrupted" in log
    assert list((tmp_path / "state").rglob("errors")) == []
    assert (
        str(HANGS + os.getpid()) not in subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout
    )


WHEN = {
    "loading": ("signal.raise_signal(number)", 130),
    "unloading": ("atexit.register(signal.raise_signal, number)", 0),
    "unloaded": ("", 0),
}
PROGRAM = """
import atexit, signal, sys
number = signal.{number}
class Found:
    def find_spec(self, name, path=None, target=None):
        if name == "remediation.cli.main":
            {hook}
if "{when}" == "unloaded":
    atexit.register(signal.raise_signal, number)  # runs after what the program registered
sys.meta_path.insert(0, Found())
from remediation.__main__ import start_program
sys.argv[1:] = ["--version"]
start_program()
"""


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("when", WHEN)
def test_a_signal_while_the_program_loads_or_unloads_prints_nothing(environment: dict[str, str], when: str, number: str) -> None:
    hook, code = WHEN[when]
    text = PROGRAM.format(number=number, hook=hook or "pass", when=when)
    ended = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (code, "")
    assert ended.stdout.startswith("remediate") == (when != "loading")


def test_an_interrupt_in_the_parser_is_an_interrupt(environment: dict[str, str]) -> None:
    text = (
        "import signal, sys; import remediation.cli.main as m\n"
        "m.RemediateProgram.parse_core = lambda *_: signal.raise_signal(signal.SIGINT)\n"
        "m.main(['remediate', 'hosts'])"
    )
    ended = subprocess.run([sys.executable, "-c", text], env=environment, capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (130, "interrupted\n")
