"""Causes on a real engine with GPU requests, a real Compose and a stand-in server in a real container."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.started import ROOT
from tests.support import bed
from tests.support.project import Project

pytestmark = pytest.mark.live


def test_a_library_that_is_not_there_is_not_taken_for_a_container_without_a_card(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    bed.FAULTS["llm-library-cuda"](guide_project)
    done = subprocess.run(
        [sys.executable, "-m", "remediation.cli.program", "diagnose", "--inventory", str(ROOT / "inventory/local.yml"), "--json"],
        cwd=tmp_path,
        env={**project_environment, "XDG_STATE_HOME": str(tmp_path / "state"), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=110,
    )
    assert done.returncode == 0, done.stderr
    (found,) = json.loads(done.stdout)
    sure = {one["cause"]: one["confidence"] for one in found["findings"]}
    assert sure["wrong_library_or_missing_runner"] >= 0.9
    assert "gpu_not_visible_to_container" not in sure
    assert [one for one in found["ruled_out"] if one["cause"] == "gpu_not_visible_to_container"]
