"""The keywords ``become`` and ``become_user`` on plays, blocks and tasks: what such a task asks of its host is run by sudo."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Remediate, Started
from tests.connections.sshd import Sshd, sshd
from tests.support.requirements import need_program

PASSWORD = "pw é 4711"
ROOT_ONLY = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="becoming another user without a password takes root"
)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        yield running


def write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value), "utf-8")
    return str(path)


def inventory(path: Path, variables: dict[str, object]) -> str:
    return write(path, {"all": {"hosts": {"box": variables}}})


def who(name: str, **keywords: object) -> dict[str, object]:
    return {"name": name, "command": "id -un", "changed_when": False, **keywords}


def results(done: Started) -> dict[str, Any]:
    events = [json.loads(line) for line in done.stdout.splitlines()]
    return {event["task"]: event for event in events if event["event"] == "task_result"}


def users(done: Started) -> dict[str, str]:
    return {task: event["result"].get("stdout", event["msg"]) for task, event in results(done).items()}


@ROOT_ONLY
def test_the_innermost_keyword_decides_and_a_step_obeys_too(remediate: Remediate, server: Sshd, tmp_path: Path) -> None:
    need_program("sudo", "sudo")
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    (folder / ".env").write_text("OTHER=1\n", "utf-8")
    (folder / ".env").chmod(0o666)
    for each in (tmp_path, *tmp_path.parents):
        if str(each).startswith("/tmp/pytest"):
            each.chmod(0o755)
    tmp_path.chmod(0o777)  # the leases lie there
    nobody = {"become": True, "become_user": "nobody"}
    setting = {"path": str(folder / ".env"), "set": {"MODE": "test"}}
    play = {
        "hosts": "box", **nobody,
        "tasks": [
            who("by the play"), who("not by the task", become=False), who("another one", become_user="daemon"),
            {"become": False, "block": [who("not by the block"), who("back again", become=True)]},
            {"name": "a step", "env_file.set": setting},
            who("a template", become="{{ 1 == 1 }}", become_user="{{ 'no' + 'body' }}"),
        ],
    }  # fmt: skip
    hosts = inventory(tmp_path / "hosts.json", server.variables())
    done = remediate("play", write(tmp_path / "play.yml", [play]), "-i", hosts, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    found = users(done)
    found.pop("a step")
    assert found == {
        "by the play": "nobody", "not by the task": server.user, "another one": "daemon", "not by the block": server.user, "back again": "nobody",
        "a template": "nobody",
    }  # fmt: skip
    number = subprocess.run(["id", "-u", "nobody"], capture_output=True, check=True, text=True).stdout
    assert (folder / ".env").stat().st_uid == int(number)
    assert "MODE=test" in (folder / ".env").read_text("utf-8")
    assert not list(folder.glob("*.remediation-part"))


@ROOT_ONLY
def test_a_variable_counts_more_than_a_keyword(remediate: Remediate, server: Sshd, tmp_path: Path) -> None:
    need_program("sudo", "sudo")
    tasks = [who("one", become=False), who("two", become=True, become_user="daemon")]
    play = write(tmp_path / "play.yml", [{"hosts": "box", "tasks": tasks}])
    hosts = inventory(tmp_path / "hosts.json", server.variables(ansible_become=True, ansible_become_user="nobody"))
    done = remediate("play", play, "-i", hosts, "--json")
    assert users(done) == {"one": "nobody", "two": "nobody"}, done.stdout
    hosts = inventory(tmp_path / "hosts.json", server.variables(ansible_become=False))
    assert users(remediate("play", play, "-i", hosts, "--json"))["two"] == server.user


def test_the_password_goes_to_sudo_s_input_and_nowhere_else(remediate: Remediate, tmp_path: Path) -> None:
    folder = tmp_path / "bin"
    folder.mkdir()
    (folder / "sudo").write_text(
        f"#!{sys.executable} -I\nimport os, sys\nline = b''\n"
        "while not line.endswith(b'\\n'): line += os.read(0, 1)\n"
        f"if line != {PASSWORD.encode()!r} + b'\\n': sys.exit('sudo: 1 incorrect password attempt')\n"
        "os.environ['BECAME'] = 'yes'\n"
        "os.execvp(sys.argv[sys.argv.index('--') + 1], sys.argv[sys.argv.index('--') + 1:])\n",
        "utf-8",
    )
    (folder / "sudo").chmod(0o755)
    tasks = [
        {"name": name, "command": "sh -c 'echo $BECAME; cat; ps -eo args'", "args": {"stdin": "mine"}, **keywords}
        for name, keywords in (("plain", {}), ("raised", {"become": True}))
    ]
    play = write(tmp_path / "play.yml", [{"hosts": "box", "tasks": tasks}])
    variables: dict[str, object] = {"ansible_connection": "local", "ansible_become_password": "{{ lookup('env', 'BECOME') }}"}
    hosts = inventory(tmp_path / "hosts.json", variables)
    path = f"{folder}:{os.environ['PATH']}"
    done = remediate("play", play, "-i", hosts, "--json", PATH=path, BECOME=PASSWORD)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = {task: said.split("\n")[:2] for task, said in users(done).items()}
    assert lines == {"plain": ["", "mine"], "raised": ["yes", "mine"]}
    written = [path.read_text("utf-8", "replace") for path in (tmp_path / "state").rglob("*") if path.is_file()]
    assert [text for text in [done.stdout, done.stderr, *written] if PASSWORD in text] == []
    refused = remediate("play", play, "-i", hosts, "--json", PATH=path, BECOME="wrong")
    assert refused.returncode == 2
    assert "sudo refused: sudo: 1 incorrect password attempt" in results(refused)["raised"]["msg"]


def test_windows_has_no_sudo_and_says_so(remediate: Remediate, tmp_path: Path) -> None:
    tasks = [{"name": "a step", "become": True, "model.loaded": {}}, who("a command", become=True)]
    play = write(tmp_path / "play.yml", [{"hosts": "all", "tasks": [{**task, "ignore_errors": True} for task in tasks]}])
    done = remediate("play", play, "-i", "lab", "--json")
    assert {task: event["outcome"] for task, event in results(done).items()} == {"a step": "blocked", "a command": "blocked"}
    assert all("become is not supported on Windows" in event["msg"] for event in results(done).values())


@pytest.mark.parametrize(
    ("keywords", "advice"),
    [
        ({"become": True}, "install sudo on the host, or run the task without become"),
        ({}, "install no-such-program on the host, or correct its name"),
        ({"args": {"chdir": "/no/such/folder"}}, "create that folder on the host, or correct chdir"),
    ],
)
def test_the_advice_names_what_is_missing(remediate: Remediate, tmp_path: Path, keywords: dict[str, object], advice: str) -> None:
    (tmp_path / "empty").mkdir()
    play = write(tmp_path / "play.yml", [{"hosts": "box", "tasks": [{"command": "no-such-program", **keywords}]}])
    hosts = inventory(tmp_path / "hosts.json", {"ansible_connection": "local"})
    done = remediate("play", play, "-i", hosts, PATH=str(tmp_path / "empty"))
    assert done.returncode == 2
    assert f"next: {advice}" in " ".join(done.stdout.split())
