"""The volume recreated on a real Docker engine: every model is there again, or nothing is touched."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import pytest

from tests.steps.on_engine import LOCAL, changes, digests, excerpt, play, registry, volume
from tests.support import guide_host
from tests.support.project import CONTAINER, HEALTHY, MODEL, Project

pytestmark = pytest.mark.live


def test_the_volume_is_recreated_with_every_model_by_its_digest(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_project.write(HEALTHY)
    guide_project.up()
    guide_project.post("/api/create", {"model": LOCAL, "from": MODEL, "parameters": {"num_ctx": 2048}, "stream": False})
    before, old = digests(guide_project), volume(guide_project)
    assert len(before) > 1
    code, events = play(project_environment, tmp_path, "recreate-volume.yml", variables={"model": MODEL})
    assert code == 5, excerpt(events)  # destructive, and not confirmed
    assert volume(guide_project)["CreatedAt"] == old["CreatedAt"]
    with registry(guide_project, MODEL) as mirror:
        code, events = play(
            project_environment,
            tmp_path,
            "recreate-volume.yml",
            "--yes-destroy",
            "localhost",
            variables={"model": MODEL, "registry": mirror},
        )
    assert code == 0, excerpt(events)
    assert volume(guide_project)["Name"] == old["Name"]
    assert volume(guide_project)["CreatedAt"] != old["CreatedAt"]
    assert digests(guide_project) == before
    assert any(line.startswith("save ") for line in changes(events))
    assert guide_host.layers(guide_project) == "33/33"
    receipt = json.loads((guide_project.folder / ".remediation-volume-activia1-main.json").read_text(encoding="utf-8"))
    assert {one["name"]: one["digest"] for one in receipt["models"]} == before
    guide_project.engine.docker("volume", "rm", receipt["saved_in"])


def test_a_half_recreated_volume_is_completed_by_the_next_run(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_project.write(HEALTHY)
    guide_project.up()
    guide_project.post("/api/create", {"model": LOCAL, "from": MODEL, "parameters": {"num_ctx": 2048}, "stream": False})
    before = digests(guide_project)
    file = guide_project.folder / "docker-compose.yml"
    whole = file.read_text(encoding="utf-8")
    with registry(guide_project, MODEL) as mirror:
        known = {
            "model": MODEL,
            "registry": mirror,
            "compose_files": [str(file), str(guide_project.folder / "docker-compose.gpu.yml")],
        }
        words = ("--yes-destroy", "localhost")
        file.write_text(whole.replace("    restart:", '    devices: ["/dev/is-not-there"]\n    restart:', 1), encoding="utf-8")
        code, events = play(project_environment, tmp_path, "recreate-volume.yml", *words, variables=known)
        assert code == 2, excerpt(events)
        assert any(line.startswith("remove volume") for line in changes(events))  # the volume is gone, the service not up
        file.write_text(whole, encoding="utf-8")
        code, events = play(project_environment, tmp_path, "recreate-volume.yml", *words, variables=known)
    assert code == 0, excerpt(events)
    assert digests(guide_project) == before


def test_a_volume_that_another_container_uses_is_left_alone(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_project.write(HEALTHY)
    guide_project.up()
    engine, old = guide_project.engine, volume(guide_project)
    image = json.loads(engine.docker("inspect", CONTAINER).stdout)[0]["Config"]["Image"]
    engine.docker("create", "--name", "another-user", "--volume", f"{old['Name']}:/data", image)
    try:
        with registry(guide_project, MODEL) as mirror:
            code, events = play(
                project_environment, tmp_path, "recreate-volume.yml", "--yes-destroy", "localhost",
                variables={"model": MODEL, "registry": mirror},
            )  # fmt: skip
    finally:
        engine.docker("rm", "another-user")
    assert (code, changes(events)) == (5, []), excerpt(events)
    assert "another-user" in excerpt(events)
    assert volume(guide_project)["CreatedAt"] == old["CreatedAt"]


def test_a_manifest_is_what_its_digest_says(guide_project: Project) -> None:
    guide_project.write(HEALTHY)
    guide_project.up()
    name, _, tag = MODEL.partition(":")
    where = f"/root/.ollama/models/manifests/registry.ollama.ai/library/{name}/{tag}"
    content = guide_project.engine.docker("exec", CONTAINER, "cat", where).stdout.encode()
    assert digests(guide_project)[MODEL].removeprefix("sha256:") == hashlib.sha256(content).hexdigest()
