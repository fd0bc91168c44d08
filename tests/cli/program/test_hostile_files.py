"""Files that would fill the memory, never end, or are none: one sentence from each task that reads them."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Remediate

HEAD = "- hosts: all\n  tasks:\n"
BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "inv.yml").write_text("all: {hosts: {a: {ansible_connection: local}}}\n", encoding="utf-8")
    (tmp_path / "ok.yml").write_text(HEAD + "    - debug: {msg: x}\n", encoding="utf-8")
    (tmp_path / "bomb.yml").write_text(BOMB, encoding="utf-8")
    with (tmp_path / "large.yml").open("wb") as file:
        file.truncate(100 * 1024**2)
    (tmp_path / "vault.yml").write_text("a: !vault ''\n", encoding="utf-8")
    (tmp_path / "dir.yml").mkdir()
    if sys.platform != "win32":
        os.mkfifo(tmp_path / "fifo.yml")
        (tmp_path / "zero.yml").symlink_to("/dev/zero")
    return tmp_path


FILES = {
    "bomb": "aliases represent more than 100,000 values",
    "large": "larger than 16 MiB",
    "fifo": "not a regular file",
    "zero": "not a regular file",
    "dir": "directory",
    "vault": "encrypted text must begin with $ANSIBLE_VAULT",
}


@pytest.mark.parametrize("name", FILES)
def test_extra_variables(remediate: Remediate, folder: Path, name: str) -> None:
    secret = folder / "secret"
    secret.write_text("x", encoding="utf-8")
    secret.chmod(0o600)
    done = remediate("play", "ok.yml", "-i", "inv.yml", "-e", f"@{name}.yml", "--vault-password-file", "secret")
    assert (done.returncode, FILES[name] in done.stderr) == (1, True), done.stderr


@pytest.mark.parametrize("name", FILES)
def test_variable_files(remediate: Remediate, folder: Path, name: str) -> None:
    text = f"- hosts: all\n  tasks:\n    - include_vars: {name}.yml\n"
    (folder / "play.yml").write_text(text, encoding="utf-8")
    done = remediate("play", "play.yml", "-i", "inv.yml")
    assert done.returncode == 2, done.stderr
    assert "internal error" not in done.stdout + done.stderr


@pytest.mark.parametrize("task", ["lint", "play"])
@pytest.mark.parametrize("name", FILES)
def test_playbooks_and_inventories(remediate: Remediate, folder: Path, name: str, task: str) -> None:
    for words in ([f"{name}.yml", "-i", "inv.yml"], ["ok.yml", "-i", f"{name}.yml"]):
        done = remediate(task, *words)
        assert done.returncode == 1, done.stderr
        assert "internal error" not in done.stderr


@pytest.mark.parametrize(
    ("playbook", "code", "message"),
    [
        (HEAD + "    - debug: {msg: " + "[" * 5000 + "]" * 5000 + "}\n", 1, "nesting depth|levels deep"),
        (HEAD + "    - debug: {msg: \"{{ 'a' * 10**9 }}\"}\n", 2, "result too large"),
        (HEAD + "    - debug: {msg: " + "9" * 4400 + "}\n", 1, "at most 3,000 digits"),
        (HEAD + "    - include_tasks: site.yml\n", 2, "task"),
        (HEAD + '    - include_vars: "a\\0b"\n', 1, "a path cannot contain a NUL"),
        (HEAD + "    - debug: {msg: \"{{ lookup('pipe', 'cat /dev/zero') }}\"}\n", 2, "printed more than 16 MiB"),
        ('- hosts: "~(a+)+$"\n  tasks: [{debug: }]\n', 1, "could take forever"),
    ],
)
def test_playbooks_that_ask_for_too_much(remediate: Remediate, folder: Path, playbook: str, code: int, message: str) -> None:
    (folder / "site.yml").write_text(playbook, encoding="utf-8")
    done = remediate("play", "site.yml", "-i", "inv.yml")
    output = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == code, output
    assert any(part in output for part in message.split("|"))
    assert "internal error" not in output


def test_a_file_of_tasks_that_includes_itself_ends(remediate: Remediate, folder: Path) -> None:
    (folder / "self.yml").write_text("- include_tasks: self.yml\n", encoding="utf-8")
    (folder / "site.yml").write_text(HEAD + "    - include_tasks: self.yml\n", encoding="utf-8")
    done = remediate("play", "site.yml", "-i", "inv.yml")
    assert done.returncode == 2
    assert "nested more than 60 levels deep" in " ".join(done.stdout.split())


@pytest.mark.parametrize(
    ("inventory", "message"),
    [
        ('all: {hosts: {"a[0:99999][0:99999]": }}\n', "expand to 10,000,000,000 hosts"),
        ("".join(f"g{n}: {{children: {{g{n + 1}: }}}}\n" for n in range(3000)) + "g3000: {hosts: a}\n", "more than 100 deep"),
        ("all: {vars: {v: !vault ''}, hosts: a}\n", "encrypted text must begin with"),
        ("all: {vars: {v: " + "[" * 3000 + "}, hosts: a}\n", "nesting depth|levels deep"),
        ("all: {vars: {v: !!int ''}, hosts: a}\n", "is not a valid value"),
    ],
)
def test_inventories_that_ask_for_too_much(remediate: Remediate, folder: Path, inventory: str, message: str) -> None:
    (folder / "hosts.yml").write_text(inventory, encoding="utf-8")
    (folder / "secret").write_text("x", encoding="utf-8")
    (folder / "secret").chmod(0o600)
    done = remediate("hosts", "-i", "hosts.yml", "--vault-password-file", "secret")
    assert done.returncode == 1
    assert any(part in done.stderr for part in message.split("|")), done.stderr


@pytest.mark.parametrize("source", ["fifo.yml", "zero.yml", "dir.yml", "large.yml"])
def test_what_is_no_password_file(remediate: Remediate, folder: Path, source: str) -> None:
    for name in ("fifo.yml", "large.yml"):
        (folder / name).chmod(0o600)
    sealed = "$ANSIBLE_VAULT;1.1;AES256\n" + (b"\n".join(part.hex().encode() for part in (b"salt", b"mac", b"data"))).hex()
    (folder / "sealed.yml").write_text(sealed, encoding="utf-8")
    done = remediate("play", "ok.yml", "-i", "inv.yml", "-e", "@sealed.yml", "--vault-password-file", source)
    assert done.returncode == 1
    assert "internal error" not in done.stderr


@pytest.mark.parametrize("name", ["fifo", "zero", "dir", "large"])
def test_names_of_a_limit(remediate: Remediate, folder: Path, name: str) -> None:
    done = remediate("play", "ok.yml", "-i", "inv.yml", "-l", f"@{name}.yml")
    assert done.returncode == 1
    assert "cannot read the file" in done.stderr
