"""Faults of a Linux host: in its unit and the files that the unit reads, on its card, or caused by clients."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field

from remediation.model.errors import CallFailed
from remediation_lab.linux.host import MODEL, LinuxHost, end, freeze

OTHER = "phi3:3.8b"
GIB = 1024**3


@dataclass(frozen=True, slots=True)
class LinuxFault:
    """One thing that is wrong: in the unit's environment, in what `before` writes, or in what `happened` on the running host."""

    happened: Callable[[LinuxHost], None]
    environment: Mapping[str, str] = field(default_factory=dict)
    before: Callable[[LinuxHost], None] = lambda _: None
    models: tuple[str, ...] = (MODEL,)
    libraries: bool = True
    version: str = "0.13.5"


def _load(host: LinuxHost) -> None:
    host.load()


def _one_layer(host: LinuxHost) -> None:
    host.load(num_gpu=1)


def _baked_in(host: LinuxHost) -> None:
    host.ask("/api/create", {"model": MODEL, "from": MODEL, "stream": False, "parameters": {"num_gpu": 1}})
    host.load()


def _environment_file(host: LinuxHost) -> None:
    path = host.home / "ollama.env"
    path.write_text("OLLAMA_LLM_LIBRARY=cuda\n", encoding="utf-8")
    with host.unit.open("a", encoding="utf-8") as unit:
        unit.write(f"EnvironmentFile={path}\n")


def _override(host: LinuxHost) -> None:
    host.drop_in("override.conf", 'Environment="OLLAMA_CONTEXT_LENGTH=32768"\n')


def _not_reloaded(host: LinuxHost) -> None:
    # the drop-in was corrected; systemd has not read it since, and the server runs with the old environment
    host.load()
    host.drop_in("override.conf", "")


def _occupied(host: LinuxHost) -> None:
    host.hold("chrome", 5 * GIB)
    host.load()


def _freed(host: LinuxHost) -> None:
    _occupied(host)
    (holder,) = host.others
    holder.terminate()
    holder.wait()
    host.others.clear()


def _freed_in_part(host: LinuxHost) -> None:
    host.hold("chrome", 2 * GIB)
    host.hold("trainer", 3 * GIB)
    host.load()
    browser = host.others.pop(0)
    browser.terminate()
    browser.wait()


def _hangs(host: LinuxHost) -> None:
    host.load()
    freeze(host.pid)


def _no_journal(host: LinuxHost) -> None:
    host.load(num_gpu=1)
    (host.home / "bin/journalctl").write_text("#!/bin/sh\n", encoding="utf-8")


def _by_hand(host: LinuxHost) -> None:
    end(host.pid)
    log = host.home / "nohup.out"
    given = {
        "PATH": os.environ["PATH"],
        "HOME": str(host.home),
        "OLLAMA_MODELS": f"{host.home}/models",
        "OLLAMA_HOST": f"127.0.0.1:{host.port}",
    }
    with log.open("wb") as out:
        server = subprocess.Popen(
            [str(host.home / "bin/ollama"), "serve"], stdin=subprocess.DEVNULL, stdout=out, stderr=out, env=given
        )
    host.others.append(server)
    host.wait(lambda: "Listening on" in log.read_text(encoding="utf-8"), server.pid)
    host.load(num_gpu=1)


def _two_loaded(host: LinuxHost) -> None:
    host.load(OTHER, num_gpu=10)
    host.load(num_gpu=10)


def _deleted(host: LinuxHost) -> None:
    # DELETE does not unload: /api/ps goes on to list what /api/tags has no more
    host.load(OTHER)
    host.ask("/api/delete", {"model": OTHER}, method="DELETE")


def _truncated(host: LinuxHost) -> None:
    (blob,) = [each for each in (host.home / "models/blobs").iterdir() if each.read_bytes().startswith(b"GGUF")]
    blob.write_bytes(blob.read_bytes()[:40])
    with suppress(CallFailed):  # the answer is an error 500
        host.load()


def _stopped(host: LinuxHost) -> None:
    end(host.pid)


FAULTS: Mapping[str, LinuxFault] = {
    "num-gpu-1": LinuxFault(_one_layer),
    "num-gpu-1-model": LinuxFault(_baked_in),
    "keep-alive-forever": LinuxFault(_one_layer, environment={"OLLAMA_KEEP_ALIVE": "-1"}),
    "unit-llm-library": LinuxFault(_load, environment={"OLLAMA_LLM_LIBRARY": "cuda"}),
    "unit-visible-devices": LinuxFault(_load, environment={"CUDA_VISIBLE_DEVICES": "1"}),
    "unit-gpu-overhead": LinuxFault(_load, environment={"OLLAMA_GPU_OVERHEAD": "3221225472"}),
    "unit-num-parallel": LinuxFault(_load, environment={"OLLAMA_NUM_PARALLEL": "8"}),
    "drop-in-context": LinuxFault(_load, before=_override),
    "environment-file": LinuxFault(_load, before=_environment_file),
    "not-reloaded": LinuxFault(_not_reloaded, before=_override),
    "vram-occupied": LinuxFault(_occupied),
    "vram-freed": LinuxFault(_freed),
    "vram-freed-in-part": LinuxFault(_freed_in_part),
    "libraries-missing": LinuxFault(_load, libraries=False),
    "server-hangs": LinuxFault(_hangs),
    "no-journal": LinuxFault(_no_journal),
    "by-hand": LinuxFault(_by_hand),
    "two-models-loaded": LinuxFault(_two_loaded, models=(MODEL, OTHER)),
    "deleted-model-loaded": LinuxFault(_deleted, models=(MODEL, OTHER)),
    "model-truncated": LinuxFault(_truncated),
    "unit-stopped": LinuxFault(_stopped),
    "healthy": LinuxFault(_load),
}
DEFAULT = "num-gpu-1"


def make(host: LinuxHost, fault: str) -> None:
    """Make a host new, with a fault."""
    wrong = FAULTS[fault]
    host.version = wrong.version
    host.make(models=wrong.models, environment=wrong.environment, libraries=wrong.libraries)
    wrong.before(host)
    host.start()
    wrong.happened(host)
    (host.home / "fault-name").write_text(fault, encoding="utf-8")
    (host.home / "calls").write_text("", encoding="utf-8")
