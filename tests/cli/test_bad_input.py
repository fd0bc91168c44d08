"""Whatever a user can get wrong: one sentence with its place and what to do next, the right exit code, no traceback."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from tests.cli.started import Remediate, Started


def refused(done: Started, code: int, *wanted: str) -> None:
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert "Traceback" not in text
    for words in wanted:
        assert words in " ".join(text.split())


@pytest.fixture
def inventory(tmp_path: Path) -> Path:
    path = tmp_path / "inventory" / "mine.yml"
    path.parent.mkdir()
    path.write_text("gpu:\n  hosts:\n    here: { ansible_connection: local }\n", encoding="utf-8")
    return path


def playbook(tmp_path: Path, text: str) -> str:
    path = tmp_path / "site.yml"
    path.write_text(text, encoding="utf-8")
    return "site.yml"


HEAD = "- hosts: all\n  tasks:\n"


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        (HEAD + "    - vram.fre: {}\n", ("site.yml:3", "vram.fre", "did you mean 'vram.free'")),
        (HEAD + "    - vram.free: { wants: 4 GiB }\n", ("site.yml:3", "'wants'", "did you mean 'want'")),
        (HEAD + "    - vram.free: { want: lots }\n", ("site.yml:3", "want")),
        (HEAD + "    - name: x\n      debug: { msg: hi }\n      wen: true\n", ("site.yml:5", "'wen'", "did you mean 'when'")),
        ("- host: all\n  tasks: []\n", ("site.yml:1", "'host'", "did you mean 'hosts'")),
        ("- hosts: all\n  tasks:\n\t- debug: {}\n", ("site.yml:3", "tab")),
        ("hosts: all\n", ("site.yml:1", "list of plays")),
        ("", ("site.yml",)),
    ],
)
def test_a_mistake_in_a_playbook(
    remediate: Remediate, inventory: Path, tmp_path: Path, text: str, wanted: tuple[str, ...]
) -> None:
    refused(remediate("play", playbook(tmp_path, text), "-i", str(inventory)), 1, *wanted)


@pytest.mark.parametrize(
    ("words", "wanted"),
    [
        (("fix-ofload",), ("'fix-ofload'", "did you mean 'fix-offload'")),
        (("fix-offload", "--chek"), ("--chek", "did you mean --check")),
        (("fix-offload", "--max-risk", "huge"), ("huge", "disruptive")),
        (("fix-offload", "--inventory", "nowhere.yml"), ("nowhere.yml",)),
        (("fix-offload", "--limit", "nobody"), ("nobody",)),
        (("fix-offload", "--out", "plan.json"), ("--check",)),
        (("fix-offload", "--report", "page.doc"), (".html",)),
        (("fix-offload", "--forks", "none"), ("--forks",)),
        (("play", "nothing"), ("nothing", "fix-offload")),
        (("steps", "--name", "vram.fre"), ("vram.free",)),
        (("show", "zzzz"), ("zzzz", "history")),
        (("apply", "missing.json"), ("missing.json",)),
        (("fix-offload", "-e", "novalue"), ("NAME=VALUE",)),
    ],
)
def test_a_mistake_on_the_command_line(remediate: Remediate, words: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    refused(remediate(*words), 1, *wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "holds no host"),
        ("gpu:\n  hots:\n    a:\n", "did you mean 'hosts'"),
        ("gpu:\n  hosts:\n    a: 1\n", "mine.yml:3"),
        ("gpu: {\n", "no YAML"),
        ("gpu:\n  vars: { ansible_connection: winrm }\n  hosts:\n    dev-13:\n", "dev-13 has connection winrm but no user"),
        ("gpu:\n  hosts:\n    a: { ansible_connection: carrier-pigeon }\n", "carrier-pigeon"),
    ],
)
def test_a_mistake_in_an_inventory(remediate: Remediate, inventory: Path, text: str, wanted: str) -> None:
    inventory.write_text(text, encoding="utf-8")
    done = remediate("fix-offload", "-i", str(inventory))
    refused(done, 1, wanted)


def test_an_inventory_that_is_no_text(remediate: Remediate, inventory: Path) -> None:
    inventory.write_bytes(b"gpu:\n  hosts:\n    \xff\xfe:\n")
    refused(remediate("fix-offload", "-i", str(inventory)), 1, "not UTF-8")


def windows_at(inventory: Path, port: int, *, user: str = "ops") -> str:
    inventory.write_text(
        "gpu:\n  hosts:\n    dev-1:\n      ansible_host: 127.0.0.1\n"
        f"      ansible_port: {port}\n      ansible_connection: winrm\n      ansible_winrm_scheme: http\n"
        f"      ansible_user: {user}\n      ansible_password: wrong-secret-77\n",
        encoding="utf-8",
    )
    return str(inventory)


def test_a_host_that_is_down(remediate: Remediate, inventory: Path) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    refused(remediate("fix-offload", "-i", windows_at(inventory, port)), 3, "dev-1", str(port))


def test_a_wrong_password_is_tried_once_and_stands_nowhere(remediate: Remediate, inventory: Path, tmp_path: Path) -> None:
    remediate("lab.start")
    (described,) = (tmp_path / "state").rglob("lab.json")
    host = json.loads(described.read_text(encoding="utf-8"))["hosts"][0]
    text = Path(windows_at(inventory, host["port"])).read_text(encoding="utf-8").replace("127.0.0.1", host["address"])
    inventory.write_text(text, encoding="utf-8")
    try:
        done = remediate("fix-offload", "-i", str(inventory))
    finally:
        remediate("lab.stop")
    refused(done, 3, "dev-1")
    assert "wrong-secret-77" not in done.stdout + done.stderr


def test_a_port_where_something_else_answers(remediate: Remediate, inventory: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def greet() -> None:
            while True:
                try:
                    client, _ = server.accept()
                except OSError:
                    return
                with client:
                    client.sendall(b"220 mail.example ESMTP\r\n")

        threading.Thread(target=greet, daemon=True).start()
        done = remediate("fix-offload", "-i", windows_at(inventory, server.getsockname()[1]))
    refused(done, 3, "dev-1")


def test_an_ollama_that_does_not_answer(remediate: Remediate) -> None:
    done = remediate("fix-offload", "-e", "endpoint=http://127.0.0.1:9", DOCKER_HOST="unix:///nowhere/docker.sock")
    refused(done, 2, "127.0.0.1:9", "next:")
