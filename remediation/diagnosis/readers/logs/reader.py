"""Read a text of any generation line by line."""

from __future__ import annotations

import hashlib
import io
import re
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from functools import lru_cache

from remediation.diagnosis.readers.logs import common, slog, v0_1, v0_1_33, v0_12_11, v0_30
from remediation.diagnosis.readers.logs.lines import plain_lines
from remediation.diagnosis.readers.logs.model import LogReading
from remediation.diagnosis.readers.logs.scan import LinePosition, Scanner
from remediation.diagnosis.readers.logs.state import Handler, State
from remediation.model.finding import Quote

_SLOG: Mapping[str, Handler] = {**common.SLOG, **v0_1.SLOG, **v0_1_33.SLOG, **v0_12_11.SLOG, **v0_30.SLOG}
_RAW: Mapping[str, Handler] = {**common.RAW, **v0_30.RAW}

# messages that end with a value, by their beginning
_SLOG_PREFIXES: tuple[tuple[str, Handler], ...] = (
    ("Listening on", common.listening),
    ("offload to", v0_1_33.offload),
    ("new model will fit", v0_1_33.will_fit),
    ("llama runner started", common.started),
    ("llama-server started", common.started),
    ("offloaded ", common.result),
)

# lines of llama.cpp by a text in them, since the function names before it change
_RAW_NEEDLES: tuple[tuple[str, Handler], ...] = (
    ("--ctx-size", v0_1_33.command),
    ("layers", common.result),
    ("buffer size", common.buffers),
    ("using device", common.using_device),
    ("n_ctx ", common.context_line),
    ("n_seq_max", common.context_line),
    ("n_ctx_per_seq ", common.context_line),
    ("n_ctx_seq ", common.context_line),
    ("kv_size ", common.context_line),
    ("layers.requested", v0_1_33.offload),
    ("too little memory", v0_1_33.too_little),
    ("VRAM ", v0_1.vram_line),
    ("mem required", v0_1.memory_required),
    ("loaded meta data", common.model_file),
    ("general.name", common.metadata_line),
    ("general.architecture", common.metadata_line),
    ("file size ", common.metadata_line),
    ("model size ", common.metadata_line),
    ("n_layer ", common.metadata_line),
    ("server config", common.server_config),
    ("Listening on", common.listening),
    ("GPULayers:", v0_12_11.load_request),
    ("started in", common.started),
    ("Ollama Service", common.service),
    ("ollama.service", common.service),
    ("-- Boot", common.service),
    ("-- Reboot", common.service),
)

# beginnings of the lines that fill most of a log and that no reader uses
_UNUSED_LINES = (
    "llama_model_loader: - kv", "llama_model_loader: - type", "load: control token", "load_tensors: layer ", "[GIN]",
    "llama_kv_cache_unified: layer", "llama_kv_cache: layer", "create_tensor", "common_memory_breakdown", "slot ", "srv ",
)  # fmt: skip

_LONG = 4_000_000
"""A longer text is read as it is each time."""
_SHORT = 1_000_000
"""A longer text is not kept in memory for that."""
_READ = 1024
"""Readings that are remembered: more than the hosts that one machine watches."""
_READINGS: OrderedDict[tuple[bytes, str, str], LogReading] = OrderedDict()
_LOCK = threading.Lock()
_PROCESS = re.compile(r"\bollama\[(\d+)\]: ")
_SERVERS_OWN = re.compile(r"\[GIN\]|\bsource=(?:routes|sched|images|server|llama_server|gpu|types)\.go:")
"""Lines that only the server prints, never its child processes."""
_MOST_UNUSED = 20_000
"""The number of different unused lines that are skipped when they come again: llama.cpp prints them at every load."""
_DUMP = "llama_model_loader: - kv"


def read_log(source: str | Iterable[str], *, name: str = "log", kind: str = "server_log") -> LogReading:
    """Return what a text says about Ollama; never raises on damaged text, takes time linear in its length.

    `source` is the text or its lines (an open file of any size is streamed); `name` is its label in quotes.
    """
    state, scanner, processes = State(), Scanner(), _Processes()
    number, unused = 0, set[str]()
    for number, line in plain_lines(processes.watch(source)):
        if processes.changed(number, line):
            state.begin()
        if line.startswith(_UNUSED_LINES) and " cache state" not in line:
            if line.startswith(_DUMP):
                common.gguf_key(state, line, _quote(name, number, line))
            elif "POST" in line and line.startswith("[GIN]"):
                common.request(state, line, number, _quote(name, number, line))
            continue
        if " msg=" in line or line.startswith("msg="):
            if line.startswith("time="):
                state.time = line[5:].partition(" ")[0]
            _read_slog(state, line, name, number)
            _scan(scanner, state, name, number, line)
        elif line not in unused:
            read = _read_raw(state, line, name, number)
            if not (_scan(scanner, state, name, number, line) or read) and len(unused) < _MOST_UNUSED:
                unused.add(line)
    return LogReading(
        name=name,
        kind=kind,
        starts=tuple(state.starts),
        devices=tuple(state.devices),
        loads=tuple(state.loads),
        hits=scanner.hits,
        requests=tuple(state.requests),
        server=state.server,
        time=state.time,
        models_seen=tuple(state.models),
        blobs=tuple(state.blobs),
        free_seen={device: tuple(seen) for device, seen in state.free_seen.items()},
        lines=number,
    )


def read_cached(text: str, *, name: str = "server.log", kind: str = "server_log") -> LogReading:
    """Return the cached result of `read_log`: several hosts may share a text, and a host that is watched adds requests to it.

    Requests at the end that ask for no answer, such as those of a check itself, do not make a text another one.
    """
    return read_log(text, name=name, kind=kind) if len(text) > _LONG else _read_again(text, name, kind)


@lru_cache(maxsize=8)  # a check reads its log more than once
def _read_again(text: str, name: str, kind: str) -> LogReading:
    base = _without_last_polls(text)
    if len(base) > _SHORT:
        return read_log(text, name=name, kind=kind)
    found = _cached_reading(base, name, kind)
    return found if len(base) == len(text) else replace(found, lines=text.count("\n") + (not text.endswith("\n")))


def _without_last_polls(text: str) -> str:
    """Return a text without the lines at its end that report a request for no answer: a model's details are requested with POST too."""
    end = len(text)
    while end:
        start = text.rfind("\n", 0, end - 1) + 1
        if not text.startswith("[GIN]", start) or text.find("\x1b", start, end) >= 0:
            break
        if text.find("POST", start, end) >= 0 and common.REQUEST.search(text, start, end):
            break
        end = start
    return text[:end]


def _cached_reading(text: str, name: str, kind: str) -> LogReading:
    """Return a reading from the cache; it is found by the text's hash, so that no text stays in memory."""
    key = (hashlib.blake2b(text.encode("utf-8", "surrogatepass")).digest(), name, kind)
    with _LOCK:
        found = _READINGS.pop(key, None)
    if found is None:
        found = read_log(text, name=name, kind=kind)
    with _LOCK:
        _READINGS[key] = found
        while len(_READINGS) > _READ:
            _READINGS.popitem(last=False)
    return found


class _Processes:
    """The process numbers in a journal's prefixes: a new number before the server's own lines is a new server process."""

    def __init__(self) -> None:
        self._numbers: dict[int, str] = {}
        self._seen = self._named = self._current = ""

    def watch(self, source: str | Iterable[str]) -> Iterable[str]:
        """Yield the lines unchanged and note where each process number first appears."""
        if isinstance(source, str) and "ollama[" not in source:
            return source
        return self._watch(io.StringIO(source) if isinstance(source, str) else source)

    def _watch(self, lines: Iterable[str]) -> Iterator[str]:
        for count, line in enumerate(lines, start=1):
            if "ollama[" in line[:100] and (match := _PROCESS.search(line[:120])) and match[1] != self._seen:
                self._seen = self._numbers[count] = match[1]
            yield line

    def changed(self, number: int, line: str) -> bool:
        """Return whether the server's process is another one from this line on."""
        if self._numbers:
            self._named = self._numbers.pop(number, self._named)
        if self._named == self._current or not _SERVERS_OWN.search(line):
            return False
        before, self._current = self._current, self._named
        return bool(before)


def _scan(scanner: Scanner, state: State, name: str, number: int, line: str) -> bool:
    after = bool(state.loads) and state.loads[-1].finished
    return scanner.scan(name, number, line, LinePosition(state.server, state.loaded, after))


def _read_slog(state: State, line: str, name: str, number: int) -> None:
    text = slog.message(line)
    handler = _SLOG.get(text)
    if handler is None:
        if not text and "architecture=" in line:
            handler = common.engine_model
        else:
            handler = next((one for prefix, one in _SLOG_PREFIXES if text.startswith(prefix)), None)
    if handler is not None:
        handler(state, line, _quote(name, number, line))


def _read_raw(state: State, line: str, name: str, number: int) -> bool:
    """Return whether any reader reads the line."""
    handler = _RAW.get(line.split(":", 1)[0][:40]) if "offloaded" in line or "_fit_" in line else None
    if handler is None:
        handler = next((one for needle, one in _RAW_NEEDLES if needle in line), None)
    if handler is None:
        return False
    if handler is common.result and "layers." in line:
        handler = v0_1_33.offload
    handler(state, line, _quote(name, number, line))
    return True


def _quote(name: str, number: int, line: str) -> Quote:
    return Quote(f"{name}:{number}", line.strip()[:600])
