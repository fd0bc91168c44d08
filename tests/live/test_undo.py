"""Taking a run back on a real engine: what was edited, and the containers that got the edit."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from remediation.engine.journal.history import runs
from tests.steps.on_engine import changes, digests, excerpt, play
from tests.support import guide_host
from tests.support.preloaded_python import python
from tests.support.project import Project

pytestmark = pytest.mark.live

ROOT = Path(__file__).parents[2]
API = "ai-native-api"
OTHER = "phi3:3.8b"


def undo(environment: Mapping[str, str], folder: Path, *words: str) -> tuple[int, list[dict[str, Any]]]:
    """Take the last run back, and return the exit code and the events."""
    run = runs(folder / "state" / "remediation" / "runs")[0].run
    done = subprocess.run(
        [*python(environment), "-m", "remediation.cli.main", "undo", run, "--json", *words],
        cwd=folder, env={**environment, "XDG_STATE_HOME": str(folder / "state"), "PYTHONPATH": str(ROOT)}, capture_output=True,
        text=True, encoding="utf-8", check=False, timeout=110,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def api(project: Project) -> tuple[str, list[str]]:
    """Return the id and the environment of the application's container."""
    found = json.loads(project.engine.docker("inspect", API).stdout)[0]
    return found["Id"], found["Config"]["Env"]


@pytest.mark.parametrize("there", [True, False], ids=["edited", "made"])
@pytest.mark.parametrize("recreated", [True, False], ids=["recreated", "not recreated"])
def test_undoing_a_change_of_the_env_file_brings_its_readers_back(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path, *, recreated: bool, there: bool
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    if OTHER not in digests(guide_project):
        guide_project.post("/api/pull", {"model": OTHER, "stream": False})
    file = guide_project.folder / ".env"
    if not there:
        file.unlink()
        guide_project.compose("up", "-d")
    before, text = api(guide_project), file.read_bytes() if there else None
    book = tmp_path / "edit.yml"
    tasks = ["env_file.set: {set: {OLLAMA_MODEL: 'phi3:3.8b'}}", *(["service.recreated: {}"] if recreated else [])]
    book.write_text("- hosts: all\n  tasks:\n" + "".join(f"    - {task}\n" for task in tasks), encoding="utf-8")
    code, events = play(project_environment, tmp_path, str(book))
    assert code == 0, excerpt(events)
    edited = api(guide_project)
    assert (f"OLLAMA_MODEL={OTHER}" in edited[1]) is recreated
    code, events = undo(project_environment, tmp_path, "--max-risk", "disruptive")
    assert code == 0, excerpt(events)
    assert (file.read_bytes() if file.exists() else None) == text
    after = api(guide_project)
    assert sorted(after[1]) == sorted(before[1])
    assert (after[0] == before[0]) is not recreated
    assert ("recreate api" in changes(events)) is recreated
    assert guide_project.compose("ps", "--quiet", "api").stdout.strip() == after[0]


def test_an_env_file_that_was_made_and_then_edited_by_hand_is_not_taken_away(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    file = guide_project.folder / ".env"
    file.unlink()
    book = tmp_path / "make.yml"
    book.write_text("- hosts: all\n  tasks:\n    - env_file.set: {set: {OLLAMA_MODEL: 'phi3:3.8b'}}\n", encoding="utf-8")
    code, events = play(project_environment, tmp_path, str(book), "--check")
    (change,) = next(event["changes"] for event in events if event["event"] == "task_result")
    assert (code, change["undo"]["step"], file.exists()) == (4, "file.restored", False), excerpt(events)
    code, events = play(project_environment, tmp_path, str(book))
    assert code == 0, excerpt(events)
    with file.open("a", encoding="utf-8") as more:
        more.write("TOKEN=mine\n")
    code, events = undo(project_environment, tmp_path, "--max-risk", "disruptive")
    assert (code, changes(events)) == (2, []), excerpt(events)
    assert f"{file} was edited since, so it is left unchanged" in excerpt(events)
    assert file.read_text(encoding="utf-8") == "OLLAMA_MODEL=phi3:3.8b\nTOKEN=mine\n"
