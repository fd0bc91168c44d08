"""What the engine of Ollama itself prints inside a runner while it loads a model (facts/ollama 2.3; recordings, newengine-*).

The stand-in plans such a load as one of llama.cpp: the rounds in which the engine measures its layouts are left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from remediation_lab.ollama.journal import Line, line
from remediation_lab.ollama.models import EMBEDDING, ModelFile
from remediation_lab.ollama.releases.base import Load

_ARCHITECTURES = frozenset({"qwen3", *EMBEDDING})
STARTING = line("runner.go:1405", "starting ollama engine")


def runs(file: ModelFile) -> bool:
    """Return whether the newer engine runs a model."""
    return file.shape.architecture in _ARCHITECTURES


def tensors(load: Load) -> Iterator[Line]:
    """Yield where the weights went."""
    on, blocks = load.plan.span if load.card is not None else (), load.file.shape.blocks
    yield line("ggml.go:482", f"offloading {len([index for index in on if index < blocks])} repeating layers to GPU")
    yield line("ggml.go:486", f"offloading output layer to {'GPU' if blocks in on else 'CPU'}")
    yield line("ggml.go:494", f"offloaded {len(on)}/{load.file.layers} layers to GPU")
