"""Each mistake a user can make: one sentence with its place and what to do next, the right exit code, no traceback."""

from __future__ import annotations

import json
import socket
import threading
from pathlib import Path

import pytest

from remediation_lab.free_ports import free_port
from tests.cli.processes import Remediate, Started


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
        (
            "- hosts: all\n  roles: [common]\n",
            ("site.yml:2", "there is no role 'common'", "searched in roles"),
        ),
        (
            HEAD + "    - ansible.builtin.apt: {name: x}\n",
            ("site.yml:3", "is an Ansible module", "packages are not managed here"),
        ),
        (HEAD + "    - unarchive: {src: x}\n", ("site.yml:3", "unarchive is an Ansible module", "tar or unzip")),
        (HEAD + "    - win_feature: {name: x}\n", ("site.yml:3", "win_feature is an Ansible module", "win_shell")),
        (HEAD + "    - microsoft.ad.user: {name: x}\n", ("site.yml:3", "ActiveDirectory module")),
        (HEAD + "    - community.x.y: {}\n", ("site.yml:3", "this collection's modules are not here")),
        (HEAD + "    - stat: {path: /a}\n      async: 5\n      poll: 0\n", ("site.yml:5", "poll")),
        (HEAD + "    - debug:\n        msg: {{ x }}\n", ("site.yml:4", 'needs quotes: msg: "{{ x }}"')),
        (HEAD + "    - debug: {msg: m, var: v}\n", ("site.yml:3", "msg and var are mutually exclusive")),
        (HEAD + "    - include_tasks: {file: a.yml, apply: {wen: x}}\n", ("site.yml:3", "'wen'", "did you mean 'when'")),
        (HEAD + "    - include_tasks: {file: a.yml, apply: '{{ x }}'}\n", ("site.yml:3", "apply")),
        (HEAD + "    - import_tasks: site.yml\n", ("site.yml:3", "site.yml")),
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
        (("fix-offload", "--limit", "unknown"), ("unknown",)),
        (("fix-offload", "--out", "plan.json"), ("--check",)),
        (("fix-offload", "--report", "page.doc"), (".html",)),
        (("fix-offload", "--forks", "none"), ("--forks",)),
        (("play", "nothing"), ("nothing", "fix-offload")),
        (("steps", "--name", "vram.fre"), ("vram.free",)),
        (("show", "zzzz"), ("zzzz", "history")),
        (("lab.fault", "laptop-07"), ("needs HOST FAULT", "such as: remediate lab.fault laptop-07")),
        (("apply", "missing.json"), ("missing.json",)),
        (("fix-offload", "-e", "novalue"), ("NAME=VALUE",)),
        (("play", "free-vram", "--tags", "nosuch"), ("--tags", "'nosuch'", "no task in it has a tag")),
        (("fix-offload", "--yes-destroy", "lokalhost"), ("--yes-destroy", "'lokalhost'", "did you mean 'localhost'")),
        (("play", "free-vram", "--yes-destroy", "model.repulled"), ("no host 'model.repulled'", "remediate hosts")),
        (("fix-offload", "--vault-password-file", "nofile"), ("there is no file 'nofile'",)),
        (("hosts", "--vault-password-file", "ops@nofile"), ("there is no file 'nofile'",)),
        (("lint", "fix-offload", "-i", "local", "--vault-password-file", "."), ("'.' is a folder",)),
    ],
)
def test_a_mistake_on_the_command_line(remediate: Remediate, words: tuple[str, ...], wanted: tuple[str, ...]) -> None:
    refused(remediate(*words), 1, *wanted)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", "has no hosts"),
        ("gpu:\n  hots:\n    a:\n", "did you mean 'hosts'"),
        ("gpu:\n  hosts:\n    a: 1\n", "mine.yml:3"),
        ("gpu: {\n", "invalid YAML"),
        ("gpu:\n  vars: { ansible_connection: winrm }\n  hosts:\n    dev-13:\n", "dev-13 uses connection winrm but has no user"),
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
    port = free_port()
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


@pytest.mark.parametrize("name", ["roles", "zzz", "qqqqqq", "stat"])
def test_no_hint_is_given_where_nothing_is_near(remediate: Remediate, inventory: Path, tmp_path: Path, name: str) -> None:
    done = remediate("lint", playbook(tmp_path, HEAD + f"    - {name}: {{}}\n"), "-i", str(inventory))
    refused(done, 1, "site.yml:3", name)
    assert "did you mean" not in done.stderr


def test_an_undefined_name_offers_the_nearest_one(remediate: Remediate, inventory: Path, tmp_path: Path) -> None:
    text = "- hosts: all\n  vars: {model_name: m}\n  tasks:\n    - debug: {msg: '{{ model_nam }}'}\n"
    refused(
        remediate("play", playbook(tmp_path, text), "-i", str(inventory)),
        2,
        "'model_nam' is undefined",
        "did you mean 'model_name'?",
    )


def test_what_debug_prints_is_shown(remediate: Remediate, inventory: Path, tmp_path: Path) -> None:
    text = HEAD + "    - debug: {msg: hello}\n    - name: all\n      debug: {msg: '{{ item }}'}\n      loop: [one, [2]]\n"
    text += "    - debug: {msg: quiet, verbosity: 1}\n    - debug: {msg: hidden}\n      no_log: true\n"
    done = remediate("play", playbook(tmp_path, text), "-i", str(inventory))
    assert done.returncode == 0
    assert [row.strip() for row in done.stdout.splitlines()][:4] == ["here", "· debug: hello", "· all: one", "· all: [2]"]
    assert "quiet" not in done.stdout
    assert "hidden\n" not in done.stdout
    assert "quiet" in remediate("play", "site.yml", "-i", str(inventory), "-v").stdout


def test_an_unknown_variable_is_a_warning(remediate: Remediate, tmp_path: Path) -> None:
    path = tmp_path / "inv.yml"
    path.write_text(
        "all:\n  vars: {ansible_conection: ssh}\n  hosts: {a: {ansible_connection: local, ansible_foo: 1}}\n", encoding="utf-8"
    )
    wanted = "inv.yml:2:10: the variable 'ansible_conection' is not known; did you mean 'ansible_connection'?"
    for words in (["hosts"], ["play", playbook(tmp_path, HEAD + "    - debug:\n")]):
        done = remediate(*words, "-i", "inv.yml")
        assert done.returncode == 0
        assert wanted in done.stderr
        assert "ansible_foo" not in done.stderr


def test_an_invalid_port_is_an_error_of_the_list_of_hosts(remediate: Remediate, tmp_path: Path) -> None:
    for port in ("fünf", "'" + "9" * 5000 + "'"):
        (tmp_path / "inv.yml").write_text(f"all: {{hosts: {{a: {{ansible_port: {port}}}}}}}\n", encoding="utf-8")
        done = remediate("hosts", "-i", "inv.yml")
        refused(done, 1, "inv.yml:1", "ansible_port is", "not a TCP port")
