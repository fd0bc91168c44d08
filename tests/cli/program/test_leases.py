"""Leases as a user meets them: two names of one machine, and a lease folder that cannot be used."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.processes import Remediate
from tests.connections.sshd import Sshd, sshd

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the hosts are POSIX hosts")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Sshd]:
    with sshd(tmp_path / "sshd") as running:
        known = running.known_hosts.read_text("utf-8")
        running.known_hosts.write_text(known + known.replace("[127.0.0.1]", "[localhost]"), "utf-8")
        yield running


def write(path: Path, value: object) -> str:
    path.write_text(json.dumps(value), "utf-8")
    return str(path)


@pytest.mark.parametrize("forks", ["1", "2"])
def test_two_names_of_one_machine_share_its_lease(remediate: Remediate, server: Sshd, tmp_path: Path, forks: str) -> None:
    hosts = {"by-address": server.variables(), "by-name": server.variables(ansible_host="localhost")}
    inventory = write(tmp_path / "hosts.json", {"all": {"hosts": hosts}})
    tasks = [{"name": name, "command": f"ls -1 {tmp_path}/lease", "risk": "disruptive"} for name in ("first", "second")]
    play = write(tmp_path / "play.yml", [{"hosts": "all", "tasks": tasks}])
    done = remediate("play", play, "-i", inventory, "--max-risk", "disruptive", "--forks", forks, "--json")
    assert done.returncode == 0, done.stdout + done.stderr
    events = [json.loads(line) for line in done.stdout.splitlines()]
    said = [event["result"]["stdout"] for event in events if event["event"] == "task_result"]
    assert said == ["1"] * 4
    assert not [event for event in events if event["event"] == "note" and "lease" in str(event)]


@pytest.mark.parametrize("kind", ["fifo", "endless"])
def test_a_lease_that_is_none_ends_the_run_with_its_path_and_the_remedy(remediate: Remediate, tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lease" / "1" / "lease.json"
    path.parent.mkdir(parents=True)
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.write_text(json.dumps({"id": "a", "owner": "b", "purpose": "c", "expires": 99_999_999_999}), "utf-8")
    inventory = write(tmp_path / "hosts.json", {"all": {"hosts": {"here": {"ansible_connection": "local"}}}})
    play = write(tmp_path / "play.yml", [{"hosts": "all", "tasks": [{"command": "true", "risk": "disruptive"}]}])
    done = remediate("play", play, "-i", inventory, "--max-risk", "disruptive", "--wait", "1h", COLUMNS="400")
    assert done.returncode == 2
    said = "".join(done.stdout.split())  # a long path is broken where the line ends
    assert str(path) in said
    assert f"rm-rf--{path.parent}" in said
    assert "Traceback" not in done.stdout + done.stderr
