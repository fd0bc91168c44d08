"""``watch`` on the lab: a fault is repaired, and one that comes back at once is reported instead."""

from __future__ import annotations

import json
from pathlib import Path

from tests.cli.started import Remediate
from tests.cli.watch.receiving import receiver

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
        assert (remediate(*words).stdout, len(received.posts)) == ("", 1)  # healthy: nothing is told
        remediate("lab.fault", "laptop-07", "num-gpu-1")
        second = remediate(*words)
        assert second.returncode == 2
        (flapping,) = [json.loads(line) for line in second.stdout.splitlines()]
        assert flapping["event"] == "flapping"
        assert f"after a repair (run {events[1]['run']})" in flapping["text"]
        assert remediate(*words).stdout == ""  # told once
        assert [body["event"] for _, body in received.posts] == ["repaired", "flapping"]
    status = json.loads(remediate("lab.status", "--json").stdout)
    assert status["laptop-07"]["writes"] == {}
    assert "T0KEN" not in "".join(
        path.read_text("utf-8", "replace") for path in (tmp_path / "state").rglob("*") if path.is_file()
    )


def test_an_unreachable_host_is_told_once(remediate: Remediate, tmp_path: Path) -> None:
    hosts = "all: {hosts: {gone: {ansible_host: 127.0.0.1, ansible_port: 1, ansible_user: x}}}\n"
    (tmp_path / "fleet.yml").write_text(hosts, encoding="utf-8")
    words = ("watch", "--inventory", "fleet.yml", "--once", "--json")
    first, second = remediate(*words), remediate(*words)
    assert (first.returncode, second.returncode) == (3, 3)
    assert json.loads(first.stdout)["event"] == "unreachable"
    assert second.stdout == ""
