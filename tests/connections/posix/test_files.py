"""Files written on a POSIX host: their mode and owner throughout, links on the way, and the files after a failure."""

from __future__ import annotations

import os
import shutil
import stat
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.connections.calls import Completed, Failed, FileContent, ReadFile, Reply, Run, WriteFile
from remediation.connections.guard import Guard
from remediation.connections.posix import files as posix_files
from remediation.connections.posix.local import LocalConnection
from tests.connections.conftest import opened
from tests.support.public_folder import public_folder
from tests.support.requirements import need_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX hosts only")
ROOT_ONLY = pytest.mark.skipif(sys.platform == "win32" or os.geteuid() != 0, reason="files of several users take root")
NOBODY = 65534
SECRET = b"TOKEN=secret\n"


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder that the users of these tests can all reach."""
    with public_folder() as made:
        yield made


@pytest.fixture(params=["local", "local, raised", "ssh", "ssh, raised"])
def host(request: pytest.FixtureRequest) -> Iterator[Guard]:
    """Open this machine; "raised" is by sudo, here from root to root."""
    variables: dict[str, object] = {"ansible_connection": "local"}
    if request.param.startswith("ssh"):
        variables = request.getfixturevalue("ssh_server").variables()
    if request.param.endswith("raised"):
        need_program("sudo", "sudo")
        if os.geteuid() != 0:
            pytest.skip("sudo asks for no password of root alone")
        variables |= {"ansible_become": True}
    guard = opened(variables)
    yield guard
    guard.close()


def write(host: Guard, path: Path, content: bytes = SECRET, *, backup: Path | None = None) -> Reply:
    (reply,) = host.exchange([WriteFile(str(path), content, backup=str(backup) if backup else None)])
    return reply


def mode(path: Path) -> int:
    return stat.S_IMODE(path.lstat().st_mode)


def names(folder: Path) -> list[str]:
    return sorted(each.name for each in folder.iterdir())


def mine(path: Path, user: int) -> Path:
    """Give a file or link to a user."""
    os.lchown(path, user, user)
    return path


@pytest.mark.parametrize("existing", [0o600, 0o640, 0o4755])
def test_owner_and_mode_of_what_is_replaced_are_kept(host: Guard, tmp_path: Path, existing: int) -> None:
    file = tmp_path / "f"
    file.write_bytes(b"before")
    user = NOBODY if os.geteuid() == 0 else os.getuid()
    os.chown(file, user, -1)
    file.chmod(existing)
    assert write(host, file, backup=tmp_path / "b") == FileContent()
    assert [(each.read_bytes(), mode(each), each.stat().st_uid) for each in (file, tmp_path / "b")] == [
        (SECRET, existing, user), (b"before", existing, user),
    ]  # fmt: skip


def test_a_backup_is_as_old_as_what_it_keeps(host: Guard, tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"before")
    os.utime(tmp_path / "f", (1_000_000_000, 1_000_000_000))
    write(host, tmp_path / "f", backup=tmp_path / "b")
    assert (tmp_path / "b").stat().st_mtime == 1_000_000_000


@pytest.mark.parametrize("existing", [None, 0o600, 0o644])
def test_at_no_moment_may_more_people_read_it_than_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: int | None
) -> None:
    # each program that takes part first writes down what other users could see: one observation between any two steps
    seen, folder, programs = tmp_path / "seen", tmp_path / "folder", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    for name in ("mktemp", "cat", "wc", "chown", "chgrp", "chmod", "touch", "sync", "mv", "rmdir", "stat"):
        real = shutil.which(name)
        (programs / name).write_text(f'#!/bin/sh\nfind {folder} -printf "%y %m %f\\n" >>{seen}\nexec {real} "$@"\n', "utf-8")
        (programs / name).chmod(0o755)
    file = folder / ".env"
    if existing is not None:
        file.write_bytes(b"before")
        file.chmod(existing)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    guard = opened({"ansible_connection": "local"})
    assert write(guard, file, backup=folder / "kept") == FileContent()
    lines = {tuple(line.split(" ", 2)) for line in seen.read_text("utf-8").splitlines()}
    staging = {line for line in lines if ".remediation-part." in line[2]}
    assert {(kind, bits) for kind, bits, _ in staging} == {("d", "700")}
    assert {name for kind, _, name in lines if kind == "f"} >= {"new"}
    assert names(folder) == [".env"] if existing is None else [".env", "kept"]


def test_the_umask_decides_for_a_new_file_and_is_left_alone(tmp_path: Path) -> None:
    code = (
        "import os, sys; from remediation.connections.posix.local import LocalConnection; from remediation.connections.calls import WriteFile\n"
        "print(LocalConnection('here').exchange([WriteFile(sys.argv[1], b'x')]))"
    )
    for mask, expected in ((0o077, 0o600), (0o022, 0o644), (0o027, 0o640), (0, 0o644)):
        subprocess.run([sys.executable, "-c", code, str(tmp_path / f"{mask}")], check=True, umask=mask)
        assert mode(tmp_path / f"{mask}") == expected


def test_files_that_other_threads_make_meanwhile_have_the_mode_they_ask_for(tmp_path: Path) -> None:
    code = (
        "import os, sys, threading; from remediation.connections.posix.local import LocalConnection\n"
        "from remediation.connections.calls import WriteFile\n"
        "folder, ended = sys.argv[1], threading.Event()\n"
        "def others():\n"
        "    for number in range(20): LocalConnection('here').exchange([WriteFile(f'{folder}/written', b'x')])\n"
        "    ended.set()\n"
        "threading.Thread(target=others).start()\n"
        "number = 0\n"
        "while not ended.is_set(): os.close(os.open(f'{folder}/own{number}', os.O_CREAT | os.O_WRONLY, 0o666)); number += 1\n"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=True, umask=0o077)
    assert {mode(each) for each in tmp_path.glob("own*")} == {0o600}


def test_a_link_of_ones_own_is_followed_and_stays(host: Guard, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "project").mkdir()
    (tmp_path / "real" / "compose.yml").write_bytes(b"before")
    (tmp_path / "project" / "compose.yml").symlink_to("../real/compose.yml")
    (tmp_path / "folder").symlink_to(tmp_path / "project")
    path = tmp_path / "folder" / "compose.yml"
    assert write(host, path, backup=Path(f"{path}.bak")) == FileContent()
    assert (tmp_path / "real" / "compose.yml").read_bytes() == SECRET
    assert (tmp_path / "project" / "compose.yml").is_symlink()
    assert (tmp_path / "project" / "compose.yml.bak").read_bytes() == b"before", "the backup is in the folder of the named file"
    (tmp_path / "dangling").symlink_to("real/new")
    assert write(host, tmp_path / "dangling") == FileContent()
    assert (tmp_path / "real" / "new").read_bytes() == SECRET


@ROOT_ONLY
@pytest.mark.parametrize("where", ["file", "folder", "dangling", "twice"])
def test_another_user_s_link_leads_nowhere_but_to_that_user_s_own(host: Guard, tmp_path: Path, where: str) -> None:
    victim, home = tmp_path / "etc", mine_folder(tmp_path / "home")
    victim.mkdir()
    (victim / "shadow").write_bytes(b"root's")
    (victim / "shadow").chmod(0o600)
    link, path = home / "compose.yml", home / "compose.yml"
    if where == "folder":
        link, path = home / "project", home / "project" / "shadow"
        mine(link, 0) if link.exists() else link.symlink_to(victim)
    elif where == "twice":
        (home / "other").symlink_to(victim / "shadow")
        mine(home / "other", NOBODY)
        link.symlink_to("other")
    else:
        link.symlink_to(victim / ("shadow" if where == "file" else "new"))
    mine(link, NOBODY)
    reply = write(host, path)
    assert isinstance(reply, Failed)
    assert (reply.kind, f"the user with the ID {NOBODY} leads to {victim}" in reply.message) == ("denied", True), reply
    assert (names(victim), (victim / "shadow").read_bytes()) == (["shadow"], b"root's")
    assert not [name for name in names(home) if "part" in name]
    own = mine(home / "own", NOBODY) if (home / "own").exists() else home / "own"
    own.write_bytes(b"before")
    mine(own, NOBODY)
    (home / "to-own").symlink_to("own")
    mine(home / "to-own", NOBODY)
    assert write(host, home / "to-own") == FileContent()
    assert (own.read_bytes(), own.stat().st_uid) == (SECRET, NOBODY)


def mine_folder(path: Path) -> Path:
    path.mkdir()
    return mine(path, NOBODY)


@ROOT_ONLY
@pytest.mark.parametrize("name", ["f.remediation-part", "f.bak"])
def test_a_link_at_the_temporary_name_is_not_followed(host: Guard, tmp_path: Path, name: str) -> None:
    home, victim = mine_folder(tmp_path / "home"), tmp_path / "victim"
    victim.write_bytes(b"root's")
    (home / "f").write_bytes(b"before")
    (home / name).symlink_to(victim)
    mine(home / name, NOBODY)
    assert write(host, home / "f", backup=home / "f.bak") == FileContent()
    assert (victim.read_bytes(), (home / "f").read_bytes()) == (b"root's", SECRET)
    assert (home / "f.bak").read_bytes() == b"before"
    assert not (home / "f.bak").is_symlink()


@ROOT_ONLY
def test_an_attacker_who_owns_the_folder_and_never_rests_gets_nothing(tmp_path: Path) -> None:
    """As fast as it can, another user puts links in place of the file, the folder and each file that appears next to the file."""
    home, victim = mine_folder(tmp_path / "home"), tmp_path / "victim"
    victim.mkdir(mode=0o700)
    for name in ("f", "new", "shadow"):
        (victim / name).write_bytes(b"root's")
        (victim / name).chmod(0o600)
    before = {each: (each.read_bytes(), each.lstat()) for each in victim.iterdir()}
    attack = (
        "import os, sys\n"
        "home, victim = sys.argv[1:]\n"
        "os.makedirs(f'{home}/project', exist_ok=True)\n"
        "print('begun', flush=True)\n"
        "def quietly(do, *what):\n"
        "    try: do(*what)\n"
        "    except OSError: pass\n"
        "while True:\n"
        "    for name in os.listdir(f'{home}/project') if os.path.isdir(f'{home}/project') else ():\n"
        "        quietly(os.rename, f'{home}/project/{name}', f'{home}/project/.gone')\n"
        "        quietly(os.symlink, f'{victim}/f', f'{home}/project/{name}')\n"
        "        quietly(os.unlink, f'{home}/project/{name}')\n"
        "        quietly(os.symlink, victim, f'{home}/project/{name}')\n"
        "        quietly(os.unlink, f'{home}/project/{name}')\n"
        "    quietly(os.rename, f'{home}/project', f'{home}/aside')\n"
        "    quietly(os.symlink, victim, f'{home}/project')\n"
        "    quietly(os.unlink, f'{home}/project')\n"
        "    quietly(os.rename, f'{home}/aside', f'{home}/project')\n"
    )
    attacker = subprocess.Popen(
        [shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable, "-I", "-c", attack, str(home), str(victim)],
        user=NOBODY, group=NOBODY, extra_groups=[], stdout=subprocess.PIPE, cwd="/",
    )  # fmt: skip
    try:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"begun\n"
        guard = opened({"ansible_connection": "local"})
        threads = [
            threading.Thread(
                target=lambda: [write(guard, home / "project" / "f", backup=home / "project" / "b") for _ in range(25)]
            )
            for _ in range(2)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        attacker.kill()
        attacker.communicate()
    assert names(victim) == ["f", "new", "shadow"]
    for path, (content, seen) in before.items():
        now = path.lstat()
        assert (path.read_bytes(), now.st_ino, now.st_uid, now.st_mode) == (content, seen.st_ino, seen.st_uid, seen.st_mode)


@pytest.mark.parametrize("what", ["a folder", "a fifo", "no folder", "a file as a folder", "a loop", "nothing"])
def test_what_cannot_be_replaced_is_said_and_nothing_is_left_of_the_attempt(host: Guard, tmp_path: Path, what: str) -> None:
    path = tmp_path / "f"
    if what == "a folder":
        path.mkdir()
    elif what == "a fifo":
        os.mkfifo(path)
    elif what == "a loop":
        path.symlink_to("f")
    elif what == "no folder":
        path = tmp_path / "none" / "f"
    elif what == "a file as a folder":
        path.write_bytes(b"x")
        path = path / "f"
    else:
        path = Path("/")
    before = names(tmp_path)
    reply = write(host, path)
    assert isinstance(reply, Failed)
    assert (reply.kind, str(path) in reply.message) == ("not-found" if what == "no folder" else "error", True), reply
    assert names(tmp_path) == before


def test_a_write_that_is_cut_off_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "f").write_bytes(b"before")
    argv = ["sh", "-c", posix_files._script("write"), "write", str(tmp_path / "f"), "100", str(tmp_path / "b")]
    ended = subprocess.run(argv, input=b"only a part", capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (1, b"not all of the file arrived\n")
    assert ((tmp_path / "f").read_bytes(), names(tmp_path)) == (b"before", ["b", "f"])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL)
    while not list(tmp_path.glob(".remediation-part.*/new")):
        assert process.poll() is None
    process.terminate()
    process.communicate()
    assert ((tmp_path / "f").read_bytes(), names(tmp_path)) == (b"before", ["b", "f"])


def test_a_write_that_takes_too_long_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "sync").write_text("#!/bin/sh\nexec sleep 60\n", encoding="utf-8")
    (tmp_path / "bin" / "sync").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    (reply,) = LocalConnection("here").exchange([WriteFile(str(tmp_path / "f"), b"x", timeout=1.0)])
    assert isinstance(reply, Failed)
    assert (reply.kind, names(tmp_path)) == ("timeout", ["bin"])


@ROOT_ONLY
@pytest.mark.parametrize("verb", ["make", "move", "remove"])
def test_another_user_s_link_leads_no_folder_or_file_elsewhere(tmp_path: Path, verb: str) -> None:
    victim, home = tmp_path / "etc", mine_folder(tmp_path / "home")
    victim.mkdir()
    (victim / "f").write_bytes(b"root's")
    (home / "project").symlink_to(victim)
    mine(home / "project", NOBODY)
    paths = {"make": ["project/new/folder"], "move": ["project/f", "project/g"], "remove": ["project/f"]}[verb]
    (reply,) = LocalConnection("here").exchange([posix_files.entry_call(verb, *(str(home / path) for path in paths))])
    assert isinstance(reply, Completed)
    assert (reply.rc, f"the user with the ID {NOBODY} leads to {victim}".encode() in reply.stderr) == (45, True), reply
    assert (names(victim), names(home)) == (["f"], ["project"])


def test_folders_are_made_and_files_moved_and_removed(tmp_path: Path) -> None:
    def done(verb: str, *paths: str) -> int:
        (reply,) = LocalConnection("here").exchange([posix_files.entry_call(verb, *(str(tmp_path / path) for path in paths))])
        assert isinstance(reply, Completed)
        return reply.rc

    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert (done("make", "link/a/b"), done("make", "real/a/b/")) == (0, 0)
    (tmp_path / "real" / "f").write_bytes(b"x")
    (tmp_path / "real" / "dangling").symlink_to("nowhere")
    assert (done("move", "link/f", "link/a/b/g"), done("move", "real/dangling", "real/l")) == (0, 0)
    assert (names(tmp_path / "real"), names(tmp_path / "real" / "a" / "b")) == (["a", "l"], ["g"])
    (tmp_path / "real" / "h").write_bytes(b"other")
    assert (done("move", "real/a/b/g", "real/h"), (tmp_path / "real" / "h").read_bytes()) == (1, b"other")
    assert (done("move", "real/none", "real/i"), done("remove", "real/none"), done("remove", "none/f")) == (44, 0, 0)
    assert (done("remove", "real/l"), done("remove", "link/h"), names(tmp_path / "real")) == (0, 0, ["a"])
    assert done("remove", "real/a") != 0


@ROOT_ONLY
def test_a_file_that_the_login_cannot_reach_is_denied_and_not_missing(tmp_path: Path) -> None:
    def execute(call: Run) -> Reply:
        done = subprocess.run(call.argv, capture_output=True, check=False, user=NOBODY, group=NOBODY)
        return Completed(done.returncode, done.stdout, done.stderr)

    closed, hidden = tmp_path / "closed", tmp_path / "hidden"
    closed.mkdir(mode=0o700)
    (closed / "file").write_bytes(SECRET)
    hidden.write_bytes(SECRET)
    hidden.chmod(0o600)
    for path in (closed / "file", hidden):
        assert posix_files.read_file(execute, ReadFile(str(path))) == Failed("denied", f"{path}: permission denied")
    assert posix_files.read_file(execute, ReadFile(str(tmp_path / "none"))) == FileContent(missing=True)
