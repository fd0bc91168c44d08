"""The example playbooks and the Windows modules on the lab, over WinRM: check mode, a run and a second run."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.preloaded_python import python

ROOT = Path(__file__).parents[2]
EXAMPLES = ROOT / "docs/examples/playbooks"

Play = Callable[..., tuple[int, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def play(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Play]:
    """Run a command on one lab, and return its exit code and events."""
    folder = tmp_path_factory.mktemp("lab")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(folder / "state"), "HOME": str(folder)}

    def run(*words: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [*python(environment), "-m", "remediation.cli.main", *words], cwd=folder, env=environment, capture_output=True,
            text=True, encoding="utf-8", check=False, timeout=110,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    yield run
    run("lab.stop")


def outcomes(events: list[dict[str, Any]]) -> dict[str, str]:
    return {event["task"]: event["outcome"] for event in events if event["event"] == "task_result" and "item" not in event}


def test_ollama_becomes_a_service_once(play: Play) -> None:
    book = ("play", str(EXAMPLES / "ollama-service.yml"), "--inventory", "lab", "--json")
    code, _ = play(*book, "--check", "--diff")
    assert code == 4
    code, events = play(*book)
    first = outcomes(events)
    assert code == 0
    assert first["The service runs"] == first["Restart Ollama"] == first["The settings are written"] == "changed"
    code, events = play(*book)
    assert (code, set(outcomes(events).values())) == (0, {"ok"})


def test_windows_programs_and_scripts_run(play: Play, tmp_path: Path) -> None:
    tasks = [
        {"name": "command", "command": r"C:\Windows\System32\nvidia-smi.exe -L"},
        {"name": "shell", "win_shell": "nvidia-smi -L; hostname"},
        {"name": "script", "ansible.windows.win_powershell": {"script": "hostname\n$Ansible.Changed = $false"}},
        {"name": "ping", "win_ping": {}},
        {"name": "uri", "win_uri": {"url": "http://127.0.0.1:11434/api/version", "return_content": True}},
        {"name": "posix", "shell": "hostname", "ignore_errors": True},
    ]
    book = tmp_path / "site.yml"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), "utf-8")
    code, events = play("play", str(book), "--inventory", "lab", "--json")
    found = {event["task"]: event for event in events if event["event"] == "task_result"}
    assert code == 0
    assert found["command"]["result"]["stdout"].startswith("GPU 0")
    assert found["shell"]["result"]["stdout_lines"][-1] == "LAPTOP-07"
    assert (found["script"]["outcome"], found["script"]["result"]["output"]) == ("ok", ["LAPTOP-07"])
    assert found["uri"]["result"]["json"]["version"]
    assert found["posix"]["next_step"] == "use win_shell"


def test_check_mode_runs_no_program_and_returns_what_ansible_returns(play: Play, tmp_path: Path) -> None:
    there = {"creates": "C:/there"}
    tasks = [
        {"name": "folder", "win_file": {"path": "C:/there", "state": "directory"}, "check_mode": False},
        {"name": "command", "win_command": "hostname"},
        {"name": "shell", "win_shell": "hostname"},
        {"name": "script", "win_powershell": {"script": "hostname"}},
        {"name": "absent", "win_command": "hostname", "args": {"creates": "C:/gone"}},
        {"name": "there", "win_command": "hostname", "args": there},
        {"name": "script there", "win_powershell": {"script": "hostname", **there}},
    ]
    book = tmp_path / "site.yml"
    book.write_text(json.dumps([{"hosts": "all", "gather_facts": False, "tasks": tasks}]), "utf-8")
    _, events = play("play", str(book), "--inventory", "lab", "--json", "--check")
    found = {event["task"]: event for event in events if event["event"] == "task_result"}
    skipped = {name: found[name]["result"] for name in ("command", "shell", "absent")}
    assert {found[name]["outcome"] for name in (*skipped, "there")} == {"skipped"}
    assert not any({"rc", "stdout", "cmd"} & result.keys() for result in skipped.values())
    assert skipped["shell"]["msg"] == "remote module (win_shell) does not support check mode"
    assert (found["there"]["result"]["rc"], found["there"]["result"]["msg"]) == (0, "skipped, since C:/there exists")
    assert [found[name]["outcome"] for name in ("script", "script there")] == ["would-change", "ok"]
    assert [found[name]["result"]["output"] for name in ("script", "script there")] == [[], []]
