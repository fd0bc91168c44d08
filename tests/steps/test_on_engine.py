"""The runbooks and steps on a real Docker engine: the guide's Compose project, its volume, and their state afterwards."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from remediation.steps.compose.edit import with_devices, with_value
from remediation.steps.compose.text import ComposeText
from tests.steps.on_engine import changes, container_id, digests, excerpt, play, registry, volume
from tests.support import guide_host
from tests.support.project import CONTAINER, GUIDE, MODEL, Project

pytestmark = pytest.mark.live


def test_a_clean_start_loads_the_model_before_the_rest(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    made = volume(guide_project)["CreatedAt"]
    code, events = play(project_environment, tmp_path, "start-clean.yml")
    assert code == 0, excerpt(events)
    assert changes(events)[:4] == [
        "stop api, ollama (activia1-main); volumes stay",
        "start ollama (activia1-main)",
        f"load {MODEL}",
        "start api (activia1-main)",
    ]
    assert guide_host.layers(guide_project) == "33/33"
    assert volume(guide_project)["CreatedAt"] == made


def test_verify_passes_on_a_healthy_stack_and_says_what_does_not_hold(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    code, events = play(project_environment, tmp_path, "verify.yml")
    assert code == 0, excerpt(events)
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    code, events = play(project_environment, tmp_path, "verify.yml")
    assert code == 2
    assert "OLLAMA_LLM_LIBRARY=cuda" in excerpt(events)


def test_diagnose_changes_nothing(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["llm-library-cuda"](guide_project)
    file = guide_project.folder / "docker-compose.gpu.yml"
    before, running = file.read_bytes(), container_id(guide_project)
    _, events = play(project_environment, tmp_path, "diagnose.yml")
    assert changes(events) == []
    assert (file.read_bytes(), container_id(guide_project)) == (before, running)


def blobs(project: Project) -> dict[str, str]:
    """Return what hashing each blob gives, by its name."""
    listed = project.engine.docker("exec", CONTAINER, "sh", "-c", "sha256sum /root/.ollama/models/blobs/sha256-*").stdout
    pairs = (line.split() for line in listed.splitlines())
    return {path.rsplit("/", 1)[-1]: f"sha256-{digest}" for digest, path in pairs}


def test_a_sound_model_is_left_alone(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    before = digests(guide_project)
    code, events = play(project_environment, tmp_path, "repull-model.yml")
    assert (code, changes(events)) == (0, []), excerpt(events)
    assert digests(guide_project) == before


def test_only_the_damaged_layer_is_moved_aside_and_fetched(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    before = blobs(guide_project)
    assert all(name == digest for name, digest in before.items())
    name = max(before)
    where = f"/root/.ollama/models/blobs/{name}"
    whole = guide_project.engine.docker("exec", CONTAINER, "cat", where).stdout
    damaged = "?" + whole[1:]  # as long as before: a pull, which only looks whether it is there, would leave it
    guide_project.engine.docker("exec", "-i", CONTAINER, "sh", "-c", f"cat > {where}", given=damaged.encode())
    assert blobs(guide_project)[name] != name
    with registry(guide_project, MODEL) as mirror:
        code, events = play(project_environment, tmp_path, "repull-model.yml", variables={"registry": mirror})
        assert code == 0, excerpt(events)
        assert changes(events)[0].startswith(f"move the damaged layer {name[7:19]} ")
        assert blobs(guide_project) == before
        again, events = play(project_environment, tmp_path, "repull-model.yml", variables={"registry": mirror})
        assert (again, changes(events)) == (0, []), excerpt(events)


def test_the_env_file_is_edited_and_its_reader_recreated(
    guide_project: Project, project_environment: dict[str, str], tmp_path: Path
) -> None:
    guide_host.FAULTS["healthy"](guide_project)
    other = "phi3:3.8b"
    if other not in digests(guide_project):
        guide_project.post("/api/pull", {"model": other, "stream": False})
    running = container_id(guide_project)
    api = "ai-native-api"
    before = json.loads(guide_project.engine.docker("inspect", api).stdout)[0]["Id"]
    code, events = play(project_environment, tmp_path, "switch-model.yml", variables={"to": other})
    assert code == 0, excerpt(events)
    assert (guide_project.folder / ".env").read_text(encoding="utf-8") == f"OLLAMA_MODEL={other}\n"
    now = json.loads(guide_project.engine.docker("inspect", api).stdout)[0]
    assert now["Id"] != before
    assert f"OLLAMA_MODEL={other}" in now["Config"]["Env"]
    assert container_id(guide_project) == running
    again, events = play(project_environment, tmp_path, "switch-model.yml", variables={"to": other})
    assert (again, changes(events)) == (0, []), excerpt(events)


def test_what_was_edited_is_rolled_back(guide_project: Project, project_environment: dict[str, str], tmp_path: Path) -> None:
    guide_project.write(GUIDE)
    guide_project.up()
    guide_host.load(guide_project)
    file = guide_project.folder / "docker-compose.gpu.yml"
    before = file.read_bytes()
    book = tmp_path / "edit.yml"
    book.write_text(
        "- hosts: all\n  tasks:\n    - compose.environment: {prune: true}\n    - stack.up: {}\n    - model.reloaded: {}\n",
        encoding="utf-8",
    )
    code, events = play(project_environment, tmp_path, str(book))
    assert code == 0, excerpt(events)
    gone = set(before.decode().splitlines()) - set(file.read_text(encoding="utf-8").splitlines())
    assert {re.split(r"[-=]", line.strip(), maxsplit=2)[1].strip() for line in gone} == {
        "OLLAMA_NUM_GPU",
        "OLLAMA_GPU_MEMORY_FRACTION",
        "OLLAMA_LLM_LIBRARY",
    }
    assert guide_host.layers(guide_project) == "33/33"
    code, events = play(project_environment, tmp_path, "rollback.yml")
    assert code == 0, excerpt(events)
    assert file.read_bytes() == before


FORMS = {
    "list": "services:\n  ollama:\n    image: x\n    environment:\n      - OLLAMA_LLM_LIBRARY=cuda   # force\n      - A=1\n",
    "map": "services:\n  ollama:\n    image: x\n    environment:\n      A: '1'\n      OLLAMA_LLM_LIBRARY: cuda\n",
    "only one": "services:\n  ollama:\n    image: x\n    environment:\n      - OLLAMA_LLM_LIBRARY=cuda\n",
    "one line": "services:\n  ollama: {image: x, environment: [OLLAMA_LLM_LIBRARY=cuda, A=1]}\n",
    "anchor": "x-e: &e\n  OLLAMA_LLM_LIBRARY: cuda\n  A: '1'\nservices:\n  ollama:\n    image: x\n    environment: *e\n",
    "merge": "x-e: &e\n  OLLAMA_LLM_LIBRARY: cuda\nservices:\n  ollama:\n    image: x\n    environment:\n      <<: *e\n      A: '1'\n",
    "alias of one": "x-e: &e\n  - OLLAMA_LLM_LIBRARY=cuda\nservices:\n  ollama:\n    image: x\n    environment: *e\n",
    "anchored": "services:\n  ollama:\n    image: x\n    environment: &e\n      - OLLAMA_LLM_LIBRARY=cuda\n  api:\n    image: y\n    environment: *e\n",
    "merged with a key": "x-e: &e\n  A: '1'\nservices:\n  ollama:\n    image: x\n    environment:\n      <<: *e\n      OLLAMA_LLM_LIBRARY: cuda\n",
    "interpolated": "services:\n  ollama:\n    image: x\n    environment:\n      - OLLAMA_LLM_LIBRARY=${LIB:-cuda}\n      - A=${B:-1}\n",
    "windows": "services:\r\n  ollama:\r\n    image: x\r\n    environment:\r\n      - OLLAMA_LLM_LIBRARY=cuda\r\n      - A=1\r\n",
}


@pytest.mark.parametrize("form", FORMS)
def test_compose_itself_reads_an_edited_file_as_it_should(guide_project: Project, tmp_path: Path, form: str) -> None:
    file = tmp_path / "c.yml"

    def resolved(text: str) -> dict[str, Any]:
        file.write_bytes(text.encode())
        read: dict[str, Any] = json.loads(
            guide_project.engine.docker("compose", "-p", "p", "-f", str(file), "config", "--format", "json").stdout
        )["services"]["ollama"]
        return read

    text = FORMS[form]
    before = resolved(text)
    assert before["environment"].pop("OLLAMA_LLM_LIBRARY") == "cuda"
    after = resolved(ComposeText(str(file), text).remove("ollama", ["OLLAMA_LLM_LIBRARY"]))
    assert {**after, "environment": after.get("environment") or {}} == before
    put = resolved(ComposeText(str(file), text).put("ollama", "OLLAMA_MAX_LOADED_MODELS", "1"))
    assert put["environment"]["OLLAMA_MAX_LOADED_MODELS"] == "1"
    limited = (
        resolved(with_value(str(file), text, "ollama", ("deploy", "resources", "limits", "memory"), "2G"))
        if form != "one line"
        else None
    )
    assert limited is None or str(limited["deploy"]["resources"]["limits"]["memory"]) == str(2 * 1024**3)
    asking = resolved(with_devices(str(file), text, "ollama")) if form != "one line" else None
    assert asking is None or asking["deploy"]["resources"]["reservations"]["devices"][0]["capabilities"] == ["gpu"]
