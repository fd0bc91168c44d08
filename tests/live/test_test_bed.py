"""The bed that other live tests lie on: a real engine, the guide's project, the Ollama stand-in in a container."""

from __future__ import annotations

import json

import pytest

from remediation_lab.ollama import snapshot
from tests.support.engine import DEVICE, IMAGE, Engine
from tests.support.project import CONTAINER, GUIDE, MODEL, Project

pytestmark = pytest.mark.live


def test_with_the_hook_a_gpu_request_is_accepted_and_the_card_is_in_the_container(gpu_engine: Engine) -> None:
    done = gpu_engine.docker(
        "run", "--rm", "--network", "none", "--gpus", "all", "--entrypoint", "/bin/cat", IMAGE, "/run/nvidia/gpu.txt"
    )
    assert f"uuid {DEVICE.uuid}" in done.stdout


def test_without_a_gpu_request_there_is_no_card_although_the_image_names_devices(gpu_engine: Engine) -> None:
    done = gpu_engine.docker("run", "--rm", "--network", "none", "--entrypoint", "/bin/env", IMAGE)
    assert "NVIDIA_VISIBLE_DEVICES=all" in done.stdout
    seen = gpu_engine.docker(
        "run", "--rm", "--network", "none", "--entrypoint", "/bin/cat", IMAGE, "/run/nvidia/gpu.txt", check=False
    )
    assert seen.returncode == 1


def test_without_the_hook_a_gpu_request_is_refused_as_documented(plain_engine: Engine) -> None:
    done = plain_engine.docker("run", "--network", "none", "--gpus", "all", "--name", "refused", IMAGE, check=False)
    assert done.returncode == 125
    assert 'could not select device driver "" with capabilities: [[gpu]]' in done.stderr
    left = json.loads(plain_engine.docker("inspect", "refused").stdout)[0]
    assert left["State"]["Status"] == "created"
    assert left["HostConfig"]["DeviceRequests"][0]["Capabilities"] == [["gpu"]]
    plain_engine.docker("rm", "refused")


def test_without_the_hook_compose_up_fails_and_leaves_the_container_behind(
    plain_engine: Engine, tmp_path_factory: pytest.TempPathFactory
) -> None:
    project = Project(plain_engine, tmp_path_factory.mktemp("refused"), 1)
    project.write()
    done = project.compose("up", "-d", "ollama", check=False)
    assert done.returncode == 1
    assert 'could not select device driver "nvidia"' in done.stderr
    assert CONTAINER in plain_engine.docker("ps", "-a", "--filter", "status=created", "--format", "{{.Names}}").stdout
    project.down()


def test_the_guides_project_comes_up_and_serves_the_model_from_the_gpu(guide_project: Project) -> None:
    guide_project.up()
    assert guide_project.get("/api/version") == {"version": "0.13.5"}
    assert guide_project.post("/api/generate", {"model": MODEL, "stream": False})["done_reason"] == "load"
    (runner,) = guide_project.get("/api/ps")["models"]
    assert runner["size"] == runner["size_vram"]
    assert "offloaded 33/33 layers to GPU" in guide_project.logs()
    seen = snapshot.read(guide_project.engine.gpu / "gpu.txt")
    assert seen.held[f"ollama runner {MODEL}"] > 4 * 1024**3


def test_access_lines_are_on_stdout_and_all_others_on_stderr(guide_project: Project) -> None:
    guide_project.up(pull=False)
    guide_project.get("/api/version")
    guide_project.on_chunk('"/api/version"')  # gin writes its line after the client has the answer
    done = guide_project.engine.docker("logs", CONTAINER)
    assert done.stdout.splitlines()
    assert all(line.startswith("[GIN]") for line in done.stdout.splitlines())
    assert "server config" in done.stderr
    assert "[GIN]" not in done.stderr


def test_num_gpu_1_in_one_request_sticks_for_plain_ones_until_the_model_is_unloaded(guide_project: Project) -> None:
    guide_project.up()
    guide_project.post("/api/generate", {"model": MODEL, "stream": False, "options": {"num_gpu": 1}})
    guide_project.post("/api/generate", {"model": MODEL, "prompt": "Why?", "stream": False, "options": {"num_predict": 4}})
    guide_project.post("/api/generate", {"model": MODEL, "stream": False, "options": {"num_gpu": -1}})
    (runner,) = guide_project.get("/api/ps")["models"]
    assert runner["size_vram"] < runner["size"] / 5
    assert guide_project.logs().count("layers to GPU") == guide_project.logs().count("offloaded 1/33 layers to GPU") * 2 == 2
    guide_project.post("/api/generate", {"model": MODEL, "stream": False, "keep_alive": 0})
    guide_project.post("/api/generate", {"model": MODEL, "stream": False, "options": {"num_gpu": -1}})
    assert "offloaded 33/33 layers to GPU" in guide_project.logs()


def test_the_guides_own_environment_turns_the_gpu_off_and_prints_no_offloaded_line(guide_project: Project) -> None:
    guide_project.write(GUIDE)
    guide_project.up()
    guide_project.post("/api/generate", {"model": MODEL, "stream": False})
    (runner,) = guide_project.get("/api/ps")["models"]
    assert runner["size_vram"] == 0
    logs = guide_project.logs()
    assert 'msg="inference compute" id=cpu' in logs
    assert "offloaded" not in logs
    assert "OLLAMA_NUM_GPU" not in logs


def test_taking_the_variable_out_and_up_again_recreates_the_container_and_keeps_the_model(guide_project: Project) -> None:
    guide_project.write(GUIDE)
    guide_project.up()
    before = guide_project.engine.docker("inspect", "--format", "{{.Id}}", CONTAINER).stdout
    guide_project.write(tuple(each for each in GUIDE if "LLM_LIBRARY" not in each))
    guide_project.up(pull=False)
    assert guide_project.engine.docker("inspect", "--format", "{{.Id}}", CONTAINER).stdout != before
    guide_project.post("/api/generate", {"model": MODEL, "stream": False})
    assert "offloaded 33/33 layers to GPU" in guide_project.logs()


def test_other_programs_on_the_card_take_layers_from_the_model_in_the_container(guide_project: Project) -> None:
    guide_project.engine.occupy((6144 - 1100) * 1024**2)
    guide_project.up()
    guide_project.post("/api/generate", {"model": MODEL, "stream": False})
    assert "offloaded 1/33 layers to GPU" in guide_project.logs()
