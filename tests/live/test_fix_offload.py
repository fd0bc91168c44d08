"""The main job on a real Docker engine: the guide's Compose project, its faults, and the state of the project afterwards."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.live.diagnose_command import diagnosed
from tests.support import guide_host
from tests.support.preloaded_python import python
from tests.support.project import CONTAINER, MODEL, Project

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]


def fix(environment: Mapping[str, str], folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Run the repair of this machine, and return its exit code and its events."""
    state = {"XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [
            *python(environment),
            "-m",
            "remediation.cli.main",
            "fix-offload",
            "--inventory",
            str(ROOT / "inventory/local.yml"),
            "--json",
            *words,
        ],
        cwd=folder,
        env={**environment, **state},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
        timeout=110,
    )
    assert "Traceback" not in done.stderr, done.stderr
    assert done.stdout, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def changes(events: list[dict[str, Any]]) -> list[str]:
    return [event["step"] for event in events if event["event"] == "change_end" and event["applied"]]


def reasons(events: list[dict[str, Any]]) -> str:
    return json.dumps([event for event in events if event["event"] in {"task_result", "note", "change_end"}], indent=1)


def test_a_runner_left_with_one_layer_is_reloaded(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["num-gpu-1"](guide_project)
    assert guide_host.layers(guide_project) == "1/33"
    container = guide_project.engine.docker("inspect", "--format", "{{.Id}}", CONTAINER).stdout
    code, events = fix(project_environment, tmp_path)
    assert code == 0, reasons(events)
    assert set(changes(events)) == {"model.reloaded"}
    assert guide_host.layers(guide_project) == "33/33"
    assert guide_project.engine.docker("inspect", "--format", "{{.Id}}", CONTAINER).stdout == container
    again, events = fix(project_environment, tmp_path)
    assert (again, changes(events)) == (0, [])


def test_the_guides_own_setting_is_taken_out_and_the_comments_stay(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    file = guide_project.folder / "docker-compose.gpu.yml"
    before = file.read_text(encoding="utf-8")
    code, events = fix(project_environment, tmp_path)
    assert code == 5, reasons(events)  # recreating a service is disruptive, and there is no user to confirm it
    assert file.read_text(encoding="utf-8") == before
    code, events = fix(project_environment, tmp_path, "--max-risk", "disruptive")
    assert code == 0, reasons(events)
    assert changes(events)[:2] == ["ollama.environment", "ollama.reconfigured"]
    assert guide_host.layers(guide_project) == "33/33"
    gone = [line for line in before.splitlines() if line not in file.read_text(encoding="utf-8").splitlines()]
    assert [line.split("#")[0].strip() for line in gone] == ["- OLLAMA_LLM_LIBRARY=cuda"]
    environment = json.loads(guide_project.engine.docker("inspect", CONTAINER).stdout)[0]["Config"]["Env"]
    assert not [item for item in environment if item.startswith("OLLAMA_LLM_LIBRARY=")]
    again, events = fix(project_environment, tmp_path, "--max-risk", "disruptive")
    assert (again, changes(events)) == (0, [])


def test_a_healthy_stack_is_left_alone(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    loads = guide_project.logs().count("offloaded")
    code, events = fix(project_environment, tmp_path)
    assert (code, changes(events)) == (0, []), reasons(events)
    assert guide_project.logs().count("offloaded") == loads


def test_a_model_that_is_not_loaded_is_loaded_to_know_and_nothing_more(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["not-loaded"](guide_project)
    code, events = fix(project_environment, tmp_path)
    assert (code, changes(events)) == (0, ["model.loaded"]), reasons(events)


def test_check_mode_leaves_everything_as_it_is(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["num-gpu-1"](guide_project)
    loads = guide_project.logs().count("offloaded")
    code, events = fix(project_environment, tmp_path, "--check")
    assert code == 4, reasons(events)
    assert guide_host.layers(guide_project) == "1/33"
    assert guide_project.logs().count("offloaded") == loads


def test_a_diagnosis_leaves_the_runner_its_expiry_and_the_log_as_they_were(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["num-gpu-1"](guide_project)
    before = (guide_project.get("/api/ps"), guide_project.logs().count("offloaded"))
    found = diagnosed(project_environment, tmp_path)
    assert (found["findings"][0]["cause"], found["offloaded"]) == ("explicit_num_gpu", [1, 33])
    assert (guide_project.get("/api/ps"), guide_project.logs().count("offloaded")) == before


def test_a_compose_file_that_is_missing_is_said(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    file = guide_project.folder / "docker-compose.gpu.yml"
    kept = file.read_bytes()
    file.unlink()
    try:
        code, events = fix(project_environment, tmp_path, "--max-risk", "disruptive")
    finally:
        file.write_bytes(kept)
    assert code == 2, reasons(events)
    assert "docker-compose.gpu.yml" in reasons(events)


def test_a_smaller_model_is_what_the_goal_is_measured_on_although_the_old_one_was_named(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    smaller = "mistral:7b-instruct-q3_K_M"
    guide_project.post("/api/pull", {"model": smaller, "stream": False})
    guide_project.post("/api/generate", {"model": MODEL, "stream": False, "keep_alive": 0})
    guide_project.engine.occupy(1200 * guide_host.MIB)  # by a program that may not be closed
    guide_host.load(guide_project)
    assert guide_host.layers(guide_project) != "33/33"
    words = ("--last-resort", "--max-risk", "disruptive", "-e", f"model={MODEL}")
    code, events = fix(project_environment, tmp_path, *words)
    assert code == 0, reasons(events)
    assert {"env_file.set", "service.recreated"} < set(changes(events))
    assert [each["name"] for each in guide_project.get("/api/ps")["models"]] == [smaller]
    goals = [event for event in events if event["event"] == "goal"]
    assert (goals[-1]["state"], goals[-1]["values"]["model"]) == ("met", smaller)
    after = [event["figures"] for event in events if event["event"] == "measurement"][-1]
    assert after["total_50_tokens_s"] is not None
    assert f"{smaller} is served now; write it in place of model: {MODEL}" in reasons(events)
