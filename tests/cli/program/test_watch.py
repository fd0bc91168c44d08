"""``watch`` on the lab: a fault is repaired, and one that comes back at once is reported instead."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.processes import Remediate
from tests.cli.watch.webhook_receiver import receiver

LAB = ("--inventory", "lab")


def test_a_fault_is_repaired_once_and_then_reported(remediate: Remediate, tmp_path: Path) -> None:
    remediate("lab.start")
    remediate("lab.fault", "laptop-07", "num-gpu-1")
    with receiver() as received:
        words = ("watch", *LAB, "--once", "--json", "--notify", f"{received.url}/T0KEN")
        first = remediate(*words)
        assert first.returncode == 0, first.stdout + first.stderr
        events = [json.loads(line) for line in first.stdout.splitlines()]
        assert [(event["event"], event["cause"]) for event in events] == [
            ("repairing", "explicit_num_gpu"),
            ("repaired", "explicit_num_gpu"),
        ]
        assert (remediate(*words).stdout, len(received.posts)) == ("", 1)  # healthy: no event
        remediate("lab.fault", "laptop-07", "num-gpu-1")
        second = remediate(*words)
        assert second.returncode == 2
        (flapping,) = [json.loads(line) for line in second.stdout.splitlines()]
        assert flapping["event"] == "flapping"
        assert f"after a repair (run {events[1]['run']})" in flapping["text"]
        assert remediate(*words).stdout == ""  # reported once
        assert [body["event"] for _, body in received.posts] == ["repaired", "flapping"]
    status = json.loads(remediate("lab.status", "--json").stdout)
    assert status["laptop-07"]["writes"] == {}
    assert "T0KEN" not in "".join(
        path.read_text("utf-8", "replace") for path in (tmp_path / "state").rglob("*") if path.is_file()
    )


@pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")
def test_a_signal_during_a_repair_ends_the_watch_after_the_change_in_flight(
    remediate: Remediate, tmp_path: Path, environment: dict[str, str]
) -> None:
    remediate("lab.start")
    remediate("lab.fault", "laptop-07", "num-gpu-1")
    command = [sys.executable, "-m", "remediation.cli.main", "watch", *LAB, "--every", "5s", "--json"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["event"] == "repairing"
    while not any('"change_start"' in path.read_text("utf-8") for path in (tmp_path / "state").rglob("events.jsonl")):
        assert process.poll() is None
    process.send_signal(signal.SIGTERM)
    rest, said = process.communicate(timeout=60)
    assert (process.returncode, "Traceback" in said) == (130, False), said
    (event,) = [json.loads(line) for line in rest.splitlines()]
    assert "interrupted" in event["text"]
    assert f"remediate resume {event['run']}" in said


def test_an_unreachable_host_is_told_once(remediate: Remediate, tmp_path: Path) -> None:
    hosts = "all: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_user: x}}}\n"
    (tmp_path / "fleet.yml").write_text(hosts, encoding="utf-8")
    words = ("watch", "--inventory", "fleet.yml", "--once", "--json")
    first, second = remediate(*words), remediate(*words)
    assert (first.returncode, second.returncode) == (3, 3)
    assert json.loads(first.stdout)["event"] == "unreachable"
    assert second.stdout == ""
