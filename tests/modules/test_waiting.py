"""``wait_for`` of ports, and the numbers that actions which wait accept."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from remediation.inventory.load import load_inventory
from remediation.model.errors import InputError
from remediation.playbook.load import load_playbook
from tests.modules.local import INVENTORY, run_tasks


@pytest.fixture
def port() -> Iterator[int]:
    """A server that greets each connection in two parts, as an SSH server does, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    peer, _ = server.accept()
                except OSError:
                    return
                with peer:
                    for part in (b"SSH-2.0-Open", b"SSH_9.2\r\n"):
                        peer.sendall(part)

        threading.Thread(target=serve, daemon=True).start()
        yield int(server.getsockname()[1])
        server.shutdown(socket.SHUT_RDWR)


def test_a_port_is_ready_once_it_sends_the_text(tmp_path: Path, port: int) -> None:
    tasks = [
        {"name": text, "wait_for": {"port": port, "search_regex": text, "timeout": wait, "sleep": 0.1}, "ignore_errors": True}
        for text, wait in (("OpenSSH_9", 60), ("Dropbear", 0))
    ]
    ran = run_tasks(tmp_path, tasks)
    assert ran.outcomes() == {"OpenSSH_9": "ok", "Dropbear": "failed"}
    assert ran.result("Dropbear")["msg"] == f"Timeout when waiting for search string Dropbear in 127.0.0.1:{port}"


def test_a_name_that_no_host_can_have_is_not_there(tmp_path: Path) -> None:
    tasks = [
        {"name": state, "wait_for": {"host": "a..b", "port": 80, "state": state, "timeout": 0}, "ignore_errors": True}
        for state in ("started", "stopped")
    ]
    assert run_tasks(tmp_path, tasks).outcomes() == {"started": "failed", "stopped": "ok"}


def refused(folder: Path, task: str) -> str:
    (folder / "inv.yml").write_text(INVENTORY, "utf-8")
    (folder / "site.yml").write_text(f"- hosts: all\n  tasks:\n    - {task}\n", "utf-8")
    with pytest.raises(InputError) as caught:
        load_playbook(folder / "site.yml", load_inventory([folder / "inv.yml"]))
    return str(caught.value)


@pytest.mark.parametrize(
    ("task", "said"),
    [
        ("wait_for: {port: 65536}", "site.yml:3:24: wait_for: port: input should be less than or equal to 65535"),
        ("wait_for: {timeout: -1}", "wait_for: timeout: input should be greater than or equal to 0"),
        ("wait_for: {port: 1, connect_timeout: -1}", "connect_timeout: input should be greater than or equal to 0"),
        ("wait_for: {sleep: .nan}", "wait_for: sleep: input should be"),
        ("pause: {seconds: .inf}", "inf is not a number of seconds"),
        ("pause: {minutes: 1.0e+300}", "pause: minutes: input should be less than"),
        ("wait_for_connection: {delay: -2}", "wait_for_connection: delay: input should be greater than or equal to 0"),
        ("reboot: {reboot_timeout: .inf}", "reboot: reboot_timeout: input should be"),
        ("uri: {url: http://gpu/, timeout: -1}", "uri: timeout: input should be greater than or equal to 0"),
        ("{ping: , timeout: .nan}", "timeout: expected a number, got nan"),
        ("{ping: , delay: .inf, until: true}", "delay: expected a number, got inf"),
        ("{ping: , retries: .inf, until: true}", "retries: expected a whole number, got inf"),
    ],
)
def test_a_number_that_no_clock_can_wait_for_is_refused(tmp_path: Path, task: str, said: str) -> None:
    assert said in refused(tmp_path, task)


@pytest.mark.parametrize(
    ("keywords", "said"),
    [
        ({"timeout": "{{ -1 }}"}, "a time limit must be 0 or more seconds, got -1"),
        ({"async": -5, "poll": 1}, "a time limit must be 0 or more seconds, got -5"),
        ({"async": -5, "poll": 0}, "a time limit must be 0 or more seconds, got -5"),
        ({"retries": "{{ '1e400' | float }}", "until": True}, "expected a number, got inf"),
        ({"timeout": "{{ 10 ** 400 }}"}, "expected a number, got 1000"),
    ],
)
def test_a_limit_that_cannot_be_fails_its_task_before_the_command_runs(
    tmp_path: Path, keywords: dict[str, object], said: str
) -> None:
    ran = run_tasks(tmp_path, [{"command": f"touch {tmp_path}/ran", "ignore_errors": True, **keywords}])
    assert said in ran.result("command")["msg"]
    assert not (tmp_path / "ran").exists()


def test_modules_that_only_wait_or_return_values(tmp_path: Path) -> None:
    tasks = [
        {"name": "here", "wait_for_connection": {"timeout": 5}},
        {"name": "checked", "wait_for_connection": {"timeout": 5}, "check_mode": True},
        {"name": "stats", "set_stats": {"data": {"cards": 2}, "per_host": True}},
        {"name": "name", "set_stats": {"data": {"no name": 2}}},
        {"name": "reboot", "reboot": {}, "risk": "disruptive"},
    ]
    ran = run_tasks(tmp_path, [{**task, "ignore_errors": True} for task in tasks])
    assert ran.outcomes() == {"here": "ok", "checked": "skipped", "stats": "ok", "name": "failed", "reboot": "failed"}
    assert ran.result("stats")["ansible_stats"] == {"data": {"cards": 2}, "per_host": True, "aggregate": True}
    assert ran.result("name")["msg"] == "Invalid variable name 'no name'."
    assert ran.result("reboot")["msg"] == "Running reboot with local connection would reboot the control node."
