"""``check-host`` on a real Docker engine with the guide's Compose project: a healthy host, and one whose container is stopped."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import guide_host
from tests.support.preloaded_python import python
from tests.support.project import CONTAINER, Project

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


def check(environment: Mapping[str, str], folder: Path) -> tuple[int, dict[str, dict[str, Any]]]:
    """Check this machine, and return the exit code and the checks by name."""
    own = {**environment, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    words = ("-m", "remediation.cli.main", "check-host", "--inventory", str(ROOT / "inventory/local.yml"), "--json")
    done = subprocess.run(
        [*python(environment), *words], cwd=folder, env=own, capture_output=True, text=True, check=False, timeout=110
    )
    assert "Traceback" not in done.stderr, done.stderr
    (found,) = json.loads(done.stdout)
    return done.returncode, {each["name"]: each for each in found["checks"]}


def test_a_compose_project_lacks_nothing_and_a_stopped_container_is_a_gap_with_its_cure(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    code, checks = check(project_environment, tmp_path)
    assert (code, [each for each in checks.values() if each["ok"] is False]) == (0, []), checks
    assert checks["server"]["text"] == f"the container {CONTAINER}"
    guide_project.engine.docker("stop", CONTAINER)
    code, checks = check(project_environment, tmp_path)
    gaps = {name: each for name, each in checks.items() if each["ok"] is False}
    assert (code, [*gaps]) == (2, ["Ollama"]), checks
    assert (gaps["Ollama"]["text"], gaps["Ollama"]["cure"]) == (
        f"the container {CONTAINER} is exited",
        f"docker start {CONTAINER}",
    )
    assert gaps["Ollama"]["blocks"]
