"""Whole hosts to show steps at work: the guide's machine, in the states that it is found in."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from remediation.facets.docker.containers import wants_gpu
from remediation.facets.services.windows import from_probe
from remediation.model.facts import (
    Blob,
    ComposeProject,
    Container,
    DockerDesktop,
    Manager,
    Manifest,
    ModelShow,
    ServerProcess,
    Serving,
)
from tests.engine.fakes.daemon import CONFIG
from tests.engine.fakes.host import BOOT, GIB, MODEL, OLLAMA, FakeWriter, World, container
from tests.engine.fakes.services import UNIT, printed
from tests.engine.fakes.world import Stored, blob_path

FOLDER = "C:\\dev\\activia1"
BASE = f"{FOLDER}\\docker-compose.yml"
GPU = f"{FOLDER}\\docker-compose.gpu.yml"
DATABASE = "C:\\Users\\ana\\AppData\\Local\\Ollama\\db.sqlite"
USER_KEY = "Registry::HKEY_USERS\\S-1\\Environment"

# the dimensions of Mistral 7B (facts/ollama 4.2)
_MISTRAL: dict[str, Any] = {
    "general.architecture": "llama",
    "general.file_type": 15,
    "llama.block_count": 32,
    "llama.embedding_length": 4096,
    "llama.attention.head_count": 32,
    "llama.attention.head_count_kv": 8,
    "llama.feed_forward_length": 14336,
    "llama.vocab_size": 32768,
    "llama.context_length": 32768,
}

_BASE = b"""\
# The stack
services:
  ollama:
    image: ollama/ollama:0.13.5
    container_name: ai-native-ollama
  api:
    image: activia/api
    environment:
      - OLLAMA_BASE_URL=http://ollama:11434
"""

_GPU = """\
# What the GPU needs
services:
  ollama:
    environment:
      - NVIDIA_VISIBLE_DEVICES=all     # every card
      - OLLAMA_CONTEXT_LENGTH=4096     # memory against quality
{more}    deploy:
      resources:
        reservations:
          devices:
            - driver: nvidia
              count: all
              capabilities: [gpu]
"""


def stack(*environment: str, model: str = MODEL) -> World:
    """Return the guide's host: Windows, 6 GiB of VRAM, Ollama in a Compose project, `model` stored and not loaded."""
    world = World()
    world.project = ComposeProject("ai-native", (BASE, GPU), FOLDER)
    more = "".join(f"      - {item}\n" for item in environment)
    world.texts = {BASE: _BASE, GPU: _GPU.format(more=more).encode()}
    own = dict(item.partition("=")[::2] for item in environment)
    own = {"NVIDIA_VISIBLE_DEVICES": "all", "OLLAMA_CONTEXT_LENGTH": "4096", **own}
    world.containers = {
        OLLAMA: container("ollama", own),
        "ai-native-api": container("api", {"OLLAMA_BASE_URL": "http://ollama:11434"}),
    }
    details = {"quantization_level": "Q4_K_M", "family": "llama", "parameter_size": "7.2B"}
    world.models[model] = ModelShow(model, {}, _MISTRAL, details)
    return world


def loaded(world: World, **options: Any) -> World:
    """Load the model as a client would, and forget that it was written."""
    model = next(iter(world.models))
    FakeWriter(world).ollama.load(model, options=options)
    world.writes.clear()
    return world


def occupied() -> World:
    """Return the host with programs on the GPU and the model loaded with what was left."""
    world = stack()
    world.start("explorer.exe", vram=GIB // 10)
    world.start("chrome.exe", vram=2 * GIB + GIB // 3, has_window=True)
    world.start("Discord.exe", vram=2 * GIB, has_window=True)
    return loaded(world)


def left_by_a_client() -> World:
    """Return the host with room for all layers and one on the GPU, because a client requested one."""
    return loaded(stack(), num_gpu=1)


def healthy() -> World:
    """Return the host with all layers on the GPU."""
    return loaded(stack())


LOCAL = "tuned:latest"
WEIGHTS = "sha256:" + "f" * 64
TUNED = "sha256:" + "a" * 64


def manifest(model: str, *layers: str, size: int = 4_372_054_016) -> Manifest:
    """Return a manifest of these layers, the weights by default."""
    parts = tuple(Blob(digest, size, "application/vnd.ollama.image.model") for digest in layers or (WEIGHTS,))
    return Manifest(model, f"sha256:manifest-of-{model}", parts)


def stored() -> World:
    """Return the host with its models in a volume: one that the registry holds, and one that it does not."""
    world = stack()
    show = world.models[MODEL]
    world.registry[MODEL] = manifest(MODEL)
    world.hold(world.registry[MODEL], show)
    world.hold(manifest(LOCAL, TUNED, size=GIB), replace(show, model=LOCAL))
    world.variables["model"] = MODEL
    return world


def damaged() -> World:
    """Return the host with the weights of its model flipped on disk: the size is right, the hash is not."""
    world = stored()
    world.store[blob_path(WEIGHTS)] = Stored(4_372_054_016, "sha256:" + "0" * 64)
    return world


def baked() -> World:
    """Return the host whose model asks for one layer itself."""
    world = stack()
    world.models[MODEL] = replace(world.models[MODEL], parameters={"num_gpu": "1"})
    return world


def with_dotenv() -> World:
    """Return the host whose application reads its model from ``.env``."""
    world = stack()
    world.texts[f"{FOLDER}\\.env"] = f"# which model\nOLLAMA_MODEL={MODEL}  # the usual one\nAPI_KEY='a b'\n".encode()
    world.texts[BASE] += b"      - OLLAMA_MODEL=${OLLAMA_MODEL}\n"
    api = world.containers["ai-native-api"]
    world.containers["ai-native-api"] = replace(api, environment={**api.environment, "OLLAMA_MODEL": MODEL})
    return world


def without_dotenv() -> World:
    """Return the host that has no ``.env``, and whose application has the model that its Compose file names by default."""
    world = with_dotenv()
    del world.texts[f"{FOLDER}\\.env"]
    world.texts[BASE] = world.texts[BASE].replace(b"${OLLAMA_MODEL}", f"${{OLLAMA_MODEL:-{MODEL}}}".encode())
    return world


def dotenv_changed() -> World:
    """Return that host with another model in ``.env``, of which its application does not know yet."""
    world = with_dotenv()
    world.texts[f"{FOLDER}\\.env"] = b"OLLAMA_MODEL=phi3:3.8b\n"
    return world


def on_desktop(world: World | None = None) -> World:
    """Return a host whose engine runs in Docker Desktop, started at boot."""
    world = world or stack()
    world.docker = DockerDesktop("4.37.1", "running", started=BOOT + 60, engine=True, settings_path="C:\\s\\settings-store.json")
    return world


def without_gpu_request() -> World:
    """Return the host whose Compose file asks for no GPU."""
    world = stack()
    world.texts[GPU] = world.texts[GPU][: world.texts[GPU].index(b"    deploy:")]
    world.containers[OLLAMA] = replace(world.containers[OLLAMA], gpu_requested=False)
    return world


def by_docker_run(**host_config: Any) -> World:
    """Return the host whose Ollama container was made by docker run, with these members of its HostConfig."""
    world = stack()
    raw = {"HostConfig": host_config, "Mounts": [{"Type": "volume", "Name": "ollama", "Destination": "/root/.ollama"}]}
    labels = {"team": "gpu"}
    world.containers[OLLAMA] = replace(world.containers[OLLAMA], labels=labels, raw=raw, gpu_requested=wants_gpu(host_config))
    return world


def unit(*settings: str, served: tuple[str, ...] | None = None, **files: str) -> World:
    """Return a Linux host whose Ollama is a systemd unit with these settings; its process has those of `served`.

    `files` are texts of drop-ins by name without ``.conf``.
    """
    world = World(os="linux")
    world.texts[UNIT] = "\n".join(["[Service]", *(f'Environment="{one}"' for one in settings), ""]).encode()
    for name, text in files.items():
        world.texts[f"{UNIT}.d/{name}.conf"] = text.encode()
    world.served = dict(one.split("=", 1) for one in (settings if served is None else served))
    return world


def native_unit() -> World:
    """Return the host whose unit runs since the boot."""
    world = unit()
    world.start("ollama", pid=1, started=BOOT, session_id=None)
    return world


def linux_engine(text: str | None = None, **keys: Any) -> World:
    """Return a Linux host with a Docker daemon that uses `keys`, and whose file has `text`, else the same keys."""
    world = stack()
    world.os = "linux"
    world.daemon_pid = world.start("dockerd", started=BOOT, session_id=None).pid
    world.daemon_keys = keys
    if text is not None or keys:
        world.texts[CONFIG] = (json.dumps(keys) if text is None else text).encode()
    return world


def stopped(world: World | None = None, *services: str) -> World:
    """Return a host of which some (or all) containers were stopped before."""
    world = world or stack()
    for name, item in world.containers.items():
        if not services or item.service in services:
            world.containers[name] = exited(item)
    return world


def exited(item: Container) -> Container:
    """Return a container as it is after it was stopped long ago."""
    return replace(item, status="exited", exit_code=0, finished_at="2023-11-14T22:20:00Z")


def windows(app: dict[str, str] | None = None, process: bool = True, **user: str) -> World:
    """Return a host whose server is the app's, with settings in the app's database and in the user's environment."""
    world = healthy()
    world.project = None
    serving = Serving(Manager.WINDOWS_APP, process=ServerProcess(7, "PC\\ana") if process else None)
    rows = [{"Name": name, "Value": value, "Kind": "ExpandString", "Key": USER_KEY} for name, value in user.items()]
    row = {"schema_version": "12", "expose": "0", "browser": "0", "models": "", "context_length": "0", **(app or {})}
    answer = {"Machine": [], "User": rows, "Service": [], "Sid": "S-1", "Database": DATABASE, "App": row}
    world.serving = from_probe(serving, answer)
    world.log = printed(world.serving.declared)
    return world
