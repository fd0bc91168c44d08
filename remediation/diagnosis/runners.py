"""Ollama's processes held against its API: a runner that is listed and has died, and one that no server owns any more."""

from __future__ import annotations

from collections.abc import Container

from remediation.diagnosis.evidence import Evidence
from remediation.model.facts import GpuUse, Process, Runner
from remediation.model.finding import Quote
from remediation.model.programs import OLLAMA, OLLAMA_APP

OLLAMA_PROGRAMS = OLLAMA | {OLLAMA_APP}
_MACHINES = frozenset({"vmmem", "vmmemwsl"})
"""WSL's machine, to which the memory of its containers is charged."""


def dead_runner(evidence: Evidence) -> Runner | None:
    """Return a runner that ``/api/ps`` lists although no process of a runner is left; None where the processes do not tell.

    The server notices it with the next request only (recordings, surprise 12). A container's processes are seen from a Linux host,
    those inside the machine of Docker Desktop are not: there no server is seen either.
    """
    listed = next((one for one in evidence.runners or () if one.size > 0), None)
    programs = evidence.programs or ()
    pids = {one.pid for one in programs}
    servers = [one for one in programs if one.program == "ollama" and one.runner is not True and one.parent not in pids]
    runners = [one for one in programs if one.is_runner or (one.runner is None and one.parent in pids)]
    return listed if listed is not None and servers and not runners and evidence.platform != "docker-windows" else None


def orphans(evidence: Evidence) -> tuple[Process, ...]:
    """Return the runners on the card whose server has ended: it was killed, and they keep their memory (recordings, surprise 13)."""
    if evidence.use is None or evidence.programs is None:
        return ()
    servers = {one.pid for one in evidence.programs if not one.is_runner}
    parents = {one.parent for one in evidence.programs}
    return tuple(
        one
        for one in evidence.use.processes
        if one.program in OLLAMA_PROGRAMS
        and one.parent not in servers
        and (one.is_runner or (one.runner is None and one.pid not in parents and len(servers) > 1))
    )


def serves(process: Process) -> bool:
    """Whether a process holds the memory of models for a server that lives: the server and its runners, or WSL's machine."""
    return process.program in OLLAMA | _MACHINES and not process.orphan


def measured_vram(use: GpuUse, estimated: int, lost: Container[int] = ()) -> int | None:
    """Return what the programs that serve models hold by the driver's own count; None where it does not tell.

    WSL's machine also holds what other containers have on the card, so of it no more than `estimated` counts. `lost` are runners
    whose server has ended, by their process numbers.
    """
    holders = [one for one in use.processes if serves(one) and one.pid not in lost]
    amounts = [one.vram for one in holders if one.vram is not None]
    if not use.reliable or not amounts or len(amounts) != len(holders):
        return None
    counted = sum(amounts)
    return min(counted, estimated) if any(one.program in _MACHINES for one in holders) else counted


def vram_freed_by_unloading(use: GpuUse, estimated: int, lost: Container[int] = ()) -> int:
    """Return the memory that unloading models frees: as measured, else the server's estimate, limited by the memory in use."""
    counted = measured_vram(use, estimated, lost)
    return min(estimated, used_by_server(use)) if counted is None else counted


def used_by_server(use: GpuUse) -> int:
    """Return the memory in use on all cards without other programs: unloading models frees at most this much."""
    others = sum(one.vram or 0 for one in use.processes if not serves(one)) if use.reliable else 0
    return max(0, use.used - others)


def ps_quote(runner: Runner) -> Quote:
    """Return the row of ``/api/ps`` as a quote."""
    return Quote("/api/ps", f"{runner.model} size {runner.size} size_vram {runner.size_vram}")
