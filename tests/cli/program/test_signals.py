"""Ctrl-C, SIGTERM and SIGHUP on real runs: every wait ends at once, leases are given back, and a second Ctrl-C ends the program."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.cli.processes import Remediate

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="signals are sent otherwise there")

LONG = 600
"""Seconds of every wait: who waits for its end runs into the test's own limit."""
WAITS = {
    "until": f"command: 'false'\n      register: r\n      until: r.rc == 0\n      retries: 3\n      delay: {LONG}",
    "delay": f"wait_for: {{delay: {LONG}, timeout: {LONG}}}",
    "wait_for": f"wait_for: {{path: /nowhere, timeout: {LONG}, sleep: {LONG}}}",
    "pause": f"debug: {{msg: here}}\n      loop: [1, 2]\n      loop_control: {{pause: {LONG}}}",
}


class Started:
    """A run of a playbook on hosts that are this machine, and what it says as JSON Lines."""

    def __init__(
        self, folder: Path, environment: dict[str, str], task: str, hosts: int, *words: str, nohup: bool = False
    ) -> None:
        lines = "".join(f"    h{number}: {{ansible_connection: local}}\n" for number in range(hosts))
        (folder / "hosts.yml").write_text(f"all:\n  hosts:\n{lines}", encoding="utf-8")
        (folder / "play.yml").write_text(f"- hosts: all\n  tasks:\n    - {task}\n    - debug: {{msg: never}}\n", encoding="utf-8")
        command = [
            sys.executable,
            "-m",
            "remediation.cli.main",
            "play",
            "play.yml",
            "--inventory",
            "hosts.yml",
            "--json",
            *words,
        ]
        self.process = subprocess.Popen(
            [*(["nohup"] if nohup else []), *command], cwd=folder, env=environment, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )  # fmt: skip
        assert self.process.stdout is not None
        self._lines: Iterator[str] = iter(self.process.stdout)
        self.events: list[dict[str, Any]] = []

    def until(self, kind: str, times: int = 1) -> None:
        """Read on until there were so many events of a kind."""
        while times:
            self.events.append(json.loads(next(self._lines)))
            times -= self.events[-1]["event"] == kind

    def end(self, *signals: signal.Signals) -> str:
        """Send the signals, each once the one before was taken, and return what was said on standard error."""
        assert self.process.stderr is not None
        said = ""
        for number in signals:
            self.process.send_signal(number)
            said += self.process.stderr.readline() + self.process.stderr.readline() if number is signals[0] else ""
        rest, more = self.process.communicate(timeout=60)
        self.events += [json.loads(line) for line in rest.splitlines()]
        return said + more

    def of(self, kind: str) -> list[dict[str, Any]]:
        """Return the events of one kind."""
        return [event for event in self.events if event["event"] == kind]


@pytest.mark.parametrize(
    ("wait", "hosts", "number"),
    [*((wait, hosts, "SIGINT") for wait in WAITS for hosts in (1, 3)), ("until", 3, "SIGTERM"), ("until", 3, "SIGHUP")],
)
def test_the_first_signal_ends_every_wait(
    tmp_path: Path, environment: dict[str, str], wait: str, hosts: int, number: str
) -> None:
    run = Started(tmp_path, environment, WAITS[wait], hosts)
    run.until("task_result" if wait == "pause" else "note" if wait == "until" else "task_start", hosts)
    said = run.end(signal.Signals[number])
    assert run.process.returncode == 130, said
    assert (run.events[-1]["event"], run.events[-1]["exit_code"]) == ("run_end", 130)
    assert "remediate resume" in said
    assert "interrupted" in {end["reason"].split(" after ")[0].split(":")[0] for end in run.of("host_end")}
    assert "debug" not in {event.get("task") for event in run.of("task_result")} or wait == "pause"
    if wait == "until":
        assert {event["reason"] for event in run.of("task_result")} == {"interrupted after 1 try: exit code 1"}
    if wait == "pause":
        assert len(run.of("task_result")) == hosts


@pytest.mark.parametrize("hosts", [1, 3])
def test_the_second_signal_ends_the_program_at_once_with_what_it_started(
    tmp_path: Path, environment: dict[str, str], hosts: int
) -> None:
    number = 1_000_000 + os.getpid()
    run = Started(tmp_path, environment, f"command: sleep {number}\n      risk: disruptive", hosts, "--max-risk", "disruptive")
    run.until("change_start", 1)
    said = run.end(signal.SIGINT, signal.SIGINT)
    assert run.process.returncode == 130, said
    assert said.endswith("interrupted\n")
    assert [line for line in _programs() if str(number) in line] == []
    assert _leases(tmp_path) == [0.0]


@pytest.mark.parametrize("number", ["SIGINT", "SIGTERM", "SIGHUP"])
def test_the_change_in_flight_is_finished_and_the_lease_given_back(
    tmp_path: Path, environment: dict[str, str], remediate: Remediate, number: str
) -> None:
    flag = tmp_path / "go"
    script = f"sh -c 'until test -e {flag}; do sleep 0.05; done; echo done >> {tmp_path}/out'"
    run = Started(tmp_path, environment, f'command: "{script}"\n      risk: disruptive', 1, "--max-risk", "disruptive")
    run.until("change_start")
    run.process.send_signal(signal.Signals[number])
    assert run.process.stderr is not None
    assert run.process.stderr.readline() == "\n"
    flag.touch()
    rest, _ = run.process.communicate(timeout=60)
    run.events += [json.loads(line) for line in rest.splitlines()]
    assert (run.process.returncode, len(run.of("change_end")), _leases(tmp_path)) == (130, 1, [0.0])
    again = remediate("play", "play.yml", "--inventory", "hosts.yml", "--max-risk", "disruptive")
    assert again.returncode == 0, again.stdout + again.stderr


@pytest.mark.parametrize("number", ["SIGTERM", "SIGHUP"])
@pytest.mark.parametrize("hosts", [1, 3])
def test_one_sigterm_or_sighup_ends_a_long_program_after_a_grace(
    tmp_path: Path, environment: dict[str, str], number: str, hosts: int
) -> None:
    length = 2_000_000 + os.getpid()
    run = Started(tmp_path, environment, f"command: sleep {length}\n      risk: disruptive", hosts, "--max-risk", "disruptive")
    run.until("change_start", 1)
    said = run.end(signal.Signals[number])
    assert run.process.returncode == 130, said
    assert [line for line in _programs() if str(length) in line] == []
    assert _leases(tmp_path) == [0.0]


@pytest.mark.parametrize("number", ["SIGTERM", "SIGINT"])
@pytest.mark.parametrize("task", ["diagnose", "check-host", "monitor"])
def test_a_command_that_looks_at_hosts_ends_the_programs_that_it_started_there(
    tmp_path: Path, environment: dict[str, str], task: str, number: str
) -> None:
    length, begun = 3_000_000 + os.getpid(), tmp_path / "begun"
    programs = tmp_path / "programs"
    programs.mkdir()
    for name in ("nvidia-smi", "docker"):
        (programs / name).write_text(f"#!/bin/sh\ntouch {begun}\nexec sleep {length}\n", encoding="utf-8")
        (programs / name).chmod(0o755)
    (tmp_path / "hosts.yml").write_text("all:\n  hosts:\n    h0: {ansible_connection: local}\n", encoding="utf-8")
    process = subprocess.Popen(
        [sys.executable, "-m", "remediation.cli.main", task, "--inventory", "hosts.yml"], cwd=tmp_path,
        env={**environment, "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}"},
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not begun.exists():
        assert process.poll() is None, process.communicate()
        time.sleep(0.05)
    process.send_signal(signal.Signals[number])
    _, said = process.communicate(timeout=60)
    assert process.returncode == (0 if (task, number) == ("monitor", "SIGINT") else 130), said
    assert [line for line in _programs() if str(length) in line] == []


def test_under_nohup_a_closed_terminal_does_not_end_a_run(tmp_path: Path, environment: dict[str, str]) -> None:
    flag = tmp_path / "go"
    run = Started(tmp_path, environment, f"wait_for: {{path: {flag}, sleep: 1, timeout: {LONG}}}", 1, nohup=True)
    run.until("task_start")
    run.process.send_signal(signal.SIGHUP)
    flag.touch()
    rest, said = run.process.communicate(timeout=60)
    assert (run.process.returncode, "interrupted" in said, "never" in rest) == (0, False, True)


def test_a_run_that_waits_for_another_one_stops_waiting(tmp_path: Path, environment: dict[str, str]) -> None:
    task = f"command: sleep {LONG}\n      risk: disruptive"
    holder = Started(tmp_path, environment, task, 1, "--max-risk", "disruptive")
    holder.until("change_start")
    waiting = Started(tmp_path, environment, task, 1, "--max-risk", "disruptive", "--wait", f"{LONG}")
    waiting.until("note")
    said = waiting.end(signal.SIGINT)
    assert waiting.process.returncode == 130, said
    assert "is working on this host" in waiting.of("task_result")[0]["reason"]
    holder.end(signal.SIGTERM, signal.SIGTERM)
    assert holder.process.returncode == 130


@pytest.mark.parametrize("words", [("monitor", "--for", f"{LONG}"), ("verify", "--after", f"{LONG}")])
def test_what_only_looks_ends_by_a_signal_too(tmp_path: Path, environment: dict[str, str], words: tuple[str, ...]) -> None:
    (tmp_path / "hosts.yml").write_text(
        # at a port where nothing listens: they would measure the servers of other tests on this machine, and load their models
        "all:\n  vars: {ansible_connection: local, endpoint: 'http://127.0.0.1:9'}\n  hosts: {h0: , h1: }\n",
        encoding="utf-8",
    )
    command = [sys.executable, "-m", "remediation.cli.main", *words, "--inventory", "hosts.yml"]
    process = subprocess.Popen(command, cwd=tmp_path, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline()
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said


def _programs() -> list[str]:
    return subprocess.run(["ps", "-wweo", "args"], capture_output=True, text=True, check=True).stdout.splitlines()


def _leases(folder: Path) -> list[float]:
    return [json.loads(path.read_text(encoding="utf-8"))["expires"] for path in (folder / "lease").rglob("lease.json")]
