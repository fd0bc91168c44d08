"""What the server reads from its environment: the parsed values, and the map it prints of them (facts/ollama 1)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from remediation_lab.ollama import golang

_FALSE = frozenset({"0", "f", "F", "false", "False", "FALSE"})
_ANY_HOST = "0.0.0.0"  # a CORS origin in the printed list, nothing is bound
_ORIGINS = [
    f"{scheme}://{host}{port}"
    for host in ("localhost", "127.0.0.1", _ANY_HOST)
    for port in ("", ":*")
    for scheme in ("http", "https")
] + ["app://*", "file://*", "tauri://*", "vscode-webview://*", "vscode-file://*"]
_PASSED_ON = (
    "CUDA_VISIBLE_DEVICES",
    "GGML_VK_VISIBLE_DEVICES",
    "GPU_DEVICE_ORDINAL",
    "HIP_VISIBLE_DEVICES",
    "HSA_OVERRIDE_GFX_VERSION",
    "HTTPS_PROXY",
    "HTTP_PROXY",
    "NO_PROXY",
    "ROCR_VISIBLE_DEVICES",
    "http_proxy",
    "https_proxy",
    "no_proxy",
)


@dataclass(frozen=True, slots=True)
class Misread:
    """A value that did not parse, so the default holds; `kind` is Go's reader that refused it."""

    key: str
    text: str
    default: str
    kind: str


@dataclass(frozen=True, slots=True)
class Settings:
    """The parsed environment of one server start; durations in ns, sizes in bytes."""

    context: int
    debug: int
    flash_attention: bool | None
    overhead: int
    keep_alive: int
    cache_type: str
    library: str
    load_timeout: int
    max_loaded: int
    max_queue: int
    parallel: int
    host: str
    models: str
    map: Mapping[str, str]
    misread: tuple[Misread, ...]
    raw: Mapping[str, str] = field(default_factory=dict)

    @property
    def address(self) -> tuple[str, int]:
        """Where the server listens."""
        name, _, port = self.host.rpartition(":")
        return name.strip("[]"), int(port)


class _Reader:
    """Ollama's `envconfig.Var` and the parsers on top of it."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._environment = environment
        self.misread: list[Misread] = []

    def text(self, key: str) -> str:
        return self._environment.get(key, "").strip().strip("\"'")

    def boolean(self, key: str) -> bool:
        text = self.text(key)
        return bool(text) and text not in _FALSE  # what does not parse counts as true: facts/ollama 1.1

    def number(self, key: str, default: int, kind: str = "uint") -> int:
        text = self.text(key)
        if not text:
            return default
        if text.isascii() and text.isdigit():
            return int(text)
        self.misread.append(Misread(key, text, str(default), kind))
        return default

    def span(self, key: str, default: int, *, never: Callable[[int], bool]) -> int:
        """Read a duration, or a bare number of seconds; what does not parse is the default without a word (recordings, surprise 18)."""
        text = self.text(key)
        if not text:
            return default
        try:
            ns = golang.parse_duration(text)
        except ValueError:
            try:
                ns = int(text) * golang.SECOND
            except ValueError:
                return default
        return golang.FOREVER if never(ns) else ns


def _debug(text: str) -> int:
    if not text:
        return 0
    try:
        return int(text)
    except ValueError:
        return 0 if text in _FALSE else 1 if text.lower() in {"t", "true"} else 0


def _level(debug: int) -> str:
    """Write the level as slog does: INFO, DEBUG, DEBUG-4."""
    return "INFO" if debug <= 0 else "DEBUG" if debug == 1 else f"DEBUG-{4 * (debug - 1)}"


def _host(text: str) -> str:
    body = text.partition("://")[2] or text
    name, _, port = body.rstrip("/").rpartition(":")
    if not name:
        name, port = (port, "") if port and not port.isdigit() else ("", port)
    return f"{name or '127.0.0.1'}:{port or 11434}"


def read(environment: Mapping[str, str], *, extra: Mapping[str, str], without: Sequence[str] = ()) -> Settings:
    """Parse an environment; `extra` are the keys that only some releases print, with their default, `without` those it does not."""
    reader = _Reader(environment)
    overhead = reader.number("OLLAMA_GPU_OVERHEAD", 0, "uint64")
    max_loaded = reader.number("OLLAMA_MAX_LOADED_MODELS", 0)
    slots = int(extra.get("OLLAMA_NUM_PARALLEL", "1"))
    parallel = reader.number("OLLAMA_NUM_PARALLEL", slots) or slots
    context = reader.number("OLLAMA_CONTEXT_LENGTH", int(extra.get("OLLAMA_CONTEXT_LENGTH", "4096")))
    max_queue = reader.number("OLLAMA_MAX_QUEUE", 512)
    keep_alive = reader.span("OLLAMA_KEEP_ALIVE", 5 * golang.MINUTE, never=lambda ns: ns < 0)
    load_timeout = reader.span("OLLAMA_LOAD_TIMEOUT", 5 * golang.MINUTE, never=lambda ns: ns <= 0)
    debug = _debug(reader.text("OLLAMA_DEBUG"))
    flash = reader.boolean("OLLAMA_FLASH_ATTENTION") if reader.text("OLLAMA_FLASH_ATTENTION") else None
    host = _host(reader.text("OLLAMA_HOST"))
    models = reader.text("OLLAMA_MODELS") or "/root/.ollama/models"
    printed = {key: reader.text(key) for key in _PASSED_ON} | {
        "OLLAMA_CONTEXT_LENGTH": str(context),
        "OLLAMA_DEBUG": _level(debug),
        "OLLAMA_FLASH_ATTENTION": "true" if flash else "false",
        "OLLAMA_GPU_OVERHEAD": str(overhead),
        "OLLAMA_HOST": f"http://{host}",
        "OLLAMA_KEEP_ALIVE": golang.duration(keep_alive),
        "OLLAMA_KV_CACHE_TYPE": reader.text("OLLAMA_KV_CACHE_TYPE"),
        "OLLAMA_LLM_LIBRARY": reader.text("OLLAMA_LLM_LIBRARY"),
        "OLLAMA_LOAD_TIMEOUT": golang.duration(load_timeout),
        "OLLAMA_MAX_LOADED_MODELS": str(max_loaded),
        "OLLAMA_MAX_QUEUE": str(max_queue),
        "OLLAMA_MODELS": models,
        "OLLAMA_NUM_PARALLEL": str(parallel),
        "OLLAMA_ORIGINS": f"[{' '.join(_ORIGINS)}]",
        "OLLAMA_REMOTES": "[ollama.com]",
    }
    for key in ("MULTIUSER_CACHE", "NEW_ENGINE", "NOHISTORY", "NOPRUNE", "SCHED_SPREAD"):
        printed[f"OLLAMA_{key}"] = golang.value(reader.boolean(f"OLLAMA_{key}"))
    for key, default in extra.items():
        if key in {"OLLAMA_CONTEXT_LENGTH", "OLLAMA_NUM_PARALLEL"}:
            continue
        printed[key] = golang.value(reader.boolean(key)) if default == "false" else reader.text(key) or default
    return Settings(
        context=context,
        debug=debug,
        flash_attention=flash,
        overhead=overhead,
        keep_alive=keep_alive,
        cache_type=reader.text("OLLAMA_KV_CACHE_TYPE"),
        library=reader.text("OLLAMA_LLM_LIBRARY"),
        load_timeout=load_timeout,
        max_loaded=max_loaded,
        max_queue=max_queue,
        parallel=parallel,
        host=host,
        models=models,
        map={key: printed[key] for key in sorted(printed) if key not in without},
        misread=tuple(reader.misread),
        raw=dict(environment),
    )
