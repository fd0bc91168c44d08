"""Windows as the controller, tested on another system: imports, text encodings, file names, and the worker as a child process."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path, PureWindowsPath

import pytest

import remediation
import remediation_lab
from remediation.connections.calls import Completed, FileContent, ReadFile, Run, WriteFile
from remediation.connections.factory import open_connection
from remediation.connections.settings import from_variables
from tests.cli.conftest import environment, remediate
from tests.cli.processes import Remediate
from tests.powershell import shell

__all__ = ["environment", "remediate"]
PACKAGES = tuple(Path(each.__file__).parent for each in (remediation, remediation_lab))
IMPORTED = """
import importlib, importlib.abc, os, pkgutil, signal, socket, sys, types
import remediation, remediation_lab

POSIX = {"fcntl", "termios", "pwd", "grp", "resource", "pty", "tty", "syslog", "posix", "crypt", "readline", "curses", "spwd", "nis"}
names = [each.name for package in (remediation, remediation_lab) for each in pkgutil.walk_packages(package.__path__, package.__name__ + ".")
         if not each.name.endswith("__main__")]
for name in names:  # with what they need of others, which knows Windows itself
    importlib.import_module(name)
for name in [name for name in sys.modules if name.split(".")[0] in {"remediation", "remediation_lab"}]:
    del sys.modules[name]

class Refuse(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in POSIX:
            raise ModuleNotFoundError(f"No module named {name!r}: Windows has none")

sys.meta_path.insert(0, Refuse())
for name in POSIX:
    sys.modules.pop(name, None)
sys.modules["msvcrt"] = types.ModuleType("msvcrt")
sys.platform = "win32"
for module, gone in (
    (os, "fork forkpty getuid geteuid getgid getegid getpgid getpgrp getsid killpg setsid chown fchmod fchown mkfifo mknod openpty nice uname "
         "O_NOFOLLOW O_CLOEXEC O_NONBLOCK O_DIRECTORY WNOHANG WIFEXITED WIFSIGNALED sched_getaffinity statvfs"),
    (signal, "SIGHUP SIGKILL SIGUSR1 SIGUSR2 SIGPIPE SIGALRM SIGCHLD SIGTSTP SIGWINCH SIGQUIT setitimer alarm pthread_sigmask"),
    (socket, "AF_UNIX socketpair_posix"),
):
    for name in gone.split():
        if hasattr(module, name):
            delattr(module, name)
for name in names:
    importlib.import_module(name)
print(len(names))
"""


def test_every_module_is_imported_where_windows_has_no_posix() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTED], capture_output=True, text=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert int(done.stdout) > 300


def trees() -> Iterator[tuple[str, ast.Module]]:
    for package in PACKAGES:
        for path in sorted(package.rglob("*.py")):
            yield str(path.relative_to(package.parent)), ast.parse(path.read_text("utf-8"))


def mode(call: ast.Call, at: int) -> str:
    given = [each.value for each in call.keywords if each.arg == "mode"] or call.args[at : at + 1]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) else "r"


def without_encoding(call: ast.Call) -> bool:
    """Return whether a call reads or writes text in the encoding of the system, which is no UTF-8 on Windows."""
    name = call.func.attr if isinstance(call.func, ast.Attribute) else call.func.id if isinstance(call.func, ast.Name) else ""
    words = {each.arg for each in call.keywords}
    if "encoding" in words or None in words:
        return False
    if name == "read_text":
        return not call.args
    if name == "write_text":
        return len(call.args) < 2
    if name == "fdopen" or (name == "open" and isinstance(call.func, ast.Name)):
        return "b" not in mode(call, 1)
    if name == "open" and isinstance(call.func, ast.Attribute):
        # Path.open; other objects' open have no text mode
        return bool(words & {"mode", "newline"} or (call.args and isinstance(call.args[0], ast.Constant))) and "b" not in mode(
            call, 0
        )
    if name in {"run", "Popen", "check_output"}:
        return any(each.arg in {"text", "universal_newlines"} for each in call.keywords)
    return False


def test_no_text_has_the_encoding_of_the_system() -> None:
    found = [
        f"{name}:{node.lineno}"
        for name, tree in trees()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and without_encoding(node)
    ]
    assert found == []
    assert all(without_encoding(ast.parse(text, mode="eval").body) for text in (  # type: ignore[arg-type]  # each is a call
        "open('x')", "open('x', 'w')", "path.read_text()", "path.write_text('x')", "os.fdopen(1, 'w')", "subprocess.run(a, text=True)", "path.open('w')",
    ))  # fmt: skip


@pytest.fixture
def local() -> Iterator[object]:
    """This machine, as a controller on Windows reaches itself: a PowerShell as a child process."""
    variables = {"ansible_connection": "local", "ansible_shell_type": "powershell", "remediation_powershell": shell.program()}
    connection = open_connection(from_variables("here", variables), scripts=lambda _: "param($Data)\n'null'")
    yield connection
    connection.close()


def test_the_worker_is_a_child_of_a_local_controller(local: object, tmp_path: Path) -> None:
    path = tmp_path / "a file's ü 🎉.txt"
    code = "import sys; sys.stdout.buffer.write(sys.stdin.buffer.read()); print(sys.argv[1:])"
    words = ["two words", 'a "quote"', "back\\", "é 🎉"]
    written, read, ran, missing = local.exchange([  # type: ignore[attr-defined]  # a connection
        WriteFile(str(path), b"\xff\0 text\r\n"), ReadFile(str(path)), Run((sys.executable, "-I", "-X", "utf8", "-c", code, *words), stdin=b"\xfe\r\n"),
        ReadFile(str(tmp_path / "none")),
    ])  # fmt: skip
    assert isinstance(written, FileContent)
    assert (read.content, path.read_bytes()) == (b"\xff\0 text\r\n", b"\xff\0 text\r\n")
    assert isinstance(ran, Completed)
    assert ran.stdout == b"\xfe\r\n" + repr(words).encode() + b"\n"
    assert missing.missing


RESERVED = {"con", "prn", "aux", "nul", *(f"{kind}{number}" for kind in ("com", "lpt") for number in range(1, 10))}


def test_what_a_run_leaves_has_names_that_windows_allows(remediate: Remediate, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(
        "all: {hosts: {'aux': {ansible_connection: local}, 'b:1': {ansible_connection: local}}}", encoding="utf-8"
    )
    (tmp_path / "play.yml").write_text("- {hosts: all, tasks: [{command: hostname, name: 'a: b?'}]}", encoding="utf-8")
    done = remediate("play", "play.yml", "--inventory", "hosts.yml", "--record", "tape.jsonl", "--report", "page.html")
    assert done.returncode == 0, done.stdout + done.stderr
    state = tmp_path / "state"
    left = [path.relative_to(state) for path in state.rglob("*")]
    assert len(left) > 3
    for path in left:
        for part in path.parts:
            assert not set(part) & set('<>:"/\\|?*'), path
            assert part.rstrip(". ") == part, path
            assert part.partition(".")[0].lower() not in RESERVED, path
        assert len(str(PureWindowsPath("C:\\Users\\administrator\\AppData\\Local\\remediation", path))) < 200
