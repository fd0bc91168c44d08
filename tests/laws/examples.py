"""One example at least for every registered step; a step without one fails the laws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tests.engine.fakes import OLLAMA, World, container
from tests.engine.hosts import GPU, healthy, left_by_a_client, occupied, stack
from tests.laws.laws import Example


def edited_but_not_up() -> World:
    """Return the host whose file was repaired while the container still runs with what it said before."""
    world = stack()
    old = world.containers[OLLAMA].environment
    world.containers[OLLAMA] = container("ollama", {**old, "OLLAMA_LLM_LIBRARY": "cuda"})
    return world


def edited_with_a_backup() -> World:
    """Return the host whose file was edited, with what it said before beside it."""
    world = stack()
    world.texts[f"{GPU}.bak"] = world.texts[GPU].replace(b"4096", b"8192")
    return world


EXAMPLES: Mapping[str, Sequence[Example]] = {
    "vram.free": (Example({"want": "4.5 GiB", "close": ["chrome", "discord"]}, occupied, stack),),
    "model.loaded": (Example({}, stack, healthy),),
    "model.reloaded": (Example({}, left_by_a_client),),
    "model.offloaded": (Example({}, left_by_a_client, healthy, looks=True),),
    "compose.environment": (Example({}, lambda: stack("OLLAMA_LLM_LIBRARY=cuda"), stack),),
    "file.restored": (Example({"path": GPU, "backup": f"{GPU}.bak"}, edited_with_a_backup),),
    "model.unloaded": (Example({}, healthy, stack),),
    "stack.up": (Example({}, edited_but_not_up, stack),),
}
