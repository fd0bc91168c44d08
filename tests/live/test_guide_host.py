"""What other live tests are handed: an environment in which a program finds the engine and the card, and faults that show."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from tests.support import guide_host
from tests.support.engine import DEVICE
from tests.support.project import CONTAINER, MODEL, Project

pytestmark = pytest.mark.live

_ASK = """
import docker, json, pynvml
pynvml.nvmlInit()
names = sorted(each.name for each in docker.from_env().containers.list())
print(json.dumps({"containers": names, "card": pynvml.nvmlDeviceGetName(pynvml.nvmlDeviceGetHandleByIndex(0))}))
"""


def test_a_program_finds_the_engine_the_project_and_the_card(guide_project: Project, project_environment: dict[str, str]) -> None:
    guide_host.not_loaded(guide_project)
    done = subprocess.run([sys.executable, "-c", _ASK], env=project_environment, capture_output=True, text=True, check=True)
    assert json.loads(done.stdout) == {"containers": ["ai-native-api", CONTAINER], "card": DEVICE.name}
    listed = subprocess.run(
        ["docker", "compose", "ls", "--format", "json"], env=project_environment, capture_output=True, text=True, check=True
    )
    (project,) = json.loads(listed.stdout)
    assert project["ConfigFiles"].split(",") == [
        str(guide_project.folder / "docker-compose.yml"),
        str(guide_project.folder / "docker-compose.gpu.yml"),
    ]


@pytest.mark.parametrize(
    ("fault", "layers", "on_gpu"), [("healthy", "33/33", "all"), ("num-gpu-1", "1/33", "part"), ("llm-library-cuda", None, "none"), ("vram-occupied", "1/33", "part")]
)  # fmt: skip
def test_each_fault_shows_in_the_log_and_in_ps(guide_project: Project, fault: str, layers: str | None, on_gpu: str) -> None:
    guide_host.FAULTS[fault](guide_project)
    (runner,) = guide_project.get("/api/ps")["models"]
    assert runner["name"] == MODEL
    assert guide_host.layers(guide_project) == layers
    assert on_gpu == ("all" if runner["size_vram"] == runner["size"] else "none" if not runner["size_vram"] else "part")


def test_a_fault_can_be_put_in_after_another(guide_project: Project) -> None:
    for fault in ("vram-occupied", "llm-library-cuda", "healthy"):
        guide_host.FAULTS[fault](guide_project)
    (runner,) = guide_project.get("/api/ps")["models"]
    assert runner["size_vram"] == runner["size"]
