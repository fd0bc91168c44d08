"""Lines that several generations share: server start, discovery, memory, result (facts/ollama 2.1, 2.3)."""

from __future__ import annotations

import re
from collections.abc import Mapping

from remediation.diagnosis.readers.logs import slog
from remediation.diagnosis.readers.logs.model import Device, Load, Request
from remediation.diagnosis.readers.logs.state import Handler, State, offloaded
from remediation.diagnosis.units import GIB, MIB, parse_size, rounding_error
from remediation.diagnosis.versions import Generation, parse_version
from remediation.model.finding import Quote
from remediation.model.text.digits import is_whole

_OFFLOADED = re.compile(r"offloaded (\d{1,4})\s*/\s*(\d{1,4})|\b(\d{1,3})\s*/\s*(\d{1,3}) (?:of the )?layers\b", re.IGNORECASE)
_MOST_SEEN = 64
_PRINTED = GIB // 10 + 2 * MIB
_BLOB = re.compile(r"tensors from (.+?) \(version")
_LISTENING = re.compile(r"\bListening on (\S+:\d+)(?: \(version ([^)\s]*))?")
REQUEST = re.compile(
    r"\[GIN\][^|]{0,100}\|\s{0,20}(?P<status>\d{3}) \|[^|]{0,100}\|\s{0,40}(?P<caller>[0-9a-fA-F.:]{1,64}) \| POST\s{1,20}\""
    r"(?P<path>/(?:api/(?:generate|chat|embed\w*)|v1/[\w/]+))"
)
"""A line of the access log about a request for an answer."""
_ENDED = re.compile(
    r"^(?:Started|Stopping|Stopped) (?:ollama\.service - )?Ollama Service|^ollama\.service: (?:Main process exited|Deactivated|Failed with)"
    r"|^-- (?:Boot|Reboot)\b"
)
_STARTED = re.compile(r"(?:llama runner|llama-server) started in (\d{1,15}(?:\.\d{1,9})?) seconds")
_BUFFER = re.compile(
    r"(?<![A-Za-z])([A-Za-z][\w ]{0,60}?)\s{1,40}(?:(model|KV|compute|output) )?buffer size\s{0,20}=\s{0,20}(\d{1,15}(?:\.\d{1,9})?) MiB"
)
_DEVICE = re.compile(r"using device (\w{1,40}) \((.{0,200}?)\)(?: \([^)]{0,200}\))? - (\d{1,20}) MiB free")
_CONTEXT = re.compile(r"\bn_ctx\s*=\s*(\d+)")
_SLOTS = re.compile(r"\bn_seq_max\s*=\s*(\d+)")
_PER_SLOT = re.compile(r"\bn_ctx_(?:per_)?seq\s*(?:=\s*|\()(\d+)")
_CELLS = re.compile(r"\bkv_size\s*=\s*(\d+)")
_FILE_SIZE = re.compile(r"(?:file size|model size)\s*=\s*([\d.]+ [MG]iB)")
_GENERAL_NAME = re.compile(r"general\.name\s{0,60}(?:str\s{0,60})?=\s{0,20}(\S.{0,400}?)\s{0,40}$")
_ARCHITECTURE = re.compile(r"(?:general\.architecture str|\barch)\s*=\s*(\S+)")
_GGUF_KEY = re.compile(
    r"- kv\s{1,20}\d{1,9}:\s{1,100}(general\.(?:architecture|file_type|name|parameter_count)|tokenizer\.ggml\.tokens"
    r"|[\w-]{1,60}\.(?:block_count|embedding_length|feed_forward_length|context_length|vocab_size|expert_count"
    r"|attention\.(?:head_count|head_count_kv|key_length|value_length)))\s{1,60}(\S{1,40})\s{0,60}=\s{0,20}(.*)$"
)
_LAYER_COUNT = re.compile(r"\bn_layer\s*=\s*(\d+)")


def server_config(state: State, line: str, at: Quote) -> None:
    """``server config env="map[…]"`` in its old and new shape."""
    state.start(at, slog.environment(line.split("env=", 1)[-1]))


def listening(state: State, line: str, at: Quote) -> None:
    """Read ``Listening on 127.0.0.1:11434 (version 0.13.5)``."""
    if match := _LISTENING.search(line):
        state.listening(at, parse_version(match[2]), match[1])


def inference_compute(state: State, line: str, at: Quote) -> None:
    """One device that discovery kept, or ``id=cpu``."""
    values = slog.fields(line)
    library = values.get("library", "").lower()
    if values.get("id") == "cpu":
        library = "cpu"
        state.devices = []  # it is printed where no card was kept: cards before it are another start's
    state.devices.append(
        Device(
            at=at,
            library=library,
            name=values.get("description") or values.get("name", ""),
            total=parse_size(values.get("total")),
            free=parse_size(values.get("available")),
            compute=values.get("compute", ""),
            driver=values.get("driver", ""),
        )
    )


def gpu_memory(state: State, line: str, at: Quote) -> None:
    """``gpu memory … free= overhead=``: one line per device before a load (v0.11.5+)."""
    values = slog.fields(line)
    load = state.load(at)
    free = parse_size(values.get("free"))
    if free is not None:
        load.free, load.free_at, load.free_slack = (*load.free, free), at, rounding_error(values.get("free"))
    overhead = parse_size(values.get("overhead"))
    if overhead is not None:
        load.overhead = overhead


def started(state: State, line: str, at: Quote) -> None:
    """Note that the runner answers."""
    match = _STARTED.search(line)
    if not state.loads and match:
        state.load(at)  # the text begins in the middle of a load
    state.finish(float(match[1]) if match else None, at)


def failed(state: State, _line: str, at: Quote) -> None:
    """Record that the load failed (``server/sched.go``)."""
    state.fail(at)


def service(state: State, line: str, _at: Quote) -> None:
    """Read systemd's own lines about the unit, and the journal's mark of a boot: the server process changes."""
    if _ENDED.search(line):
        state.begin()


def request(state: State, line: str, number: int, at: Quote) -> None:
    """Read ``[GIN] … | 500 | 1.2s | 127.0.0.1 | POST "/api/generate"``, where it asks for an answer."""
    if match := REQUEST.search(line):
        state.request(Request(at, int(match["status"]), match["path"], match["caller"], number))


def find_offloaded(line: str) -> tuple[int, int] | None:
    """Return (n, m) of "offloaded n/m layers" or "n/m layers offloaded", None when the line says no such thing."""
    match = _OFFLOADED.search(line)
    if match is None:
        return None
    layers, of = int(match[1] or match[3]), int(match[2] or match[4])
    return (layers, of) if 0 <= layers <= of and of > 1 else None


def result(state: State, line: str, at: Quote) -> None:
    """``offloaded N/M layers to GPU``, raw or from Ollama's own logger."""
    found = find_offloaded(line)
    if found is None:
        return
    load = state.load(at)
    # the newer engine and llama-server make trial loads (facts/ollama 2.3); elsewhere each result is a separate load
    trial = load.engine_new or load.generation in {Generation.V0_30, Generation.V0_12_11_NEW_ENGINE}
    if load.offloaded is not None and not trial:
        state.finish(None)
        load = state.load(at)
    offloaded(load, *found, at)


def buffers(state: State, line: str, at: Quote) -> None:
    """``CUDA0 model buffer size = …``; ``CPU…`` and ``…_Host`` buffers are system memory (facts/ollama 2.3)."""
    match = _BUFFER.search(line)
    if match is None:
        return
    device, size = match[1].split()[-1], int(float(match[3]) * MIB)
    on_gpu = is_gpu_buffer(device)
    load = state.load(at)
    kind = match[2] or "model"
    load.mapped = load.mapped or device.endswith("_Mapped")
    if kind not in load.measured:
        _forget_plan(load, kind)
    if kind == "model":
        if on_gpu:
            load.model_gpu += size
        else:
            load.model_cpu += size
    elif kind == "KV":
        if on_gpu:
            load.kv_gpu += size
        else:
            load.kv_cpu += size
    elif kind == "compute" and on_gpu:
        load.compute_gpu += size


def _forget_plan(load: Load, kind: str) -> None:
    """Let what was allocated take the place of the layout that releases from 0.12.11 planned before, which it prints in the same words of bytes."""
    load.measured.add(kind)
    if kind == "model":
        load.model_gpu = load.model_cpu = 0
    elif kind == "KV":
        load.kv_gpu = load.kv_cpu = 0


def is_gpu_buffer(device: str) -> bool:
    """Whether a buffer of this name is in device memory."""
    return not device.startswith(("CPU", "BLAS", "AMX")) and not device.endswith("_Host")


def using_device(state: State, line: str, at: Quote) -> None:
    """Read ``using device CUDA0 (NVIDIA …) - 5123 MiB free``."""
    match = _DEVICE.search(line)
    if match is None:
        return
    load = state.load(at)
    load.devices += 1
    seen = state.free_seen.setdefault(match[1], [])
    if len(seen) < _MOST_SEEN:
        seen.append(int(match[3]) * MIB)
    free = int(match[3]) * MIB
    if not load.free or (len(load.free) == 1 and abs(load.free[0] - free) <= _PRINTED // 2):
        # the same amount again, to the MiB instead of a tenth of a GiB
        load.free, load.free_at, load.free_slack = (free,), load.free_at or at, 0


def context_line(state: State, line: str, at: Quote) -> None:
    """``n_ctx = 4096`` and ``n_seq_max = 4`` of llama.cpp."""
    load = state.load(at)
    if match := _CONTEXT.search(line):
        load.context = load.context or int(match[1])
    elif match := _SLOTS.search(line):
        load.parallel = load.parallel or int(match[1])
    elif match := _PER_SLOT.search(line):
        load.per_slot = int(match[1])
    elif match := _CELLS.search(line):
        load.context = load.context or int(match[1])
    if load.context and load.per_slot and not load.parallel and load.context % load.per_slot == 0:
        load.parallel = load.context // load.per_slot


def model_file(state: State, line: str, at: Quote) -> None:
    """Read ``loaded meta data … from /path/sha256-… (version GGUF V3)``."""
    if match := _BLOB.search(line):
        state.blobs[match[1]] = None
        load = state.load(at)
        load.model = load.model or match[1]


def gguf_key(state: State, line: str, at: Quote) -> None:
    """``llama_model_loader: - kv  10: llama.attention.head_count u32 = 32``: the keys that the memory model needs."""
    match = _GGUF_KEY.search(line)
    if match is None:
        return
    value = match[3].strip()
    load = state.load(at)
    load.info[match[1]] = int(value) if is_whole(value) else (match[2] if match[2].startswith("arr") else value)
    if match[1] == "general.architecture":
        load.architecture = value
    elif match[1] == "general.name":
        state.models[value] = None


def metadata_line(state: State, line: str, at: Quote) -> None:
    """llama.cpp's summary of a model's metadata."""
    if match := _FILE_SIZE.search(line):
        state.load(at).file_size = parse_size(match[1])
    elif match := _ARCHITECTURE.search(line):
        state.load(at).architecture = match[1]
    elif match := _LAYER_COUNT.search(line):
        load = state.load(at)
        load.layers = load.layers or int(match[1]) + 1
    elif match := _GENERAL_NAME.search(line):
        state.models[match[1].strip("'\" ")] = None


def engine_model(state: State, line: str, at: Quote) -> None:
    """``msg="" architecture=qwen3 … name="Qwen3 1.7B"``: the newer engine's view of the model."""
    values = slog.fields(line)
    if values.get("num_tensors") == "0":
        return  # the dummy that discovery opens (v0.12.4 and newer)
    if values.get("architecture"):
        load = state.load(at)
        load.architecture = values["architecture"]
        load.engine_new = True
    if values.get("name"):
        state.models[values["name"]] = None


SLOG: Mapping[str, Handler] = {
    "server config": server_config,
    "inference compute": inference_compute,
    "gpu memory": gpu_memory,
    "Load failed": failed,
    "error loading llama server": failed,
}

RAW: Mapping[str, Handler] = {
    "load_tensors": result,
    "llm_load_tensors": result,
}
