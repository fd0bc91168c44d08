"""Play an Ollama server on a port: ``python -m remediation_lab.ollama --port 11434 --memory gpu.txt``.

The environment is the server's own (OLLAMA_*, CUDA_VISIBLE_DEVICES).  A GPU is there when the memory file is: in a container the
engine's hook puts it there if the container requests a GPU.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from remediation.model.clock import SystemClock
from remediation_lab.ollama import environment as env
from remediation_lab.ollama import snapshot
from remediation_lab.ollama.children import NO_PROCESSES, LinuxProcesses
from remediation_lab.ollama.disk import DiskStore
from remediation_lab.ollama.http import OllamaHttp
from remediation_lab.ollama.loader import Pace
from remediation_lab.ollama.models import ModelStore
from remediation_lab.ollama.releases.base import Memory
from remediation_lab.ollama.server import OllamaServer
from remediation_lab.ollama.snapshot import PlainMemory, SnapshotMemory

_NO_DEVICES = frozenset({"", "void", "none"})
_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))
"""The memory limit of a container, by the version of control groups."""


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m remediation_lab.ollama", description=__doc__)
    parser.add_argument(
        "command", nargs="?", choices=["serve"], default="serve", help="as the real program is called in its image"
    )
    parser.add_argument("--version", default="0.13.5", help="the Ollama release to play")
    parser.add_argument("--port", type=int, default=None, help="default: the port of OLLAMA_HOST")
    parser.add_argument("--memory", type=Path, default=None, help="the GPU's snapshot file; no GPU where the file is missing")
    parser.add_argument("--model", action="append", default=[], help="a model that is there from the start; may be repeated")
    parser.add_argument("--speed", type=float, default=1.0, help="how many times faster than a laptop's disk, GPU and CPU")
    return parser.parse_args(arguments)


def _say(stream: str, text: str) -> None:
    print(text, file=sys.stdout if stream == "stdout" else sys.stderr, flush=True)


def _ram() -> Memory:
    path = Path("/proc/meminfo")
    if not path.exists():
        return Memory()
    rows = {
        key: int(rest.split()[0]) * 1024
        for key, _, rest in (each.partition(":") for each in path.read_text("utf-8").splitlines())
        if rest.split()
    }
    total, free = rows["MemTotal"], rows["MemAvailable"]
    bound = next((int(each) for path in _LIMITS if path.exists() and (each := path.read_text("utf-8").strip()).isdecimal()), 0)
    return Memory(total, free, rows.get("SwapFree", 0), bound if bound < total else 0)


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until SIGTERM or SIGINT."""
    options = _options(arguments)
    environment = dict(os.environ)
    if options.port is not None:
        host, _ = env.read(environment, extra={}).address
        environment["OLLAMA_HOST"] = f"{f'[{host}]' if ':' in host else host}:{options.port}"
    given = (
        options.memory is not None
        and options.memory.exists()
        and environment.get("NVIDIA_VISIBLE_DEVICES", "all") not in _NO_DEVICES
    )
    device = snapshot.read(options.memory).device if given else None
    memory = SnapshotMemory(options.memory) if device else PlainMemory(0)
    if isinstance(memory, SnapshotMemory):
        memory.forget("ollama runner ")
    pace = Pace()
    speed = options.speed
    pace = replace(pace, disk=pace.disk * speed, network=pace.network * speed, gpu=pace.gpu * speed, cpu=pace.cpu * speed)
    clock = SystemClock()
    folder = Path(environment.get("OLLAMA_MODELS") or "/root/.ollama/models")
    store: ModelStore = DiskStore(folder)
    for name in options.model:
        model = store.get(name) or store.fetch(name, clock.now())
        if model is None:
            sys.stderr.write(f"no model {name} in the lab's registry: choose one of {', '.join(store.registry)}\n")
            return 1
        store.put(model)
    ollama = OllamaServer(
        version=options.version,
        environment=environment,
        device=device,
        memory=memory,
        clock=clock,
        models=store,
        log=_say,
        pace=pace,
        ram=_ram(),
        processes=LinuxProcesses() if sys.platform == "linux" else NO_PROCESSES,
    )
    server = OllamaHttp(ollama, ollama.settings.address)
    stop = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: stop.set())
    if not ollama.start():
        return 2
    # as the real server: a request that comes during GPU discovery is answered afterwards, and logged after the settings
    threading.Thread(target=server.serve_forever, daemon=True).start()
    while not stop.wait(1.0):
        ollama.tick()
    server.stop()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
