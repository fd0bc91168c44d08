"""sudo over SSH: its password goes by stdin, and the program gets its own."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TypeAlias

import pytest

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Run, WriteFile
from remediation.connections.guard import Guard
from remediation.connections.posix.sudo import refusal_cure, sudo
from remediation.connections.settings import Become
from tests.connections.conftest import opened
from tests.connections.sshd import Sshd
from tests.support.public_folder import public_folder
from tests.support.requirements import need_program

Raised: TypeAlias = Callable[..., Guard]


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
    (both,) = opened(variables).exchange([Run(("sh", "-c", 'echo "$A"; cat'), stdin=b"mine\n", env={"A": "b\nc", "UID": "7"})])
    assert both == Completed(0, b"b\nc\nmine\n", b"")
    (shown,) = opened(variables).exchange([Run(("sh", "-c", "tr '\\0' ' ' </proc/$PPID/cmdline; ps -eo args"))])
    assert isinstance(shown, Completed)
    assert "pw é" not in shown.text
    (refused,) = opened(variables | {"ansible_become_password": "wrong"}).exchange([Run(("cat",), stdin=b"x")])
    assert isinstance(refused, Failed)
    assert (refused.kind, "wrong" in refused.message) == ("denied", False)


@pytest.mark.parametrize(
    ("said", "cure"),
    [
        ("Sorry, try again. sudo: 2 incorrect password attempts", "correct ansible_become_password"),
        ("sudo: a password is required", "set ansible_become_password"),
        ("me is not in the sudoers file.", "allow the login to use sudo"),
        ("Sorry, user me may not run sudo on box.", "allow the login to use sudo"),
        ("sudo: unable to fork: Resource temporarily unavailable", ""),
    ],
)
def test_a_refused_sudo_is_not_repeated_because_each_attempt_counts_as_a_failed_login(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: str, cure: str
) -> None:
    (tmp_path / "sudo").write_text(f"#!/bin/sh\necho attempt >> {tmp_path}/attempts\necho '{said}' >&2\nexit 1\n", "utf-8")
    (tmp_path / "sudo").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    connection = opened({"ansible_connection": "local", "ansible_become": True, "ansible_become_password": "wrong"})
    for _ in range(3):
        (refused, file) = connection.exchange([Run(("id",)), ReadFile("/etc/hostname")])
        assert isinstance(refused, Failed)
        assert isinstance(file, Failed)
        assert (refused.kind, refused.message) == ("denied", f"sudo refused: {said}")
        assert refusal_cure(refused.message).startswith(cure)
    attempts = (tmp_path / "attempts").read_text("utf-8").splitlines()
    assert len(attempts) == (1 if cure else 6)


LECTURE = "We trust you have received the usual lecture from the local System Administrator.\n    #1) Respect the privacy of others.\n\n"


@pytest.mark.parametrize(
    ("after", "message"),
    [
        (
            "{prompt}Sorry, try again.\n{prompt}sudo: 2 incorrect password attempts\n",
            "Sorry, try again. sudo: 2 incorrect password attempts",
        ),
        ("{prompt}\nme is not in the sudoers file.\n", "me is not in the sudoers file."),
        ("Kennwort: \nSorry, try again.\n", f"{' '.join(LECTURE.split())} Kennwort: Sorry, try again."),  # passprompt_override
    ],
)
def test_the_lecture_of_the_first_sudo_is_neither_the_reason_nor_the_programs_output(after: str, message: str) -> None:
    started = sudo(Become("root", "pw"), ("id",), {})
    prompt = started.argv[started.argv.index("-p") + 1]
    refused = started.reply(Completed(1, b"", (LECTURE + after.format(prompt=prompt)).encode()))
    assert refused == Failed("denied", f"sudo refused: {message}")
    noise = f"{LECTURE}{prompt}sudo: unable to resolve host gpu-01\n{started.mark}\nits own words\n".encode()
    assert started.reply(Completed(0, b"", noise)) == Completed(0, b"", b"its own words\n")


ROOT_ONLY = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="becoming another user without a password takes root"
)


@pytest.fixture(params=["local", "ssh"])
def raised(request: pytest.FixtureRequest) -> Raised:
    """Open this machine as another user, by sudo."""
    need_program("sudo", "sudo")

    def opens(**more: object) -> Guard:
        become = {"ansible_become": True, "ansible_become_user": "nobody", **more}
        if request.param == "local":
            return opened({"ansible_connection": "local", **become})
        server: Sshd = request.getfixturevalue("ssh_server")
        return opened(server.variables(**become))

    return opens


@pytest.fixture
def folder() -> Iterator[Path]:
    """Return a folder that everybody may write to."""
    with public_folder() as made:
        made.chmod(0o777)
        yield made


@ROOT_ONLY
def test_a_program_that_is_not_on_sudos_path_is_missing(raised: Raised) -> None:
    missing, failed = raised().exchange(
        [Run(("no-such-program", "x")), Run(("sh", "-c", "echo exec: x: not found >&2; exit 127"))]
    )
    assert missing == Failed(
        "not-found", "no-such-program is not on the PATH that sudo sets (secure_path in sudoers)", "no-such-program"
    )
    assert failed == Completed(127, b"", b"exec: x: not found\n")


@ROOT_ONLY
@pytest.mark.parametrize("password", [None, "unused"])
def test_real_sudo_that_asks_for_nothing(raised: Raised, folder: Path, password: str | None) -> None:
    guard = raised(**({} if password is None else {"ansible_become_password": password}))
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


@ROOT_ONLY
def test_files_are_read_and_written_with_the_rights_of_the_other_user(raised: Raised, folder: Path) -> None:
    (folder / "secret").write_text("root's", "utf-8")
    (folder / "secret").chmod(0o600)
    (folder / "closed").mkdir(mode=0o755)
    guard = raised()
    read, written, missing = guard.exchange([
        ReadFile(str(folder / "secret")), WriteFile(str(folder / "closed" / "f"), b"x"), ReadFile(str(folder / "none")),
    ])  # fmt: skip
    guard.close()
    assert [each.kind for each in (read, written) if isinstance(each, Failed)] == ["denied", "denied"]
    assert missing == FileContent(missing=True)
    assert list((folder / "closed").iterdir()) == []


@ROOT_ONLY
def test_a_slow_program_gets_its_stdin_and_its_variables_and_they_are_on_no_command_line(raised: Raised) -> None:
    lines = "cat /proc/[0-9]*/cmdline 2>/dev/null | tr '\\0' '\\n'; sleep 1.2; echo; echo \"$API_TOKEN\"; tail -c 6"
    call = Run(("sh", "-c", lines), b"x" * 3_000_000 + b"hello\n", env={"API_TOKEN": "s3cret 'value'", "A": "1"})
    guard = raised()
    (reply,) = guard.exchange([call])
    guard.close()
    assert isinstance(reply, Completed), reply
    shown, _, own = reply.stdout.rpartition(b"s3cret 'value'\n")
    assert (own, reply.stderr) == (b"hello\n", b"")
    assert b"sudo" in shown
    assert b"s3cret" not in shown


def test_a_missing_sudo_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    (reply,) = opened({"ansible_connection": "local", "ansible_become": True}).exchange([Run(("sleep", "1"))])
    assert reply == Failed("not-found", "there is no sudo", missing="sudo")
