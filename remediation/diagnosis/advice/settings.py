"""What was set against what the server reads: settings without effect, and harmful ones (facts/ollama 1)."""

from __future__ import annotations

from collections.abc import Iterator

from remediation.diagnosis.facts.host.visibility import quoted_value
from remediation.diagnosis.readers.reading import Reading
from remediation.diagnosis.versions import at_least
from remediation.model.finding import Setting

DEAD, HARMFUL = "dead", "harmful"


def judge_settings(reading: Reading) -> tuple[Setting, ...]:
    """Return the settings that do nothing or do harm on this release, each once."""
    found: dict[str, Setting] = {}
    for one in (*_quoted_settings(reading), *_with_verdicts(reading)):
        found.setdefault(one.name, one)
    return tuple(found.values())


_QUOTABLE = ("HSA_OVERRIDE_GFX_VERSION", "OLLAMA_LLM_LIBRARY", "OLLAMA_VULKAN", "OLLAMA_CONTEXT_LENGTH", "OLLAMA_KEEP_ALIVE")


def _quoted_settings(reading: Reading) -> Iterator[Setting]:
    for name in _QUOTABLE:
        quoted = quoted_value(reading, name)
        if quoted is not None:
            value = quoted.text[len(name) + 1 :]
            plain = value.strip("\\\"'")
            yield Setting(name, value, HARMFUL, f"the quotation marks are a part of the value: write {name}={plain} without them")


def _with_verdicts(reading: Reading) -> Iterator[Setting]:
    version = reading.version
    for name, instead in (
        ("OLLAMA_NUM_GPU", "num_gpu is an option of requests and Modelfiles"),
        (
            "OLLAMA_GPU_MEMORY_FRACTION",
            "OLLAMA_GPU_OVERHEAD (to v0.24) or LLAMA_ARG_FIT_TARGET (from v0.30) reserve memory, and reserve only",
        ),
    ):
        setting = reading.declared_setting(name)
        if setting is not None and name not in reading.environment:
            yield Setting(name, setting.value, DEAD, f"read by no Ollama release; {instead}")
    library = reading.setting("OLLAMA_LLM_LIBRARY")
    if library is not None and library.value in {"cuda", "gpu", "nvidia", "rocm", "cublas"} and library.value != "rocm":
        newer = at_least(version, "0.12.4")
        if newer is False:
            yield Setting(library.name, library.value, DEAD, "no library directory has this name; before v0.12.4 it is ignored")
        else:
            yield Setting(
                library.name, library.value, HARMFUL, "from v0.12.4 it filters by directory name: every GPU library is skipped"
            )
    context = reading.setting("OLLAMA_CONTEXT_LENGTH")
    if context is not None and at_least(version, "0.5.13") is False:
        yield Setting(context.name, context.value, DEAD, "read from v0.5.13 on")
    overhead = reading.setting("OLLAMA_GPU_OVERHEAD")
    if overhead is not None and overhead.value not in {"", "0"} and at_least(version, "0.30.0"):
        yield Setting(
            overhead.name, overhead.value, DEAD, "llama-server never sees it; LLAMA_ARG_FIT_TARGET is the margin from v0.30 on"
        )
    cache = reading.setting("OLLAMA_KV_CACHE_TYPE")
    if cache is not None and reading.hit("cache_needs_flash") is not None:
        yield Setting(cache.name, cache.value, DEAD, "needs OLLAMA_FLASH_ATTENTION=1 on this release")
    stray = reading.setting("LLAMA_ARG_N_GPU_LAYERS")
    if stray is not None:
        yield Setting(stray.name, stray.value, HARMFUL, "llama-server inherits it as the number of layers (v0.30 and newer)")
