"""The example playbook with a role: check mode with its difference, a run, a second run, and undo."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

from tests.support.preloaded_python import python

ROOT = Path(__file__).parents[2]
BOOK = ROOT / "docs/examples/playbooks/ollama-settings.yml"
WRITTEN = "ollama_settings : The settings are written"


def test_a_role_with_defaults_and_a_template_changes_a_host_once(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("gpu: {hosts: {here: {ansible_connection: local}}}\n", "utf-8")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("INVOKE_", "XDG_", "REMEDIATION_"))}
    environment = {**kept, "PYTHONPATH": str(ROOT), "XDG_STATE_HOME": str(tmp_path / "state"), "HOME": str(tmp_path)}
    environment["REMEDIATION_LEASE_FOLDER"] = str(tmp_path / "lease")
    settings = tmp_path / "drop-ins/settings.conf"
    given = {"ollama_settings_folder": str(settings.parent), "ollama_settings_restart": f"echo restarted >> {tmp_path}/log"}

    def run(*words: str) -> tuple[int, list[dict[str, Any]]]:
        done = subprocess.run(
            [*python(environment), "-m", "remediation.cli.main", *words], cwd=tmp_path, env=environment, capture_output=True,
            text=True, check=False, timeout=110,
        )  # fmt: skip
        assert "Traceback" not in done.stderr, done.stderr
        return done.returncode, [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]

    def outcomes(events: list[dict[str, Any]]) -> dict[str, str]:
        return {event["task"]: event["outcome"] for event in events if event["event"] == "task_result"}

    book = ("play", str(BOOK), "--inventory", "hosts.yml", "-e", json.dumps(given), "--max-risk", "disruptive", "--json")
    code, events = run(*book, "--check", "--diff")
    assert (code, outcomes(events)[WRITTEN], settings.exists()) == (4, "would-change", False)
    assert any("OLLAMA_MODELS=/srv/models" in json.dumps(event) for event in events)
    code, events = run(*book)
    assert (code, outcomes(events)[WRITTEN]) == (0, "changed")
    assert settings.read_text().endswith('Environment="OLLAMA_KEEP_ALIVE=30m"\nEnvironment="OLLAMA_FLASH_ATTENTION=1"\n')
    name = next(event["run"] for event in events if event["event"] == "run_start")
    code, events = run(*book)
    assert (code, set(outcomes(events).values()), (tmp_path / "log").read_text()) == (0, {"ok"}, "restarted\n")
    run("undo", name, "--max-risk", "disruptive")
    assert not settings.exists()
