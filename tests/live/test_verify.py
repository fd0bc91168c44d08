"""``verify`` on a real engine: every point of the checklist, and what survives a restart of the container."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import guide_host
from tests.support.preloaded_python import python
from tests.support.project import CONTAINER, MODEL, Project

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
BAKED = "baked"


def verify(environment: Mapping[str, str], folder: Path, *words: str) -> tuple[int, str, list[str]]:
    """Verify this machine, and return the exit code, what the tasks said, and the steps that changed something."""
    done = subprocess.run(
        [*python(environment), "-m", "remediation.cli.main", "verify", "--inventory", str(ROOT / "inventory/local.yml"), "--json", *words],
        cwd=folder, env={**environment, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, encoding="utf-8", check=False, timeout=110,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    events: list[dict[str, Any]] = [json.loads(line) for line in done.stdout.splitlines()]
    said = "\n".join(str(event["msg"]) for event in events if event["event"] == "task_result")
    changed = [event["step"] for event in events if event["event"] == "change_end" and event["applied"]]
    return done.returncode, said or done.stderr, list(dict.fromkeys(changed))


def container(project: Project) -> tuple[str, str]:
    """Return the container's id and when it was started."""
    identity, started = project.engine.docker("inspect", "--format", "{{.Id}} {{.State.StartedAt}}", CONTAINER).stdout.split()
    return identity, started


def test_every_point_is_shown_where_the_first_does_not_hold(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    code, said, changed = verify(project_environment, tmp_path)
    assert (code, changed) == (2, ["model.responds"]), said
    assert "at the start, settings: NOT HELD" in said
    assert "afterwards, layers: NOT HELD" in said
    assert "afterwards, speed: held" in said


def test_a_repair_that_survives_a_restart(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    before = container(guide_project)
    code, said, changed = verify(project_environment, tmp_path, "--survives-restart")
    assert (code, container(guide_project)) == (5, before), said  # a restart is disruptive, and was not confirmed
    assert "ollama.restarted" not in changed
    code, said, changed = verify(project_environment, tmp_path, "--survives-restart", "--max-risk", "disruptive")
    assert code == 0, said
    assert changed == ["model.responds", "ollama.restarted", "model.loaded"]
    assert "lost: that the model stays loaded for good" in said
    after = container(guide_project)
    assert (after[0] == before[0], after[1] > before[1]) == (True, True)
    assert guide_host.layers(guide_project) == "33/33"


def test_a_repair_that_a_restart_undoes(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["not-loaded"](guide_project)
    guide_project.post("/api/create", {"model": BAKED, "from": MODEL, "parameters": {"num_gpu": 1}, "stream": False})
    body = {"model": BAKED, "stream": False, "keep_alive": -1, "options": {"num_gpu": -1}}  # by one request alone
    guide_project.post("/api/generate", body)
    words = ("--survives-restart", "--max-risk", "disruptive", "-e", f"model={BAKED}")
    code, said, _ = verify(project_environment, tmp_path, *words)
    assert code == 2, said
    assert "afterwards, layers: held" in said
    assert "does not survive: 33/33 layers before the restart" in said
