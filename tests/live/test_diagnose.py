"""Causes on a real engine with GPU requests, a real Compose and a stand-in server in a real container."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.live.diagnose_command import diagnosed
from tests.support import guide_host
from tests.support.project import Project

pytestmark = pytest.mark.live


def test_a_library_that_is_not_there_is_not_taken_for_a_container_without_a_card(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    found = diagnosed(project_environment, tmp_path)
    sure = {one["cause"]: one["confidence"] for one in found["findings"]}
    assert sure["wrong_library_or_missing_runner"] >= 0.9
    assert "gpu_not_visible_to_container" not in sure
    assert [one for one in found["ruled_out"] if one["cause"] == "gpu_not_visible_to_container"]


def test_asking_the_loaded_model_leaves_its_runner_and_its_time_as_they_were(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["num-gpu-1"](guide_project)
    before = (guide_project.get("/api/ps"), guide_project.logs().count("offloaded"))
    found = diagnosed(project_environment, tmp_path, "--probe-seconds", "60")
    assert (found["measured"]["tokens_seen"], found["measured"]["reason"]) == (8, "")
    after = (guide_project.get("/api/ps"), guide_project.logs().count("offloaded"))
    assert after[1] == before[1]
    forever = [each["models"][0].pop("expires_at")[:4] for each in (before[0], after[0])]
    assert forever == ["2319", "2319"]  # keep_alive -1 of the client that loaded it
    assert after[0] == before[0]


def test_nothing_is_loaded_for_a_figure(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["not-loaded"](guide_project)
    found = diagnosed(project_environment, tmp_path, "--probe-seconds", "5")
    assert "the model is not loaded" in found["measured"]["reason"]
    assert guide_project.get("/api/ps") == {"models": []}
