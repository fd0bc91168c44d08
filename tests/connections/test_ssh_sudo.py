"""sudo over SSH: its password goes by stdin, and the program gets its own."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from remediation.connections.base import Completed, Failed, FileContent, ReadFile, Run, WriteFile
from tests.connections.conftest import opened
from tests.connections.sshd import Sshd
from tests.support.parts import need_program


def test_sudo_gets_its_password_by_stdin_and_the_program_gets_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    # a stand-in that asks as sudo does: the real one lets root through unasked, and tests run as root
    (tmp_path / "sudo").write_text(
        f"#!{sys.executable} -I\n"
        "import os, sys\n"
        "line = b''\n"
        "while not line.endswith(b'\\n'): line += os.read(0, 1)\n"
        "if line != b'pw \\xc3\\xa9\\n': sys.exit('sudo: 1 incorrect password attempt')\n"
        "os.execvp(sys.argv[sys.argv.index('--') + 1], sys.argv[sys.argv.index('--') + 1:])\n",
        "utf-8",
    )
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    variables = {"ansible_connection": "local", "ansible_become": True, "ansible_become_password": "pw é"}
    (cat,) = opened(variables).exchange([Run(("cat",), stdin=b"mine\n\0")])
    assert cat == Completed(0, b"mine\n\0", b"")
    (shown,) = opened(variables).exchange([Run(("sh", "-c", "tr '\\0' ' ' </proc/$PPID/cmdline; ps -eo args"))])
    assert isinstance(shown, Completed)
    assert "pw é" not in shown.text
    (refused,) = opened(variables | {"ansible_become_password": "wrong"}).exchange([Run(("cat",), stdin=b"x")])
    assert isinstance(refused, Failed)
    assert (refused.kind, "wrong" in refused.message) == ("denied", False)


@pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="becoming nobody without a password takes root")
@pytest.mark.parametrize("password", [None, "never asked for"])
def test_real_sudo_that_asks_for_nothing(ssh_server: Sshd, tmp_path: Path, password: str | None) -> None:
    need_program("sudo", "sudo")
    variables = ssh_server.variables(ansible_become=True, ansible_become_user="nobody")
    if password is not None:
        variables["ansible_become_password"] = password
    guard = opened(variables)
    folder = tmp_path / "open"
    folder.mkdir(mode=0o777)
    folder.chmod(0o777)
    for each in tmp_path.parents:
        if str(each).startswith("/tmp/pytest"):  # noqa: S108 - pytest's own folder
            each.chmod(0o755)
    tmp_path.chmod(0o755)
    who, cat, failed, written, read, late = guard.exchange([
        Run(("id", "-un")), Run(("cat",), stdin=b"mine\n\0"), Run(("sh", "-c", "echo no >&2; exit 1")),
        WriteFile(str(folder / "f"), b"\0content"), ReadFile(str(folder / "f"), limit=4, tail=True), Run(("sleep", "60"), timeout=0.5),
    ])  # fmt: skip
    guard.close()
    assert isinstance(who, Completed)
    assert isinstance(cat, Completed)
    assert isinstance(failed, Completed)
    assert (who.stdout, cat.stdout) == (b"nobody\n", b"mine\n\0")
    assert (failed.rc, failed.stdout, b"no\n" in failed.stderr) == (1, b"", True)
    assert written == FileContent()
    assert read == FileContent(b"tent", truncated=True)
    assert (folder / "f").owner() == "nobody"
    assert isinstance(late, Failed)
