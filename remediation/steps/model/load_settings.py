"""What a load depends on besides memory: release, context, parallel requests, cache type and reserved memory."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from remediation.diagnosis.memory.fit import Fit, fit
from remediation.diagnosis.memory.metadata import ModelMetadata
from remediation.diagnosis.units import GIB, MIB
from remediation.diagnosis.versions import Version, at_least
from remediation.model.facts import GpuUse, ModelShow
from remediation.steps.model.ollama_settings import hides_the_gpu


@dataclass(frozen=True, slots=True)
class Setup:
    """What a load depends on besides memory. ``hidden`` says why the server sees no GPU, or is ""."""

    version: Version | None
    context: int
    parallel: int = 1
    cache_type: str = "f16"
    overhead: int = 0
    margin: int | None = None
    hidden: str = ""

    def fit(self, model: ModelMetadata, free: int) -> Fit | None:
        """Return how many layers fit into `free` bytes."""
        found = fit(
            model, context=self.context, free=free, version=self.version, parallel=self.parallel,
            cache_type=self.cache_type, overhead=self.overhead, margin=self.margin,
        )  # fmt: skip
        return replace(found, layers=0, sentence=self.hidden) if found is not None and self.hidden else found


def setup_of(
    version: Version | None, environment: Mapping[str, str], show: ModelShow | None, use: GpuUse | None, *, trained: int | None
) -> Setup:
    """Return the settings of a load without options: Modelfile parameters override the environment, which overrides defaults."""
    context = _number(show.parameters.get("num_ctx") if show is not None else None)
    if context is None and at_least(version, "0.5.13") is not False:
        context = _number(environment.get("OLLAMA_CONTEXT_LENGTH"))
    cache = environment.get("OLLAMA_KV_CACHE_TYPE", "").strip().lower() or "f16"
    flash = environment.get("OLLAMA_FLASH_ATTENTION", "").strip().lower() not in {"", "0", "f", "false"}
    return Setup(
        version=version,
        context=context or _default_context(version, use, trained),
        parallel=_number(environment.get("OLLAMA_NUM_PARALLEL")) or 1,
        cache_type=cache if flash or at_least(version, "0.30.0") else "f16",
        overhead=_number(environment.get("OLLAMA_GPU_OVERHEAD")) or 0,
        margin=None if (margin := _number(environment.get("LLAMA_ARG_FIT_TARGET"))) is None else margin * MIB,
        hidden=hides_the_gpu(environment, version, len(use.gpus) if use is not None else None),
    )


def _default_context(version: Version | None, use: GpuUse | None, trained: int | None) -> int:
    """Return the default context size: fixed before v0.15.5, by total VRAM since then (Ollama FAQ: context window size)."""
    if not at_least(version, "0.15.5"):
        return 2048 if at_least(version, "0.6.7") is False else 4096
    total = sum(gpu.total or 0 for gpu in use.gpus) if use is not None else 0
    tier = 262144 if total >= 47 * GIB else 32768 if total >= 23 * GIB else 4096
    return min(tier, trained) if trained else tier


def _number(text: str | None) -> int | None:
    try:
        value = int(float((text or "").strip().strip("\"'")))
    except (ValueError, OverflowError):
        return None
    return value if value > 0 else None
