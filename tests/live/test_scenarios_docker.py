"""The scenarios of `test_scenarios.TABLE` that need a Docker engine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from remediation_lab.ollama import snapshot
from tests.live.test_fix_offload import changes, fix, reasons
from tests.steps.on_engine import digests, play, volume
from tests.support import guide_host
from tests.support.engine import DEVICE
from tests.support.project import CONTAINER, HEALTHY, MODEL, Project
from tests.support.repair_results import Ended

pytestmark = pytest.mark.live

OTHER = "phi3:3.8b"
DISRUPTIVE = ("--max-risk", "disruptive")
NO_REGISTRY = {"registry": "http://127.0.0.1:9"}


def test_a_loaded_model_that_no_file_names_stays_the_target(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_project.write()
    (guide_project.folder / ".env").unlink()
    file = guide_project.folder / "docker-compose.yml"
    file.write_text(
        "".join(line for line in file.read_text("utf-8").splitlines(keepends=True) if "OLLAMA_MODEL" not in line), "utf-8"
    )
    guide_project.up()
    guide_project.post("/api/pull", {"model": OTHER, "stream": False})
    guide_host.load(guide_project, {"num_gpu": 1})
    code, events = fix(project_environment, tmp_path)
    assert (code, changes(events)) == (0, ["model.reloaded", "model.reloaded"]), reasons(events)
    assert [each["name"] for each in guide_project.get("/api/ps")["models"]] == [MODEL]
    assert guide_host.layers(guide_project) == "33/33"


def limited(project: Project, memory: str) -> None:
    """Give the server's container a memory limit, and start it with that."""
    file = project.folder / "docker-compose.gpu.yml"
    text = file.read_text("utf-8")
    file.write_text(
        text.replace("      resources:\n", f"      resources:\n        limits:\n          memory: {memory}\n"), "utf-8"
    )
    project.up()


def test_a_limit_that_kills_the_runner_at_its_first_token_is_raised(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_project.write(HEALTHY)
    limited(guide_project, "120M")
    guide_host.load(guide_project)
    code, events = fix(project_environment, tmp_path, *DISRUPTIVE, "-e", "memory=1GiB", "-e", "memory_reserved=256MiB")
    assert code == 0, reasons(events)
    assert changes(events)[:2] == ["compose.resources", "stack.up"]
    said = guide_project.post("/api/generate", {"model": MODEL, "prompt": "Hello", "stream": False})
    assert said["done"] is True
    assert guide_host.layers(guide_project) == "33/33"


@pytest.mark.parametrize(
    ("book", "variables", "code"),
    [
        ("repull-model.yml", {}, 0),
        ("recreate-volume.yml", {}, 5),
        ("switch-model.yml", {"to": OTHER}, 2),
        ("quantise-down.yml", {}, 0),
    ],
)
def test_a_runbook_without_a_registry_loses_nothing(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path, book: str, variables: dict[str, str], code: int
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    before = (digests(guide_project), volume(guide_project)["CreatedAt"], (guide_project.folder / ".env").read_bytes())
    ended, events = play(
        project_environment, tmp_path, book, "--yes-destroy", "localhost", variables={"model": MODEL, **NO_REGISTRY, **variables}
    )
    assert (ended, changes(events)) == (code, []), reasons(events)
    assert (digests(guide_project), volume(guide_project)["CreatedAt"], (guide_project.folder / ".env").read_bytes()) == before


def test_a_damage_that_was_repaired_is_not_found_again_on_a_small_card(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["not-loaded"](guide_project)
    store = "/root/.ollama/models/blobs"
    name = guide_project.engine.docker("exec", CONTAINER, "sh", "-c", f"ls -S {store}").stdout.split()[0]
    whole = guide_project.engine.docker("exec", CONTAINER, "cat", f"{store}/{name}").stdout
    write = ("exec", "-i", CONTAINER, "sh", "-c", f"cat > {store}/{name}")
    guide_project.engine.docker(*write, given=whole.encode()[:-20])
    with pytest.raises(OSError, match="500"):
        guide_host.load(guide_project)
    guide_project.engine.docker(*write, given=whole.encode())
    card = guide_project.engine.gpu / "gpu.txt"
    snapshot.write(card, snapshot.Snapshot(DEVICE, "555.42.06", 573 * guide_host.MIB, {}))
    guide_host.load(guide_project)
    made = volume(guide_project)["CreatedAt"]
    ended = Ended(*_ending(fix(project_environment, tmp_path, *DISRUPTIVE, "--last-resort", "-e", json.dumps(NO_REGISTRY))))
    assert (ended.code, ended.deletes, volume(guide_project)["CreatedAt"]) == (2, False, made), ended.summary
    assert "model_corrupt" not in json.dumps(ended.ladder["result"]["causes"])


def _ending(done: tuple[int, list[dict[str, object]]]) -> tuple[int, tuple[dict[str, object], ...]]:
    return done[0], tuple(done[1])
