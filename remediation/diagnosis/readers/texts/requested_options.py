"""The options that clients, Modelfiles and settings request (num_gpu, num_ctx, slots), and declared environment variables."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

# num_gpu counts layers under every front end's name for it (facts/ollama 1.4, 5.1); no program reads OLLAMA_NUM_GPU
_ASK = re.compile(
    r"(?<![A-Za-z_])(?P<name>num_gpu(?:_layers)?|num(?:Gpu|GPU)(?:Layers)?|num-gpu|n_gpu_layers|n-gpu-layers|gpu_layers|num_gpus"
    r"|num_ctx|numCtx|num-ctx|context_length|contextLength|context_window|max_input_tokens|max_context_length|max_context"
    r"|(?:size of )?[Cc]ontext (?:size|window|length)|ctx[-_ ]size|n_ctx|num_parallel|numParallel)[\"']?\s{0,100}(?:parameter\s{0,100})?(?:\([^()\n]{1,24}\)\s{0,100})?(?:[:=|]\s{0,100}|\s{1,100}[|]?\s{0,100}(?:to\s{1,100}|is\s{1,100}|of\s{1,100})?|\()[\"']?(?P<value>-?\d{1,20}|[A-Za-z_(][^\n,;(]{2,80}(?:\([^\n;]{0,120}\)[^\n,;]{0,80}|[^\n,;]{0,200}))"
)
_SETTING = re.compile(
    r"(?<![A-Za-z0-9_])(?P<name>(?:OLLAMA|LLAMA_ARG|GGML|CUDA|NVIDIA|HIP|ROCR|HSA|GPU)_[A-Z0-9_]{1,60})"
    r"(?P<sep>\s{0,100}[=:]\s?|\s{2,100}|\t)(?P<value>\"[^\"\n]{0,400}\"|'[^'\n]{0,400}'|<[^>\n]{0,400}>|[^\s,;\"'\]}|)]*)"
)
_SETTING_NAMES = ("OLLAMA_", "LLAMA_ARG_", "GGML_", "CUDA_", "NVIDIA_", "HIP_", "ROCR_", "HSA_", "GPU_")
_BODY = re.compile(r'\{\s{0,40}"(?:model|options|prompt|messages|stream|keep_alive|input)"\s{0,4}:')
_OF_THE_LOAD = frozenset(
    {
        "num_ctx",
        "num_batch",
        "num_gpu",
        "main_gpu",
        "num_thread",
        "use_mmap",
        "use_mlock",
        "numa",
        "low_vram",
        "f16_kv",
        "vocab_only",
    }
)
"""The options whose change makes the server load the model again (facts/ollama 1.4)."""
_NUMBER = re.compile(r"(?<![\w.])(\d{3,7})(?![\w.])")
_ADVISED = ("set ", "setting ", "use ", "with ", "try ")
"""The words before a setting that a log message suggests; such a setting is not in force."""
_PROMPT = re.compile(r"#\s{1,4}(?:docker|podman|sudo|curl|ollama) ")
_NAMES = {"num_gpu": "num_gpu", "numgpu": "num_gpu", "ngpulayers": "num_gpu", "gpulayers": "num_gpu", "numgpulayers": "num_gpu", "numgpus": "num_gpu",
          "numctx": "num_ctx", "contextlength": "num_ctx", "contextwindow": "num_ctx", "maxcontext": "num_ctx", "maxinputtokens": "num_ctx", "maxcontextlength": "num_ctx",
          "contextsize": "num_ctx", "sizeofcontextwindow": "num_ctx", "sizeofcontextsize": "num_ctx", "sizeofcontextlength": "num_ctx", "ctxsize": "num_ctx",
          "nctx": "num_ctx", "numparallel": "num_parallel"}  # fmt: skip


@dataclass(frozen=True, slots=True)
class RequestedOption:
    """A requested option: ``what`` is num_gpu, num_ctx or num_parallel; ``value`` is None if it is computed."""

    what: str
    value: int | None
    at: Quote
    expression: str = ""


@dataclass(frozen=True, slots=True)
class DeclaredSetting:
    """An environment variable and where it was seen."""

    name: str
    value: str
    at: Quote


def is_comment(line: str) -> bool:
    """Whether a line is a comment; ``# docker …`` is a command at root's prompt."""
    text = line.lstrip(" \t-")
    return text.startswith(("#", ";", "//", "REM ", "rem ")) and not _PROMPT.match(text)


def read_requested_options(text: str, label: str) -> tuple[RequestedOption, ...]:
    """Return the options that a text other than a server log requests."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if (
            "msg=" in line
            or "layers." in line
            or ".go:" in line
            or "map[" in line
            or "--n-gpu-layers" in line
            or "--ctx-size" in line
            or is_comment(line)
            or line.lstrip().startswith(("//", "llama_", "print_info"))
        ):
            continue
        for match in _ASK.finditer(line):
            what = (
                _NAMES[match["name"].lower().replace("_", "").replace("-", "").replace(" ", "")]
                if match["name"] != "num_gpu"
                else "num_gpu"
            )
            value = match["value"]
            if what == "num_ctx" and "context_length" in match["name"].lower() and "model_info" in text:
                continue
            number_value = int(value) if is_whole(value.removeprefix("-")) else _usual(value)
            if number_value is None and not any(sign in value for sign in "*+("):
                continue
            found.append(
                RequestedOption(
                    what, number_value, Quote(f"{label}:{number}", line.strip()[:300]), "" if number_value is not None else value
                )
            )
    return tuple(found)


def _usual(expression: str) -> int | None:
    """Return the default value of an expression, None if it is computed."""
    found = _NUMBER.findall(expression)
    return int(found[-1]) if len(found) == 1 and not any(sign in expression for sign in "*+") else None


def read_settings(text: str, label: str) -> tuple[DeclaredSetting, ...]:
    """Return the environment variables that a text sets (not those in a server's own ``map[…]``)."""
    found = []
    for number, line in enumerate(text.splitlines(), start=1):
        if "map[" in line or "_" not in line or not any(name in line for name in _SETTING_NAMES):
            continue
        if is_comment(line):
            continue
        for match in _SETTING.finditer(line):
            if match["sep"].strip() == ":" and match["value"].startswith("//"):
                continue
            if "msg=" in line and line[: match.start()].endswith(_ADVISED):
                continue
            value = match["value"].strip("\"'")
            found.append(DeclaredSetting(match["name"], value, Quote(f"{label}:{number}", line.strip()[:300])))
    return tuple(found)


@dataclass(frozen=True, slots=True)
class Body:
    """A request's body: the model and the options for which the server reloads it."""

    model: str
    options: tuple[tuple[str, str], ...]
    at: Quote


def read_bodies(text: str, label: str) -> tuple[Body, ...]:
    """Return the requests' bodies in a text."""
    found, decoder = [], json.JSONDecoder()
    for start in _BODY.finditer(text):
        try:
            data, _ = decoder.raw_decode(text, start.start())
        except (ValueError, RecursionError):
            continue
        model, options = data.get("model"), data.get("options")
        if not isinstance(model, str) or not (isinstance(options, dict) or options is None):
            continue
        kept = tuple(sorted((name, str(value)) for name, value in (options or {}).items() if name in _OF_THE_LOAD))
        number = text.count("\n", 0, start.start()) + 1
        found.append(Body(model, kept, Quote(f"{label}:{number}", text.splitlines()[number - 1].strip()[:300])))
    return tuple(found)
