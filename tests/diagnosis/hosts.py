"""Evidence of a live host and of a pasted log, made of `releases`' lines."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from remediation.diagnosis.diagnose import diagnose
from remediation.diagnosis.evidence import Evidence, Piece
from remediation.model.facts import Gpu, GpuUse, ModelShow, Process, Runner
from remediation.model.finding import Cause, Diagnosis
from tests.diagnosis.releases import FILE

MIB, GIB = 1024**2, 1024**3
MODEL = "tiny:32"


def pasted(text: str, *, platform: str = "unknown") -> Diagnosis:
    """Diagnose a pasted log."""
    return diagnose(Evidence(platform=platform, pieces=(Piece("server_log", text, "server.log"),)))


def live(text: str, *, runners: Sequence[Runner] | None = (), now: float = 0.0, use: GpuUse | None = None) -> Evidence:
    """Return what a native Linux host shows with this log; `runners` None where its API did not answer."""
    return Evidence(
        platform="linux",
        pieces=(Piece("server_log", text, "server.log"),),
        host="box",
        model=MODEL,
        runners=None if runners is None else tuple(runners),
        shows=(ModelShow(MODEL, {}, {"general.architecture": "llama"}, modelfile=f"FROM {FILE}\n"),),
        collected_at=now,
        use=use,
    )


def in_container(evidence: Evidence, memory: int) -> Evidence:
    """Return the same of a container that may use `memory` bytes, 0 for all there is."""
    return replace(
        evidence,
        platform="docker-linux",
        container={"Name": "/ai-ollama-1", "HostConfig": {"Memory": memory}, "State": {"OOMKilled": False}},
    )


def card(used: int, *processes: Process) -> GpuUse:
    """Return a card of 6 GiB."""
    total = 6 * GIB
    return GpuUse((Gpu(0, "GPU-1", "RTX 3060", "551.86", total, used, total - used),), processes)


def causes(found: Diagnosis) -> dict[Cause, float]:
    """Return the findings with their confidence."""
    return {one.cause: one.confidence for one in found.findings}


def whole(model: str = MODEL) -> Runner:
    """Return a model that is listed wholly on the GPU."""
    return Runner(model, 800 * MIB, 800 * MIB, 4096)


def part(model: str = MODEL, share: int = 100) -> Runner:
    """Return a model of which `share` of 800 MiB are on the GPU."""
    return Runner(model, 800 * MIB, share * MIB, 4096)
