"""Whole hosts to show steps at work: the guide's machine, in the states that it is found in."""

from __future__ import annotations

from typing import Any

from remediation.model.facts import ComposeProject, ModelShow
from tests.engine.fakes import GIB, MODEL, OLLAMA, FakeWriter, World, container

FOLDER = "C:\\dev\\activia1"
BASE = f"{FOLDER}\\docker-compose.yml"
GPU = f"{FOLDER}\\docker-compose.gpu.yml"

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


def loaded(world: World, **options: Any) -> World:  # noqa: ANN401 - Ollama's options
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
    """Return the host with room for all and one layer on the GPU, because a client asked for one."""
    return loaded(stack(), num_gpu=1)


def healthy() -> World:
    """Return the host with all layers on the GPU."""
    return loaded(stack())
