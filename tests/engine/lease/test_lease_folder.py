"""Leases on a real POSIX host: where they lie, whose they are, and what another user of that host can do about it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from remediation.connections.calls import Call, Failed, FileContent, Probe, ProbeReply, ReadFile, Reply
from remediation.connections.factory import open_connection
from remediation.connections.guard import Guard
from remediation.connections.settings import from_variables
from remediation.engine.lease.lock import Claim, HostLock, LockHeld, leases_on
from remediation.engine.lease.posix_store import FOLDER_VARIABLE
from remediation.engine.lease.store import LONGEST, LeaseStore
from remediation.facets.scripts import shell
from remediation.model.clock import SystemClock
from remediation.model.errors import CallFailed, UsageError
from tests.connections.sshd import Sshd, sshd
from tests.support.public_folder import public_folder
from tests.support.requirements import need_program

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="POSIX hosts only")
ROOT_ONLY = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="attacks by another user take root to prepare"
)
NOBODY = 65534
GOOD = {"id": "7f3a", "owner": "ana@desk", "purpose": "play", "expires": 0.0}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as one:
        yield one


def connect(variables: dict[str, object]) -> Guard:
    return open_connection(from_variables("box", variables), scripts=shell)


@pytest.fixture(params=["local", "local, raised", "ssh", "ssh, raised"])
def connection(request: pytest.FixtureRequest) -> Iterator[Guard]:
    way, _, raised = request.param.partition(", ")
    variables: dict[str, object] = {"ansible_connection": "local"}
    if way != "local":
        variables = request.getfixturevalue("server").variables()
    if raised:
        need_program("sudo", "sudo")
        if os.geteuid() != 0:
            pytest.skip("sudo asks for no password of root alone")
        variables |= {"ansible_become": True}
    opened = connect(variables)
    yield opened
    opened.close()


@pytest.fixture
def tmp_path() -> Iterator[Path]:
    """Return a folder that the users of these tests can all reach."""
    with public_folder() as made:
        yield made


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Name a lease folder, which is not there yet, in a place that every user can reach."""
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "lease"))
    return tmp_path / "lease"


def lock(store: LeaseStore, run: str = "7f3a", owner: str = "ana@desk") -> HostLock:
    return HostLock("box", store, SystemClock(20.0), Claim(run, owner, "play"))


def as_nobody(code: str, *words: str) -> subprocess.CompletedProcess[bytes]:
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    argv = [python, "-I", "-c", code, *words]
    return subprocess.run(argv, user=NOBODY, group=NOBODY, extra_groups=[], cwd="/", check=True, capture_output=True)


def nobody() -> Guard:
    """Connect to this machine as another login."""
    need_program("sudo", "sudo")
    return connect({"ansible_connection": "local", "ansible_become": True, "ansible_become_user": "nobody"})


def test_a_lease_is_taken_renewed_and_given_back(connection: Guard, folder: Path) -> None:
    before = connection.round_trips
    held = lock(leases_on(connection))
    held.take()
    assert connection.round_trips - before <= 4
    said = json.loads((folder / "1" / "lease.json").read_bytes())
    assert {name: said[name] for name in ("id", "owner", "purpose", "key")} == {
        "id": "7f3a", "owner": "ana@desk", "purpose": "play", "key": held.key,
    }  # fmt: skip
    assert time.time() < said["expires"] < time.time() + 120
    with pytest.raises(LockHeld, match="ana@desk is working on this host: play"):
        lock(leases_on(connection), "8888", "bob@desk").take()
    held.give_back()
    other = lock(leases_on(connection), "8888", "bob@desk")
    other.take()
    other.give_back()
    assert [path.name for path in folder.iterdir()] == ["2"]
    assert [path.name for path in (folder / "2").iterdir()] == ["lease.json"]


def test_of_many_runs_at_once_exactly_one_gets_the_host(folder: Path) -> None:
    assert not folder.exists()
    got: list[str] = []
    refused: list[str] = []

    def ask(run: str) -> None:
        try:
            lock(leases_on(connect({"ansible_connection": "local"})), run).take()
            got.append(run)
        except LockHeld:
            refused.append(run)

    threads = [threading.Thread(target=ask, args=(f"run{number}",)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(got), len(refused)) == (1, 5)


@ROOT_ONLY
def test_two_logins_see_each_other_in_a_folder_that_root_made(folder: Path) -> None:
    folder.mkdir()
    folder.chmod(0o1777)
    held = lock(leases_on(nobody()))
    held.take()
    assert (folder / "1").owner() == "nobody"
    with pytest.raises(LockHeld, match=r"ana@desk is working on this host: play \(run 7f3a, login nobody"):
        lock(leases_on(connect({"ansible_connection": "local"})), "8888").take()
    held.give_back()
    lock(leases_on(connect({"ansible_connection": "local"})), "8888").take()
    with pytest.raises(LockHeld, match="login root"):
        lock(leases_on(nobody()), "9999").take()


@ROOT_ONLY
def test_without_a_name_each_login_has_its_folder_and_sees_the_other_s(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    stores = {name: leases_on(Elsewhere(opened, tmp_path)) for name, opened in (  # type: ignore[arg-type]  # a connection
        ("root", connect({"ansible_connection": "local"})), ("nobody", nobody()), ("daemon", nobody_but("daemon")),
    )}  # fmt: skip
    tmp_path.chmod(0o1777)
    for name in ("nobody", "root", "daemon", "nobody"):
        held = lock(stores[name])
        held.take()
        for other in stores.keys() - {name}:
            with pytest.raises(LockHeld, match=f"login {name}"):
                lock(stores[other], "8888").take()
        held.give_back()
    made = sorted((path.owner(), oct(path.stat().st_mode & 0o7777)) for path in tmp_path.glob("remediation-lease.*"))
    assert made == [("daemon", "0o755"), ("nobody", "0o755"), ("root", "0o755")]


def nobody_but(user: str) -> Guard:
    return connect({"ansible_connection": "local", "ansible_become": True, "ansible_become_user": user})


class Elsewhere:
    """A connection to a host on which /var/tmp is another folder, so that no run of this machine is in the way."""

    platform = "posix"

    def __init__(self, inner: Guard, folder: Path) -> None:
        self._inner, self._folder, self.host = inner, str(folder), inner.host

    def exchange(self, calls: Any) -> Any:
        from dataclasses import replace

        return self._inner.exchange(
            [
                replace(call, argv=tuple(word.replace("base=/var/tmp", f"base={self._folder}") for word in call.argv))
                for call in calls
            ]
        )


# --- what lies there


HUGE = "x" * 5_000
WRONG: dict[str, tuple[str, str]] = {
    "a link": ("link", "lease.json is a symbolic link"),
    "a fifo": ("fifo", "lease.json is not a regular file"),
    "a folder": ("folder", "lease.json is not a regular file"),
    "nothing": ("", "lease.json is not a lease"),
    "no JSON": ("{", "lease.json is not a lease"),
    "a list": ("[1]", "lease.json is not a lease"),
    "a deep list": ("[" * 4_000, "lease.json is not a lease"),
    "too much": (json.dumps({**GOOD, "purpose": HUGE}), "lease.json is larger than any lease"),
    "a long name": (json.dumps({**GOOD, "owner": "x" * 300}), "lease.json is not a lease"),
    "an escape": (json.dumps({**GOOD, "owner": "\x1b[2J"}), "lease.json is not a lease"),
    "a number as a name": (json.dumps({**GOOD, "owner": 5}), "lease.json is not a lease"),
    "no expiry": (json.dumps({**GOOD, "expires": None}), "lease.json is not a lease"),
    "an expiry in words": (json.dumps({**GOOD, "expires": "1e9"}), "lease.json is not a lease"),
    "a true expiry": (json.dumps({**GOOD, "expires": True}), "lease.json is not a lease"),
    "NaN": (json.dumps({**GOOD, "expires": float("nan")}), "an invalid expiry time"),
    "Infinity": (json.dumps({**GOOD, "expires": float("inf")}), "an invalid expiry time"),
    "-Infinity": (json.dumps({**GOOD, "expires": float("-inf")}), "an invalid expiry time"),
    "before 1970": (json.dumps({**GOOD, "expires": -1}), "an invalid expiry time"),
    "1e300": (json.dumps({**GOOD, "expires": 1e300}), "after the year 9999"),
    "400 digits": (json.dumps(GOOD).replace("0.0", "9" * 400), "an invalid expiry time"),
    "the year 5138": (json.dumps({**GOOD, "expires": 99_999_999_999}), "on 5138-11-16"),
}


@pytest.mark.parametrize("what", list(WRONG))
def test_what_is_no_lease_is_one_clear_error_with_its_path_and_the_remedy(folder: Path, what: str) -> None:
    content, message = WRONG[what]
    path = folder / "3" / "lease.json"
    path.parent.mkdir(parents=True)
    if content == "link":
        path.symlink_to("/etc/hostname")
    elif content == "fifo":
        os.mkfifo(path)
    elif content == "folder":
        path.mkdir()
    else:
        path.write_text(content, "utf-8")
    with pytest.raises(CallFailed) as refused:
        lock(leases_on(connect({"ansible_connection": "local"}))).take(wait=3600.0)
    assert message in refused.value.message
    assert str(path) in refused.value.message
    assert f"rm -rf -- {path.parent}" in refused.value.next_step
    shutil.rmtree(path.parent)  # as it says
    lock(leases_on(connect({"ansible_connection": "local"}))).take()


def test_a_lease_ends_within_an_hour_even_if_it_says_more(folder: Path) -> None:
    path = folder / "1" / "lease.json"
    path.parent.mkdir(parents=True)
    for seconds, error in ((LONGEST - 30, LockHeld), (LONGEST + 30, CallFailed)):
        path.write_text(json.dumps({**GOOD, "expires": time.time() + seconds}), "utf-8")
        with pytest.raises(error):
            lock(leases_on(connect({"ansible_connection": "local"})), "8888").take()


@pytest.mark.parametrize("name", ["0", "007", "1.5", "-1", "\N{ARABIC-INDIC DIGIT THREE}", "9" * 30, "x", "1\n2"])
def test_what_has_another_name_than_a_lease_directory_is_left_alone(folder: Path, name: str) -> None:
    (folder / name).mkdir(parents=True)
    held = lock(leases_on(connect({"ansible_connection": "local"})))
    held.take()
    held.give_back()
    assert {path.name for path in folder.iterdir()} == {name, "1"}


@pytest.mark.parametrize("kind", ["file", "link", "dangling"])
def test_a_file_in_the_place_of_a_lease_directory_is_an_error(folder: Path, kind: str, tmp_path: Path) -> None:
    folder.mkdir()
    if kind == "file":
        (folder / "4").write_text("x", "utf-8")
    else:
        (folder / "4").symlink_to(tmp_path if kind == "link" else "nowhere")
    with pytest.raises(CallFailed, match=f"{folder}/4 is no directory"):
        lock(leases_on(connect({"ansible_connection": "local"}))).take()


def test_a_lease_that_another_run_removes_meanwhile_is_no_error(folder: Path) -> None:
    folder.mkdir(mode=0o700)
    ended = threading.Event()

    def others() -> None:
        number = 1
        while not ended.is_set():
            made = folder / str(number)
            made.mkdir()
            (made / ".lease.new").write_text(json.dumps(GOOD), "utf-8")
            (made / ".lease.new").replace(made / "lease.json")
            (made / "lease.json").unlink()
            made.rmdir()
            number += 1

    thread = threading.Thread(target=others)
    thread.start()
    try:
        store = leases_on(connect({"ansible_connection": "local"}))
        assert all(store.newest().now > 0 for _ in range(100))
    finally:
        ended.set()
        thread.join()


def test_the_last_number_is_an_error_that_names_it(folder: Path) -> None:
    (folder / "999999999").mkdir(parents=True)
    (folder / "999999999" / "lease.json").write_text(json.dumps(GOOD), "utf-8")
    with pytest.raises(CallFailed, match="999999999 has the highest possible number"):
        lock(leases_on(connect({"ansible_connection": "local"}))).take()


@pytest.mark.parametrize("name", ["lease", "./lease", "/srv/../lease", "/srv/a\nb"])
def test_the_variable_names_a_whole_path(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(FOLDER_VARIABLE, name)
    with pytest.raises(UsageError, match=f"{FOLDER_VARIABLE}: .* is not an absolute path"):
        leases_on(connect({"ansible_connection": "local"}))


# --- attacks


@ROOT_ONLY
def test_a_folder_that_another_user_made_first_is_not_used(connection: Guard, folder: Path) -> None:
    folder.parent.chmod(0o1777)
    as_nobody("import os, sys; os.mkdir(sys.argv[1]); os.chmod(sys.argv[1], 0o1777)", str(folder))
    with pytest.raises(CallFailed, match=f"{folder} is unusable: it belongs to nobody") as refused:
        lock(leases_on(connection)).take(wait=3600.0)
    assert FOLDER_VARIABLE in refused.value.next_step
    assert list(folder.iterdir()) == []


def test_a_folder_that_others_may_write_to_needs_the_sticky_bit(connection: Guard, folder: Path) -> None:
    folder.mkdir()
    for mode, refused in ((0o777, True), (0o775, True), (0o757, True), (0o1777, False), (0o1775, False), (0o755, False)):
        folder.chmod(mode)
        if refused:
            with pytest.raises(CallFailed, match=f"{folder} is unusable: other users may replace"):
                lock(leases_on(connection)).take()
        else:
            held = lock(leases_on(connection))
            held.take()
            held.give_back()


@pytest.mark.parametrize("where", ["the folder", "above it"])
def test_no_link_leads_to_the_folder(
    connection: Guard, folder: Path, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "elsewhere").mkdir()
    link = folder if where == "the folder" else tmp_path / "above"
    link.symlink_to(tmp_path / "elsewhere")
    if where != "the folder":
        monkeypatch.setenv(FOLDER_VARIABLE, str(link / "lease"))
    with pytest.raises(CallFailed, match=f"{link} is unusable: it is a symbolic link"):
        lock(leases_on(connection)).take()
    assert list((tmp_path / "elsewhere").iterdir()) == []


ATTACK = """
import os, sys, time
folder, victim = sys.argv[1:]
print('begun', flush=True)
def quietly(do, *what):
    try: do(*what)
    except OSError: pass
while True:
    for parent, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if name.startswith('.gone') or parent.count('/') > folder.count('/') + 1: continue
            path = f'{parent}/{name}'
            quietly(os.rename, path, f'{parent}/.gone{os.urandom(4).hex()}')
            quietly(os.symlink, victim, path)
            quietly(os.unlink, path)
            quietly(os.mkdir, path)
            quietly(os.symlink, f'{victim}/shadow', f'{path}/lease.json')
    time.sleep(0.001)
"""


@ROOT_ONLY
@pytest.mark.parametrize("owned", [True, False])
def test_an_attacker_who_never_rests_overwrites_nothing_of_root_s(folder: Path, *, owned: bool) -> None:
    victim = folder.parent / "victim"
    victim.mkdir(mode=0o700)
    for name in ("shadow", "lease.json"):
        (victim / name).write_bytes(b"root's")
        (victim / name).chmod(0o600)
    folder.mkdir()
    folder.chmod(0o1777)
    if owned:
        os.chown(folder, NOBODY, NOBODY)
    python = shutil.which("python3", path="/usr/bin:/usr/local/bin") or sys.executable
    attacker = subprocess.Popen(
        [python, "-I", "-c", ATTACK, str(folder), str(victim)],
        user=NOBODY, group=NOBODY, extra_groups=[], stdout=subprocess.PIPE, cwd="/",
    )  # fmt: skip
    taken = refused = 0
    try:
        assert attacker.stdout is not None
        assert attacker.stdout.readline() == b"begun\n"
        for number in range(10):
            held = lock(leases_on(connect({"ansible_connection": "local"})), f"run{number}")
            try:
                held.take()
                held.give_back()
                taken += 1
            except CallFailed:
                refused += 1
    finally:
        attacker.kill()
        attacker.communicate()
    assert (taken, refused) == ((0, 10) if owned else (10, 0))
    assert {path.name: path.read_bytes() for path in victim.iterdir()} == {"shadow": b"root's", "lease.json": b"root's"}


@ROOT_ONLY
def test_files_that_another_user_adds_to_the_leases_delay_no_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Without a name: folders that look like lease folders, with odd entries, and one with a name that prints lines."""
    monkeypatch.delenv(FOLDER_VARIABLE, raising=False)
    tmp_path.chmod(0o1777)
    as_nobody(
        "import json, os, sys\n"
        "def folder(name):\n"
        "    os.makedirs(f'{sys.argv[1]}/{name}/1'); return f'{sys.argv[1]}/{name}/1/lease.json'\n"
        "os.mkfifo(folder('remediation-lease.fifo'))\n"
        "os.symlink('/etc/shadow', folder('remediation-lease.link'))\n"
        "open(folder('remediation-lease.deep'), 'w').write('[' * 4000)\n"
        "open(folder('remediation-lease.ever'), 'w').write(json.dumps({'id': 'a', 'owner': 'b', 'purpose': 'c', 'expires': 99999999999}))\n"
        "folder('remediation-lease.x\\nown\\t/etc\\t\\nentry\\t77\\t')\n"
        "os.symlink('/root', f'{sys.argv[1]}/remediation-lease.root')\n"
        "open(f'{sys.argv[1]}/remediation-lease.file', 'w').close()\n",
        str(tmp_path),
    )
    store = leases_on(Elsewhere(connect({"ansible_connection": "local"}), tmp_path))  # type: ignore[arg-type]  # a connection
    held = lock(store)
    held.take()
    assert Path(store.folder).parent == tmp_path
    assert [path.name for path in Path(store.folder).iterdir()] == ["1"]
    assert Path(store.folder).stat().st_uid == 0
    held.give_back()


# --- Windows


class WindowsHost:
    """A Windows host with one lease directory, in which something lies."""

    platform, host, round_trips = "windows", "box", 0

    def __init__(self, content: Reply, *, names: Sequence[str] = ("1",), made: bool | None = None) -> None:
        self._content, self._names, self._made = content, list(names), made

    def exchange(self, calls: Sequence[Call]) -> list[Reply]:
        return [self._one(call) for call in calls]

    def close(self) -> None:
        """Nothing is open."""

    def _one(self, call: Call) -> Reply:
        if isinstance(call, ReadFile):
            return self._content
        assert isinstance(call, Probe)
        if call.name == "system":
            return ProbeReply({"Now": 1_700_000_000.0})
        if "make" in call.data:
            return ProbeReply({"Made": self._made, "Problems": {} if self._made is not None else {"Made": "Access is denied."}})
        return ProbeReply({"Names": self._names, "Problems": {}})


@pytest.mark.parametrize("what", [name for name, (content, _) in WRONG.items() if content not in {"link", "fifo", "folder"}])
def test_what_is_no_lease_is_the_same_error_on_windows(what: str) -> None:
    content, message = WRONG[what]
    reply = FileContent(content.encode()[:4096], truncated=len(content) > 4096)
    with pytest.raises(CallFailed) as refused:
        leases_on(WindowsHost(reply)).newest()
    assert message in refused.value.message
    assert r"C:\ProgramData\remediation\lease\1\lease.json" in refused.value.message
    assert r'rmdir /s /q "C:\ProgramData\remediation\lease\1"' in refused.value.next_step


def test_a_lease_that_windows_does_not_open_is_an_error() -> None:
    with pytest.raises(CallFailed, match=r"lease\.json cannot be read \(access denied\)"):
        leases_on(WindowsHost(Failed("denied", "access denied"))).newest()
    assert leases_on(WindowsHost(Failed("not-found", "there is none"))).newest().lease is None


def test_a_lost_race_differs_from_a_folder_without_rights_on_windows() -> None:
    content = FileContent(json.dumps(GOOD).encode())
    assert leases_on(WindowsHost(content, made=True)).make(2) is True
    assert leases_on(WindowsHost(content, made=False)).make(2) is False
    with pytest.raises(CallFailed, match=r"cannot take a lease: Access is denied\."):
        leases_on(WindowsHost(content)).make(2)


@pytest.mark.parametrize("name", ["9" * 30, "007", "x", "٣"])
def test_other_names_are_no_leases_on_windows(name: str) -> None:
    assert leases_on(WindowsHost(FileContent(missing=True), names=[name])).newest().number == 0
